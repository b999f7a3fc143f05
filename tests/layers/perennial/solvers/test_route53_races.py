"""Several orders and a foreign tool change the same record sets, in any order, with lost races and lost replies."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum

from botocore.exceptions import ReadTimeoutError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from perennial.errors import Throttled, Unavailable
from perennial.solvers.interface import Challenge, Shown
from perennial.solvers.route53 import Route53
from scripted_aws import Refused
from strict_route53 import StrictRoute53

NAMES = ("_acme-challenge.example.com", "_acme-challenge.a.example.com", "_acme-challenge.b.example.com")
LEADING = "_acme-challenge.c.example.com"  # a CNAME to the second name
ORDERS = range(3)
FOREIGN = tuple(f'"foreign-{number}"' for number in range(3))


class Fault(StrEnum):
    """What happens to a change after it was made, or instead of it."""

    NONE = "none"
    LOST = "the reply never comes"
    REPEATED = "the reply is lost, and the SDK's repetition refused"
    THROTTLED = "the change is not made"


class Shared(RuleBasedStateMachine):
    """`foreign` is what the foreign tool has written and not removed. `known` is what each order's last call that ended
    well has left: True, shown; False, removed; an order whose last call failed is not in it."""

    @initialize()
    def begin(self) -> None:
        self.service = StrictRoute53()
        self.zone = self.service.zone("example.com")
        self.service.put(self.zone, LEADING, "CNAME", f"{NAMES[1]}.")
        self.foreign: dict[str, set[str]] = {name: set() for name in NAMES}
        self.known = dict.fromkeys(ORDERS, False)

    def challenges(self, order: int) -> list[Challenge]:
        """Two under the first name, as for a name and its wildcard, and one under each other."""
        where = [NAMES[0], *NAMES, LEADING]
        return [
            Challenge(shown=Shown.TXT, where=name, value=f"order-{order}-{number}", name=name)
            for number, name in enumerate(where)
        ]

    def own(self, order: int) -> list[tuple[str, str]]:
        """Where each value of an order really is, and the value."""
        return [
            (NAMES[1] if each.where == LEADING else each.where, f'"{each.value}"') for each in self.challenges(order)
        ]

    # --- the foreign tool: it reads and writes at once ---

    @rule(name=st.sampled_from(NAMES), value=st.sampled_from(FOREIGN), ttl=st.sampled_from([60, 300]))
    def add(self, name: str, value: str, ttl: int) -> None:
        there = self.service.values(self.zone, name)
        self.service.put(self.zone, name, "TXT", *dict.fromkeys([*there, value]), ttl=ttl)
        self.foreign[name].add(value)

    @rule(name=st.sampled_from(NAMES), value=st.sampled_from(FOREIGN))
    def remove(self, name: str, value: str) -> None:
        left = [each for each in self.service.values(self.zone, name) if each != value]
        self.service.put(self.zone, name, "TXT", *left)
        self.foreign[name].discard(value)

    # --- the orders ---

    @rule(
        order=st.sampled_from(ORDERS),
        show=st.booleans(),
        fault=st.sampled_from(Fault),
        rival=st.sampled_from([None, *ORDERS]),
        rival_shows=st.booleans(),
        name=st.sampled_from(NAMES),
        value=st.sampled_from([None, *FOREIGN]),
    )
    def step(
        self,
        order: int,
        show: bool,
        fault: Fault,
        rival: int | None,
        rival_shows: bool,
        name: str,
        value: str | None,
    ) -> None:
        """An order presents or cleans; between its reading and its change another order and the tool may do theirs."""

        def meanwhile() -> None:
            if rival is not None and rival != order:
                self.call(rival, rival_shows)
            if value is not None:
                self.add(name, value, 60)
            if fault is Fault.THROTTLED:
                raise Refused("PriorRequestNotComplete")
            self.service.after = _faults.get(fault)

        self.service.before = meanwhile
        self.call(order, show)
        self.service.before = self.service.after = None

    def call(self, order: int, show: bool) -> None:
        self.known.pop(order, None)
        solver = Route53(self.service.clients)
        with suppress(Unavailable, Throttled):
            if show:
                assert solver.present(self.challenges(order)), "there is always a change to wait for"
            else:
                solver.clean(self.challenges(order))
            self.known[order] = show

    # --- what always holds ---

    @invariant()
    def foreign_values_remain(self) -> None:
        """No value of the foreign tool is lost, and none that it removed comes back."""
        for name, values in self.foreign.items():
            there = {each for each in self.service.values(self.zone, name) if each in FOREIGN}
            assert there == values

    @invariant()
    def own_values_are_as_the_last_call_left_them(self) -> None:
        """After present all values of an order are there, after clean none, whatever others did."""
        for order, shown in self.known.items():
            for name, value in self.own(order):
                assert (value in self.service.values(self.zone, name)) is shown

    @invariant()
    def nothing_else_changes(self) -> None:
        """The CNAME stays, nothing is written beside it, and no value is there twice."""
        assert self.service.values(self.zone, LEADING, "CNAME") == [f"{NAMES[1]}."]
        assert self.service.record(self.zone, LEADING) is None
        for name in NAMES:
            values = self.service.values(self.zone, name)
            assert len(set(values)) == len(values)

    def teardown(self) -> None:
        """When every order has cleaned up, only foreign values are left."""
        for order in ORDERS:
            Route53(self.service.clients).clean(self.challenges(order))
        for name, values in self.foreign.items():
            assert set(self.service.values(self.zone, name)) == values


def _lose() -> None:
    raise ReadTimeoutError(endpoint_url="https://route53")


def _refuse_repetition() -> None:
    raise Refused("InvalidChangeBatch", "Tried to create it but it already exists")


_faults: dict[Fault, Callable[[], None]] = {Fault.LOST: _lose, Fault.REPEATED: _refuse_repetition}


class TestShared(Shared.TestCase):  # type: ignore[misc]
    """Foreign values always remain; an order's are there after present and gone after clean."""

    settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
