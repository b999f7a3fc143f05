"""Which names may be requested: each must match a name rule of the profile and a name rule of the owner.

An owner that `[policy.owners]` does not name may have no name at all, and neither may a profile without name rules.
"""

from __future__ import annotations

from collections.abc import Iterator

from perennial.names import matches
from perennial.policy.asked import listed, named, quoted
from perennial.policy.interface import Rule, Subject, Violation


def _profile(subject: Subject) -> Iterator[Violation]:
    profile = subject.profile
    for field, name in named(subject):
        if not _allowed(profile.names, name):
            detail = f"The profile {profile.name} does not allow this name."
            yield Violation(field, "names.profile", detail, _names(profile.names))


def _owner(subject: Subject) -> Iterator[Violation]:
    owner = subject.request.owner
    rules = subject.organisation.owners.get(owner, ())
    for field, name in named(subject):
        if not _allowed(rules, name):
            yield Violation(field, "names.owner", f"{quoted(owner)} does not own this name.", _names(rules))


def _known_owner(subject: Subject) -> Iterator[Violation]:
    owner, owners = subject.request.owner, subject.organisation.owners
    if owner not in owners:
        detail = f"[policy.owners] does not name {quoted(owner)}."
        yield Violation("owner", "names.owner-known", detail, f"an owner of {listed(sorted(owners))}")


def _allowed(rules: tuple[str, ...], name: str) -> bool:
    return any(matches(rule, name) for rule in rules)


def _names(rules: tuple[str, ...]) -> str:
    return f"names that match {listed(rules)}" if rules else "no name at all"


RULES = (
    Rule(
        id="names.profile",
        title="Every name matches a name rule of the profile",
        cites="`names` of `[profiles.<name>]`",
        run=_profile,
    ),
    Rule(
        id="names.owner",
        title="Every name matches a name rule of the owner",
        cites="`[policy.owners]`",
        run=_owner,
    ),
    Rule(
        id="names.owner-known",
        title="The owner is one that the organisation names",
        cites="`[policy.owners]`",
        run=_known_owner,
    ),
)
