"""Certificates that cannot be made through ACM's API, planted for demos, tests and benches.

An entry is a JSON object; only `pem` is required (or `domain_name`, for a request without a certificate):

    {"pem", "chain", "private_key", "type", "status", "in_use_by", "tags", "renewal_status", "renewal_status_reason",
     "created_at", "imported_at", "issued_at", "exported", "export_option", "managed_by", "validation_method", "origin",
     "authority_arn", "acme_endpoint_arn", "acme_account_id", "domain_name", "names", "key_algorithm", "arn", "account",
     "region"}

`type` is IMPORTED (default), AMAZON_ISSUED or PRIVATE; `tags` an object; times are ISO 8601. A certificate with
`acme_endpoint_arn` or `origin: ACME` is of ACME origin. No rule of ACM is applied.
"""

import functools
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from local_cloud.fakes import acm_x509
from local_cloud.fakes.acm_certificate import Certificate, Renewal
from local_cloud.fakes.acm_requests import new_arn
from local_cloud.fakes.acm_state import AcmState
from local_cloud.fakes.acm_x509 import Facts


@functools.lru_cache(maxsize=256)
def _chain(pem: str) -> tuple[bytes, ...]:
    """The DER of each certificate; cached, since an estate has few chains."""
    return tuple(item.public_bytes(Encoding.DER) for item in x509.load_pem_x509_certificates(pem.encode()))


@functools.lru_cache(maxsize=1024)
def _parsed(pem: str) -> tuple[bytes, Facts]:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return certificate.public_bytes(Encoding.DER), acm_x509.read(certificate)


def _time(entry: dict[str, Any], name: str) -> datetime | None:
    return datetime.fromisoformat(entry[name]) if entry.get(name) else None


def planted(state: AcmState, entry: dict[str, Any], now: datetime) -> Certificate:
    """The certificate of an entry. Raises ValueError or KeyError for an entry that cannot be read."""
    der, facts = _parsed(entry["pem"]) if "pem" in entry else (None, None)
    kind = entry.get("type", "IMPORTED")
    created = _time(entry, "created_at") or (facts.not_before if facts else now)
    return Certificate(
        arn=entry.get("arn") or new_arn(state),
        kind=kind,
        stored_status=_status(entry, facts),
        created_at=created,
        origin=_origin(entry, kind),
        requested_names=tuple(entry.get("names", [entry["domain_name"]] if "domain_name" in entry else [])),
        requested_key=entry.get("key_algorithm", "RSA_2048"),
        facts=facts,
        der=der,
        chain=_chain(entry["chain"]) if entry.get("chain") else (),
        private_key=entry["private_key"].encode() if entry.get("private_key") else None,
        imported_at=_time(entry, "imported_at") or (created if kind == "IMPORTED" else None),
        issued_at=_time(entry, "issued_at") or (created if facts and kind != "IMPORTED" else None),
        **_options(entry, kind, now),
    )


def _status(entry: dict[str, Any], facts: Facts | None) -> str:
    """EXPIRED is stored as ISSUED where there are dates, which make it so."""
    status = entry.get("status", "ISSUED" if facts else "PENDING_VALIDATION")
    return "ISSUED" if status == "EXPIRED" and facts else status


def _origin(entry: dict[str, Any], kind: str) -> str:
    if entry.get("acme_endpoint_arn"):
        return "ACME"
    return entry.get("origin") or ("CUSTOMER_PROVIDED" if kind == "IMPORTED" else "AWS_MANAGED")


def _options(entry: dict[str, Any], kind: str, now: datetime) -> dict[str, Any]:
    status = entry.get("renewal_status")
    public = kind == "AMAZON_ISSUED"
    return {
        "renewal": Renewal(status, _time(entry, "renewed_at") or now, entry.get("renewal_status_reason"))
        if status
        else None,
        "revoked_at": _time(entry, "revoked_at") or (now if entry.get("status") == "REVOKED" else None),
        "validation_method": entry.get("validation_method", "DNS" if public else None),
        "export_option": entry.get(
            "export_option", None if kind == "IMPORTED" else "DISABLED" if public else "ENABLED"
        ),
        "exported": bool(entry.get("exported")),
        "authority_arn": entry.get("authority_arn"),
        "managed_by": entry.get("managed_by"),
        "acme_endpoint_arn": entry.get("acme_endpoint_arn"),
        "acme_account_id": entry.get("acme_account_id"),
        "seeded_users": tuple(entry.get("in_use_by", ())),
        "tags": dict(entry.get("tags", {})),
    }
