"""The way to the inventory of a deployment, for the commands that read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from perennial.cli.reach import clients_of
from perennial.clients import Clients
from perennial.errors import InvalidInput

if TYPE_CHECKING:
    from perennial.deployment import Deployment
    from perennial.inventory.store import Inventory

PARAMETER = "/perennial/table"  # SSM parameters that the stack writes
SETTINGS = "/perennial/settings"  # bucket/key
KEY = "/perennial/key"  # ARN of the KMS key
PROOF_KEY = "/perennial/proof-key"  # ARN of the one that signs proofs
_NONE = (
    "there is no deployment of Perennial in {region} ({reason}); name another --region or --profile. "
    "perennial scan works without one"
)


def inventory(table_name: str | None, profile: str | None, region: str | None) -> Inventory:
    """The inventory in a table, or in the one that the deployment names.

    Raises: InvalidInput when there is none; ClientError, BotoCoreError when it may not be asked for.
    """
    return _inventory(_clients(profile, region), table_name)


def deployment(
    table_name: str | None, profile: str | None, region: str | None, *, with_key: bool = False
) -> Deployment:
    """The deployment itself, with the caller's own permissions: its inventory, its settings, and the name of its KMS
    key where that is asked for.

    Raises: InvalidInput when there is none; ClientError, BotoCoreError when it may not be asked for.
    """
    from perennial.deployment import Deployment

    clients = _clients(profile, region)
    bucket, _, key = _parameter(clients, SETTINGS).partition("/")
    names = {"PERENNIAL_SETTINGS_BUCKET": bucket, "PERENNIAL_SETTINGS_KEY": key}
    if with_key:
        names["PERENNIAL_KEY_ID"] = _parameter(clients, KEY)
    found = Deployment(names)
    found.__dict__.update(clients=clients, inventory=_inventory(clients, table_name))
    return found


def proof_key(profile: str | None, region: str | None) -> tuple[Clients, str]:
    """Clients, and the ARN of the key that signs the deployment's proofs.

    Raises: InvalidInput when there is no deployment; ClientError, BotoCoreError when it may not be asked for.
    """
    clients = _clients(profile, region)
    return clients, _parameter(clients, PROOF_KEY)


def _clients(profile: str | None, region: str | None) -> Clients:
    clients = clients_of(profile, region)
    if clients.region is None:
        raise InvalidInput("no region: name the deployment's with --region eu-west-1")
    return clients


def _inventory(clients: Clients, table_name: str | None) -> Inventory:
    from perennial.inventory.store import Inventory

    name = table_name or _parameter(clients, PARAMETER)
    _exists(clients, name)
    credentials = clients.session.get_credentials()
    return Inventory(name, region=clients.region, credentials=credentials and credentials.get_frozen_credentials())


def _parameter(clients: Clients, name: str) -> str:
    try:
        return str(clients("ssm").get_parameter(Name=name)["Parameter"]["Value"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        reason = f"no parameter {name}"
        raise InvalidInput(_NONE.format(region=clients.region, reason=reason)) from error


def _exists(clients: Clients, name: str) -> None:
    try:
        clients("dynamodb").describe_table(TableName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        raise InvalidInput(_NONE.format(region=clients.region, reason=f"no table {name[:255]}")) from error
