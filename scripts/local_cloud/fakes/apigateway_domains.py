"""A strict UpdateDomainName for API Gateway, which ministack lacks in version 1; the other operations stay with it.

The domains are ministack's own records, so that base path mappings, listings and version 2 see each change. Rules and
their source (API Gateway API Reference, "Patch Operations"; Developer Guide on edge-optimized domains and on mutual
TLS): one update at a time, for which the domain is UPDATING; a certificate of ACM in the same account, in the domain's
region or for an edge-optimized endpoint in us-east-1, issued, and covering the domain; with mutual TLS, a certificate
that ACM did not issue needs an ownership verification certificate. Private domains, and paths that do not concern
certificates or the security policy, are not part of the fake.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from local_cloud.fakes.attached_certificates import CLOUDFRONT_KEYS, Described, covers, described_by, usable
from local_cloud.fakes.service import FakeService, ServiceError
from local_cloud.fakes.wire import HttpRequest, Response
from local_cloud.patching import part

Record = dict[str, Any]
Records = Callable[[str, str], MutableMapping[str, Record]]
"""(account, region) -> the domains by name, in ministack's form: the members of GetDomainName."""

_TYPES = {"/certificateArn": "EDGE", "/regionalCertificateArn": "REGIONAL"}
_PATHS = (
    *_TYPES,
    "/certificateName",
    "/regionalCertificateName",
    "/ownershipVerificationCertificateArn",
    "/securityPolicy",
)
_HOSTS = {
    "EDGE": ("certificateArn", "certificateName", "distributionDomainName", "distributionHostedZoneId"),
    "REGIONAL": ("regionalCertificateArn", "regionalCertificateName", "regionalDomainName", "regionalHostedZoneId"),
}
_UPDATING = "UPDATING"


def ministack_records(account: str, region: str) -> MutableMapping[str, Record]:
    """The domains of the account and region of the request that ministack serves."""
    found: MutableMapping[str, Record] = part("apigateway_domains", "ministack.services.apigateway_v1", "_domain_names")
    return found


@dataclass
class Region:
    """Until when domains are UPDATING, by name."""

    account: str
    region: str
    until: dict[str, datetime] = field(default_factory=dict)


class ApiGatewayDomains(FakeService[Region]):
    """GetDomainName and UpdateDomainName of API Gateway, API 2015-07-09; see the module's docstring for the rules."""

    service = "apigateway"
    credential_scope = "apigateway"
    validation_error = "BadRequestException"
    throttling_error = "TooManyRequestsException"
    operations: ClassVar[frozenset[str] | None] = frozenset({"GetDomainName", "UpdateDomainName"})

    def __init__(
        self,
        *,
        records: Records = ministack_records,
        described: Described | None = None,
        updating: float = 20,
        **framework: Any,
    ) -> None:
        """`records`: the domains; `described`: asks ACM about a certificate; `updating`: seconds of an update."""
        super().__init__(**framework)
        self._records = records
        self._described = described or described_by()
        self._updating = timedelta(seconds=updating)

    def new_state(self, account: str, region: str) -> Region:
        return Region(account, region)

    async def __call__(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Response:
        """Ends the updates whose time has come, so that ministack's own operations show it too."""
        self._settle(self.state(*self.where()))
        return await super().__call__(method, path, headers, body, query)

    def handle(self, request: HttpRequest) -> Response:
        self._settle(self.state(*self.where()))
        return super().handle(request)

    def get_domain_name(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        return _shown(self._named(state, request["domainName"]))

    def update_domain_name(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        name = request["domainName"]
        record = self._named(state, name)
        if record.get("domainNameStatus") == _UPDATING:
            raise ServiceError("ConflictException", "There is already an update in progress for this domain name")
        changed = dict(record)
        for operation in request.get("patchOperations", ()):
            self._patch(state, changed, operation)
        self._require_ownership(changed)
        record.update(changed)
        self._begin(state, record)
        return _shown(record)

    # --- rules ---

    def _named(self, state: Region, name: str) -> Record:
        record = self._records(state.account, state.region).get(name)
        if record is None:
            raise ServiceError("NotFoundException", "Invalid domain name identifier specified")
        return record

    def _patch(self, state: Region, record: Record, operation: dict[str, Any]) -> None:
        op, path, value = operation.get("op"), operation.get("path", ""), operation.get("value", "")
        if op != "replace" or path not in _PATHS:
            sentence = f"Invalid patch path '{path}' specified for op '{op}'. Must be one of: [{', '.join(_PATHS)}]"
            raise ServiceError("BadRequestException", sentence)
        if path in _TYPES:
            self._require_attachable(state, record, _TYPES[path], value)
        record[path[1:]] = value

    def _require_attachable(self, state: Region, record: Record, endpoint: str, arn: str) -> None:
        """Raises BadRequestException for a certificate that the domain may not have."""
        region = "us-east-1" if endpoint == "EDGE" else state.region
        parts = arn.split(":", 5)
        if endpoint not in _types(record):
            raise ServiceError("BadRequestException", f"The domain name has no endpoint of type {endpoint}")
        if len(parts) != 6 or parts[2:4] != ["acm", region]:
            sentence = f"Invalid certificate ARN: {arn}. Certificate must be in '{region}'."
            raise ServiceError("BadRequestException", sentence)
        if parts[4] != state.account:
            sentence = "The certificate provided must be owned by the account creating the domain."
            raise ServiceError("BadRequestException", sentence)
        if problem := self._problem(arn, record["domainName"], endpoint):
            raise ServiceError("BadRequestException", problem)

    def _problem(self, arn: str, domain: str, endpoint: str) -> str:
        certificate = self._described(arn)
        if certificate is None:
            return "The provided certificate does not exist."
        if not usable(certificate):
            return f"The certificate {arn} is not issued, or may not be used here."
        if not covers(certificate, domain):
            return f"The certificate {arn} does not cover the domain name {domain}."
        if endpoint == "EDGE" and certificate.get("KeyAlgorithm") not in CLOUDFRONT_KEYS:
            return f"The key algorithm {certificate.get('KeyAlgorithm')} is not supported."
        return ""

    def _require_ownership(self, record: Record) -> None:
        if not record.get("mutualTlsAuthentication", {}).get("truststoreUri"):
            return
        certificate = self._described(record.get("regionalCertificateArn", "")) or {}
        if certificate.get("Type") != "AMAZON_ISSUED" and not record.get("ownershipVerificationCertificateArn"):
            raise ServiceError("BadRequestException", "Missing ownershipVerificationCertificate.")

    # --- time ---

    def _begin(self, state: Region, record: Record) -> None:
        record["domainNameStatus"] = _UPDATING
        state.until[record["domainName"]] = self.now() + self._updating

    def _settle(self, state: Region) -> None:
        records = self._records(state.account, state.region)
        for name in [each for each, until in state.until.items() if until <= self.now()]:
            del state.until[name]
            if record := records.get(name):
                record["domainNameStatus"] = "AVAILABLE"


def _types(record: Record) -> list[str]:
    found: list[str] = record.get("endpointConfiguration", {}).get("types") or ["EDGE"]
    return found


def _shown(record: Record) -> dict[str, Any]:
    """The domain as GetDomainName tells it: what belongs to its endpoint types, and nothing that is empty."""
    hidden = {name for kind, names in _HOSTS.items() if kind not in _types(record) for name in names}
    shown = {name: value for name, value in record.items() if name not in hidden and value not in ("", {}, None)}
    return {"domainNameStatus": "AVAILABLE", **shown}
