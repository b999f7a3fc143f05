"""A certificate and its chain as a service hands them out in PEM, and what a sighting keeps of them.

A scanner makes a sighting of what the service lists, and `current` completes it: with what an earlier scan read of the
same version, else with one call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

from botocore.exceptions import ClientError

from perennial.certificate import Certificate, broken_blocks, ders, parse
from perennial.chain import ChainStatus, judge
from perennial.manifest import Seen, Sighting

MAX_CHAIN = 20  # certificates behind a leaf that are kept and judged; ACM takes chains of 2 MB
_OF_THE_CERTIFICATE = ("chain", "chain_status", "chain_not_after", "public")  # attributes that stay with its version


def current(
    listed: Sighting,
    known: Sighting | None,
    get: Callable[[], tuple[str, str | None]],
    *,
    gone: str,
    problems: Mapping[str, str],
) -> Seen | None:
    """The sighting of a listed certificate, read by `get` (its PEM and its chain's) only where it is new or changed.

    None where the answer is the error code `gone`: it was deleted since it was listed. `problems` are the error codes
    that concern this certificate only, with the sentence for each.
    Raises: ClientError for any other.
    """
    reused = reuse(listed, known)
    if reused is not None:
        return Seen(reused)
    try:
        body, chain = get()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == gone:
            return None
        if code not in problems:
            raise
        return unreadable(listed, problems[code], known)
    return read(listed, body, chain)


def reuse(listed: Sighting, known: Sighting | None) -> Sighting | None:
    """The listed sighting with what an earlier scan read of the same version; None: the certificate must be read."""
    if known is None or known.fingerprint is None or known.version != listed.version:
        return None
    kept = {name: known.attributes[name] for name in _OF_THE_CERTIFICATE if name in known.attributes}
    return unchanged(replace(listed, fingerprint=known.fingerprint, attributes={**listed.attributes, **kept}), known)


def unchanged(now: Sighting, known: Sighting | None) -> Sighting:
    """The known object where it equals what was seen now, so that a large manifest is not in memory twice."""
    return known if known is not None and known == now else now


def read(listed: Sighting, body: str, chain: str | None = None) -> Seen:
    """The listed sighting with the certificate of `body`, and `chain` judged. Never raises for what they contain.

    Further certificates in `body` count as the chain's first; a block that is not base64 makes the chain unknown.
    """
    leaf, *rest = ders(body) or [b""]
    if not leaf:
        broken = "; ".join(broken_blocks(body))[:300]
        return unreadable(listed, f"the certificate cannot be read: {broken or 'there is none in the PEM text'}")
    certificate = parse(leaf)
    sent = tuple(_issuer(der) for der in (*rest, *ders(chain or ""))[:MAX_CHAIN])
    found = judge(certificate, sent).attributes()
    if broken_blocks(f"{body}\n{chain or ''}"):
        found["chain_status"] = str(ChainStatus.UNKNOWN)
    attributes = {**listed.attributes, **found}
    return Seen(replace(listed, fingerprint=certificate.fingerprint, attributes=attributes), certificate, sent)


def unreadable(listed: Sighting, problem: str, known: Sighting | None = None) -> Seen:
    """The listed sighting without a certificate, and why."""
    return Seen(unchanged(replace(listed, attributes={**listed.attributes, "problem": problem}), known))


@lru_cache(maxsize=512)
def _issuer(der: bytes) -> Certificate:
    """The facts of a chain certificate; a few of them come with thousands of leaves."""
    return parse(der)
