"""How many names: one at least, no more than profile and organisation allow, none twice."""

from __future__ import annotations

from collections.abc import Iterator

from perennial.policy.asked import named
from perennial.policy.interface import Rule, Subject, Violation


def _some(subject: Subject) -> Iterator[Violation]:
    if not subject.request.names:
        yield Violation("names", "number.some", "The request has no name.", "one name or more")


def _profile(subject: Subject) -> Iterator[Violation]:
    whose = f"the profile {subject.profile.name}"
    return _at_most(subject, subject.profile.max_names, "number.profile", whose)


def _organisation(subject: Subject) -> Iterator[Violation]:
    return _at_most(subject, subject.organisation.max_names, "number.organisation", "the organisation")


def _at_most(subject: Subject, most: int, rule: str, whose: str) -> Iterator[Violation]:
    count = len(subject.request.names)
    if count > most:
        yield Violation("names", rule, f"{count} names are more than {whose} allows.", f"at most {most} names")


def _once(subject: Subject) -> Iterator[Violation]:
    seen: set[str] = set()
    for field, name in named(subject):
        if name in seen:
            yield Violation(field, "number.once", "The name is in the request already.", "each name once")
        seen.add(name)


RULES = (
    Rule(
        id="number.some",
        title="There is a name",
        cites="Baseline Requirements section 7.1.2.7.12; RFC 9525 section 4.1",
        run=_some,
    ),
    Rule(
        id="number.profile",
        title="There are no more names than the profile allows",
        cites="`max_names` of `[profiles.<name>]`",
        run=_profile,
    ),
    Rule(
        id="number.organisation",
        title="There are no more names than the organisation allows",
        cites="`max_names` of `[policy]`",
        run=_organisation,
    ),
    Rule(
        id="number.once",
        title="No name is there twice",
        cites="RFC 8555 section 7.1.3: one authorization for each identifier",
        run=_once,
    ),
)
