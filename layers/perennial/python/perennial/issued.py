"""What holds before a certificate is called issued: it is what was asked for, and builds to an expected root. Pure.

What a CA sent may be hostile. It is bounded first, parsed in full, and judged; nothing of it raises, and every
sentence about it is bounded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from perennial.certificate import Certificate, broken_blocks, ders, parse
from perennial.chain import issued
from perennial.checks.validity import allowed
from perennial.errors import InvalidConfiguration
from perennial.profiles import Issuer, KeyHome, Profile

if TYPE_CHECKING:
    from cryptography import x509

MAX_CERTIFICATES = 20
MAX_BYTES = 64 * 1024  # of a chain
MAX_ROOTS_CHARACTERS = 4 * 1024 * 1024  # of a PEM text of roots; Mozilla's have 0.3 million
SKEW = timedelta(hours=1)  # a CA's clock may be ahead of ours
BACKDATED = timedelta(hours=1, seconds=1)  # ACM PCA and others begin 60 minutes early; the last second counts too
_CURVES = {"EC-256": "secp256r1", "EC-384": "secp384r1"}
_OWN_LINKS = ("Ed25519", "Ed448")  # keys of which x509.verification takes no signature
_ANY_USAGE = "2.5.29.37.0"  # anyExtendedKeyUsage, which cryptography has no name for
_JUDGED = frozenset(  # critical extensions that are taken into account where x509.verification is not asked
    {"2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.37"}  # keyUsage, subjectAltName, basicConstraints, extKeyUsage
)


def problems(
    chain: tuple[bytes, ...],
    *,
    names: tuple[str, ...],
    public_key_sha256: str,
    key: str,
    profile: Profile,
    issuer: Issuer,
    validity_days: int,
    roots: tuple[Certificate, ...],
    now: datetime,
) -> tuple[str, ...]:
    """Why a chain (DER, the leaf first) is not what was asked for, one sentence each; () when everything holds.

    `names` are canonical; `public_key_sha256` is the request's, "" only where the issuer makes the key; `key` is its
    type. The chain is verified by `cryptography.x509.verification` (RFC 5280 6.1: signatures, dates, CA rights, path
    lengths, name constraints), without its rules of the web PKI that private CAs need not follow, and without its own
    comparison of one name: here all of them are compared. It takes no Ed25519 and Ed448; chains with such keys are
    verified link by link in `_linked`, where name constraints are not judged and so not accepted.
    """
    outside = tuple(_out_of_bounds(chain))
    if outside:
        return outside
    certificates = tuple(map(parse, chain))
    unread = tuple(_unread(certificates))
    if unread:
        return unread
    leaf = certificates[0]
    return (
        *_key(leaf, public_key_sha256, key, profile, issuer),
        *_names(leaf, names),
        *_validity(leaf, validity_days, issuer, now),
        *_usages(leaf, profile.usages, issuer),
        *_order(certificates),
        *_authorities(certificates[1:], profile.usages),
        *_anchored(certificates, roots, now),
    )


def roots_of(pem: str) -> tuple[Certificate, ...]:
    """The roots of a PEM text.

    Raises: InvalidConfiguration where it has none, or one that cannot be read.
    """
    if len(pem) > MAX_ROOTS_CHARACTERS:
        raise InvalidConfiguration(f"the roots have {len(pem)} characters, more than {MAX_ROOTS_CHARACTERS}")
    roots = tuple(map(parse, ders(pem)))
    broken = broken_blocks(pem) + [f"{each.fingerprint}: {each.problems[0]}" for each in roots if not each.subject]
    if broken or not roots:
        raise InvalidConfiguration(f"the roots are not certificates in PEM: {_few(broken) or 'there is none'}")
    return roots


def ends_at(chain: Sequence[bytes], root_name: str) -> bool:
    """Whether a chain ends at a root with this subject common name: its last certificate is that root, or was issued
    by it, as its issuer's name says (RFC 8555 7.4.2: which of the alternate chains is preferred). False for what cannot
    be read."""
    from cryptography import x509

    top = parse(chain[-1]) if chain else None
    if top is None or top.problems or not root_name:
        return False
    name = _x509(top).issuer  # a root's is its own name
    return any(each.value == root_name for each in name.get_attributes_for_oid(x509.NameOID.COMMON_NAME))


def _x509(certificate: Certificate) -> x509.Certificate:
    """The library's view of a certificate that was parsed."""
    from cryptography import x509

    return x509.load_der_x509_certificate(certificate.der)


def _few(texts: Collection[str], most: int = 5) -> str:
    told = ", ".join(ascii(each[:120])[1:-1][:120] for each in list(texts)[:most])
    return f"{told} and {len(texts) - most} more" if len(texts) > most else told


