"""A request judged by every rule, every violation at once; those apart that an exception covers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from perennial.certificate_request import CertificateRequest
from perennial.errors import InvalidInput, PolicyViolated
from perennial.exception_record import ExceptionRecord
from perennial.exception_selection import Facts, covers
from perennial.policy.interface import CsrFacts, Subject, Violation
from perennial.profiles import Issuer, Organisation, Profile

MAX_SHOWN = 50
MAX_LINE = 1_000  # characters of one violation in a message
_NAMED = re.compile(r"names\[([0-9]{1,6})\] ")  # the field of a violation that is about one name
Active = Callable[[], Iterable[ExceptionRecord]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """A violation that counts not, and the exception that covers it."""

    violation: Violation
    exception: ExceptionRecord

    def __str__(self) -> str:
        end = f"{self.exception.ends:%Y-%m-%d %H:%M} UTC"
        return f"{self.violation.rule} is suspended by the exception {self.exception.id} until {end}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All violations of a request: those that count, and those that exceptions cover."""

    violations: tuple[Violation, ...]
    covered: tuple[Covered, ...] = ()


def subject(
    request: CertificateRequest, profile: Profile, issuer: Issuer, organisation: Organisation, now: datetime
) -> Subject:
    """What is judged: a request with the profile that it names, that profile's issuer, and what its CSR says."""
    csr, problem = _csr(request.csr) if request.csr else (None, "")
    return Subject(
        request=request,
        profile=profile,
        issuer=issuer,
        organisation=organisation,
        now=now,
        csr=csr,
        csr_problem=problem,
    )


def judge(subject: Subject) -> tuple[Violation, ...]:
    """Every violation, in the order of the rules; () when the request is allowed."""
    from perennial.policy import rules

    return tuple(violation for rule in rules().values() for violation in rule.run(subject))


def judged(subject: Subject, active: Active, managed: str = "") -> Judgement:
    """A request judged with the exceptions that are active, which are asked for only where a rule is violated.
    `managed` is the managed certificate that it is for; "" where it is for none yet."""
    violations = judge(subject)
    if not violations:
        return Judgement(violations=())
    holding = [each for each in active() if each.holds(subject.now)]
    found = [(each, _covering(each, subject, holding, managed)) for each in violations]
    return Judgement(
        violations=tuple(each for each, exception in found if exception is None),
        covered=tuple(Covered(violation=each, exception=exception) for each, exception in found if exception),
    )


def _covering(
    violation: Violation, subject: Subject, holding: Iterable[ExceptionRecord], managed: str
) -> ExceptionRecord | None:
    """The exception that covers a violation: of several the one that ends last. What is about one name is covered for
    that name; anything else only where every name of the request is."""
    request = subject.request
    named = _NAMED.match(violation.field)
    facts = Facts(
        names=(request.names[int(named[1])],) if named else request.names,
        owner=request.owner,
        managed=lambda name: bool(managed) and name == managed,
    )
    found = (each for each in holding if each.rule == violation.rule and covers(each.selection, facts))
    return max(found, key=lambda each: (each.ends, each.id), default=None)


def require(subject: Subject, active: Active = tuple, managed: str = "") -> tuple[Covered, ...]:
    """Nothing, when the request is allowed; what only exceptions allow of it, otherwise.

    Raises: PolicyViolated with every violation that no exception covers, one a line, at most 50 and how many more.
    """
    found = judged(subject, active, managed)
    if found.violations:
        raise PolicyViolated("\n".join(_lines(found.violations)))
    return found.covered


def _lines(violations: tuple[Violation, ...]) -> Iterable[str]:
    yield from (_one_line(str(each)) for each in violations[:MAX_SHOWN])
    if len(violations) > MAX_SHOWN:
        yield f"and {len(violations) - MAX_SHOWN} more"


def _one_line(text: str) -> str:
    return text if len(text) <= MAX_LINE else text[: MAX_LINE - 1] + "…"


def _csr(csr: bytes) -> tuple[CsrFacts | None, str]:
    """What a CSR says, or why that cannot be told; on one line."""
    from perennial.signing_request import read

    try:
        found = read(csr)
    except InvalidInput as error:
        return None, " ".join(str(error).split())
    return CsrFacts(names=found.names, key=found.key, usages=found.usages), ""
