"""A fake of the trust anchors of IAM Roles Anywhere: which CAs workloads outside AWS may get credentials with.

Sources: "IAM Roles Anywhere trust model" and "Quotas" in its user guide, and the API reference. A CA certificate of a
bundle must be version 3, be a CA that may sign certificates, and be signed with SHA-256 or better; an anchor holds at
most two; an anchor is disabled unless it is created enabled. Profiles, CRLs and sessions are not part of the fake.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509

from local_cloud.fakes.service import FakeService, ServiceError
from local_cloud.fakes.tags import TagRules, Tags, without

MAX_ANCHORS = 50
MAX_CERTIFICATES = 2
_PAGES: dict[str, Any] = {"token": "nextToken", "size": "pageSize", "default": 100}
_TAGS = TagRules(too_many="TooManyTagsException", limit=200, key="key", value="value")
_WEAK_HASHES = ("md5", "sha1", "sha224")
_EVENTS = ("CA_CERTIFICATE_EXPIRY", "END_ENTITY_CERTIFICATE_EXPIRY")

AuthorityExists = Callable[[str, str], bool]
"""(region, ARN of a private CA) -> whether an anchor of that region may refer to it."""


@dataclass
class TrustAnchor:
    """One trust anchor, with its source as the API gives it."""

    identifier: str
    arn: str
    name: str
    source: dict[str, Any]
    enabled: bool
    created: datetime
    updated: datetime
    notifications: list[dict[str, Any]]
    tags: Tags

    def shown(self) -> dict[str, Any]:
        """The answer of every operation on a single anchor."""
        return {
            "trustAnchor": {
                "trustAnchorId": self.identifier,
                "trustAnchorArn": self.arn,
                "name": self.name,
                "source": self.source,
                "enabled": self.enabled,
                "createdAt": self.created,
                "updatedAt": self.updated,
                "notificationSettings": self.notifications,
            }
        }


@dataclass
class Region:
    """The trust anchors of one account and region, by identifier."""

    account: str
    region: str
    anchors: dict[str, TrustAnchor] = field(default_factory=dict)


def _private_authority_exists(region: str, arn: str) -> bool:
    """Asks the process's fake of ACM PCA. A CA of another account may be shared, so its own account is asked."""
    from local_cloud import fakes

    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[2:4] != ["acm-pca", region]:
        return False
    question = {"CertificateAuthorityArn": arn}
    try:
        fakes.fake("acm-pca").call("DescribeCertificateAuthority", question, account=parts[4], region=region)
    except ServiceError as error:
        if error.code in ("ResourceNotFoundException", "InvalidArnException", "ValidationException"):
            return False
        raise
    return True


