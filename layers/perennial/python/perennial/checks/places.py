"""Questions that several topics ask of a place and of its certificate."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from perennial.certificate import Certificate
from perennial.checks.interface import Subject
from perennial.manifest import Role, Scope, Sighting

_UNKNOWN = Certificate(fingerprint=None)
_SERVER = frozenset({"serverAuth", "anyExtendedKeyUsage"})


def facts(subject: Subject) -> Certificate:
    """The certificate, or one of which nothing is known."""
    return subject.certificate or _UNKNOWN


def everywhere(subject: Subject) -> Iterator[tuple[Scope, Sighting]]:
    """The place itself, then everything attached to it."""
    yield subject.scope, subject.sighting
    yield from subject.attached


def used(subject: Subject) -> bool:
    """Whether something presents the certificate: it was served, is attached, or the service says that it is in use."""
    return (
        subject.sighting.role is Role.SERVED
        or bool(subject.attached)
        or subject.sighting.attributes.get("in_use") is True
    )


def leaf(subject: Subject) -> bool:
    """Whether the certificate stands for an end entity here. A CA certificate that a server presents does so too."""
    if subject.certificate is None or subject.sighting.role in (Role.AUTHORITY, Role.ANCHOR):
        return False
    return used(subject) or subject.certificate.is_ca is not True


def tls_leaf(subject: Subject) -> bool:
    """Whether the certificate is for TLS servers: it says so, or it is used as one and does not say otherwise."""
    purposes = facts(subject).extended_key_usage
    if purposes is not None:
        return leaf(subject) and not _SERVER.isdisjoint(purposes)
    return leaf(subject) and used(subject)


def public_tls_leaf(subject: Subject) -> bool:
    """Whether the Baseline Requirements hold for it: a TLS server certificate that chains to a public root."""
    return subject.public is True and tls_leaf(subject)


def instant(sighting: Sighting, attribute: str) -> datetime | None:
    """The time that an attribute tells."""
    value = sighting.attributes.get(attribute)
    return datetime.fromisoformat(value) if value else None
