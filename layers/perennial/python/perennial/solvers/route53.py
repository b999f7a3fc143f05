"""Challenges in Route 53: TXT records of dns-01 and dns-persist-01, CNAME records of ACM's validation.

A record set is changed by compare-and-swap: one batch deletes it exactly as it was read and creates the new one, and
Route 53 refuses the whole batch when someone changed it meanwhile. So neither another order nor another tool loses a
value, without a lock. A CNAME at the name of a TXT challenge is followed to the zone of its target (RFC 8555 8.4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from perennial import route53_zones
from perennial.errors import ConcurrentChange, InvalidConfiguration, NotFound, PerennialError, ServiceRefused
from perennial.route53_records import Edit, RecordSet, Wish, batches, canonical, checked_name, edit, quoted
from perennial.route53_zones import Zone, Zones
from perennial.solvers.interface import Challenge, Shown

if TYPE_CHECKING:
    from perennial.deployment import Deployment

SHOWS = (Shown.TXT, Shown.CNAME)
ACTIONS = route53_zones.ACTIONS
TRIES = 8  # to change what others change at the same time
SAME = 3  # refusals of one and the same batch: then it is not a race that was lost
MAX_HOPS = 8  # of CNAME records, one after another


def of(deployment: Deployment) -> Route53:
    """The solver of the hub's own zones and of those of `[solvers] zone_accounts`."""
    settings = deployment.settings.solvers

    def client(account: str) -> Any:
        return deployment.clients_of(account, settings.role_name)("route53")

    accounts = dict.fromkeys((deployment.account, *settings.zone_accounts))
    return Route53({account: partial(client, account) for account in accounts}, settings.delegations)


class Route53:
    """A Solver for records in the zones of the accounts in `clients` (account → a Route 53 client), in that order.

    `delegations` names the targets of CNAME records in zones that none of the accounts has.
    """

    def __init__(self, clients: Mapping[str, Callable[[], Any]], delegations: Mapping[str, str] | None = None) -> None:
        self._clients = clients
        self._delegations = {canonical(name): checked_name(to) for name, to in (delegations or {}).items()}

    def present(self, challenges: Sequence[Challenge]) -> tuple[str, ...]:
        """Show all of them; returns "account/change" for each change that has to spread.

        What is there already is written once more, because the change that wrote it may still spread; not so what
        stays, which was mostly written long ago.
        Raises: NotFound where no zone can show one, InvalidConfiguration where a record stands in the way,
        ConcurrentChange, and others.
        """
        return self._bring_about([_wish(each, add=True) for each in challenges])

    def ready(self, tokens: Sequence[str]) -> bool:
        """Whether every change has reached all name servers. Asks until the first that has not."""
        zones = Zones(self._clients)
        return all(zones.spread(token) for token in tokens)

    def clean(self, challenges: Sequence[Challenge]) -> None:
        """Remove exactly these values, as far as they are there. One that cannot be removed keeps no other."""
        wishes = [_wish(each, add=False) for each in challenges if not each.stays]
        try:
            self._bring_about(wishes)
        except PerennialError as error:
            if error.retry or len(wishes) < 2:
                raise
            self._each_alone(wishes)

    def _each_alone(self, wishes: Sequence[Wish]) -> None:
        failed: list[PerennialError] = []
        for wish in wishes:
            try:
                self._bring_about([wish])
            except PerennialError as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def _bring_about(self, wishes: Sequence[Wish]) -> tuple[str, ...]:
        zones, work = Zones(self._clients), _Work()
        for _ in range(TRIES if wishes else 0):
            plan = self._plan(zones, wishes, work)
            for zone, spots in plan.items():
                for batch in batches(spots):
                    work.submit(zones, zone, batch, spots)
            if not work.refused_now:
                return tuple(work.tokens)
            work.refused_now.clear()
        if wishes:
            raise ConcurrentChange(f"others change the records of {wishes[0].name} all the time; it is tried again")
        return ()

    def _plan(self, zones: Zones, wishes: Iterable[Wish], work: _Work) -> dict[Zone, dict[Edit, _Spot]]:
        """What is left to do, by zone. Wishes that lead to one record set become one."""
        merged: dict[_Spot, Wish] = {}
        found: dict[_Spot, tuple[RecordSet, ...]] = {}
        for wish, spot, records in self._places(zones, wishes):
            known = merged.get(spot)
            merged[spot] = _both(known, wish) if known else replace(wish, name=spot.name)
            found[spot] = records
        plan: dict[Zone, dict[Edit, _Spot]] = {}
        for spot, wish in merged.items():
            if spot not in work.done and (made := edit(work.confirmed(spot, wish), found[spot])):
                plan.setdefault(spot.zone, {})[made] = spot
        return plan

    # --- where a record belongs ---

    def _places(self, zones: Zones, wishes: Iterable[Wish]) -> Iterator[tuple[Wish, _Spot, tuple[RecordSet, ...]]]:
        """Where each wish belongs, every CNAME followed, and what is there. One that removes and has no zone any more
        is left out: nothing of it is there."""
        ways = [_Way(wish, (wish.name,)) for wish in wishes]
        while ways:
            ways = [self._delegated(each) for each in ways]
            at = {way.name: zone for way in ways if (zone := _zone(zones, way, self._clients))}
            found = _read(zones, at)
            further = []
            for way in (each for each in ways if each.name in at):
                if target := way.leads_to(found[way.name]):
                    further.append(way.to(target))
                else:
                    yield way.wish, _Spot(at[way.name], way.name, way.wish.type), found[way.name]
            ways = further

    def _delegated(self, way: _Way) -> _Way:
        while way.wish.type == "TXT" and way.name in self._delegations:
            way = way.to(self._delegations[way.name])
        return way


