"""Places for the tests of checks, and how a check judges them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from certificates import NOW, build, facts
from perennial.assessment import judged
from perennial.certificate import Certificate
from perennial.checks import CHECKS
from perennial.checks.interface import Subject, Verdict
from perennial.manifest import Role, Scope, Sighting

ACCOUNT, REGION = "111122223333", "eu-central-1"
ARN = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/6a1c9f0e"
LISTENER = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:listener/app/shop/50dc6c49/0467ef3c"
LEAF = build(
    "shop.example.com", names=("shop.example.com", "192.0.2.1"), issuer=build("Example CA", ca=True)
).certificate
CA = build("Example CA", ca=True).certificate
# What a quick scan knows at the least
SUMMARY = Certificate(fingerprint=None, common_name="shop.example.com", not_after=NOW + timedelta(days=300))


def place(
    certificate: Certificate | None = LEAF,
    role: Role = Role.STORED,
    source: str = "acm",
    attached: tuple[tuple[Scope, Sighting], ...] = (),
    attributes: dict[str, Any] | None = None,
    **known: Any,
) -> Subject:
    """A certificate in ACM, or in another role and source, with the sighting's attributes and the subject's fields."""
    sighting = Sighting(location=ARN, role=role, resource=ARN, attributes=attributes or {})
    return Subject(
        scope=Scope(ACCOUNT, REGION, source), sighting=sighting, certificate=certificate, attached=attached, **known
    )


def listener(number: int = 1, **attributes: Any) -> tuple[Scope, Sighting]:
    """A load balancer's listener that uses the certificate of the place."""
    location = f"{LISTENER}{number}#{ARN}"
    sighting = Sighting(
        location=location, role=Role.ATTACHED, resource=f"{LISTENER}{number}", holder=ARN, attributes=attributes
    )
    return Scope(ACCOUNT, REGION, "elbv2"), sighting


def leaf(**changed: Any) -> Certificate:
    """The usual leaf with some facts changed."""
    return facts(build("shop.example.com", issuer=build("Example CA", ca=True)), **changed)


def verdicts(check: str, subject: Subject, now: datetime = NOW) -> tuple[Verdict, ...]:
    """What a check says of a place; nothing where it does not apply."""
    return CHECKS[check].run(subject, now) if judged(CHECKS[check], subject) else ()


def problem(check: str, subject: Subject, now: datetime = NOW) -> bool:
    """Whether a check sees a problem."""
    return bool(verdicts(check, subject, now))


def changes(check: str, subject: Subject, now: datetime = NOW) -> datetime | None:
    """When a check's verdict changes by time alone."""
    return CHECKS[check].changes_at(subject, now)


@dataclass(frozen=True)
class Case:
    """A place that passes a check and one that fails it; every check has one in its topic's test module."""

    passes: Subject
    fails: Subject
