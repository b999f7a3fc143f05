"""A request judged by every rule, every violation at once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from perennial.certificate_request import CertificateRequest
from perennial.errors import InvalidInput, PolicyViolated
from perennial.policy.interface import CsrFacts, Subject, Violation
from perennial.profiles import Issuer, Organisation, Profile

MAX_SHOWN = 50
MAX_LINE = 1_000  # characters of one violation in a message


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


def require(subject: Subject) -> None:
    """Nothing, when the request is allowed.

    Raises: PolicyViolated with every violation, one a line, at most 50 and how many more.
    """
    violations = judge(subject)
    if violations:
        raise PolicyViolated("\n".join(_lines(violations)))


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
