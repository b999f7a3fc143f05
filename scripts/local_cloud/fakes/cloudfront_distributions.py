"""A strict UpdateDistribution for CloudFront, which ministack takes too lightly; creating and listing stay with it.

The distributions are ministack's own records, so that listings, tenants and invalidations see each change. Rules and
their source (CloudFront API Reference, "UpdateDistribution" and "ViewerCertificate"; Developer Guide, "Requirements for
using SSL/TLS certificates with CloudFront" and "Use custom URLs"; ACM User Guide on the key types): the ETag of what
was read; the same caller reference; one certificate, from ACM in us-east-1 or from IAM, of the same account, issued, in
a key type that CloudFront has, and covering every alias; aliases need a certificate. After an update the distribution
is InProgress for a while. Which CAs Mozilla includes is not looked at.

Distributions are created by ministack without these rules: CloudFront has some from before April 2019, when it began to
ask for a certificate that covers the aliases.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, ClassVar

from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.session import get_session
from botocore.utils import parse_timestamp

from local_cloud.fakes.attached_certificates import CLOUDFRONT_KEYS, Described, covers, described_by, usable
from local_cloud.fakes.service import FakeService, ServiceError
from local_cloud.fakes.wire import HttpRequest, Response
from local_cloud.patching import part

Record = dict[str, Any]
Records = Callable[[str], MutableMapping[str, Record]]
"""account -> the distributions by id, in ministack's form."""
ServerCertificates = Callable[[str], set[str]]
"""account -> the ids of IAM's server certificates."""

_UNKNOWN = (
    "The specified SSL certificate doesn't exist, isn't in us-east-1 region, isn't valid, or doesn't include a valid"
    " certificate chain."
)
_UNCOVERED = (
    "The certificate that is attached to your distribution doesn't cover the alternate domain name (CNAME) that you're"
    " trying to add."
)
_CHARACTERS = string.ascii_uppercase + string.digits


def ministack_records(account: str) -> MutableMapping[str, Record]:
    """The distributions of the account of the request that ministack serves."""
    found: MutableMapping[str, Record] = part(
        "cloudfront_distributions", "ministack.services.cloudfront", "_distributions"
    )
    return found


def server_certificates(account: str) -> set[str]:
    """What the fake IAM of this process has."""
    from local_cloud import fakes

    answer = fakes.fake("iam").call("ListServerCertificates", {"MaxItems": 1000}, account=account)
    return {each["ServerCertificateId"] for each in answer["ServerCertificateMetadataList"]}


@dataclass
class Account:
    """Until when distributions are InProgress, by id."""

    account: str
    until: dict[str, datetime] = field(default_factory=dict)


