"""Which scopes a scan reaches, and with whose clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import parse_timestamp

from perennial.clients import HOMES, Clients, meaning
from perennial.discovery import scopes_of
from perennial.errors import InvalidInput
from perennial.manifest import Scope
from perennial.scanners import scanner
from perennial.scanners.interface import GLOBAL, Scanner
from perennial.survey import OWN, Scanned, Task

if TYPE_CHECKING:
    import boto3

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What the user asked for. `regions` may be ("all",); `accounts` () is the caller's own."""

    regions: tuple[str, ...]
    sources: tuple[str, ...]
    accounts: tuple[str, ...] = ()
    role_name: str = ""
    external_id: str = ""


def clients_of(profile: str | None, region: str | None) -> Clients:
    """The caller's clients.

    Raises: InvalidInput without credentials; BotoCoreError for a profile that is not there.
    """
    import boto3
    from botocore.session import Session

    core = Session(profile=profile)
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_time)
    session = boto3.Session(profile_name=profile, region_name=region, botocore_session=core)
    if session.get_credentials() is None:
        raise InvalidInput(
            "no AWS credentials: name a profile with --profile, or sign in (aws configure, aws sso login)"
        )
    return Clients(session)


def _time(value: Any) -> datetime:
    """A time in an answer. botocore takes ten times as long for a number of seconds, to tell it in local time."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    parsed: datetime = parse_timestamp(value)
    return parsed


def regions_of(session: boto3.Session, wanted: Sequence[str]) -> tuple[str, ...]:
    """The regions to scan: those named, else the session's.

    Raises: InvalidInput when there is none, or one that AWS does not have.
    """
    if ALL in wanted:
        return (ALL,)
    if not wanted and session.region_name is None:
        raise InvalidInput("no region: name one with --region eu-west-1, or all that are enabled with --region all")
    return _known(session, wanted) if wanted else (session.region_name,)


def accounts_of_organization(clients: Clients) -> tuple[str, ...]:
    """The active accounts of the organization, as `accounts = "organization"` in a configuration asks for.

    Raises: ClientError where the credentials may not list them.
    """
    pages = clients("organizations", clients.region or "us-east-1").get_paginator("list_accounts").paginate()
    return tuple(sorted(each["Id"] for page in pages for each in page["Accounts"] if each["Status"] == "ACTIVE"))


def _known(session: boto3.Session, wanted: Sequence[str]) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(wanted))
    known = {
        each
        for partition in session.get_available_partitions()
        for each in session.get_available_regions("acm", partition)
    }
    unknown = [each for each in named if each not in known]
    if unknown:
        raise InvalidInput(f"there is no region {', '.join(unknown)}; for a new one: pip install --upgrade boto3")
    return named


def tasks(clients: Clients, reach: Reach) -> tuple[list[Task], list[Scanned]]:
    """A task for each scope, and what cannot even be tried: accounts whose role may not be assumed.

    Raises: ClientError, BotoCoreError where nothing can be planned at all.
    """
    wanted = {source: scanner(source) for source in reach.sources}
    if not reach.accounts:
        return list(_of_account(OWN, clients, reach, wanted, is_hub=True)), []
    own = str(clients("sts", _region(clients, reach)).get_caller_identity()["Account"])
    planned: list[Task] = []
    failed: list[Scanned] = []
    for account in dict.fromkeys(reach.accounts):
        try:
            theirs = clients if account == own else _assumed(clients, account, reach)
            planned += _of_account(account, theirs, reach, wanted, is_hub=False)
        except (ClientError, BotoCoreError) as error:
            failed.append(_unreachable(account, error))
    hub = {source: each for source, each in wanted.items() if each.hub_only}
    return [*planned, *_of_account(own, clients, reach, hub, is_hub=True)], failed


def _assumed(clients: Clients, account: str, reach: Reach) -> Clients:
    return clients.at(_region(clients, reach)).assume(account, reach.role_name, reach.external_id)


def _unreachable(account: str, error: ClientError | BotoCoreError) -> Scanned:
    operation = error.operation_name if isinstance(error, ClientError) else "AssumeRole"
    why = meaning(error, f"{'ec2' if operation == 'DescribeRegions' else 'sts'}:{operation}")
    return Scanned(scope=Scope(account, ALL, ALL), reason=why.reason, message=str(why))


def _of_account(
    account: str, clients: Clients, reach: Reach, wanted: Mapping[str, Scanner], *, is_hub: bool
) -> Iterator[Task]:
    first = _region(clients, reach)
    listed = reach.regions if any(each.everywhere for each in wanted.values()) else ()
    regions = _enabled(clients, first) if ALL in listed else listed
    home = HOMES.get(clients.session.get_partition_for_region(first), first)
    made: dict[str, Clients] = {}
    for scope in scopes_of(account, regions, wanted, is_hub):
        region = home if scope.region == GLOBAL else scope.region
        theirs = made.setdefault(region, clients if clients.region == region else clients.at(region))
        yield Task(scope=scope, scanner=wanted[scope.source], clients=theirs)


def _region(clients: Clients, reach: Reach) -> str:
    """A region to start from."""
    return next((each for each in reach.regions if each != ALL), None) or clients.region or "us-east-1"


def _enabled(clients: Clients, region: str) -> tuple[str, ...]:
    return tuple(sorted(each["RegionName"] for each in clients("ec2", region).describe_regions()["Regions"]))
