"""What a policy rule is, and what it is shown.

A rule sees one `Subject`, decides without I/O, and answers with every violation that it finds. What nothing names as
allowed is forbidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from perennial.certificate_request import CertificateRequest
from perennial.profiles import Issuer, Organisation, Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class CsrFacts:
    """What a requester's CSR says, as `perennial.signing_request` reads it."""

    names: tuple[str, ...]  # canonical
    key: str  # as in `profiles.KEYS`
    usages: tuple[str, ...] = ()  # extended key usages; (): it asks for none


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A request with all that it is judged by, at a time.

    `csr` is what the request's CSR says; None where there is no CSR, or where it could not be read. Then `csr_problem`
    says why.
    """

    request: CertificateRequest
    profile: Profile
    issuer: Issuer
    organisation: Organisation
    now: datetime  # aware
    csr: CsrFacts | None = None
    csr_problem: str = ""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is not allowed: each text is one bounded line."""

    field: str  # of the request, as people write it: "names[2] admin.example.org" (counted from 0)
    rule: str  # id
    detail: str  # one sentence
    accepted: str  # what would be accepted

    def __str__(self) -> str:
        return f"{self.field}: {self.detail} Accepted: {self.accepted}. ({self.rule})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `cites` names its source: RFC, Baseline Requirements section, AWS document, field of perennial.toml."""

    id: str  # topic.rule, constant for ever: exceptions are made of it
    title: str
    cites: str
    run: Callable[[Subject], Iterable[Violation]]


def registry(rules: tuple[Rule, ...]) -> Mapping[str, Rule]:
    """Rules by id.

    Raises: ValueError when an id is taken twice.
    """
    by_id = {rule.id: rule for rule in rules}
    if len(by_id) != len(rules):
        twice = sorted({rule.id for rule in rules if [each.id for each in rules].count(rule.id) > 1})
        raise ValueError(f"policy rule ids used twice: {', '.join(twice)}")
    return by_id
