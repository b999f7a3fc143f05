"""Internal names and public ones: a public issuer certifies no internal name, and a private issuer nothing else.

Internal are single labels, names below domains that the public DNS does not have (`internal`, `local`, `home.arpa`,
`test` and others), private and reserved IP addresses, and what `[policy] internal_names` adds. A private certificate
for a public name would let whoever holds the private CA stand in for that name at every client that trusts its root.
"""

from __future__ import annotations

from collections.abc import Iterator

from perennial.names import is_internal
from perennial.policy.asked import listed, named
from perennial.policy.interface import Rule, Subject, Violation


def _public(subject: Subject) -> Iterator[Violation]:
    if not subject.issuer.public:
        return
    for field, name in named(subject):
        if is_internal(name, subject.organisation.internal_names):
            detail = f"The issuer {subject.issuer.name} is public and may not certify internal names."
            yield Violation(field, "internal_names.public", detail, "names of the public DNS, or a private issuer")


def _private(subject: Subject) -> Iterator[Violation]:
    suffixes = subject.organisation.internal_names
    if subject.issuer.public:
        return
    for field, name in named(subject):
        if not is_internal(name, suffixes):
            detail = f"The issuer {subject.issuer.name} is private and certifies internal names only."
            accepted = f"internal names, also those at or below {listed(suffixes)} ([policy] internal_names)"
            yield Violation(field, "internal_names.private", detail, accepted)


RULES = (
    Rule(
        id="internal_names.public",
        title="A public issuer is not asked for internal names",
        cites="Baseline Requirements sections 4.2.2 and 7.1.2.7.12; `internal_names` of `[policy]`",
        run=_public,
    ),
    Rule(
        id="internal_names.private",
        title="A private issuer is asked for internal names only",
        cites="`internal_names` of `[policy]`",
        run=_private,
    ),
)