def _out_of_bounds(chain: tuple[bytes, ...]) -> Iterator[str]:
    size = sum(map(len, chain))
    if not chain:
        yield "There is no certificate."
    if len(chain) > MAX_CERTIFICATES:
        yield f"The chain has {len(chain)} certificates; at most {MAX_CERTIFICATES} are taken."
    if size > MAX_BYTES:
        yield f"The chain has {size} bytes; at most {MAX_BYTES} are taken."


def _unread(certificates: Sequence[Certificate]) -> Iterator[str]:
    for number, each in enumerate(certificates):
        which = f"Certificate {number} of the chain" if number else "It"
        if each.problems:
            yield f"{which} cannot be read in full: {_few(each.problems)}."
        elif not each.der.endswith(b"\x00" + _x509(each).signature):  # the library does not look at the unused bits
            yield f"{which} has a signature that is not of whole bytes."


def _key(leaf: Certificate, public_key_sha256: str, key: str, profile: Profile, issuer: Issuer) -> Iterator[str]:
    ours = profile.key_home is not KeyHome.ISSUER
    if (ours or public_key_sha256) and leaf.public_key_sha256 != public_key_sha256:
        yield f"It is for the public key {leaf.public_key_sha256}, and {public_key_sha256 or 'none'} was asked for."
    curve = _CURVES.get(key, leaf.curve)
    if leaf.key != key or leaf.curve != curve:
        yield f"Its key is {leaf.key}{f' ({leaf.curve})' if leaf.curve else ''}, and {key} was asked for."
    for who, taken in ((f"The profile {profile.name}", profile.keys), (f"The issuer {issuer.name}", issuer.keys)):
        if leaf.key not in taken:
            yield f"{who} is for keys of the types {', '.join(taken)}, and its key is {leaf.key}."


def _names(leaf: Certificate, names: tuple[str, ...]) -> Iterator[str]:
    asked = {name.lower() for name in names}
    has = {name.lower() for name in leaf.names} | set(leaf.other_names or ())
    if asked - has:
        yield f"It lacks names that were asked for: {_few(sorted(asked - has))}."
    if has - asked:
        yield f"It has names that were not asked for: {_few(sorted(has - asked))}."
    if leaf.common_name and leaf.common_name.lower() not in asked:
        yield f"Its common name {_few([leaf.common_name])} is none of the names that were asked for."


def _validity(leaf: Certificate, validity_days: int, issuer: Issuer, now: datetime) -> Iterator[str]:
    """The dates. Both ends of a lifetime are inclusive (RFC 5280 4.1.2.5), so its last second is added."""
    if leaf.not_before is None or leaf.not_after is None:  # only where a certificate was not read in full
        yield "It has no dates."
        return
    begin, end = leaf.not_before.isoformat(), leaf.not_after.isoformat()
    lifetime = leaf.not_after - leaf.not_before + timedelta(seconds=1)
    if leaf.not_before > now + SKEW:
        yield f"It is valid from {begin}, which is still to come ({now.isoformat()})."
    if leaf.not_after < now:
        yield f"It ended at {end}, before now ({now.isoformat()})."
    if lifetime > timedelta(days=validity_days) + BACKDATED:
        yield f"It is valid from {begin} until {end}, and {validity_days} days were asked for."
    if issuer.public and lifetime > allowed(leaf.not_before):
        most = allowed(leaf.not_before).days
        yield f"It is valid from {begin} until {end}; {most} days are allowed (Baseline Requirements 6.3.2)."


def _usages(leaf: Certificate, usages: tuple[str, ...], issuer: Issuer) -> Iterator[str]:
    """The purposes. An ACME CA sets them by itself: RFC 8555 has no way to ask, and some CAs still add clientAuth to
    serverAuth. That one is taken from them; where one can ask, nothing beyond it is."""
    if leaf.is_ca or "key_cert_sign" in (leaf.key_usage or ()):
        yield "It is a CA certificate, or may sign certificates."
    has = leaf.extended_key_usage or ()
    lacking, more = [each for each in usages if each not in has], [each for each in has if each not in usages]
    if lacking:
        yield f"It lacks the extended key usage {_few(lacking)}; it has {_few(has) or 'none'}."
    if more and not (issuer.kind == "acme" and more == ["clientAuth"]):
        yield f"It has the extended key usage {_few(more)}, and {', '.join(usages)} was asked for."


