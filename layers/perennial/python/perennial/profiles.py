"""What may be requested, as the organisation configures it: certificate profiles, the issuers that they name, the
solvers that prove control of names, and the organisation's own rules. Frozen; `settings` reads them.

A name rule is one text: `shop.example.com` allows that name, `.example.com` every name below it (not itself, and no
wildcard), `*.example.com` that wildcard, `*..example.com` every wildcard below it, and `10.1.0.0/16` addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

KEYS = (
    "EC-256",
    "EC-384",
    "RSA-2048",
    "RSA-3072",
    "RSA-4096",
    "Ed25519",
    "ML-DSA-44",
    "ML-DSA-65",
    "ML-DSA-87",
)


class KeyHome(StrEnum):
    """Where a private key is made and stays."""

    SECRET = "secret"  # made by Perennial, in Secrets Manager  # noqa: S105 - a place
    KMS = "kms"  # made in KMS, which signs the CSR; it never leaves (no TLS server of AWS can use it)
    REQUESTER = "requester"  # the requester sends a CSR
    ISSUER = "issuer"  # ACM makes it and keeps it


class ChallengeKind(StrEnum):
    """How control of a name is proven to an ACME issuer."""

    DNS = "dns-01"  # RFC 8555 8.4
    HTTP = "http-01"  # RFC 8555 8.3
    DNS_PERSIST = "dns-persist-01"  # draft-ietf-acme-dns-persist: a record that stays
    NONE = "pre-approved"  # authorizations that are valid already (ACM's ACME endpoints)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcmeIssuer:
    """`[issuers.<name>]` with `kind = "acme"` (RFC 8555)."""

    name: str
    directory: str  # https URL; http only on loopback
    public: bool = True  # its certificates are publicly trusted: the Baseline Requirements apply
    contacts: tuple[str, ...] = ()  # "mailto:…"
    eab_secret: str = ""  # name or ARN of a secret {"kid", "hmac_key"} (RFC 8555 7.3.4)
    challenge: ChallengeKind = ChallengeKind.DNS
    issuer_domain: str = ""  # dns-persist-01: the CA's issuer-domain-name
    origins: tuple[str, ...] = ()  # https://host[:port] that its URLs may have, besides the directory's own
    roots: str = ""  # PEM of the roots that its chains may end at; "": the public roots
    directory_roots: str = ""  # PEM that the directory's own TLS certificate must chain to; "": the public roots
    keys: tuple[str, ...] = KEYS[:5]  # key types that it takes
    distrusted: bool = False  # nothing is requested of it any more, and what it issued is renewed by another one
    orders_per_hour: int = 100  # that are planned at the most; Let's Encrypt allows 300 in three hours
    certificates_per_domain_and_week: int = 50  # 0: any number

    kind = "acme"


@dataclass(frozen=True, slots=True, kw_only=True)
class PcaIssuer:
    """`[issuers.<name>]` with `kind = "acm_pca"`."""

    name: str
    authority: str  # ARN of the CA, also of one that another account shares through RAM
    roots: str = ""  # PEM; "": the CA's own chain's root
    public: bool = False
    keys: tuple[str, ...] = tuple(each for each in KEYS if each != "Ed25519")
    distrusted: bool = False
    orders_per_hour: int = 3_600
    certificates_per_domain_and_week: int = 0

    kind = "acm_pca"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcmIssuer:
    """`[issuers.<name>]` with `kind = "acm"`: public certificates that ACM makes, keeps and renews by itself."""

    name: str
    region: str = ""  # "": the hub's
    public: bool = True
    roots: str = ""
    keys: tuple[str, ...] = ("RSA-2048", "EC-256", "EC-384")
    distrusted: bool = False
    orders_per_hour: int = 100
    certificates_per_domain_and_week: int = 0

    kind = "acm"


Issuer = AcmeIssuer | PcaIssuer | AcmIssuer


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """`[profiles.<name>]`: one kind of certificate."""

    name: str
    issuer: str  # under [issuers]
    issuers: tuple[str, ...] = ()  # further ones that a request may choose
    keys: tuple[str, ...] = ("EC-256",)  # allowed, the default first
    key_home: KeyHome = KeyHome.SECRET
    rotate_key: bool = True  # a new key at every renewal
    validity_days: int = 90  # at most, and what is asked for where the issuer lets one ask
    usages: tuple[str, ...] = ("serverAuth",)  # extended key usages: serverAuth, clientAuth
    names: tuple[str, ...] = ()  # name rules
    wildcards: bool = False
    addresses: bool = False  # IP addresses
    max_names: int = 10
    targets: tuple[str, ...] = ()  # kinds of targets that it may be put at; (): any
    acme_profile: str = ""  # the CA's own name of a profile (draft-ietf-acme-profiles)
    preferred_root: str = ""  # subject common name of the root at which the chain should end (RFC 8555 7.4.2)
    template: str = ""  # ACM PCA template, as "EndEntityServerAuthCertificate/V1"; "": by the usages
    exportable: bool = False  # ACM: the key may be exported


@dataclass(frozen=True, slots=True, kw_only=True)
class Solvers:
    """`[solvers]`: where challenges are shown."""

    zone_accounts: tuple[str, ...] = ()  # accounts with Route 53 zones, besides the hub's
    role_name: str = "PerennialSolver"  # assumed there
    delegations: Mapping[str, str] = field(default_factory=dict)  # "_acme-challenge.x.example" -> name it is a CNAME to
    listeners: tuple[str, ...] = ()  # ARNs of ALB listeners on port 80 that answer http-01
    rule_priority: int = 50  # of the rule there


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """`[policy]`: what holds for every profile."""

    owners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # owner -> name rules
    keys: tuple[str, ...] = KEYS
    private_validity_days: int = 397  # the most for certificates that are not publicly trusted
    max_names: int = 100
    internal_names: tuple[str, ...] = ()  # further suffixes, as "corp.example.com", of names that are internal
