"""Seconds from the start of a rollout's execution to the proof, in the deployed local cloud with its edge.

Each kind has one target of a managed certificate of its own, and gets one new version after the other; handshakes are
real, on loopback. The first rollout, for which every function starts cold, is told apart from the median of the others.
Between two rollouts lies a pause: AWS takes one import a second, and nobody asks for versions faster.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from benches.deploy_cloud import ZONE, Hub, alias, balancer, imported, listener
from benches.report import Result, say

PORT = 8443
PAUSE = 2.0  # seconds between two rollouts
FAKE_UPDATES = 20  # seconds for which the fake's API domain is UPDATING; in AWS it is up to an hour


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A kind, the table of its target, what to say of its time, and how often it is rolled out."""

    kind: str
    declared: Callable[[Hub, str, str], str]
    note: str = ""
    rollouts: int = 5
    quick: int = 2


def run(hub: Hub, *, quick: bool) -> Iterator[Result]:
    """The figures of each kind."""
    names = tuple(f"{each.kind}.{ZONE}" for each in MEASURED)
    certificate = imported(hub, names)
    for number, each in enumerate(MEASURED):
        times = each.quick if quick else each.rollouts
        say(f"{times} rollouts to {each.kind}")
        targets = each.declared(hub, certificate, names[number])
        taken = []
        for _ in range(times):
            time.sleep(PAUSE)
            taken.append(hub.roll_out(f"bench-{each.kind}", targets, (names[number],)).seconds)
        yield from figures(each, taken, first=number == 0)


def figures(measured: Measured, taken: list[float], *, first: bool) -> Iterator[Result]:
    """The median; of the first kind without the first rollout, for which every function starts."""
    if first:
        yield Result(f"{measured.kind}: start to proof, every function cold", taken[0], "s")
    rest = taken[1:] if first else taken
    yield Result(f"{measured.kind}: start to proof, median of {len(rest)}{measured.note}", median(rest), "s")


def _listener(hub: Hub, certificate: str, name: str) -> str:
    arn = listener(hub, balancer(hub, "bench", name), PORT, certificate)
    return f'[[targets]]\nkind = "elbv2"\nname = "listener"\nlistener = "{arn}"\n'


def _domain(hub: Hub, certificate: str, name: str) -> str:
    settings = {"CertificateArn": certificate, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}
    made = hub.client("apigatewayv2").create_domain_name(DomainName=name, DomainNameConfigurations=[settings])
    domain = made["DomainNameConfigurations"][0]
    alias(hub, name, domain["ApiGatewayDomainName"], domain.get("HostedZoneId", "Z1D633PJN98FT9"))
    return f'[[targets]]\nkind = "apigateway"\nname = "domain"\ndomain = "{name}"\n'


def _secret(hub: Hub, _: str, name: str) -> str:
    from benches.deploy_cloud import version

    old = version("before", 2, (name,))
    held = {"private_key": old.private_key, "certificate": old.certificate_pem, "chain": old.chain_pem}
    hub.client("secretsmanager").create_secret(
        Name="bench/mail", SecretString=json.dumps(held), Tags=[{"Key": "perennial:target", "Value": "yes"}]
    )
    return '[[targets]]\nkind = "secretsmanager"\nname = "secret"\nsecret = "bench/mail"\n'


MEASURED = (
    Measured(kind="elbv2", declared=_listener, rollouts=6, quick=4),
    Measured(kind="secretsmanager", declared=_secret),
    Measured(
        kind="apigateway",
        declared=_domain,
        note=f", of which the fake updates {FAKE_UPDATES} s",
        rollouts=3,
        quick=1,
    ),
)
