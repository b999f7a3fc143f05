"""The preflight: why a version may not go to a place, before anything there is changed.

First the rules: key, dates, names, purpose and chain, by `cryptography`, at the time that is given. Where they hold, a
full TLS handshake in memory for every name, by OpenSSL (`memory_handshake`): a judge of its own, that would only repeat
what the rules have told already. What the place takes (key types, length of the chain) is told beside either.

What comes from a CA may be hostile: nothing of it raises, and every sentence about it is bounded.

Sources: RFC 5280 section 6.1, RFC 9525 section 6, RFC 8446 section 4.4.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from perennial import keys as private_keys
from perennial import memory_handshake, preflight_chain
from perennial.certificate import Certificate
from perennial.checks.names import uncovered
from perennial.checks.wording import listed, on, quoted
from perennial.errors import InvalidInput
from perennial.issued import MAX_BYTES, MAX_CERTIFICATES

if TYPE_CHECKING:
    from perennial.targets.interface import Bundle

SERVER = "serverAuth"
_AGAIN = "issue a new version"


def problems(
    new: Bundle,
    *,
    names: tuple[str, ...],
    claimed: tuple[str, ...],
    keys: tuple[str, ...],
    max_chain: int,
    protocols: tuple[str, ...],
    roots: tuple[Certificate, ...],
    now: datetime,
    with_key: bool,
    handshakes: bool,
    place: str,
) -> tuple[str, ...]:
    """Why a version may not go to a place, a bounded sentence each with what to do; () when everything holds.

    `names` must be served there; `claimed` are those that the place claims by itself. `keys` are the key types that it
    takes (() for any), `max_chain` the certificates above the leaf, `protocols` those of its TLS policy (() unknown).
    `with_key`: it needs the private key. `handshakes`: it serves TLS itself, so that a handshake must be possible.
    Without a private key there is no handshake in memory. `place` is what people call it.
    Raises: Unavailable where the temporary directory cannot be written.
    """
    place = quoted(place, 200)
    unread = tuple(_unread(new))
    if unread:
        return unread
    refused = (*_key_type(new.certificate, keys, place), *_length(new.chain, max_chain, place))
    usable = [each for each in roots if each.subject is not None and each.der]
    wrong = (
        *_key(new, with_key, place),
        *_dates(new.certificate, now),
        *_names(new.certificate, names, claimed, place),
        *_purpose(new.certificate),
        *preflight_chain.problems((new.certificate, *new.chain), usable, now),
    )
    if wrong:
        return (*refused, *wrong)
    asked = tuple(dict.fromkeys((*names, *claimed))) or new.names
    return (*refused, *_handshakes(new, asked, protocols, usable, handshakes))


def _unread(new: Bundle) -> Iterator[str]:
    certificates = (new.certificate, *new.chain)
    size = sum(len(each.der) for each in certificates)
    if len(certificates) > MAX_CERTIFICATES or size > MAX_BYTES:
        yield (
            f"Certificate and chain are {len(certificates)} certificates of {size} bytes, more than the "
            f"{MAX_CERTIFICATES} of {MAX_BYTES} that are looked at; {_AGAIN}."
        )
        return
    for number, each in enumerate(certificates):
        problem = each.problems[0] if each.problems else "" if each.der else "there is no DER of it"
        if problem:
            which = f"Certificate {number} of the chain" if number else "The certificate"
            yield f"{which} cannot be read in full ({quoted(problem, 200)}); {_AGAIN}."


def _key_type(leaf: Certificate, taken: tuple[str, ...], place: str) -> Iterator[str]:
    from cryptography import x509

    public = x509.load_der_x509_certificate(leaf.der).public_key()
    found = private_keys.word(public)  # with the curve: Certificate.key has its size alone
    if taken and found not in taken:
        yield (
            f"{place} takes keys of the types {', '.join(taken)}, and that of the certificate is {quoted(found, 40)}; "
            "request a version with one of those."
        )


def _length(chain: Sequence[Certificate], most: int, place: str) -> Iterator[str]:
    if len(chain) > most:
        yield (
            f"{place} takes {most} certificates above the leaf, and the chain has {len(chain)}; use an issuer with a "
            "shorter chain."
        )


def _key(new: Bundle, needed: bool, place: str) -> Iterator[str]:
    if not new.private_key:
        if needed:
            yield (
                f"{place} needs the private key, and Perennial does not hold that of {quoted(new.reference, 100)}; "
                "use a profile whose key_home is secret."
            )
        return
    try:
        public = private_keys.from_pem(new.private_key).public_key()
    except InvalidInput as error:
        yield f"The stored private key cannot be used ({quoted(error, 200)}); {_AGAIN}."
        return
    if private_keys.public_sha256(public) != new.certificate.public_key_sha256:
        yield f"The private key is not that of the certificate; {_AGAIN}."


def _dates(leaf: Certificate, now: datetime) -> Iterator[str]:
    """Both ends of a lifetime are inclusive (RFC 5280 4.1.2.5)."""
    if leaf.not_after is None or leaf.not_before is None:  # only where it was not read in full
        yield f"The certificate has no dates; {_AGAIN}."
    elif now > leaf.not_after:
        yield f"The certificate expired on {on(leaf.not_after)}, and it is {on(now)}; {_AGAIN}."
    elif now < leaf.not_before:
        yield (
            f"The certificate is not valid before {on(leaf.not_before)}, and it is {on(now)}; deploy it then, or have "
            "the CA's clock corrected."
        )


def _names(leaf: Certificate, names: Sequence[str], claimed: Sequence[str], place: str) -> Iterator[str]:
    missing = uncovered(leaf, dict.fromkeys(names))
    if missing:
        yield (
            f"The certificate does not cover {listed(missing)}, which must be served at {place}; request a version "
            "with these names, or take them out of the target's names."
        )
    more = uncovered(leaf, dict.fromkeys(each for each in claimed if each not in names))
    if more:
        yield (
            f"The certificate does not cover {listed(more)}, which {place} claims; request a version with these names, "
            "or take them away there."
        )


def _purpose(leaf: Certificate) -> Iterator[str]:
    purposes = leaf.extended_key_usage or ()
    if SERVER not in purposes:
        has = f"it is for {listed(purposes)}" if purposes else "it names no purpose"
        yield (
            f"The certificate is not for TLS servers: {has}, and clients look for {SERVER} (extendedKeyUsage); request "
            f'a version from a profile with usages = ["{SERVER}"].'
        )


def _handshakes(
    new: Bundle, names: Sequence[str], protocols: Sequence[str], roots: Sequence[Certificate], needed: bool
) -> tuple[str, ...]:
    if not new.private_key:
        return ()
    top = (new.certificate, *new.chain)[-1]
    over = [each for each in roots if each.subject == top.issuer]
    unable = memory_handshake.unable((new.certificate, *new.chain, *over))
    if unable and needed:
        return (
            f"No handshake can be tried before: the OpenSSL of this machine has no {quoted(unable, 40)} keys, and few "
            "clients have; request a version with a key of the types EC or RSA.",
        )
    return () if unable else memory_handshake.problems(new, names=names, protocols=protocols, roots=roots)
