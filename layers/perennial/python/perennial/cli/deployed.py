"""The way to the inventory of a deployment, for the commands that read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from perennial.cli.reach import clients_of
from perennial.clients import Clients
from perennial.errors import InvalidInput

if TYPE_CHECKING:
    from perennial.inventory.store import Inventory

PARAMETER = "/perennial/table"  # SSM parameter that the stack writes
_NONE = (
    "there is no deployment of Perennial in {region} ({reason}); name another --region or --profile. "
    "perennial scan works without one"
)


def inventory(table_name: str | None, profile: str | None, region: str | None) -> Inventory:
    """The inventory in a table, or in the one that the deployment names.

    Raises: InvalidInput when there is none; ClientError, BotoCoreError when it may not be asked for.
    """
    from perennial.inventory.store import Inventory

    clients = clients_of(profile, region)
    if clients.region is None:
        raise InvalidInput("no region: name the deployment's with --region eu-west-1")
    name = table_name or _table(clients)
    _exists(clients, name)
    credentials = clients.session.get_credentials()
    return Inventory(name, region=clients.region, credentials=credentials and credentials.get_frozen_credentials())


def _table(clients: Clients) -> str:
    try:
        return str(clients("ssm").get_parameter(Name=PARAMETER)["Parameter"]["Value"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        reason = f"no parameter {PARAMETER}"
        raise InvalidInput(_NONE.format(region=clients.region, reason=reason)) from error


def _exists(clients: Clients, name: str) -> None:
    try:
        clients("dynamodb").describe_table(TableName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        raise InvalidInput(_NONE.format(region=clients.region, reason=f"no table {name[:255]}")) from error
