"""The certificate templates of AWS Private CA.

Source: AWS Private CA User Guide, "Template definitions", "Template varieties" and "Order of operations": what the
template defines wins over the API passthrough, which wins over the CSR passthrough; subject and alternative names come
from the API passthrough where the template allows it, else from the CSR.
"""

import re
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku

from local_cloud.fakes.pca_names import invalid, key_usage

PREFIX = "arn:aws:acm-pca:::template/"
DEFAULT = f"{PREFIX}EndEntityCertificate/V1"

_NAME = re.compile(
    r"arn:aws[\w-]*:acm-pca:::template/(?P<blank>Blank)?"
    r"(?P<base>RootCA|SubordinateCA|EndEntity|EndEntityClientAuth|EndEntityServerAuth|CodeSigning|OCSPSigning)"
    r"Certificate(?:_PathLen(?P<path>[0-3]))?(?P<critical>_CriticalBasicConstraints)?"
    r"(?:_(?P<passthrough>API|CSR|APICSR)Passthrough)?/V1"
)
_SERVER_AND_CLIENT = (Eku.SERVER_AUTH, Eku.CLIENT_AUTH)
_END_ENTITY: dict[str, tuple[tuple[x509.ObjectIdentifier, ...], bool, tuple[str, ...]]] = {
    "EndEntity": (_SERVER_AND_CLIENT, False, ("DigitalSignature", "KeyEncipherment")),
    "EndEntityClientAuth": ((Eku.CLIENT_AUTH,), False, ("DigitalSignature", "KeyEncipherment")),
    "EndEntityServerAuth": ((Eku.SERVER_AUTH,), False, ("DigitalSignature", "KeyEncipherment")),
    "CodeSigning": ((Eku.CODE_SIGNING,), True, ("DigitalSignature",)),
    "OCSPSigning": ((Eku.OCSP_SIGNING,), True, ("DigitalSignature",)),
}
_CA_USAGES = ("DigitalSignature", "KeyCertSign", "CRLSign")


@dataclass(frozen=True)
class Template:
    """One template. `base` is its kind without "Certificate"; `path` the path length of a CA."""

    arn: str
    base: str
    blank: bool
    path: int | None
    critical_constraints: bool
    api: bool
    csr: bool

    @property
    def is_authority(self) -> bool:
        """Whether it makes CA certificates."""
        return self.base.endswith("CA")

    def extensions(self) -> list[x509.Extension[Any]]:
        """What the template itself defines."""
        constraints = x509.BasicConstraints(ca=self.is_authority, path_length=self.path)
        found: list[tuple[Any, bool]] = [(constraints, self.is_authority or self.critical_constraints)]
        if self.is_authority and not self.blank:
            found.append((key_usage(dict.fromkeys(_CA_USAGES, True)), True))
        if not self.is_authority and not self.blank:
            extended, critical, usages = _END_ENTITY[self.base]
            found.append((key_usage(dict.fromkeys(usages, True)), True))
            found.append((x509.ExtendedKeyUsage(extended), critical))
        return [x509.Extension(value.oid, critical, value) for value, critical in found]


def find(arn: str) -> Template:
    """The template of an ARN. Raises ServiceError for one that does not exist."""
    match = _NAME.fullmatch(arn)
    if not match or not _exists(match):
        raise invalid(f"The template {arn} does not exist.")
    passthrough = match["passthrough"] or ""
    return Template(
        arn=arn,
        base=match["base"],
        blank=bool(match["blank"]),
        path=int(match["path"]) if match["path"] else None,
        critical_constraints=bool(match["critical"]),
        api=passthrough.startswith("API"),
        csr=passthrough.endswith("CSR"),
    )


def _exists(match: re.Match[str]) -> bool:
    """Whether the parts of the name go together."""
    base, path, passthrough = match["base"], match["path"], match["passthrough"]
    if match["critical"] and (base, match["blank"]) != ("EndEntity", "Blank"):
        return False
    if match["blank"] and (base not in ("EndEntity", "SubordinateCA", "RootCA") or not passthrough):
        return False
    if base == "SubordinateCA":
        return path is not None
    if base == "RootCA":
        return passthrough in (None, "API") and (path is None or bool(match["blank"]))
    return path is None
