"""What a deployed function works with: settings, table, bucket and clients, each made when first asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from perennial.clients import Clients
from perennial.errors import InvalidConfiguration
from perennial.manifest_store import Manifests
from perennial.settings import Settings, load

if TYPE_CHECKING:
    from perennial import profiles
    from perennial.exception_record import ExceptionRecord
    from perennial.inventory.store import Inventory
    from perennial.issuers.interface import Issuer


@dataclass(frozen=True)
class Deployment:
    """The hub's deployment, as its functions' environment describes it."""

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def named(self, variable: str) -> str:
        """An environment variable that the stack sets.

        Raises: InvalidConfiguration.
        """
        value = self.environment.get(variable, "")
        if not value:
            raise InvalidConfiguration(f"the environment variable {variable} is not set; deploy the stack again")
        return value

    @cached_property
    def clients(self) -> Clients:
        """Clients of the hub's own account and region."""
        import boto3

        return Clients(boto3.Session())

    @cached_property
    def account(self) -> str:
        """The hub's account."""
        return str(self.clients("sts").get_caller_identity()["Account"])

    @cached_property
    def settings(self) -> Settings:
        """perennial.toml as it was deployed."""
        bucket, key = self.named("PERENNIAL_SETTINGS_BUCKET"), self.named("PERENNIAL_SETTINGS_KEY")
        body = self.clients("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        try:
            return load(body.decode())
        except UnicodeDecodeError as error:
            raise InvalidConfiguration("perennial.toml as deployed is not text in UTF-8; deploy it again") from error

    @cached_property
    def manifests(self) -> Manifests:
        return Manifests(self.clients("s3"), self.named("PERENNIAL_BUCKET"))

    @cached_property
    def inventory(self) -> Inventory:
        from perennial.inventory.store import Inventory

        return Inventory(self.named("PERENNIAL_TABLE"), region=self.clients.region)

    def active_exceptions(self) -> tuple[ExceptionRecord, ...]:
        """The exceptions that are active, but for those whose rule `[exceptions] never` names by now."""
        active = self.inventory.active_exceptions()
        return tuple(each for each in active if not self.settings.exceptions.forbidden(each.rule))

    @cached_property
    def issuers(self) -> dict[profiles.Issuer, tuple[datetime, Issuer]]:
        """The issuers that `perennial.issuers.issuer` made so far, and when each was used last."""
        return {}

    @cached_property
    def _assumed(self) -> dict[tuple[str, str], tuple[datetime, Clients]]:
        return {}

    def clients_of(self, account: str, role_name: str) -> Clients:
        """Clients of an account: the hub's own, or those of a role there. A role's session is used for half an hour.

        Raises: ClientError when the role may not be assumed.
        """
        if account == self.account:
            return self.clients
        made, clients = self._assumed.get((account, role_name), (None, None))
        now = self.clock()
        if made is None or clients is None or (now - made).total_seconds() > 1_800:
            clients = self.clients.assume(account, role_name, self.settings.discovery.external_id)
            self._assumed[(account, role_name)] = (now, clients)
        return clients
