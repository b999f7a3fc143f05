"""What the CloudFormation resource types have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local_cloud import in_process
from local_cloud.fakes.service import Handler

Properties = dict[str, Any]
Made = tuple[str, dict[str, Any]]
"""What a created resource answers to ``Ref`` (its physical id) and to ``Fn::GetAtt``."""


@dataclass(frozen=True)
class Services:
    """The services of this process, in the account and region of the stack that is being deployed."""

    handlers: Mapping[str, Handler]
    account: Callable[[], str]
    region: Callable[[], str]

    def client(self, service: str, scope: str = "") -> Any:
        """A botocore client of a service; ``scope`` is its credential scope where that differs from its name."""
        handler = self.handlers[scope or service]
        return in_process.client(service, handler, account=self.account(), region=self.region())


@dataclass(frozen=True)
class ResourceType:
    """How to make, change and remove one type. Without ``update`` a change makes a new one and removes the old."""

    create: Callable[[Services, str, Properties], Made]
    delete: Callable[[Services, str, Properties], None]
    update: Callable[[Services, str, Properties], Made] | None = None

    @classmethod
    def put(
        cls,
        create: Callable[[Services, str, Properties], Made],
        delete: Callable[[Services, str, Properties], None],
    ) -> ResourceType:
        """A type of which making it again under its name changes it in place."""
        return cls(create, delete, create)


def only(properties: Properties, *names: str) -> Properties:
    """The named properties, as far as they are there; request and property names are mostly the same."""
    return {name: properties[name] for name in names if name in properties}


def own_tags(properties: Properties) -> dict[str, list[dict[str, str]]]:
    """The ``Tags`` of a request, if there are any, without CloudFormation's: a service refuses ``aws:`` keys."""
    tags = [tag for tag in properties.get("Tags", []) if not tag["Key"].startswith("aws:")]
    return {"Tags": tags} if tags else {}


def nothing(services: Services, physical_id: str, properties: Properties) -> None:
    """Delete a resource that goes with another one."""
