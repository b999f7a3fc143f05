"""Route 53 as strict as the service is with record sets, in memory: real boto3 clients of any number of accounts.

    service = StrictRoute53()
    zone = service.zone("example.com", account="111111111111")
    solver = Route53(service.clients)
    service.values(zone, "_acme-challenge.example.com")

Batches are atomic. A DELETE must match values and TTL, a CREATE must not find a record set, a CNAME tolerates no other
record at its name. `before` is called once before the next change is applied (a race), `after` once afterwards (a reply
that is lost, by raising); a change is PENDING when first asked for.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from scripted_aws import Refused, ScriptedAws

HUB = "111111111111"
_STRING = re.compile(r'"(?:[\x20-\x7e]|\\[0-3][0-7]{2})*?(?<!\\)"(?: "(?:[\x20-\x7e]|\\[0-3][0-7]{2})*?(?<!\\)")*')
Key = tuple[str, str, str]  # name, type, set identifier
Change = Callable[[], None]


@dataclass
class _Zone:
    id: str
    name: str
    account: str
    private: bool
    records: dict[Key, dict[str, Any]] = field(default_factory=dict)


class _Reentrant(ScriptedAws):
    """One whose answers may call it: a race is another solver's work in the middle of a change."""

    def __init__(self) -> None:
        super().__init__({})
        self._lock: Any = threading.RLock()
        self.client = self("route53")


@cache
def _aws(account: str) -> _Reentrant:
    """Made once: reading botocore's models is most of a test's time otherwise."""
    return _Reentrant()


