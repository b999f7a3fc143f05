"""Someone's wish for a certificate, validated at the edge and frozen. Policy judges it, an issuer fulfils it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """What is wished for.

    `names` are canonical (`perennial.names`): DNS names in lower case as A-labels, `*.` before a wildcard, IP addresses
    as text; the first is the one that people read. `csr` is the requester's (DER), where the requester keeps the key.
    """

    names: tuple[str, ...]
    profile: str
    owner: str
    key: str = ""  # key type as in `profiles.KEYS`; "": the profile's default
    validity_days: int = 0  # 0: the profile's
    csr: bytes = b""
    issuer: str = ""  # one of those that the profile allows; "": the profile's first
