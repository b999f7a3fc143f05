"""What a certificate may be used for: at least one use, and servers only where the issuer is public."""

from __future__ import annotations

from collections.abc import Iterator

from perennial.policy.asked import listed
from perennial.policy.interface import Rule, Subject, Violation

KNOWN = ("serverAuth", "clientAuth")
_PUBLIC = ("serverAuth",)
_FIELD = "profile"  # a request names no usages: its profile does


def _known(subject: Subject) -> Iterator[Violation]:
    usages = subject.profile.usages
    strange = [each for each in usages if each not in KNOWN]
    if strange or not usages:
        detail = f"The profile {subject.profile.name} has the usages {listed(usages)}."
        yield Violation(_FIELD, "usages.known", detail, f"one or more of {listed(KNOWN)}")


def _public(subject: Subject) -> Iterator[Violation]:
    usages = subject.profile.usages
    if subject.issuer.public and usages and set(usages) != set(_PUBLIC):
        detail = f"The issuer {subject.issuer.name} is public and certifies servers only, not {listed(usages)}."
        yield Violation(_FIELD, "usages.public", detail, "a profile with serverAuth alone, or a private issuer")


RULES = (
    Rule(
        id="usages.known",
        title="There is a usage, and each is a known one",
        cites="RFC 5280 section 4.2.1.12; `usages` of `[profiles.<name>]`",
        run=_known,
    ),
    Rule(
        id="usages.public",
        title="Public certificates are for servers alone",
        cites="Chrome Root Program Policy, dedicated TLS server authentication; Baseline Requirements 7.1.2.7.10",
        run=_public,
    ),
)
