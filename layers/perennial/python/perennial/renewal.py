"""When a certificate is renewed: reasons in a fixed order, and the time at which each holds. Pure.

| order | reason | holds |
| --- | --- | --- |
| 1 | `changed` | what is declared (names, key, validity, profile) is not what was issued |
| 2 | `not-allowed` | its key or signature is no longer allowed |
| 3 | `issuer` | its issuer is distrusted, or another one is declared |
| 4 | `revoked` | it was revoked |
| 5 | `advice` | the time that was drawn from the CA's window has come (ARI, RFC 9773) |
| 6 | `lifetime` | a third of its lifetime is left; a half, where it lives shorter than ten days |
| 7 | `not-serving` | a target does not serve it: it is put there again, without a new certificate |
| 8 | `forced` | someone asked for it |

The first that holds is the one that is told. A CA's window takes the place of the share of the lifetime, as long as
the CA answers. With 1/20 of the lifetime left (`LATE`) neither that window nor a maintenance window is waited for; with
1/50 left (`EMERGENCY`) people are told at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from perennial.certificate_request import CertificateRequest
from perennial.inventory.records import Advice, ManagedRecord, Serving

SHORT = timedelta(days=10)  # below, half of the lifetime is left for renewal (as certmagic and certbot do)
SHARE_LEFT, SHARE_LEFT_SHORT = 3, 2  # one third, one half
LATE, EMERGENCY = 20, 50  # one twentieth, one fiftieth of the lifetime
SPREAD = 20  # a request is planned up to 1/20 of the lifetime before it would be due, so that a fleet spreads
QUESTIONS = 50  # for the CA's advice in one lifetime, at the most
CHANGED, NOT_ALLOWED, ISSUER, REVOKED = "changed", "not-allowed", "issuer", "revoked"
ADVICE, LIFETIME, NOT_SERVING, FORCED = "advice", "lifetime", "not-serving", "forced"
FIRST = "first"  # of a certificate of which nothing is issued yet
WORDS = {  # for people
    FIRST: "it is declared, and nothing is issued yet",
    CHANGED: "what is declared is not what was issued",
    NOT_ALLOWED: "its key or signature is no longer allowed",
    ISSUER: "its issuer is distrusted, or another one is declared",
    REVOKED: "it was revoked",
    ADVICE: "the CA advises to renew it now",
    LIFETIME: "its renewal time has come",
    NOT_SERVING: "a target does not serve it",
    FORCED: "someone asked for it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is allowed now, as far as it concerns one managed certificate. `issuer` is the name of the settings that the
    next request goes to. `lost` are the targets that do not serve what they should."""

    issuer: str
    keys: tuple[str, ...]
    weak_signatures: tuple[str, ...] = ("md5WithRSAEncryption", "sha1WithRSAEncryption", "ecdsa-with-SHA1")
    distrusted: tuple[str, ...] = ()  # names of issuers' settings
    lost: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """Why and when to renew. `at` is in the past where it holds already."""

    reason: str
    at: datetime
    detail: str = ""


def lifetime(serving: Serving) -> timedelta:
    """How long the certificate lives."""
    return max(serving.not_after - serving.not_before, timedelta(seconds=1))


def share_at(serving: Serving) -> datetime:
    """When one third of the lifetime is left; one half of a short one."""
    whole = lifetime(serving)
    return serving.not_after - whole / (SHARE_LEFT_SHORT if whole < SHORT else SHARE_LEFT)


def late_at(serving: Serving) -> datetime:
    """From when on no window is waited for."""
    return serving.not_after - lifetime(serving) / LATE


def emergency_at(serving: Serving) -> datetime:
    """From when on people are told at once."""
    return serving.not_after - lifetime(serving) / EMERGENCY


def spread(serving: Serving) -> timedelta:
    """How much earlier than due a request may be planned."""
    return lifetime(serving) / SPREAD


def renewal(record: ManagedRecord, serving: Serving, rules: Rules, now: datetime) -> Renewal:
    """The first reason that holds now; else the one that will hold first, with its time."""
    by_time = timed(serving, record.advice)
    return next((each for each in _reasons(record, serving, rules, by_time) if each.at <= now), by_time)


