"""One certificate at many listeners of one account and region: one rollout, with AWS's rates enforced.

The fakes count every call, and throttle what is beyond the rate of its operation. A name leads to each load balancer,
and each listener is proven by handshakes at all of its addresses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benches.deploy_cloud import ZONE, Hub, balancer, imported, listener
from benches.report import Result, say

LISTENERS = 10  # of each load balancer
FIRST_PORT = 9_001
MANAGED = "bench-fleet"
Row = Mapping[str, Any]


def run(hub: Hub, balancers: int) -> Iterator[Result]:
    """The figures of one rollout to the listeners of some load balancers."""
    names = tuple(f"lb{number}.{ZONE}" for number in range(balancers))
    targets = "".join(_targets(hub, names))
    say(f"one rollout to {balancers * LISTENERS} listeners")
    hub.cloud.open("/_fakes/calls", method="DELETE").close()
    ran = hub.roll_out(MANAGED, targets, names)
    with hub.cloud.open("/_fakes/calls") as calls, hub.cloud.open("/_fakes/rates") as rates:
        proven = sum(each.state == "proven" for each in ran.targets)
        yield Result(f"{len(ran.targets)} targets: proven", proven, "targets", len(ran.targets), at_least=True)
        yield from figures(json.load(calls)["acm"], json.load(rates), proven, ran.seconds)


def figures(calls: Mapping[str, int], rates: Sequence[Row], targets: int, seconds: float) -> Iterator[Result]:
    """What the fakes counted for a rollout to so many targets. `calls` are those to ACM."""
    words, total = f"{targets} targets", sum(calls.values())
    acm = [each for each in rates if each["service"] == "acm"]
    yield Result(f"{words}: start to the last proof", seconds, "s")
    yield Result(f"{words}: calls of ImportCertificate", calls.get("ImportCertificate", 0), "calls", 1)
    yield Result(f"{words}: calls to ACM", total, "calls")
    yield Result(f"{words}: calls to ACM for each", total / targets, "calls")
    yield Result(f"{words}: throttled calls", sum(each["throttled"] for each in rates), "calls", 0)
    for each in acm:
        name = f"{words}: most of {each['operation']} within a second"
        yield Result(name, each["most_in_a_second"], "calls", each["rate"])


def _targets(hub: Hub, names: Sequence[str]) -> Iterator[str]:
    """The table of each listener, its load balancer, and what serves there before."""
    certificate = imported(hub, tuple(names))
    for number, name in enumerate(names):
        of = balancer(hub, f"fleet-{number}", name)
        for port in range(FIRST_PORT, FIRST_PORT + LISTENERS):
            arn = listener(hub, of, port, certificate)
            told = {"kind": "elbv2", "name": f"lb{number}-{port}", "listener": arn}
            lines = [f"{field} = {json.dumps(value)}" for field, value in told.items()]
            yield "\n".join(["[[targets]]", *lines, f'names = ["{name}"]', "", ""])
