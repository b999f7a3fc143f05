"""Where the key is made: the request, the profile and the issuer must mean the same place."""

from __future__ import annotations

from collections.abc import Iterator

from perennial.policy.asked import listed
from perennial.policy.interface import Rule, Subject, Violation
from perennial.profiles import AcmIssuer, KeyHome


def _csr(subject: Subject) -> Iterator[Violation]:
    profile, given = subject.profile, bool(subject.request.csr)
    if given and profile.key_home is not KeyHome.REQUESTER:
        detail = f"The profile {profile.name} has its keys made elsewhere ({profile.key_home.value}) and takes no CSR."
        yield Violation("csr", "key_home.csr", detail, 'no CSR, or a profile with key_home = "requester"')
    if not given and profile.key_home is KeyHome.REQUESTER:
        detail = f"With the profile {profile.name} the requester keeps the key, and there is no CSR."
        yield Violation("csr", "key_home.csr", detail, "a CSR for the names of the request")


def _issuer(subject: Subject) -> Iterator[Violation]:
    profile, issuer = subject.profile, subject.issuer
    if isinstance(issuer, AcmIssuer) == (profile.key_home is KeyHome.ISSUER):
        return
    makes = "makes the key itself" if isinstance(issuer, AcmIssuer) else "makes no keys"
    detail = f"The issuer {issuer.name} {makes}, and the profile {profile.name} has key_home {profile.key_home.value}."
    accepted = "issuer" if isinstance(issuer, AcmIssuer) else "secret, kms or requester"
    yield Violation("profile", "key_home.issuer", detail, f"a profile with key_home {accepted}")


def _kms(subject: Subject) -> Iterator[Violation]:
    profile = subject.profile
    if profile.key_home is KeyHome.KMS and profile.targets:
        detail = f"The profile {profile.name} keeps its keys in KMS, but its targets need the key: it never leaves KMS."
        accepted = f"a profile with key_home secret for {listed(profile.targets)}, or no targets"
        yield Violation("profile", "key_home.kms", detail, accepted)


RULES = (
    Rule(
        id="key_home.csr",
        title="There is a CSR exactly where the requester keeps the key",
        cites="`key_home` of `[profiles.<name>]`",
        run=_csr,
    ),
    Rule(
        id="key_home.issuer",
        title="ACM makes its keys, and no other issuer does",
        cites="ACM API Reference, RequestCertificate; `key_home` of `[profiles.<name>]`",
        run=_issuer,
    ),
    Rule(
        id="key_home.kms",
        title="A key in KMS is for no target: none can use it there",
        cites="AWS KMS Developer Guide, asymmetric keys; `targets` of `[profiles.<name>]`",
        run=_kms,
    ),
)
