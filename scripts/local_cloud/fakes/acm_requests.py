"""RequestCertificate: what may be requested, how control of the names is proved, and what is issued.

Sources: ACM API Reference "RequestCertificate"; ACM User Guide "DNS validation", "Private certificates".
"""

import hashlib
import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from local_cloud.fakes import acm_issuing, acm_tags, acm_x509
from local_cloud.fakes.acm_certificate import Certificate, Validation
from local_cloud.fakes.acm_import import refused
from local_cloud.fakes.acm_state import AcmState
from local_cloud.fakes.service import ServiceError

TOKEN_LIFE = timedelta(hours=1)
REQUESTABLE_KEYS = ("RSA_2048", "EC_prime256v1", "EC_secp384r1")
PRIVATE_DAYS = 395

Resolver = Callable[[str], str | None]
PrivateIssuer = Callable[[str, bytes, int], tuple[x509.Certificate, list[x509.Certificate]]]
"""(CA's ARN, CSR, days) -> (certificate, chain); raises ServiceError."""


def new_arn(state: AcmState) -> str:
    """A fresh certificate ARN."""
    return f"arn:aws:acm:{state.region}:{state.account}:certificate/{uuid.uuid4()}"


def check(state: AcmState, request: dict[str, Any]) -> list[str]:
    """The names of a request, each once, the domain name first. Raises ServiceError for what ACM refuses."""
    names = list(dict.fromkeys([request["DomainName"], *request.get("SubjectAlternativeNames", [])]))
    if len(request["DomainName"]) > 64:
        raise refused("The domain name must not be longer than 64 characters; give longer names as alternative names.")
    if len(names) > state.quotas.names:
        raise ServiceError(
            "LimitExceededException", f"You requested {len(names)} names; {state.quotas.names} are allowed."
        )
    if request.get("KeyAlgorithm", "RSA_2048") not in REQUESTABLE_KEYS:
        raise refused(f"{request['KeyAlgorithm']} is for imported certificates only.")
    if request.get("Options", {}).get("CertificateTransparencyLoggingPreference") == "DISABLED":
        raise refused("Opting out of certificate transparency logging is no longer available.")
    if request.get("ValidationMethod") == "HTTP" and request.get("ManagedBy") != "CLOUDFRONT":
        raise refused("HTTP validation is for certificates that are managed by CloudFront only.")
    _check_validation_domains(names, request.get("DomainValidationOptions", []))
    return names


def _check_validation_domains(names: list[str], options: list[dict[str, str]]) -> None:
    """A validation domain is the name itself or a domain above it."""
    for option in options:
        name, domain = option["DomainName"], option["ValidationDomain"]
        if name not in names or not f".{name.removeprefix('*.')}".endswith(f".{domain}"):
            raise ServiceError("InvalidDomainValidationOptionsException", f"{domain} does not validate {name}.")


def repeated(state: AcmState, request: dict[str, Any], now: datetime) -> str | None:
    """The ARN that an earlier request with the same token got within the hour."""
    token = request.get("IdempotencyToken")
    known = state.tokens.get(token) if token else None
    if known is None or known[0] + TOKEN_LIFE < now or known[2] not in state.certificates:
        return None
    if known[1] != _digest(request):
        raise ServiceError("InvalidParameterException", "The idempotency token was used with other parameters.")
    return known[2]


def remember(state: AcmState, request: dict[str, Any], arn: str, now: datetime) -> None:
    """Keeps the request's token."""
    if token := request.get("IdempotencyToken"):
        state.tokens[token] = (now, _digest(request), arn)


def _digest(request: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()


def make(state: AcmState, request: dict[str, Any], now: datetime) -> Certificate:
    """The certificate of a request, pending."""
    names = check(state, request)
    private = "CertificateAuthorityArn" in request
    method = None if private else request.get("ValidationMethod", "EMAIL")
    return Certificate(
        arn=new_arn(state),
        kind="PRIVATE" if private else "AMAZON_ISSUED",
        stored_status="PENDING_VALIDATION",
        created_at=now,
        origin="AWS_MANAGED",
        requested_names=tuple(names),
        requested_key=request.get("KeyAlgorithm", "RSA_2048"),
        validation_method=method,
        validations=() if method is None else _validations(state.account, names, method, request),
        export_option="ENABLED" if private else request.get("Options", {}).get("Export", "DISABLED"),
        authority_arn=request.get("CertificateAuthorityArn"),
        managed_by=request.get("ManagedBy"),
        tags=acm_tags.added({}, request.get("Tags", [])),
    )


def _validations(account: str, names: list[str], method: str, request: dict[str, Any]) -> tuple[Validation, ...]:
    domains = {item["DomainName"]: item["ValidationDomain"] for item in request.get("DomainValidationOptions", [])}
    return tuple(
        Validation(name, method, "PENDING_VALIDATION", *validation_record(account, name), domains.get(name))
        for name in names
    )


def validation_record(account: str, name: str) -> tuple[str, str]:
    """(name, target) of the CNAME that proves control of a name; the same for an account and name at all times."""
    base = name.removeprefix("*.").lower()
    digest = hashlib.sha256(f"{account} {base}".encode()).hexdigest()
    return f"_{digest[:32]}.{base}.", f"_{digest[32:]}.acm-validations.aws."


def proven(item: Certificate, resolve: Resolver) -> bool:
    """Whether every name is validated, after looking up the records of those that are not. Only DNS is looked up."""
    for validation in item.validations:
        target = validation.record_value.rstrip(".")
        if validation.method == "DNS" and validation.status != "SUCCESS" and resolve(validation.record_name) == target:
            validation.status = "SUCCESS"
    return all(validation.status == "SUCCESS" for validation in item.validations)


def issue_public(item: Certificate, authority: acm_issuing.PublicAuthority, now: datetime) -> None:
    """Issues a public certificate with a new key."""
    key = acm_issuing.new_key(item.requested_key)
    _store(item, authority.issue(item.requested_names, key, now), authority.chain, key, now)


def issue_private(item: Certificate, issue: PrivateIssuer, now: datetime) -> None:
    """Issues a private certificate with a new key. Raises the CA's ServiceError; `failure_reason` names it."""
    key = acm_issuing.new_key(item.requested_key)
    csr = acm_issuing.request_pem(item.requested_names, key)
    certificate, chain = issue(item.authority_arn or "", csr, PRIVATE_DAYS)
    _store(item, certificate, tuple(link.public_bytes(Encoding.DER) for link in chain), key, now)


def failure_reason(error: ServiceError) -> str:
    """ACM's failure reason for what a private CA answered."""
    return _FAILURES.get(error.code, "PCA_REQUEST_FAILED")


_FAILURES = {
    "ResourceNotFoundException": "PCA_RESOURCE_NOT_FOUND",
    "InvalidArnException": "PCA_INVALID_ARN",
    "InvalidStateException": "PCA_INVALID_STATE",
    "InvalidArgsException": "PCA_INVALID_ARGS",
    "ValidationException": "PCA_INVALID_DURATION",
    "LimitExceededException": "PCA_LIMIT_EXCEEDED",
    "AccessDeniedException": "PCA_ACCESS_DENIED",
}


def _store(item: Certificate, issued: x509.Certificate, chain: tuple[bytes, ...], key: object, now: datetime) -> None:
    item.facts = acm_x509.read(issued)
    item.der = issued.public_bytes(Encoding.DER)
    item.chain = chain
    item.private_key = acm_issuing.key_pem(key)
    item.stored_status = "ISSUED"
    item.issued_at = now