class _Work:
    """What one call has done: which record sets are settled, which batches were refused, and how often."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.done: set[_Spot] = set()
        self.refused_now: set[_Spot] = set()
        self._doubtful: set[_Spot] = set()
        self._refusals: Counter[tuple[Edit, ...]] = Counter()

    def submit(self, zones: Zones, zone: Zone, batch: tuple[Edit, ...], spots: Mapping[Edit, _Spot]) -> None:
        """Raises: ServiceRefused where Route 53 refuses the same again and again."""
        concerned = {spots[each] for each in batch}
        try:
            self.tokens.append(zones.change(zone, batch))
            self.done |= concerned
        except ConcurrentChange as error:
            self._refusals[batch] += 1
            if self._refusals[batch] == SAME:
                raise ServiceRefused(f"{error}; nobody else changed it, so the record itself is not allowed") from error
            self.refused_now |= concerned
            self._doubtful |= concerned

    def confirmed(self, spot: _Spot, wish: Wish) -> Wish:
        """A batch that was refused may be one whose first reply was lost: what is there may be ours, and may still
        spread."""
        return replace(wish, confirm=True) if spot in self._doubtful else wish


@dataclass(frozen=True, slots=True)
class _Spot:
    """One record set, there or not."""

    zone: Zone
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class _Way:
    """A wish, and the names that CNAME records led it along."""

    wish: Wish
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.names[-1]

    def leads_to(self, found: Iterable[RecordSet]) -> str | None:
        """The target of the CNAME that is here; a challenge that is a CNAME itself is not followed."""
        if self.wish.type == "CNAME":
            return None
        return next((each.values[0] for each in found if each.type == "CNAME" and each.values), None)

    def to(self, target: str) -> _Way:
        """Raises: InvalidConfiguration for a way that ends nowhere."""
        name = checked_name(target)
        if name in self.names or len(self.names) > MAX_HOPS:
            trail = " → ".join((*self.names, name))
            raise InvalidConfiguration(
                f"the CNAME records of {self.names[0]} lead in a circle or over more than {MAX_HOPS} names: "
                f"{trail[:600]}; let the first point to the name where the challenge is to be shown"
            )
        return _Way(self.wish, (*self.names, name))


def _zone(zones: Zones, way: _Way, accounts: Iterable[str]) -> Zone | None:
    zone = zones.closest(way.name)
    if zone is None and way.wish.add:
        through = "" if way.name == way.names[0] else f", to which {way.names[0]} leads"
        raise NotFound(
            f"no public hosted zone for {way.name}{through}, in account {', '.join(accounts)}; add the account of its "
            "zone to zone_accounts, or name in delegations the name that it is a CNAME to"
        )
    return zone


def _read(zones: Zones, at: Mapping[str, Zone]) -> dict[str, tuple[RecordSet, ...]]:
    """What is at each name, with as few requests as its zone allows."""
    found: dict[str, tuple[RecordSet, ...]] = {}
    for zone in dict.fromkeys(at.values()):
        found |= zones.record_sets(zone, [name for name, its in at.items() if its == zone])
    return found


def _wish(challenge: Challenge, *, add: bool) -> Wish:
    text = challenge.shown is Shown.TXT
    value = quoted(challenge.value) if text else f"{checked_name(challenge.value)}."
    name = checked_name(challenge.where)
    return Wish(name=name, type=str(challenge.shown), values=(value,), add=add, confirm=add and not challenge.stays)


def _both(one: Wish, other: Wish) -> Wish:
    return replace(one, values=one.values + other.values, confirm=one.confirm or other.confirm)
