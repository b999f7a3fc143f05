"""ACM's public certificates: ACM makes the key, validates by DNS, keeps the certificate and renews it by itself.

The validation records stay: managed renewal looks at them again. The key of an exportable certificate is exported under
a passphrase that is made for the one call and never leaves the process.

One request never becomes two certificates: ACM remembers an idempotency token for an hour. The time of asking is kept
before RequestCertificate leaves. Resumed without an ARN within 50 minutes, the same request leaves again with the same
token and gets the same ARN; later, the certificate is looked for by its tag `perennial:version`, whose value is the
ask's id. Tags reach the tagging API some time after the request (AWS gives no bound); 50 minutes are taken to be
enough. Only where no certificate has the tag, ACM is asked anew, with the next token.

Sources: ACM API Reference (RequestCertificate, DescribeCertificate, ExportCertificate, RevokeCertificate); ACM User
Guide, "DNS validation", "Exportable public certificates", "Troubleshoot certificate requests"; Resource Groups Tagging
API Reference (GetResources).
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perennial import acm_words
from perennial.certificate import Certificate, parse
from perennial.errors import InvalidConfiguration, InvalidInput, InvalidReply, ServiceRefused, ValidationFailed
from perennial.issuers.aws_replies import answered, chain, code
from perennial.issuers.interface import Ask, Issued, Keep, Later, Outcome, Present
from perennial.issuers.kept_order import KeptOrder
from perennial.profiles import AcmIssuer
from perennial.solvers.interface import Challenge, Shown

if TYPE_CHECKING:
    from perennial.deployment import Deployment

ACTIONS = (  # of the step that asks
    "acm:RequestCertificate",
    "acm:AddTagsToCertificate",  # RequestCertificate with tags needs it
    "acm:DescribeCertificate",
    "acm:GetCertificate",
    "tag:GetResources",
)
OF_STORING = (  # of the step that stores and judges what was issued
    "acm:DescribeCertificate",
    "acm:ExportCertificate",
    "acm:RevokeCertificate",
)
TAG = "perennial:version"
REPEATABLE = timedelta(minutes=50)  # the token lives an hour; the SDK may repeat a call for some minutes
MAX_NAMES = 100  # what ACM allows at most; the quota is 10 until it is raised
MAX_DOMAIN_NAME = 64  # characters of the name that becomes the common name
MAX_ROUNDS = 5  # of asking for one order
KEYS = {"RSA-2048": "RSA_2048", "EC-256": "EC_prime256v1", "EC-384": "EC_secp384r1"}
REASONS = {  # RFC 5280 5.3.1 -> ACM; the Baseline Requirements (7.2.2) know no hold and no removal
    0: "UNSPECIFIED",
    1: "KEY_COMPROMISE",
    2: "CA_COMPROMISE",
    3: "AFFILIATION_CHANGED",
    4: "SUPERSEDED",
    5: "CESSATION_OF_OPERATION",
    9: "PRIVILEGE_WITHDRAWN",
    10: "A_A_COMPROMISE",
}
_ADVICE = {
    "LimitExceededException": "a quota of ACM is used up: have it raised in Service Quotas, then request again",
    "ValidationException": "ACM does not take this: compare the request with ACM's limits",
    "InvalidParameterException": "ACM does not take this: compare the request with ACM's limits",
    "ResourceInUseException": "take the certificate off the resources that use it first",
}
_FAILURES = {  # FailureReason -> what to do
    "CAA_ERROR": "let Amazon issue in the CAA records of these names (amazon.com, amazontrust.com, awstrust.com,"
    " amazonaws.com), then request again",
    "DOMAIN_NOT_ALLOWED": "a name is on a block list: ask AWS Support, or the block list's keeper",
    "INVALID_PUBLIC_DOMAIN": "a name is not below a public suffix: use a private issuer for it",
    "ADDITIONAL_VERIFICATION_REQUIRED": "ask AWS Support for ACM's additional verification",
    "DOMAIN_VALIDATION_DENIED": "see that the validation records can be seen from outside, then request again",
}


class Acm:
    """Requests public certificates. `client` is acm, `tagging` resourcegroupstaggingapi, in the issuer's region."""

    def __init__(self, settings: AcmIssuer, *, client: Any, tagging: Any) -> None:
        self.name = settings.name
        self._client = client
        self._tagging = tagging

    # -- issuing ---------------------------------------------------------------------------------------------------

    def advance(self, ask: Ask, order: str, *, presented: bool, now: datetime, keep: Keep) -> Outcome:
        """Go on with an order; see `issuers.interface`. The challenges are CNAME records that stay.

        Raises: PerennialError.
        """
        kept = KeptOrder.read(order)
        if kept.asked_at is None:
            return self._ask(ask, kept, now, keep)
        if kept.arn:
            return self._follow(ask, kept.arn, now - kept.asked_at, presented)
        if now - kept.asked_at < REPEATABLE:
            return self._request(ask, kept, keep)
        return self._look(ask, kept, now, keep)

    def _ask(self, ask: Ask, kept: KeptOrder, now: datetime, keep: Keep) -> Outcome:
        _parameters(ask)
        asked = KeptOrder(round=kept.round, asked_at=now)
        keep(asked.text())
        return self._request(ask, asked, keep)

    def _request(self, ask: Ask, kept: KeptOrder, keep: Keep) -> Outcome:
        token = hashlib.sha256(f"{ask.id} {kept.round}".encode()).hexdigest()[:32]
        with answered("acm:RequestCertificate", _ADVICE):
            arn = str(self._client.request_certificate(IdempotencyToken=token, **_parameters(ask))["CertificateArn"])
        keep(replace(kept, arn=arn).text())
        return Later(3.0, "ACM prepares the validation records")

    def _look(self, ask: Ask, kept: KeptOrder, now: datetime, keep: Keep) -> Outcome:
        """The answer was lost, and so is the token: look for the tag, then ask anew."""
        with answered("tag:GetResources", {}):
            pages = self._tagging.get_paginator("get_resources").paginate(
                TagFilters=[{"Key": TAG, "Values": [ask.id]}], ResourceTypeFilters=["acm:certificate"]
            )
            arns = sorted(each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"])
        if arns:
            keep(replace(kept, arn=arns[0]).text())
            return Later(1.0, "the certificate that was requested before is looked at")
        if kept.round + 1 >= MAX_ROUNDS:
            raise ServiceRefused(f"ACM was asked {MAX_ROUNDS} times and has no such certificate; look at its console")
        return self._ask(ask, replace(kept, round=kept.round + 1), now, keep)

    def _follow(self, ask: Ask, arn: str, elapsed: timedelta, presented: bool) -> Outcome:
        """What comes next for a certificate, by its status."""
        found = self._described(arn)
        status = found.get("Status", "")
        if status == "ISSUED":
            return self._issued(arn)
        if status in ("FAILED", "VALIDATION_TIMED_OUT"):
            raise ValidationFailed(_failure(arn, found))
        if status != "PENDING_VALIDATION":
            raise ServiceRefused(f"the certificate {arn} is {status or 'in no known state'}; request another one")
        options = found.get("DomainValidationOptions", ())
        if len({each.get("DomainName") for each in options if each.get("ResourceRecord")}) < len(set(ask.names)):
            return Later(5.0, "ACM prepares the validation records")
        if not presented:
            return Present(_challenges(ask, options))
        # ACM looks for the records for 72 hours; at most about 300 questions in that time.
        return Later(min(900.0, max(5.0, elapsed.total_seconds() / 4)), "ACM validates the names")

    def _described(self, arn: str) -> Mapping[str, Any]:
        with answered(f"acm:DescribeCertificate {arn}", _ADVICE):
            found: Mapping[str, Any] = self._client.describe_certificate(CertificateArn=arn)["Certificate"]
        return found

    def _issued(self, arn: str) -> Outcome:
        from botocore.exceptions import ClientError

        doing = f"acm:GetCertificate {arn}"
        with answered(doing, _ADVICE):
            try:
                answer = self._client.get_certificate(CertificateArn=arn)
            except ClientError as error:
                if code(error) == "RequestInProgressException":
                    return Later(5.0, "ACM issues the certificate")
                raise
        return Issued(chain(answer.get("Certificate", ""), answer.get("CertificateChain", ""), doing), arn=arn)

    # -- exporting -------------------------------------------------------------------------------------------------

    def export(self, arn: str) -> str:
        """The private key of an exportable certificate, as PKCS #8 in PEM; checked to be the certificate's.

        Apart from `advance`, so that only the step that stores a key ever has it.

        Raises: PerennialError.
        """
        doing = f"acm:ExportCertificate {arn}"
        passphrase = secrets.token_urlsafe(32)  # ACM refuses # $ %, which are not in it
        with answered(doing, _ADVICE):
            answer = self._client.export_certificate(CertificateArn=arn, Passphrase=passphrase.encode())
        leaf = chain(answer.get("Certificate", ""), answer.get("CertificateChain", ""), doing)[0]
        return _decrypted(answer.get("PrivateKey", ""), passphrase, leaf, doing)

    # -- revoking --------------------------------------------------------------------------------------------------

    def revoke(self, certificate: Certificate, arn: str, reason: int) -> None:
        """Revoke; ACM does so only for certificates whose key was exported. See `issuers.interface.Revoker`.

        An ARN keeps its name when ACM renews what it holds: another certificate than this one is left alone.

        Raises: PerennialError.
        """
        from botocore.exceptions import ClientError

        if reason not in REASONS:
            raise InvalidInput(f"{reason} is no reason of ACM; there are {', '.join(map(str, REASONS))}")
        found = self._described(arn)
        if acm_words.serial(found.get("Serial")) != certificate.serial:
            raise ServiceRefused(
                f"{arn} holds another certificate by now, and ACM revokes only what an ARN holds: ask AWS Support to"
                f" revoke the serial number {certificate.serial}"
            )
        if found.get("Status") == "REVOKED":
            return
        if found.get("Options", {}).get("Export") != "ENABLED":
            raise ServiceRefused(
                f"ACM revokes only certificates whose key was exported, and {arn} is not exportable: delete it when"
                " nothing uses it any more; its key never left ACM"
            )
        with answered(f"acm:RevokeCertificate {arn}", _ADVICE):
            try:
                self._client.revoke_certificate(CertificateArn=arn, RevocationReason=REASONS[reason])
            except ClientError as error:
                if code(error) != "ConflictException" or self._described(arn).get("Status") != "REVOKED":
                    raise


def issuer(settings: AcmIssuer, deployment: Deployment) -> Acm:
    """The issuer with a deployment's clients."""
    region = settings.region or deployment.clients.region
    return Acm(
        settings,
        client=deployment.clients("acm", region),
        tagging=deployment.clients("resourcegroupstaggingapi", region),
    )


def _parameters(ask: Ask) -> dict[str, Any]:
    """What RequestCertificate is asked with, besides the token; always the same for one ask.

    Raises: InvalidInput, InvalidConfiguration.
    """
    _judge(ask)
    first = next((name for name in ask.names if len(name) <= MAX_DOMAIN_NAME), None)
    if first is None:
        raise InvalidInput(f"ACM needs one name of at most {MAX_DOMAIN_NAME} characters; add one to the request")
    others = [name for name in dict.fromkeys(ask.names) if name != first]
    return {
        "DomainName": first,
        **({"SubjectAlternativeNames": others} if others else {}),
        "ValidationMethod": "DNS",
        "KeyAlgorithm": KEYS[ask.key],
        "Options": {"Export": "ENABLED" if ask.profile.exportable else "DISABLED"},
        "Tags": [{"Key": TAG, "Value": ask.id}],
    }


def _judge(ask: Ask) -> None:
    """Raises InvalidInput and InvalidConfiguration for what ACM would refuse or make otherwise."""
    where = f"profiles.{ask.profile.name}"
    if ask.csr:
        raise InvalidConfiguration(f'{where}.key_home: ACM makes the key itself: set "issuer", and send no CSR')
    if ask.key not in KEYS:
        raise InvalidConfiguration(f"{where}.keys: ACM has {', '.join(KEYS)}, not {ask.key[:40]}")
    if set(ask.profile.usages) != {"serverAuth"}:
        raise InvalidConfiguration(f"{where}.usages: ACM's public certificates are for serverAuth only")
    if addresses := [name for name in ask.names if _is_address(name)]:
        raise InvalidInput(f"ACM has no certificates for IP addresses: leave {addresses[0]} out")
    if len(set(ask.names)) > MAX_NAMES:
        raise InvalidInput(
            f"{len(set(ask.names))} names; ACM allows {MAX_NAMES} at most, and 10 before its quota is raised"
        )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _challenges(ask: Ask, options: Sequence[Mapping[str, Any]]) -> tuple[Challenge, ...]:
    """The validation records, each once: a name and its wildcard share one.

    Raises: InvalidReply for a record that is not below a requested name.
    """
    found: dict[str, Challenge] = {}
    for option in options:
        name, record = str(option.get("DomainName", "")), option.get("ResourceRecord", {})
        where, value = (str(record.get(part, "")).rstrip(".").lower() for part in ("Name", "Value"))
        below = name.removeprefix("*.").lower()
        if name not in ask.names or record.get("Type") != "CNAME" or not where.endswith(f".{below}") or not value:
            raise InvalidReply(f"ACM asks for a validation record that does not fit {name[:80]!r}: {where[:80]!r}")
        found.setdefault(where, Challenge(shown=Shown.CNAME, where=where, value=value, name=name, stays=True))
    return tuple(found.values())


def _failure(arn: str, found: Mapping[str, Any]) -> str:
    names = [
        str(each.get("DomainName", ""))
        for each in found.get("DomainValidationOptions", ())
        if each.get("ValidationStatus") != "SUCCESS"
    ]
    of = f" ({', '.join(names[:5])}{' …' if len(names) > 5 else ''})" if names else ""
    if found.get("Status") == "VALIDATION_TIMED_OUT":
        return f"ACM did not see the validation records within 72 hours{of}: see that they can be resolved from outside"
    reason = str(found.get("FailureReason", "no reason given"))[:100]
    return f"ACM could not issue {arn}{of}: {reason}: {_FAILURES.get(reason, 'see ACM troubleshooting in its guide')}"


def _decrypted(pem: str, passphrase: str, leaf: bytes, doing: str) -> str:
    """The exported key as PKCS #8 in PEM, if it is the leaf's.

    Raises: InvalidReply.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
    )

    try:
        key = load_pem_private_key(pem.encode(), passphrase.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without its cause: what could not be read may be quoted in it.
        raise InvalidReply(f"{doing}: the exported key cannot be read") from None
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if hashlib.sha256(public).hexdigest() != parse(leaf).public_key_sha256:
        raise InvalidReply(f"{doing}: the exported key is not the certificate's")
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