def _reasons(record: ManagedRecord, serving: Serving, rules: Rules, by_time: Renewal) -> Iterator[Renewal]:
    for reason, holds in _CHAIN:
        detail = holds(record, serving, rules)
        if detail:
            yield Renewal(reason=reason, at=serving.since, detail=detail)
    yield by_time
    if record.forced_at:
        by = f"by {record.forced_by}" if record.forced_by else ""
        yield Renewal(reason=FORCED, at=record.forced_at, detail=by)


def timed(serving: Serving, advice: Advice | None) -> Renewal:
    """The reason that holds because of time alone, and when."""
    share = share_at(serving)
    if advice is None or (advice.failed and advice.at > share):
        return Renewal(reason=LIFETIME, at=share, detail=_of_lifetime(serving, share))
    late = late_at(serving)
    if advice.at > late:
        return Renewal(reason=LIFETIME, at=late, detail="the CA's window is later than 1/20 of the lifetime")
    window = f"{advice.start:%Y-%m-%d %H:%M} to {advice.end:%Y-%m-%d %H:%M} UTC"
    return Renewal(reason=ADVICE, at=advice.at, detail=f"the CA's window is {window}")


def _of_lifetime(serving: Serving, share: datetime) -> str:
    part = "a half" if lifetime(serving) < SHORT else "a third"
    return f"{part} of its lifetime is left from {share:%Y-%m-%d %H:%M} UTC on"


# --- the reasons that hold or not, whatever the time: a text says what it is, "" that it does not hold ---


def _changed(record: ManagedRecord, serving: Serving, rules: Rules) -> str:
    """An adopted certificate was requested by someone else: it is as it is."""
    if serving.request is None:
        return ""
    wanted = record.declared.request
    different = _different(wanted, serving.request)
    if wanted.key and wanted.key != serving.key:
        different.append("key")
    return f"other {', '.join(different)}" if different else ""


_COMPARED = ("names", "profile", "validity_days")


def same(wanted: CertificateRequest, asked: CertificateRequest) -> bool:
    """Whether what was asked for is what is wanted, but for the key and the issuer."""
    return not _different(wanted, asked)


def _different(wanted: CertificateRequest, asked: CertificateRequest) -> list[str]:
    return [name for name in _COMPARED if _part(wanted, name) != _part(asked, name)]


def _part(request: CertificateRequest, name: str) -> object:
    value = getattr(request, name)
    return frozenset(value) if name == "names" else value


def _not_allowed(record: ManagedRecord, serving: Serving, rules: Rules) -> str:
    if serving.signature in rules.weak_signatures:
        return f"it is signed with {serving.signature}"
    wanted = rules.keys
    return "" if not wanted or serving.key in wanted else f"{serving.key} is not among {', '.join(wanted)}"


def _issuer(record: ManagedRecord, serving: Serving, rules: Rules) -> str:
    if serving.issuer in rules.distrusted:
        return f"{serving.issuer} is distrusted"
    changed = bool(serving.issuer) and serving.issuer != rules.issuer
    return f"{serving.issuer} issued it, and {rules.issuer} is declared" if changed else ""


def _revoked(record: ManagedRecord, serving: Serving, rules: Rules) -> str:
    return f"on {serving.revoked_at:%Y-%m-%d %H:%M} UTC" if serving.revoked_at else ""


_CHAIN: tuple[tuple[str, Callable[[ManagedRecord, Serving, Rules], str]], ...] = (
    (CHANGED, _changed),
    (NOT_ALLOWED, _not_allowed),
    (ISSUER, _issuer),
    (REVOKED, _revoked),
)


# --- the CA's advice ---


def drawn(start: datetime, end: datetime, draw: float) -> datetime:
    """One time in the CA's window (RFC 9773 4.2); `draw` is from 0 to 1. A window in the past gives its time in it,
    which is in the past too: it is renewed at once."""
    return start + (end - start) * draw


def draw(name: str, number: int, purpose: str) -> float:
    """A number from 0 to 1 for one version and purpose, the same however often it is asked for: what is drawn is kept,
    also where a step is repeated before it could store it."""
    text = f"{name}#{number}#{purpose}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / (1 << 64)


def ask_again(serving: Serving, retry_after: float, now: datetime) -> datetime:
    """When to ask the CA again: not before it says, and not more often than `QUESTIONS` times in a lifetime."""
    seconds = max(retry_after, lifetime(serving).total_seconds() / QUESTIONS)
    return now + timedelta(seconds=seconds)