class RolesAnywhere(FakeService[Region]):
    """IAM Roles Anywhere, API 2018-05-10; see the module's docstring for the rules."""

    service = "rolesanywhere"
    credential_scope = "rolesanywhere"

    def __init__(self, *, authority_exists: AuthorityExists = _private_authority_exists, **framework: Any) -> None:
        """`authority_exists`: which private CAs an anchor may refer to."""
        super().__init__(**framework)
        self._authority_exists = authority_exists

    def new_state(self, account: str, region: str) -> Region:
        return Region(account, region)

    def create_trust_anchor(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        if len(state.anchors) >= MAX_ANCHORS:
            raise ServiceError("ValidationException", f"At most {MAX_ANCHORS} trust anchors are allowed in a region")
        self._check_source(state, request["source"])
        identifier, now = str(uuid.uuid4()), self.now()
        made = TrustAnchor(
            identifier=identifier,
            arn=f"arn:aws:rolesanywhere:{state.region}:{state.account}:trust-anchor/{identifier}",
            name=request["name"],
            source=request["source"],
            enabled=request.get("enabled", False),
            created=now,
            updated=now,
            notifications=_notifications(request.get("notificationSettings", []), state.account),
            tags=_TAGS.merged({}, request.get("tags", [])),
        )
        state.anchors[identifier] = made
        return made.shown()

    def _check_source(self, state: Region, source: dict[str, Any]) -> None:
        kind, data = source.get("sourceType"), source.get("sourceData", {})
        wanted = {"CERTIFICATE_BUNDLE": "x509CertificateData", "AWS_ACM_PCA": "acmPcaArn"}.get(kind or "")
        if wanted is None or set(data) != {wanted}:
            raise ServiceError("ValidationException", "The source data does not fit the source type")
        if kind == "CERTIFICATE_BUNDLE":
            _check_bundle(data["x509CertificateData"])
        elif not self._authority_exists(state.region, data["acmPcaArn"]):
            raise ServiceError("ValidationException", f"There is no private CA {data['acmPcaArn']}")

    def list_trust_anchors(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        anchors = list(state.anchors.values())
        page, token = self.page(anchors, request, **_PAGES)
        return {"trustAnchors": [anchor.shown()["trustAnchor"] for anchor in page], "nextToken": token}

    def get_trust_anchor(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        return _found(state, request).shown()

    def update_trust_anchor(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        anchor = _found(state, request)
        self._check_source(state, request.get("source", anchor.source))
        anchor.name, anchor.source = request.get("name", anchor.name), request.get("source", anchor.source)
        anchor.updated = self.now()
        return anchor.shown()

    def enable_trust_anchor(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        return self._switched(_found(state, request), enabled=True)

    def disable_trust_anchor(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        return self._switched(_found(state, request), enabled=False)

    def _switched(self, anchor: TrustAnchor, *, enabled: bool) -> dict[str, Any]:
        anchor.enabled, anchor.updated = enabled, self.now()
        return anchor.shown()

    def delete_trust_anchor(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        return state.anchors.pop(_found(state, request).identifier).shown()

    def tag_resource(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        anchor = _by_arn(state, request)
        anchor.tags = _TAGS.merged(anchor.tags, request["tags"])
        return {}

    def untag_resource(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        anchor = _by_arn(state, request)
        anchor.tags = without(anchor.tags, request["tagKeys"])
        return {}

    def list_tags_for_resource(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        return {"tags": _TAGS.listed(_by_arn(state, request).tags)}


def _found(state: Region, request: dict[str, Any]) -> TrustAnchor:
    identifier = request["trustAnchorId"]
    if identifier not in state.anchors:
        raise ServiceError("ResourceNotFoundException", f"Trust anchor {identifier} was not found")
    return state.anchors[identifier]


def _by_arn(state: Region, request: dict[str, Any]) -> TrustAnchor:
    by_arn = {anchor.arn: anchor for anchor in state.anchors.values()}
    if request["resourceArn"] not in by_arn:
        raise ServiceError("ResourceNotFoundException", f"Resource {request['resourceArn']} was not found")
    return by_arn[request["resourceArn"]]


def _notifications(given: list[dict[str, Any]], account: str) -> list[dict[str, Any]]:
    """Both expiry events, 45 days ahead, unless the request sets them otherwise."""
    usual = {"enabled": True, "threshold": 45, "channel": "ALL", "configuredBy": "rolesanywhere.amazonaws.com"}
    own = {item["event"]: item | {"configuredBy": account} for item in given}
    return [usual | {"event": event} | own.get(event, {}) for event in _EVENTS]


def _check_bundle(pem: str) -> None:
    try:
        certificates = x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise ServiceError("ValidationException", "The certificate bundle is not PEM") from error
    if len(certificates) > MAX_CERTIFICATES:
        raise ServiceError("ValidationException", f"A trust anchor holds at most {MAX_CERTIFICATES} certificates")
    for certificate in certificates:
        if reason := _unfit(certificate):
            raise ServiceError("ValidationException", f"Incorrect certificate in the bundle: {reason}")


def _unfit(certificate: x509.Certificate) -> str | None:
    """Why a certificate cannot be a trust anchor, or None."""
    extensions = {item.oid: item.value for item in certificate.extensions}
    constraints: Any = extensions.get(x509.BasicConstraints.oid)
    usage: Any = extensions.get(x509.KeyUsage.oid)
    hash_algorithm = certificate.signature_hash_algorithm
    if certificate.version != x509.Version.v3:
        return "it is not version 3"
    if constraints is None or not constraints.ca:
        return "its basic constraints do not say that it is a CA"
    if usage is None or not usage.key_cert_sign:
        return "its key usage does not include certificate signing"
    if hash_algorithm is not None and hash_algorithm.name in _WEAK_HASHES:
        return f"it is signed with {hash_algorithm.name}"
    return None
