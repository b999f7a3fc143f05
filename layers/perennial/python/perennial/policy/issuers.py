"""Which issuer is asked: the profile's own, or a further one that the profile lets a request choose; never one that is
distrusted.
"""

from __future__ import annotations

from collections.abc import Iterator

from perennial.policy.asked import listed, quoted
from perennial.policy.interface import Rule, Subject, Violation


def _allowed(subject: Subject) -> Iterator[Violation]:
    chosen, profile = subject.request.issuer, subject.profile
    accepted = tuple(dict.fromkeys((profile.issuer, *profile.issuers)))
    if chosen and chosen not in accepted:
        detail = f"The profile {profile.name} does not allow the issuer {quoted(chosen)}."
        yield Violation("issuer", "issuers.profile", detail, listed(accepted))


def _distrusted(subject: Subject) -> Iterator[Violation]:
    if subject.issuer.distrusted:
        detail = f"The issuer {subject.issuer.name} is distrusted."
        yield Violation("issuer", "issuers.distrusted", detail, "an issuer without distrusted = true")


RULES = (
    Rule(
        id="issuers.profile",
        title="A chosen issuer is one that the profile allows",
        cites="`issuer` and `issuers` of `[profiles.<name>]`",
        run=_allowed,
    ),
    Rule(
        id="issuers.distrusted",
        title="The issuer is not distrusted",
        cites="`distrusted` of `[issuers.<name>]`",
        run=_distrusted,
    ),
)
