"""The public hosted zones of several accounts, as one call of a solver needs them: found, read and changed.

Sources: API_ListHostedZones, API_ListHostedZonesByName, API_ListResourceRecordSets, API_ChangeResourceRecordSets,
API_GetChange; "Throttling for Amazon Route 53 API requests" (ten requests a second of an account, all operations
together), which is why zones and records are listed by the page wherever that takes fewer requests than asking by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from perennial.clients import meant
from perennial.errors import ConcurrentChange, InvalidConfiguration, InvalidInput, ServiceRefused
from perennial.route53_records import Edit, RecordSet, canonical

ACTIONS = (
    "route53:ChangeResourceRecordSets",
    "route53:GetChange",
    "route53:ListHostedZones",
    "route53:ListHostedZonesByName",
    "route53:ListResourceRecordSets",
)
ZONE_PAGE, ZONE_PAGES = 100, 5  # 500 zones are an account's first quota; in a larger one zones are asked for by name
RECORD_PAGE = 300
RECORD_PAGES = 400  # a bound, not a limit of Route 53
FEW = "20"  # record sets at one name, mostly
_TOKEN = re.compile(r"([0-9]{12})/([A-Za-z0-9]{1,32})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One public hosted zone. `size` is its number of record sets when it was listed."""

    account: str
    id: str
    name: str  # canonical
    size: int


