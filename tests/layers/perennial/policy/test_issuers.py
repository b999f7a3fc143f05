"""Which issuer a request may choose."""

from __future__ import annotations

from dataclasses import replace

from layers.perennial.policy.cases import PRIVATE, PUBLIC, Case, asked
from perennial.policy import Subject


def choosing(issuer: str, **profile: tuple[str, ...]) -> Subject:
    subject = asked(**profile)
    return replace(subject, request=replace(subject.request, issuer=issuer))


CASES = {
    "issuers.profile": Case(
        (asked(), choosing("ca"), choosing("other", issuers=("other",))),
        ((choosing("other"), "issuer"), (choosing("third", issuers=("other",)), "issuer")),
    ),
    "issuers.distrusted": Case(
        (asked(), asked(issuer=PRIVATE)),
        ((asked(issuer=replace(PUBLIC, distrusted=True)), "issuer"),),
    ),
}
