"""What an ACME server's refusal means to a workflow (RFC 7807; RFC 8555 6.7), with the next step.

A refusal's texts are the server's: they are bounded, and decide nothing: their type does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from perennial.errors import (
    InvalidConfiguration,
    InvalidReply,
    PerennialError,
    RateLimited,
    ServiceRefused,
    Unavailable,
    ValidationFailed,
)
from perennial.issuers.acme_http import Answer
from perennial.issuers.acme_reading import Fields, bounded

PREFIX = "urn:ietf:params:acme:error:"
LIMITED_SECONDS = 3_600.0  # a rate limit whose end is not told
MOST_SECONDS = 7 * 86_400.0  # the longest wait that is believed
MAX_SUBPROBLEMS = 10  # told in a message; more are counted

_OF_A_NAME = {  # what a CA saw when it looked whether a name is controlled -> what to do
    "caa": "let this CA issue in the name's CAA records (RFC 8659)",
    "connection": "let the CA reach the name's server on port 80, from anywhere",
    "dns": "check that the challenge's record is visible in public DNS, and that no name server of the zone fails",
    "dnssec": "repair the zone's DNSSEC",
    "incorrectResponse": "check that nothing else answers the challenge, and that no old record is left",
    "rejectedIdentifier": "leave the name out, or use another issuer: this CA does not issue for it",
    "tls": "let the CA reach the name's server over TLS",
    "unauthorized": "check that the challenge's value is the one shown, and that the account is still valid at the CA",
    "unknownHost": "create the name in public DNS",
}
_OF_SETTINGS = {
    "externalAccountRequired": "put the key identifier and HMAC key that the CA gave you into the secret of eab_secret",
    "invalidContact": "correct the issuer's contacts",
    "invalidEmail": "correct the issuer's contacts",
    "invalidProfile": "use one of the profiles that the CA's directory offers in acme_profile",
    "unsupportedContact": "use mailto: addresses in the issuer's contacts",
}
_OF_THE_CA = {
    "accountDoesNotExist": "deactivate the issuer's account here, so that the next order creates one",
    "alreadyReplaced": "ask again without naming what is replaced",
    "badCSR": "use another key type or other names: the CA does not take this CSR",
    "badPublicKey": "use another key type: the CA does not take this key",
    "badRevocationReason": "revoke with another reason",
    "badSignatureAlgorithm": "use another issuer: this CA does not take ES256",
    "unsupportedIdentifier": "leave the name out, or use another issuer: the CA does not take this kind of name",
    "userActionRequired": "agree to the CA's new terms at its site, then ask again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One refusal. `code` is the type's last part, "" for a type that is not ACME's; texts are bounded."""

    code: str
    detail: str
    name: str = ""  # of the identifier that it is about
    status: int = 0  # of HTTP
    subproblems: tuple[Problem, ...] = ()

    def __str__(self) -> str:
        told = f"{self.code or 'refused'}: {self.detail or 'without a reason'}"
        return f"{self.name}: {told}" if self.name else told


def read_problem(fields: Fields, status: int = 0, *, nested: bool = False) -> Problem:
    """A problem document, or the part of a reply that is one. What a field has wrongly is left out: the refusal stands
    without it."""
    subproblems = fields.values.get("subproblems")
    inner = subproblems if isinstance(subproblems, list) and not nested else []
    identifier = fields.values.get("identifier")
    kind = _text(fields.values, "type")
    return Problem(
        code=kind.removeprefix(PREFIX) if kind.startswith(PREFIX) else "",
        detail=bounded(_text(fields.values, "detail") or _text(fields.values, "title")),
        name=bounded(_text(identifier, "value"), 253) if isinstance(identifier, dict) else "",
        status=status,
        subproblems=tuple(
            read_problem(Fields(where=fields.where, values=each, origins=fields.origins), nested=True)
            for each in inner[:100]
            if isinstance(each, dict)
        ),
    )


def _text(values: Mapping[str, object], name: str) -> str:
    value = values.get(name)
    return value[:2_000] if isinstance(value, str) else ""


def meaning(problem: Problem, doing: str, retry_after: float | None = None) -> PerennialError:
    """The error that a problem is; `doing` says what was asked, as "letsencrypt: newOrder"."""
    code = _telling(problem)
    text = f"{doing}: {told(problem)}"
    if code == "rateLimited" or problem.status == 429:
        return RateLimited(text, retry_after=LIMITED_SECONDS if retry_after is None else retry_after)
    if problem.status >= 500 or code in ("serverInternal", "badNonce"):
        return Unavailable(text, retry_after=retry_after)
    if code in _OF_A_NAME:
        return ValidationFailed(f"{text}; {_OF_A_NAME[code]}")
    if code in _OF_SETTINGS:
        return InvalidConfiguration(f"{text}; {_OF_SETTINGS[code]}")
    return ServiceRefused(f"{text}; {_OF_THE_CA.get(code, 'ask the CA what it expects')}")


def validation_failed(problems: list[Problem], doing: str) -> PerennialError:
    """What it means that the CA saw these when it looked at the names of an order."""
    shown = "; ".join(_with_step(each) for each in problems[:MAX_SUBPROBLEMS])
    more = len(problems) - MAX_SUBPROBLEMS
    return ValidationFailed(f"{doing}: {shown}" + (f"; and {more} more names" if more > 0 else ""))


def _with_step(problem: Problem) -> str:
    step = _OF_A_NAME.get(_telling(problem), "ask the CA what it expects")
    return f"{told(problem)}; {step}"


def told(problem: Problem) -> str:
    """A problem and what it consists of, bounded."""
    inner = [str(each) for each in problem.subproblems[:MAX_SUBPROBLEMS]]
    more = len(problem.subproblems) - MAX_SUBPROBLEMS
    return " | ".join((str(problem), *inner, *((f"and {more} more",) if more > 0 else ())))


def _telling(problem: Problem) -> str:
    """The code that says what to do: of a compound problem, the first subproblem's (RFC 8555 6.7.1)."""
    codes = [each.code for each in problem.subproblems if each.code]
    return codes[0] if codes and problem.code in ("compound", "malformed", "") else problem.code


def undocumented(answer: Answer, doing: str, retry_after: float | None) -> PerennialError:
    """The error of a refusal that has no problem document: a gateway's page, or a server that is none of ACME."""
    text = f"{doing}: HTTP {answer.status} with {bounded(answer.content_type, 60) or 'no content type'}"
    if answer.status == 429:
        return RateLimited(text, retry_after=LIMITED_SECONDS if retry_after is None else retry_after)
    if answer.status >= 500:
        return Unavailable(text, retry_after=retry_after)
    if 300 <= answer.status < 400:
        target = bounded(answer.headers.get("location", "nowhere"))
        return InvalidReply(f"{text}, a redirect to {target}; redirects are not followed, configure the final URL")
    return InvalidReply(f"{text}; no ACME server answers so, check the issuer's directory URL")


def retry_after(headers: Mapping[str, str], now: datetime | None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110 10.2.3), from 1 to a week; None where there is none that can be read.

    A date counts from the reply's own Date, so that clocks need not agree.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return _believed(float(value[:12]))
    then, since = _date(value), _date(headers.get("date", "")) or now
    if then is None or since is None:
        return None
    return _believed((then - since) / timedelta(seconds=1))


def _believed(seconds: float) -> float:
    return min(max(seconds, 1.0), MOST_SECONDS)


def _date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value[:60])
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
