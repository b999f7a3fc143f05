"""TLS policies that let clients negotiate protocol versions which are no longer safe."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from perennial.checks.interface import Check, Severity, Subject, Verdict
from perennial.checks.places import everywhere
from perennial.checks.wording import listed, quoted
from perennial.manifest import Sighting

OUTDATED = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1")


def _detail(sighting: Sighting) -> str | None:
    allowed = sighting.attributes.get("protocols") or ()
    outdated = [each for each in OUTDATED if each in allowed]
    if outdated:
        name = sighting.attributes.get("policy")
        return f"The policy {quoted(name) if name else 'here'} allows {listed(outdated)}."
    negotiated = sighting.attributes.get("protocol")
    return f"The server negotiates {negotiated}." if negotiated in OUTDATED else None


def _weak(subject: Subject) -> Iterator[Verdict]:
    for scope, sighting in everywhere(subject):
        detail = _detail(sighting)
        if detail:
            yield Verdict(detail, scope, sighting)


def _applies(subject: Subject) -> bool:
    return any({"protocols", "protocol"} & place.attributes.keys() for _, place in everywhere(subject))


def _run(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    return tuple(_weak(subject))


CHECKS = (
    Check(
        id="policy.weak",
        severity=Severity.MEDIUM,
        title="TLS 1.1 or older is allowed",
        remediation=(
            "Choose a policy that begins with TLS 1.2: ELBSecurityPolicy-TLS13-1-2-2021-06 on a load balancer, "
            "TLSv1.2_2021 on CloudFront, TLS_1_2 on an API domain."
        ),
        cites="RFC 8996 sections 4 and 5; RFC 7568 section 3",
        applies=_applies,
        run=_run,
    ),
)
