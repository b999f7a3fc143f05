"""Which template of ACM PCA fits a profile, and what goes into the certificate besides the CSR. Pure.

A template decides the extensions. Names come from the CSR; where the CSR does not have exactly the names that are asked
for, the template's API passthrough carries them. Usages that no template has go through the blank template's API
passthrough. CSR passthrough is used only where a profile names it, and never for a requester's CSR: its extensions
would be the requester's choice.
Source: AWS Private CA User Guide, "Template definitions", "Template varieties", "Order of operations".
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from perennial.errors import InvalidConfiguration, InvalidInput
from perennial.issuers.interface import Ask
from perennial.profiles import KeyHome, Profile

_NAME = re.compile(
    r"(?P<blank>Blank)?(?P<kind>EndEntity(?:ServerAuth|ClientAuth)?)Certificate"
    r"(?P<critical>_CriticalBasicConstraints)?(?:_(?P<passthrough>API|CSR|APICSR)Passthrough)?/V1"
)
_USAGES = {  # template -> its extended key usages
    "EndEntityServerAuth": frozenset({"serverAuth"}),
    "EndEntityClientAuth": frozenset({"clientAuth"}),
    "EndEntity": frozenset({"serverAuth", "clientAuth"}),
}
_TYPES = {
    "serverAuth": "SERVER_AUTH",
    "clientAuth": "CLIENT_AUTH",
    "codeSigning": "CODE_SIGNING",
    "emailProtection": "EMAIL_PROTECTION",
    "timeStamping": "TIME_STAMPING",
    "OCSPSigning": "OCSP_SIGNING",
}
_OID = re.compile(r"[0-2](\.\d+)+")
MAX_COMMON_NAME = 64  # characters (RFC 5280 appendix A, ub-common-name)


@dataclass(frozen=True, slots=True)
class Template:
    """A template's name, as `EndEntityCertificate/V1`, and what its API passthrough has to carry."""

    name: str
    carries_usages: bool = False
    carries_names: bool = False


def parameters(ask: Ask, authority: str) -> dict[str, Any]:
    """TemplateArn, and ApiPassthrough where it is needed, as IssueCertificate takes them.

    Raises: InvalidConfiguration, InvalidInput.
    """
    chosen = choose(ask.profile, csr_has_names=_names(ask.csr) == frozenset(ask.names))
    request: dict[str, Any] = {"TemplateArn": f"arn:{authority.split(':')[1]}:acm-pca:::template/{chosen.name}"}
    extensions: dict[str, Any] = {}
    if chosen.carries_usages:
        extensions |= _usage_extensions(ask)
    if chosen.carries_names:
        extensions["SubjectAlternativeNames"] = [_general_name(name) for name in ask.names]
    if extensions:
        request["ApiPassthrough"] = {"Extensions": extensions}
    common_name = next((name for name in ask.names if len(name) <= MAX_COMMON_NAME), "")
    if chosen.carries_names and common_name:
        request["ApiPassthrough"]["Subject"] = {"CommonName": common_name}
    return request


def choose(profile: Profile, *, csr_has_names: bool) -> Template:
    """The template for a profile; the one that the profile names, where that can make what the profile says.

    Raises: InvalidConfiguration, InvalidInput.
    """
    return _named(profile, csr_has_names) if profile.template else _fitting(profile, csr_has_names)


def _fitting(profile: Profile, csr_has_names: bool) -> Template:
    usages = frozenset(profile.usages)
    kind = next((kind for kind, its in _USAGES.items() if its == usages), None)
    if kind is None:
        return Template("BlankEndEntityCertificate_APIPassthrough/V1", True, not csr_has_names)
    passthrough = "" if csr_has_names else "_APIPassthrough"
    return Template(f"{kind}Certificate{passthrough}/V1", False, not csr_has_names)


def _named(profile: Profile, csr_has_names: bool) -> Template:
    where = f"profiles.{profile.name}.template"
    match = _NAME.fullmatch(profile.template)
    if match is None or (match["blank"] and (match["kind"] != "EndEntity" or not match["passthrough"])):
        raise InvalidConfiguration(f"{where}: {profile.template[:80]!r} is no template of ACM PCA for end entities")
    passthrough = match["passthrough"] or ""
    if passthrough.endswith("CSR") and profile.key_home is KeyHome.REQUESTER:
        raise InvalidConfiguration(f"{where}: with CSR passthrough, a requester's CSR would decide the extensions")
    if not match["blank"] and _USAGES[match["kind"]] != frozenset(profile.usages):
        has = ", ".join(sorted(_USAGES[match["kind"]]))
        raise InvalidConfiguration(f"{where}: this template's usages are {has}; the profile has others in `usages`")
    if not passthrough.startswith("API") and not csr_has_names:
        raise InvalidInput(f"the CSR does not have the requested names, and {profile.template} takes them from it")
    return Template(
        profile.template,
        carries_usages=bool(match["blank"]) and passthrough.startswith("API"),
        carries_names=not csr_has_names,
    )


def _usage_extensions(ask: Ask) -> dict[str, Any]:
    """Both usage extensions. Key encipherment is for RSA alone (RFC 5480 3, RFC 9881 5)."""
    usages = [_usage(each, ask.profile) for each in ask.profile.usages]
    key_usage = {"DigitalSignature": True, "KeyEncipherment": ask.key.startswith("RSA")}
    return {"KeyUsage": key_usage, **({"ExtendedKeyUsage": usages} if usages else {})}


def _usage(name: str, profile: Profile) -> dict[str, str]:
    if name in _TYPES:
        return {"ExtendedKeyUsageType": _TYPES[name]}
    if _OID.fullmatch(name):
        return {"ExtendedKeyUsageObjectIdentifier": name}
    raise InvalidConfiguration(f"profiles.{profile.name}.usages: {name[:60]!r} is no extended key usage")


def _general_name(name: str) -> dict[str, str]:
    return {"IpAddress" if _is_address(name) else "DnsName": name}


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _names(csr: bytes) -> frozenset[str] | None:
    """DNS names and addresses of a CSR; None where it has alternative names of other kinds.

    Raises: InvalidInput.
    """
    from cryptography import x509

    try:
        extensions = x509.load_der_x509_csr(csr).extensions
        found = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return frozenset()
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise InvalidInput(f"the CSR cannot be read: {type(error).__name__}") from error
    if not all(isinstance(each, x509.DNSName | x509.IPAddress) for each in found):
        return None
    return frozenset(str(each.value).lower() for each in found)
