"""AWS Certificate Manager: every certificate of every key type and origin.

SearchCertificates tells the most, 500 a page; ListCertificates stands in where it is not available. Both tell enough to
see that a certificate changed, and GetCertificate is called only then.

Sources: ACM API reference (SearchCertificates, CertificateSearchResult, ListCertificates, Filters, GetCertificate).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from botocore.exceptions import ClientError

from perennial import acm_words, material
from perennial.certificate import Certificate
from perennial.manifest import Role, Seen, Sighting
from perennial.scanners.interface import Reading, Scanner

# Without both, ListCertificates leaves out, silently, EC and larger RSA keys, and what came through ACME.
_KEY_TYPES = ("RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1")
_ORIGINS = ("AWS_MANAGED", "ACME", "CUSTOMER_PROVIDED")
_NOT_ISSUED = {  # status -> why there is no certificate
    "PENDING_VALIDATION": "not issued yet: ACM waits for the validation of {name}",
    "VALIDATION_TIMED_OUT": "never issued: {name} was not validated in time; request it again",
    "FAILED": "never issued: the request for {name} failed",
}
_PUBLIC = {"AMAZON_ISSUED": True, "PRIVATE": False}  # an imported one tells by its chain only
_DENIED = ("AccessDenied", "AccessDeniedException")
_NO_OPERATION = ("UnknownOperationException", "UnknownOperation", "InvalidAction", "NotImplemented")
_PROBLEMS = {  # error codes of GetCertificate
    **dict.fromkeys(_DENIED, "the certificate cannot be read: acm:GetCertificate is denied"),
    "RequestInProgressException": "not issued yet: ACM is working on the request",
}
_FACTS_OF_BOTH = frozenset({"NotBefore", "NotAfter", "KeyAlgorithm"})


@dataclass(frozen=True, slots=True)
class _Listed:
    """One certificate as a listing tells it: the metadata, flat and in the spelling of both calls, and all the rest."""

    told: Mapping[str, Any]
    answer: Mapping[str, Any]
    facts: Callable[[Mapping[str, Any]], Certificate]

    @property
    def certificate(self) -> Certificate:
        return self.facts(self.answer)

    @property
    def problem(self) -> str | None:
        """Why there is no certificate behind this ARN; None: there is one."""
        reason = _NOT_ISSUED.get(self.told.get("Status", ""))
        return reason.format(name=self.certificate.title) if reason else None


def scan(reading: Reading) -> Iterator[Seen]:
    """Every certificate of the account and region."""
    client = reading.client("acm")
    if not reading.full:
        yield from map(_quick, _listed(client))
        return
    tags = reading.tags("acm:certificate")
    # All pages come before the first certificate: reading many takes minutes, and no page's token has to outlive that.
    for sighting, problem in [(_sighting(each.told, tags), each.problem) for each in _listed(client)]:
        known = reading.known.get(sighting.location)
        seen = material.unreadable(sighting, problem, known) if problem else _current(client, sighting, known)
        if seen is not None:
            yield seen


def _current(client: Any, sighting: Sighting, known: Sighting | None) -> Seen | None:
    def get() -> tuple[str, str | None]:
        answer = client.get_certificate(CertificateArn=sighting.location)
        return answer.get("Certificate", ""), answer.get("CertificateChain")

    return material.current(sighting, known, get, gone="ResourceNotFoundException", problems=_PROBLEMS)


def _quick(each: _Listed) -> Seen:
    """What the listing tells, and no call for it."""
    sighting = _sighting(each.told, {}, public=_PUBLIC.get(each.told.get("Type", "")))
    problem = each.problem
    return material.unreadable(sighting, problem) if problem else Seen(sighting, each.certificate)


def _listed(client: Any) -> Iterator[_Listed]:
    """What SearchCertificates finds; where the account or region does not have it, what ListCertificates lists."""
    pages = iter(client.get_paginator("search_certificates").paginate(PaginationConfig={"PageSize": 500}))
    try:
        first = next(pages)
    except ClientError as error:
        if not _unavailable(error):
            raise
        yield from (_Listed(summary, summary, acm_words.listed) for summary in _summaries(client))
        return
    for page in chain((first,), pages):
        yield from (_Listed(_flat(result), result, acm_words.searched) for result in page.get("Results", ()))


def _unavailable(error: ClientError) -> bool:
    """Whether there is no SearchCertificates here, or no permission for it: the older call may do. Throttling, faults
    and anything else are not that."""
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    unknown = code == "ValidationException" and "unknown operation" in message.lower()
    return code in _DENIED or code in _NO_OPERATION or status in (405, 501) or unknown


def _summaries(client: Any) -> Iterator[Mapping[str, Any]]:
    pages = client.get_paginator("list_certificates").paginate(
        Includes={"keyTypes": list(_KEY_TYPES)},
        CertificateKeyPairOrigins=list(_ORIGINS),
        PaginationConfig={"PageSize": 1000},
    )
    for page in pages:
        yield from page.get("CertificateSummaryList", ())


def _flat(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metadata of a search result, as a CertificateSummary has it."""
    facts = result.get("X509Attributes", {})
    return {
        **result.get("CertificateMetadata", {}).get("AcmCertificateMetadata", {}),
        **{name: facts[name] for name in _FACTS_OF_BOTH if name in facts},
        "CertificateArn": result["CertificateArn"],
    }


def _sighting(told: Mapping[str, Any], tags: Mapping[str, Mapping[str, str]], public: bool | None = None) -> Sighting:
    arn = told["CertificateArn"]
    attributes = {**_attributes(told), "tags": dict(tags.get(arn, {})) or None, "public": public}
    return Sighting(
        location=arn,
        role=Role.STORED,
        resource=arn,
        version=_version(told),
        attributes={name: value for name, value in attributes.items() if value is not None},
    )


def _version(told: Mapping[str, Any]) -> str:
    """What changes with the certificate and is told by both calls, so that going from one to the other reads nothing
    again."""
    times = (told.get(name) for name in ("NotBefore", "NotAfter", "ImportedAt", "IssuedAt"))
    seconds = (str(int(time.timestamp())) if time else "" for time in times)
    return "|".join(
        [*seconds, acm_words.key_name(told.get("KeyAlgorithm")), told.get("Status", ""), told.get("Type", "")]
    )


def _attributes(told: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of `scanners/interface.py`, None for what is not told."""
    changed = acm_words.utc(told.get("ImportedAt") or told.get("IssuedAt") or told.get("CreatedAt"))
    eligibility, export = told.get("RenewalEligibility"), told.get("ExportOption")
    return {
        "type": told.get("Type"),
        "status": told.get("Status"),
        "in_use": told.get("InUse"),
        "renewal_status": told.get("RenewalStatus"),
        "renewal_eligible": eligibility == "ELIGIBLE" if eligibility else None,
        "exportable": export == "ENABLED" if export else None,
        "managed_by": told.get("ManagedBy"),
        "origin": told.get("CertificateKeyPairOrigin"),
        "changed_at": changed.isoformat() if changed else None,
    }


SCANNER = Scanner(
    source="acm",
    title="AWS Certificate Manager",
    actions=("acm:SearchCertificates", "acm:ListCertificates", "acm:GetCertificate"),
    scan=scan,
)