class StrictRoute53:
    """The zones of several accounts. `clients` is what a solver takes. The newest one answers: use one at a time."""

    def __init__(self, *accounts: str) -> None:
        self.zones: dict[str, _Zone] = {}
        self.before: Change | None = None
        self.after: Change | None = None
        self.batches: list[list[dict[str, Any]]] = []
        self._asked: dict[str, int] = {}
        self.aws = {account: _aws(account) for account in accounts or (HUB,)}
        for account, aws in self.aws.items():
            aws.script = self._script(account)
        self.forget()
        self.clients: dict[str, Callable[[], Any]] = {
            account: partial(getattr, aws, "client") for account, aws in self.aws.items()
        }

    def zone(self, name: str, account: str = HUB, *, private: bool = False) -> str:
        """A new zone, with its SOA record; returns its id."""
        made = _Zone(f"Z{len(self.zones):05}", f"{name}.", account, private)
        self.zones[made.id] = made
        self.put(made.id, name, "SOA", "ns. hostmaster. 1 7200 900 1209600 86400", ttl=900)
        return made.id

    def put(self, zone: str, name: str, kind: str, *values: str, ttl: int = 300, **more: Any) -> None:
        """What another tool writes: values replaced, whatever was there; without values the record set is removed."""
        key = (f"{name}.", kind, str(more.get("SetIdentifier", "")))
        self.zones[zone].records.pop(key, None)
        if values:
            self.zones[zone].records[key] = _document(key, ttl, values) | more

    def alias(self, zone: str, name: str, kind: str) -> None:
        """A record set that is an alias."""
        target = {"HostedZoneId": zone, "DNSName": "other.example.", "EvaluateTargetHealth": False}
        key = (f"{name}.", kind, "")
        self.zones[zone].records[key] = {"Name": f"{name}.", "Type": kind, "AliasTarget": target}

    def record(self, zone: str, name: str, kind: str = "TXT") -> dict[str, Any] | None:
        return self.zones[zone].records.get((f"{name}.", kind, ""))

    def values(self, zone: str, name: str, kind: str = "TXT") -> list[str]:
        """The values at a name, in order; [] where there is no record set."""
        found = self.record(zone, name, kind) or {}
        return [each["Value"] for each in found.get("ResourceRecords", ())]

    def calls(self) -> list[str]:
        """The operations that were called, all accounts together."""
        return [call.removeprefix("route53.") for aws in self.aws.values() for call in aws.calls]

    def forget(self) -> None:
        """Count calls from here."""
        for aws in self.aws.values():
            aws.requests.clear()

    # --- the operations ---

    def _script(self, account: str) -> dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
        return {
            "route53.ListHostedZones": partial(self._list_zones, account),
            "route53.ListHostedZonesByName": partial(self._list_zones_by_name, account),
            "route53.ListResourceRecordSets": partial(self._list_records, account),
            "route53.ChangeResourceRecordSets": partial(self._change, account),
            "route53.GetChange": partial(self._get_change, account),
        }

    def _of(self, account: str) -> list[_Zone]:
        return [each for each in self.zones.values() if each.account == account]

    def _list_zones(self, account: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        zones, size = self._of(account), int(request.get("MaxItems", 100))
        start = next((place for place, each in enumerate(zones) if each.id == request.get("Marker")), 0)
        page, rest = zones[start : start + size], zones[start + size :]
        following = {"NextMarker": rest[0].id} if rest else {}
        shown = {"HostedZones": [_shown(each) for each in page], "Marker": request.get("Marker", "")}
        return {**shown, "IsTruncated": bool(rest), "MaxItems": str(size), **following}

    def _list_zones_by_name(self, account: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        wanted = _order(request["DNSName"])
        zones = sorted(
            (each for each in self._of(account) if _order(each.name) >= wanted), key=lambda e: _order(e.name)
        )
        size = int(request["MaxItems"])
        shown = [_shown(each) for each in zones[:size]]
        return {"HostedZones": shown, "IsTruncated": len(zones) > size, "MaxItems": str(size)}

    def _own(self, account: str, zone: str) -> _Zone:
        if zone not in self.zones or self.zones[zone].account != account:
            raise Refused("NoSuchHostedZone", status=404)
        return self.zones[zone]

    def _list_records(self, account: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        zone = self._own(account, request["HostedZoneId"])
        start = (_order(request.get("StartRecordName", "")), request.get("StartRecordType", ""))
        start += (request.get("StartRecordIdentifier", ""),)
        size = int(request.get("MaxItems", 300))
        assert size <= 300
        keys = sorted(zone.records, key=lambda key: (_order(key[0]), *key[1:]))
        keys = [key for key in keys if (_order(key[0]), *key[1:]) >= start]
        page, rest = keys[:size], keys[size:]
        following = {}
        if rest:
            names = ("NextRecordName", "NextRecordType", "NextRecordIdentifier")
            following = {name: value for name, value in zip(names, rest[0], strict=True) if value}
        shown = [{**zone.records[key], "Name": key[0].replace("*", "\\052")} for key in page]
        return {"ResourceRecordSets": shown, "IsTruncated": bool(rest), "MaxItems": str(size), **following}

    def _change(self, account: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        zone = self._own(account, request["HostedZoneId"])
        _called(self, "before")
        changes = request["ChangeBatch"]["Changes"]
        _check_limits(changes)
        records = dict(zone.records)
        for each in changes:
            _apply(records, zone, each["Action"], each["ResourceRecordSet"])
        zone.records = records
        self.batches.append(changes)
        number = f"C{len(self.batches):05}"
        self._asked[f"{account}/{number}"] = 0
        _called(self, "after")
        return {"ChangeInfo": {"Id": f"/change/{number}", "Status": "PENDING", "SubmittedAt": "2026-11-23T12:00:00Z"}}

    def _get_change(self, account: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        token = f"{account}/{request['Id']}"
        if token not in self._asked:
            raise Refused("NoSuchChange", status=404)
        self._asked[token] += 1
        status = "PENDING" if self._asked[token] == 1 else "INSYNC"
        return {"ChangeInfo": {"Id": request["Id"], "Status": status, "SubmittedAt": "2026-11-23T12:00:00Z"}}


def _called(service: StrictRoute53, name: str) -> None:
    """Each is called once, and may set itself anew."""
    call = getattr(service, name)
    setattr(service, name, None)
    if call:
        call()


def _shown(zone: _Zone) -> dict[str, Any]:
    return {
        "Id": f"/hostedzone/{zone.id}",
        "Name": zone.name,
        "CallerReference": zone.id,
        "Config": {"PrivateZone": zone.private},
        "ResourceRecordSetCount": len(zone.records),
    }


def _document(key: Key, ttl: int, values: tuple[str, ...]) -> dict[str, Any]:
    return {"Name": key[0], "Type": key[1], "TTL": ttl, "ResourceRecords": [{"Value": each} for each in values]}


def _order(name: str) -> tuple[str, ...]:
    return tuple(reversed(name.removesuffix(".").split("."))) if name else ()


def _check_limits(changes: list[dict[str, Any]]) -> None:
    values = [each["Value"] for change in changes for each in change["ResourceRecordSet"]["ResourceRecords"]]
    if len(values) > 1_000 or sum(map(len, values)) > 32_000 or max(map(len, values)) > 4_000:
        raise Refused("InvalidChangeBatch", "the request exceeds a limit")


def _apply(records: dict[Key, dict[str, Any]], zone: _Zone, action: str, given: Mapping[str, Any]) -> None:
    name = given["Name"].lower().removesuffix(".").replace("\\052", "*") + "."
    key = (name, given["Type"], given.get("SetIdentifier", ""))
    _check_values(given)
    if not f".{name}".endswith(f".{zone.name}"):
        raise Refused("InvalidChangeBatch", f"{name} is not in {zone.name}")
    if action == "DELETE":
        if key not in records or _content(records[key]) != _content(given):
            raise Refused("InvalidChangeBatch", f"Tried to delete {name} but it was not found or does not match")
        del records[key]
        return
    assert action == "CREATE", "a solver never overwrites"
    others = [each for each in records if each[0] == name]
    if [each for each in others if each[1] == key[1]]:
        raise Refused("InvalidChangeBatch", f"Tried to create {name} but it already exists")
    if others and "CNAME" in (key[1], *(each[1] for each in others)):
        raise Refused("InvalidChangeBatch", f"{name} conflicts with a CNAME record of the same name")
    records[key] = {**given, "Name": name}


def _check_values(given: Mapping[str, Any]) -> None:
    values = [each["Value"] for each in given["ResourceRecords"]]
    if len(set(values)) != len(values):
        raise Refused("InvalidChangeBatch", "Duplicate Resource Record")
    if given["Type"] == "TXT" and not all(_STRING.fullmatch(each) for each in values):
        raise Refused("InvalidChangeBatch", "Invalid Resource Record: FATAL problem: InvalidCharacterString")


def _content(record: Mapping[str, Any]) -> tuple[Any, ...]:
    more = {name: value for name, value in record.items() if name not in ("Name", "Type", "TTL", "ResourceRecords")}
    return record.get("TTL"), sorted(each["Value"] for each in record.get("ResourceRecords", ())), more