class CloudFrontDistributions(FakeService[Account]):
    """GetDistribution, GetDistributionConfig and UpdateDistribution, API 2020-05-31; see the module's docstring."""

    service = "cloudfront"
    credential_scope = "cloudfront"
    is_global = True
    validation_error = "InvalidArgument"
    operations: ClassVar[frozenset[str] | None] = frozenset(
        {"GetDistribution", "GetDistributionConfig", "UpdateDistribution"}
    )

    def __init__(
        self,
        *,
        records: Records = ministack_records,
        described: Described | None = None,
        iam: ServerCertificates = server_certificates,
        deploying: float = 20,
        **framework: Any,
    ) -> None:
        """`records`: the distributions; `described` and `iam`: certificates; `deploying`: seconds of InProgress."""
        super().__init__(**framework)
        self._records = records
        self._described = described or described_by()
        self._iam = iam
        self._deploying = timedelta(seconds=deploying)

    def new_state(self, account: str, region: str) -> Account:
        return Account(account)

    async def __call__(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Response:
        """Ends the deployments whose time has come, so that ministack's own operations show it too."""
        self._settle(self.state(*self.where()))
        return await super().__call__(method, path, headers, body, query)

    def handle(self, request: HttpRequest) -> Response:
        self._settle(self.state(*self.where()))
        return super().handle(request)

    def plant(self, account: str, configuration: dict[str, Any]) -> str:
        """Adds a distribution as it is, by no rule; its id."""
        identifier = f"E{_random(13)}"
        record = {
            "Id": identifier,
            "ARN": f"arn:aws:cloudfront::{account}:distribution/{identifier}",
            "Status": "Deployed",
            "DomainName": f"d{_random(13).lower()}.cloudfront.net",
            "CallerReference": configuration["CallerReference"],
        }
        self._records(account)[identifier] = record
        self._keep(record, configuration)
        return identifier

    # --- operations ---

    def get_distribution(self, state: Account, request: dict[str, Any]) -> dict[str, Any]:
        return _shown(self._named(state, request["Id"]))

    def get_distribution_config(self, state: Account, request: dict[str, Any]) -> dict[str, Any]:
        record = self._named(state, request["Id"])
        return {"DistributionConfig": read(record["config_xml"]), "ETag": record["ETag"]}

    def update_distribution(self, state: Account, request: dict[str, Any]) -> dict[str, Any]:
        record = self._named(state, request["Id"])
        if not request.get("IfMatch"):
            raise ServiceError(
                "InvalidIfMatchVersion", "The If-Match version is missing or not valid for the resource."
            )
        if request["IfMatch"] != record["ETag"]:
            sentence = "The precondition given in one or more of the request-header fields evaluated to false."
            raise ServiceError("PreconditionFailed", sentence, 412)
        configuration = request["DistributionConfig"]
        if configuration["CallerReference"] != record["CallerReference"]:
            raise ServiceError("IllegalUpdate", "The caller reference cannot be changed.")
        self._require_viewer_certificate(state, configuration)
        self._keep(record, configuration)
        record["Status"] = "InProgress"
        state.until[record["Id"]] = self.now() + self._deploying
        return _shown(record)

    # --- rules ---

    def _named(self, state: Account, identifier: str) -> Record:
        record = self._records(state.account).get(identifier)
        if record is None:
            raise ServiceError("NoSuchDistribution", "The specified distribution does not exist.", 404)
        return record

    def _require_viewer_certificate(self, state: Account, configuration: dict[str, Any]) -> None:
        viewer = configuration.get("ViewerCertificate", {})
        aliases = configuration.get("Aliases", {}).get("Items", [])
        arn, identifier = viewer.get("ACMCertificateArn"), viewer.get("IAMCertificateId")
        if sum(bool(each) for each in (arn, identifier, viewer.get("CloudFrontDefaultCertificate"))) > 1:
            raise ServiceError("InvalidArgument", "Specify one certificate, from ACM, from IAM, or the default one.")
        if not arn and not identifier:
            if aliases:
                raise ServiceError("InvalidViewerCertificate", _UNCOVERED)
            return
        if not viewer.get("SSLSupportMethod") or not viewer.get("MinimumProtocolVersion"):
            raise ServiceError("InvalidArgument", "SSLSupportMethod and MinimumProtocolVersion are required.")
        if identifier and identifier not in self._iam(state.account):
            raise ServiceError("InvalidViewerCertificate", _UNKNOWN)
        if arn:
            self._require_attachable(state, arn, aliases)

    def _require_attachable(self, state: Account, arn: str, aliases: list[str]) -> None:
        parts = arn.split(":", 5)
        ours = len(parts) == 6 and parts[2:5] == ["acm", "us-east-1", state.account]
        certificate = self._described(arn) if ours else None
        if certificate is None or not usable(certificate):
            raise ServiceError("InvalidViewerCertificate", _UNKNOWN)
        if certificate.get("KeyAlgorithm") not in CLOUDFRONT_KEYS:
            raise ServiceError("InvalidViewerCertificate", "The key of the certificate is of a type not supported.")
        if not all(covers(certificate, alias) for alias in aliases):
            raise ServiceError("InvalidViewerCertificate", _UNCOVERED)

    # --- records and time ---

    def _keep(self, record: Record, configuration: dict[str, Any]) -> None:
        record["config_xml"] = written(configuration)
        record["enabled"] = configuration["Enabled"]
        record["ETag"] = f"E{_random(13)}"
        record["LastModifiedTime"] = self.now().strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def _settle(self, state: Account) -> None:
        records = self._records(state.account)
        for identifier in [each for each, until in state.until.items() if until <= self.now()]:
            del state.until[identifier]
            if record := records.get(identifier):
                record["Status"] = "Deployed"


@cache
def _model() -> Any:
    return get_session().get_service_model("cloudfront")


def read(xml: str) -> dict[str, Any]:
    """A DistributionConfig from the XML in which ministack keeps it."""
    shape = _model().operation_model("GetDistributionConfig").output_shape
    answer = {"status_code": 200, "headers": {}, "body": xml.encode()}
    found: dict[str, Any] = create_parser("rest-xml").parse(answer, shape)["DistributionConfig"]
    return found


def written(configuration: dict[str, Any]) -> str:
    """The XML of a DistributionConfig, as a client sends it."""
    request = {"Id": "E", "DistributionConfig": configuration}
    serializer = create_serializer("rest-xml", include_validation=False)
    body: bytes = serializer.serialize_to_request(request, _model().operation_model("UpdateDistribution"))["body"]
    return body.decode()


def _shown(record: Record) -> dict[str, Any]:
    told = {name: record[name] for name in ("Id", "ARN", "Status", "DomainName")}
    more = {
        "LastModifiedTime": parse_timestamp(record["LastModifiedTime"]),
        "InProgressInvalidationBatches": 0,
        "DistributionConfig": read(record["config_xml"]),
    }
    return {"Distribution": {**told, **more}, "ETag": record["ETag"]}


def _random(length: int) -> str:
    return "".join(secrets.choice(_CHARACTERS) for _ in range(length))
