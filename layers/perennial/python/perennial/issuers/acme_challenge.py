"""Which challenge of an authorization is answered, and what is shown for it (RFC 8555 8, draft-ietf-acme-dns-persist).

What is shown follows from the names that were requested and from Perennial's own account, never from a name or an
account that a reply brings up: a hostile CA could have records of other names written, or its own account admitted.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence

from perennial.errors import InvalidConfiguration, InvalidReply, ValidationFailed
from perennial.issuers.acme_order import Authorization
from perennial.issuers.acme_reading import Fields, bounded
from perennial.profiles import AcmeIssuer, ChallengeKind
from perennial.solvers.interface import Challenge, Shown

STATUSES = ("pending", "valid", "invalid", "deactivated", "expired", "revoked")  # RFC 8555 7.1.6
MAX_CHALLENGES = 20


def identifiers(names: Sequence[str]) -> list[dict[str, str]]:
    """The identifiers of an order (RFC 8555 7.1.3, RFC 8738)."""
    return [{"type": "ip" if _address(name) else "dns", "value": name} for name in names]


def named(fields: Fields, names: Sequence[str]) -> str:
    """Which of the requested names an authorization is for.

    Raises: InvalidReply where it is for none of them.
    """
    identifier = fields.of("identifier")
    kind, value = identifier.one_of("type", ("dns", "ip")), identifier.text("value", most=255).lower()
    if kind == "ip":
        value = _address(value)
    elif fields.flag("wildcard") and not value.startswith("*."):
        value = f"*.{value}"
    if value not in names:
        raise InvalidReply(f"{fields.where}: it is for {bounded(value)!r}, which was not requested")
    return value


def chosen(fields: Fields, url: str, name: str, settings: AcmeIssuer, account: str) -> Authorization:
    """What is to be answered of a pending authorization.

    Raises: ValidationFailed where the CA does not offer the configured challenge, InvalidConfiguration, InvalidReply.
    """
    if settings.challenge is ChallengeKind.NONE:
        raise ValidationFailed(
            f"{settings.name}: {name} is not approved in advance; approve it at the CA, then request again"
        )
    offered = fields.each("challenges", MAX_CHALLENGES)
    kinds = [each.text("type", most=100) for each in offered]
    if settings.challenge not in kinds:
        raise ValidationFailed(
            f"{settings.name}: the CA offers {bounded(', '.join(kinds)) or 'no challenge'} for {name}, and not "
            f"{settings.challenge.value}; set another challenge in issuers.{settings.name}, or use another issuer"
        )
    challenge = offered[kinds.index(settings.challenge)]
    if settings.challenge is ChallengeKind.DNS_PERSIST:
        issuer = _issuer_domain(challenge, settings, account)
        return Authorization(url=url, name=name, challenge=challenge.url("url"), issuer=issuer)
    return Authorization(url=url, name=name, challenge=challenge.url("url"), token=challenge.token("token"))


def _issuer_domain(challenge: Fields, settings: AcmeIssuer, account: str) -> str:
    """The issuer domain name for the record, which the CA has to offer."""
    told = challenge.text("accounturi", account)
    if told != account:
        raise InvalidReply(f"{challenge.where}: it is for the account {bounded(told)}, and Perennial's is {account}")
    offered = challenge.texts("issuer-domain-names", 20)
    if not settings.issuer_domain or (offered and settings.issuer_domain not in offered):
        raise InvalidConfiguration(
            f"issuers.{settings.name}.issuer_domain is {settings.issuer_domain!r}; "
            f"the CA offers {bounded(', '.join(offered)) or 'none'}"
        )
    return settings.issuer_domain


def shown(authorization: Authorization, kind: ChallengeKind, thumbprint: str, account: str) -> Challenge:
    """What to show for it. `thumbprint` is the account key's (RFC 7638), `account` its URL."""
    host = authorization.name.removeprefix("*.")
    if kind is ChallengeKind.DNS_PERSIST:
        policy = "; policy=wildcard" if authorization.name.startswith("*.") else ""
        return Challenge(
            shown=Shown.TXT,
            where=f"_validation-persist.{host}",
            value=f"{authorization.issuer}; accounturi={account}{policy}",
            name=authorization.name,
            stays=True,
        )
    proof = f"{authorization.token}.{thumbprint}"  # the key authorization (RFC 8555 8.1)
    if kind is ChallengeKind.HTTP:
        return Challenge(shown=Shown.HTTP, where=authorization.token, value=proof, name=authorization.name)
    return Challenge(shown=Shown.TXT, where=f"_acme-challenge.{host}", value=_digest(proof), name=authorization.name)


def _digest(proof: str) -> str:
    from josepy.b64 import b64encode

    return b64encode(hashlib.sha256(proof.encode()).digest()).decode()


def _address(name: str) -> str:
    """An IP address in its usual form; "" for what is none."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return ""