def _order(certificates: Sequence[Certificate]) -> Iterator[str]:
    """Each certificate has to sign the one before it (RFC 8555 9.1), so that a server can send the chain as it is."""
    if len({each.fingerprint for each in certificates}) < len(certificates):
        yield "The chain has a certificate twice."
    for number, (below, above) in enumerate(pairwise(certificates)):
        if not issued(below, by=above):
            name = _few([above.title])
            yield f"Certificate {number + 1} of the chain ({name}) did not sign the one before it: it is out of order."
            return


def _authorities(authorities: Sequence[Certificate], usages: tuple[str, ...]) -> Iterator[str]:
    """The rights of the CAs to sign certificates of these usages. A root's are its store's matter."""
    for each in authorities:
        if each.key_usage is not None and "key_cert_sign" not in each.key_usage:
            yield f"The chain's {_few([each.title])} may not sign certificates (keyUsage)."
        may = each.extended_key_usage
        if may is not None and _ANY_USAGE not in may and not each.self_issued and set(usages) - set(may):
            name = _few([each.title])
            yield f"The chain's {name} may sign for {_few(may)} only, and {', '.join(usages)} was asked for."


def _anchored(certificates: tuple[Certificate, ...], roots: Sequence[Certificate], now: datetime) -> Iterator[str]:
    """Whether the chain builds to a root. The leaf's own dates are judged elsewhere, so the time is one of them."""
    leaf = certificates[0]
    at = max(now, leaf.not_before or now)
    at = min(at, leaf.not_after or at)
    usable = [each for each in roots if each.subject is not None and each.der]
    if not usable:
        yield "There is no root that it could build to; configure the issuer's roots."
        return
    top = certificates[-1]
    over = [root for root in usable if root.subject in (top.issuer, top.subject)]
    own = any(each.key_algorithm in _OWN_LINKS for each in (*certificates, *over))
    reason = _linked(certificates, over, at) if own else no_path(certificates, usable, at)
    if reason:
        yield f"It does not build to an expected root: {_few([reason])}."


def no_path(certificates: Sequence[Certificate], roots: Sequence[Certificate], at: datetime) -> str:
    """Why x509.verification does not build a path; "" where it does.

    The client verifier is the one that compares no name. Its policies are opened for private CAs: the extensions that
    the Baseline Requirements ask for may be missing. `cryptography` goes on checking what is critical and not known.
    """
    from cryptography import x509
    from cryptography.x509 import verification

    anyone = verification.ExtensionPolicy.permit_all()
    authority = anyone.require_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, None)
    leaf, *above = map(_x509, certificates)
    store = verification.Store(list(map(_x509, roots)))
    builder = verification.PolicyBuilder().store(store).time(at).max_chain_depth(MAX_CERTIFICATES)
    verifier = builder.extension_policies(ca_policy=authority, ee_policy=anyone).build_client_verifier()
    try:
        verifier.verify(leaf, above)
    except (verification.VerificationError, ValueError) as error:
        return str(error) or "no path"
    return ""


def _linked(certificates: tuple[Certificate, ...], roots: Sequence[Certificate], at: datetime) -> str:
    """Why a chain, whose order is judged elsewhere, does not end at a root, link by link; "" where it does."""
    top = certificates[-1]
    above = certificates[1:]
    if not any(each.public_key_sha256 == top.public_key_sha256 and each.subject == top.subject for each in roots):
        root = next((each for each in roots if issued(top, by=each)), None)
        if root is None:
            return "no root signed its last certificate"
        above = (*above, root)
    if not all(issued(below, by=above) for below, above in pairwise(certificates)):
        return "a signature does not fit"
    reasons = (_right(each, below, at) for below, each in enumerate(above))
    unknown = (_unjudged(each) for each in (certificates[0], *above))
    return next(filter(None, (*reasons, *unknown)), "")


def _right(authority: Certificate, below: int, at: datetime) -> str:
    """Why a CA with so many CAs below it may not be in the path (RFC 5280 6.1.4 k to n)."""
    if not authority.is_ca:
        return f"{authority.title} is no CA"
    if (
        authority.not_before is None
        or authority.not_after is None
        or not authority.not_before <= at <= authority.not_after
    ):
        return f"{authority.title} is not valid at that time"
    if authority.path_length is not None and below > authority.path_length:
        return f"{authority.title} allows {authority.path_length} CAs below it, and there are {below}"
    return ""


def _unjudged(certificate: Certificate) -> str:
    """A critical extension that `_linked` does not take into account, or constraints on names (RFC 5280 4.2)."""
    from cryptography import x509

    for each in _x509(certificate).extensions:
        oid = each.oid.dotted_string
        if (each.critical and oid not in _JUDGED) or isinstance(each.value, x509.NameConstraints):
            return f"{certificate.title} has the extension {oid}, which is not judged for keys of this kind"
    return ""
