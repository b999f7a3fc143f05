"""Names in their canonical form: lower case, valid A-labels for internationalised names (`xn--…`), nothing disguised.

A violation shows such a name with its Unicode form, so that people see what they read.
"""

from __future__ import annotations

from collections.abc import Iterator

from perennial.errors import InvalidInput
from perennial.names import canonical
from perennial.policy.asked import named, quoted
from perennial.policy.interface import Rule, Subject, Violation


def _canonical(subject: Subject) -> Iterator[Violation]:
    for field, name in named(subject):
        try:
            right = canonical(name)
        except InvalidInput as error:
            detail = f"This is no name for a certificate: {error}."
            yield Violation(field, "international.canonical", detail, "a DNS name as A-labels, or an IP address")
            continue
        if right != name:
            detail = "The name is not in its canonical form."
            yield Violation(field, "international.canonical", detail, quoted(right))


RULES = (
    Rule(
        id="international.canonical",
        title="Every name is canonical, internationalised ones as valid A-labels",
        cites="RFC 5890 section 2.3.2.1; RFC 5891 section 5.4; Baseline Requirements section 7.1.2.7.12",
        run=_canonical,
    ),
)
