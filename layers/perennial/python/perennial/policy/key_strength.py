"""Which keys may be certified: those that profile, organisation and issuer all allow, and for public ones the web."""

from __future__ import annotations

from collections.abc import Iterator

from perennial.policy.asked import key, listed, quoted
from perennial.policy.interface import Rule, Subject, Violation

PUBLIC = ("EC-256", "EC-384", "RSA-2048", "RSA-3072", "RSA-4096")  # of KEYS: no Ed25519 and no ML-DSA


def _among(subject: Subject, accepted: tuple[str, ...], rule: str, who: str) -> Iterator[Violation]:
    asked = key(subject)
    if asked not in accepted:
        yield Violation("key", f"key_strength.{rule}", f"{who} {quoted(asked)} keys.", listed(accepted))


def _profile(subject: Subject) -> Iterator[Violation]:
    return _among(subject, subject.profile.keys, "profile", f"The profile {subject.profile.name} does not allow")


def _organisation(subject: Subject) -> Iterator[Violation]:
    return _among(subject, subject.organisation.keys, "organisation", "The organisation does not allow")


def _issuer(subject: Subject) -> Iterator[Violation]:
    return _among(subject, subject.issuer.keys, "issuer", f"The issuer {subject.issuer.name} does not take")


def _public(subject: Subject) -> Iterator[Violation]:
    if subject.issuer.public:
        yield from _among(subject, PUBLIC, "public", "No public issuer may certify")


RULES = (
    Rule(
        id="key_strength.profile",
        title="The key is of a type that the profile allows",
        cites="`keys` of `[profiles.<name>]`",
        run=_profile,
    ),
    Rule(
        id="key_strength.organisation",
        title="The key is of a type that the organisation allows",
        cites="`keys` of `[policy]`",
        run=_organisation,
    ),
    Rule(
        id="key_strength.issuer",
        title="The key is of a type that the issuer takes",
        cites="`keys` of `[issuers.<name>]`",
        run=_issuer,
    ),
    Rule(
        id="key_strength.public",
        title="Public certificates are for RSA keys of 2048 bits or more, or for P-256 and P-384",
        cites="Baseline Requirements sections 6.1.5 and 7.1.3.1",
        run=_public,
    ),
)