class Zones:
    """The zones of all accounts in `clients` (account → a Route 53 client), listed when first asked for."""

    def __init__(self, clients: Mapping[str, Callable[[], Any]]) -> None:
        self._clients = clients
        self._accounts = [_Account(account, client) for account, client in clients.items()]

    def closest(self, name: str) -> Zone | None:
        """The zone with the longest name that `name` is or is below; of equal ones, that of the first account.

        Raises: InvalidConfiguration where one account has several of that name.
        """
        labels = name.split(".")
        for suffix in (".".join(labels[start:]) for start in range(len(labels))):
            for account in self._accounts:
                if found := account.named(suffix):
                    return _only(found)
        return None

    def record_sets(self, zone: Zone, names: Collection[str]) -> Mapping[str, tuple[RecordSet, ...]]:
        """Every record set at each of the names, as it is now, changes that still spread included."""
        with self._asking(zone.account, "ListResourceRecordSets") as client:
            if -(-zone.size // RECORD_PAGE) < len(names):
                everything = [RecordSet.of(each) for each in _records(client, zone, MaxItems=str(RECORD_PAGE))]
                return {name: tuple(each for each in everything if canonical(each.name) == name) for name in names}
            return {name: tuple(_at(client, zone, name)) for name in names}

    def change(self, zone: Zone, edits: Sequence[Edit]) -> str:
        """Make all the edits or none; returns a token for `spread`.

        Raises: ConcurrentChange where Route 53 refuses the batch: a record set is no longer as it was read, or may not
        be as it is wished.
        """
        batch = {"Comment": "Perennial", "Changes": [change for each in edits for change in each.changes]}
        with self._asking(zone.account, "ChangeResourceRecordSets") as client:
            try:
                answer = client.change_resource_record_sets(HostedZoneId=zone.id, ChangeBatch=batch)
            except client.exceptions.InvalidChangeBatch as error:
                told = error.response["Error"].get("Message", "")
                raise ConcurrentChange(f"Route 53 refused a change of {zone.name}: {told[:300]}") from error
        return f"{zone.account}/{answer['ChangeInfo']['Id'].rpartition('/')[2]}"

    def spread(self, token: str) -> bool:
        """Whether a change has reached every name server of Route 53.

        Raises: InvalidInput, InvalidConfiguration where its account is no longer configured.
        """
        found = _TOKEN.fullmatch(token)
        if not found:
            raise InvalidInput(f"{token[:80]!r} names no change of Route 53")
        account, change = found.groups()
        if account not in self._clients:
            raise InvalidConfiguration(f"a change was made in account {account}; put it back into zone_accounts")
        with self._asking(account, "GetChange") as client:
            try:
                return bool(client.get_change(Id=change)["ChangeInfo"]["Status"] == "INSYNC")
            except client.exceptions.NoSuchChange:
                return True  # one that Route 53 accepted and has forgotten does not spread any more

    @contextmanager
    def _asking(self, account: str, operation: str) -> Iterator[Any]:
        with meant(f"route53:{operation} in account {account}"):
            yield self._clients[account]()


class _Account:
    """The public zones of one account: all of them where they are few, else as they are asked for."""

    def __init__(self, account: str, client: Callable[[], Any]) -> None:
        self._account = account
        self._client = client
        self._asked: dict[str, tuple[Zone, ...]] = {}

    def named(self, name: str) -> tuple[Zone, ...]:
        """The zones of exactly this name."""
        if self._all is not None:
            return self._all.get(name, ())
        if name not in self._asked:
            self._asked[name] = self._ask(name)
        return self._asked[name]

    @cached_property
    def _all(self) -> Mapping[str, tuple[Zone, ...]] | None:
        """By name; None where there are too many to list."""
        found: dict[str, tuple[Zone, ...]] = {}
        marker: dict[str, str] = {}
        for _ in range(ZONE_PAGES):
            with meant(f"route53:ListHostedZones in account {self._account}"):
                page = self._client().list_hosted_zones(MaxItems=str(ZONE_PAGE), **marker)
            for zone in self._public(page["HostedZones"]):
                found[zone.name] = (*found.get(zone.name, ()), zone)
            if not page["IsTruncated"]:
                return found
            marker = {"Marker": page["NextMarker"]}
        return None

    def _ask(self, name: str) -> tuple[Zone, ...]:
        with meant(f"route53:ListHostedZonesByName in account {self._account}"):
            page = self._client().list_hosted_zones_by_name(DNSName=f"{name}.", MaxItems=str(ZONE_PAGE))
        return tuple(each for each in self._public(page["HostedZones"]) if each.name == name)

    def _public(self, found: Sequence[Mapping[str, Any]]) -> Iterator[Zone]:
        for each in found:
            if not each.get("Config", {}).get("PrivateZone"):
                yield Zone(
                    account=self._account,
                    id=each["Id"].rpartition("/")[2],
                    name=canonical(each["Name"]),
                    size=int(each.get("ResourceRecordSetCount", RECORD_PAGE)),
                )


def _only(found: tuple[Zone, ...]) -> Zone:
    if len(found) > 1:
        ids = ", ".join(each.id for each in found[:5])
        raise InvalidConfiguration(
            f"account {found[0].account} has {len(found)} public zones {found[0].name} ({ids}), and which of them "
            "answers cannot be told; delete those that nothing delegates to"
        )
    return found[0]


def _at(client: Any, zone: Zone, name: str) -> Iterator[RecordSet]:
    for each in _records(client, zone, MaxItems=FEW, StartRecordName=f"{name}."):
        if canonical(each["Name"]) != name:
            return
        yield RecordSet.of(each)


def _records(client: Any, zone: Zone, **start: str) -> Iterator[Mapping[str, Any]]:
    """The record sets of a zone in its order, a page for each request."""
    for _ in range(RECORD_PAGES):
        page = client.list_resource_record_sets(HostedZoneId=zone.id, **start)
        yield from page["ResourceRecordSets"]
        if not page["IsTruncated"]:
            return
        following = {"StartRecordName": "NextRecordName", "StartRecordType": "NextRecordType"}
        following["StartRecordIdentifier"] = "NextRecordIdentifier"
        start = {"MaxItems": start["MaxItems"]} | {to: page[of] for to, of in following.items() if page.get(of)}
    raise ServiceRefused(f"the records of {zone.name} do not end after {RECORD_PAGES} pages")
