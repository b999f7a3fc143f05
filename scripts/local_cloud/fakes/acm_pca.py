"""A fake of AWS Private CA on real X.509. Source of the rules: AWS Private CA API Reference and User Guide.

A certificate is signed when it is ordered, and can be fetched `issue_delay` later: until then GetCertificate answers
RequestInProgressException. CRLs and OCSP are configured, and the CRL's address goes into certificates, but neither is
served. What AWS answers to a token that comes back with other parameters is not documented; here it is the first ARN.
Which error says that 30 minutes have not passed since the last audit report is not documented either; here it is
RequestInProgressException. Admin path: `/_fakes/acm-pca/pass-time`.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from local_cloud.fakes import (
    acm_tags,
    ministack_state,
    pca_audit,
    pca_authority,
    pca_installing,
    pca_issuing,
    pca_sharing,
)
from local_cloud.fakes.pca_authority import Authority, Issued
from local_cloud.fakes.pca_templates import DEFAULT
from local_cloud.fakes.service import FakeService, ServiceError

TOKEN_LIFE = timedelta(minutes=5)
QUOTA = 200

ObjectWriter = Callable[[str, str, bytes, str], int]
"""(bucket, key, body, content type) -> HTTP status."""


@dataclass
class AcmPcaState:
    """The private CAs of one account in one region, by ARN."""

    account: str
    region: str
    authorities: dict[str, Authority] = field(default_factory=dict)
    tokens: dict[str, tuple[Any, str]] = field(default_factory=dict)


def _pem(*certificates: x509.Certificate) -> str | None:
    return "".join(item.public_bytes(Encoding.PEM).decode() for item in certificates) or None


class AcmPca(FakeService[AcmPcaState]):
    """AWS Private CA."""

    service = "acm-pca"
    credential_scope = "acm-pca"
    target_prefixes = ("ACMPrivateCA",)
    rates: ClassVar[Mapping[str, float]] = {
        "CreateCertificateAuthority": 1,
        "DeleteCertificateAuthority": 10,
        "DescribeCertificateAuthority": 20,
        "GetCertificate": 75,
        "GetCertificateAuthorityCertificate": 20,
        "IssueCertificate": 25,
        "ListCertificateAuthorities": 20,
        "RevokeCertificate": 20,
    }

    def __init__(
        self,
        *,
        issue_delay: float = 0.2,
        put_object: ObjectWriter = ministack_state.put_object,
        background: pca_audit.Background = pca_audit.in_thread,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.issue_delay = timedelta(seconds=issue_delay)
        self._put_object = put_object
        self._background = background
        self._clock = self.now

    def reset(self) -> None:
        """Forgets the private CAs, and how far the clock was put forward."""
        super().reset()
        self.now = self._clock

    def admin_pass_time(self, content: dict[str, float]) -> dict[str, str]:
        """{"seconds"}: puts the clock forward: tokens are forgotten, reports may be made again; answers the time."""
        before, ahead = self.now, timedelta(seconds=content["seconds"])
        self.now = lambda: before() + ahead
        return {"now": self.now().isoformat()}

    def new_state(self, account: str, region: str) -> AcmPcaState:
        """An account without private CAs."""
        return AcmPcaState(account, region)

    def _authority(self, state: AcmPcaState, arn: str, action: str, template: str | None = None) -> Authority:
        """The CA of an ARN, if the account owns it or a policy of its owner allows the action."""
        parts = arn.split(":", 5)
        if len(parts) < 6 or not parts[5].startswith("certificate-authority/") or parts[5].count("/") != 1:
            raise ServiceError("InvalidArnException", f"{arn} is no certificate authority ARN.")
        owner = self.state(parts[4], state.region)
        found = owner.authorities.get(arn)
        purged = found and found.restorable_until and found.restorable_until < self.now()
        if found is None or purged:
            raise ServiceError("ResourceNotFoundException", f"Could not find the certificate authority {arn}.")
        if owner is not state and not pca_sharing.allows(found.policy, state.account, action, template):
            raise ServiceError("AccessDeniedException", f"{state.account} may not call {action} with {arn}.")
        return found

    # -- certificate authorities -----------------------------------------------------------------------------------

    def create_certificate_authority(self, state: AcmPcaState, request: dict[str, Any]) -> dict[str, Any]:
        """Makes a CA that waits for its certificate."""
        token = request.get("IdempotencyToken", "")
        made, known = state.tokens.get(token, (None, None))
        if token and made and made + TOKEN_LIFE > self.now():
            return {"CertificateAuthorityArn": known}
        if len(state.authorities) >= QUOTA:
            raise ServiceError("LimitExceededException", f"The quota of {QUOTA} certificate authorities is reached.")
        tags = acm_tags.added({}, request.get("Tags", []))
        authority = pca_authority.created(state.account, state.region, request, self.now(), tags)
        state.authorities[authority.arn] = authority
        state.tokens[token] = (self.now(), authority.arn)
        return {"CertificateAuthorityArn": authority.arn}

    def describe_certificate_authority(self, state: AcmPcaState, request: dict[str, Any]) -> dict[str, Any]:
        """The CA's configuration and state."""
        found = self._authority(state, request["CertificateAuthorityArn"], "DescribeCertificateAuthority")
        return {"CertificateAuthority": found.described(self.now())}

    def list_certificate_authorities(self, state: AcmPcaState, request: dict[str, Any]) -> dict[str, Any]:
        """The account's own CAs, or those shared with it."""
        own = request.get("ResourceOwner", "SELF") == "SELF"
        found = list(state.authorities.values()) if own else self._shared(state)
        now = self.now()
        present = [item for item in found if item.restorable_until is None or item.restorable_until >= now]
        page, token = self._listed(present, request)
        return {"CertificateAuthorities": [item.described(now) for item in page], "NextToken": token}

    def _shared(self, state: AcmPcaState) -> list[Authority]:
        others = [item for (_, region), item in self._states.items() if region == state.region and item is not state]
        found = [authority for other in others for authority in other.authorities.values()]
        return [
            item for item in found if pca_sharing.allows(item.policy, state.account, "DescribeCertificateAuthority")
        ]

    def _listed(self, items: list[Any], request: dict[str, Any]) -> tuple[list[Any], str | None]:
        names: dict[str, Any] = {"token": "NextToken", "size": "MaxResults", "error": "InvalidNextTokenException"}
        return self.page(items, request, default=1000, **names)

    def update_certificate_authority(self, state: AcmPcaState, request: dict[str, Any]) -> None:
        """Disables or enables a CA, or changes how it publishes revocations."""
        found = self._authority(state, request["CertificateAuthorityArn"], "UpdateCertificateAuthority")
        found.require(self.now(), "ACTIVE", "DISABLED")
        status = request.get("Status", found.status)
        if status not in ("ACTIVE", "DISABLED"):
            raise ServiceError("InvalidArgsException", f"The status cannot be set to {status}.")
        if "RevocationConfiguration" in request:
            found.revocation = pca_authority.checked_revocation(request["RevocationConfiguration"])
        if status != found.status:
            found.move_to(status, self.now())

    def delete_certificate_authority(self, state: AcmPcaState, request: dict[str, Any]) -> None:
        """Deletes a CA that is not active; it can be restored for 7 to 30 days."""
        found = self._authority(state, request["CertificateAuthorityArn"], "DeleteCertificateAuthority")
        found.require(self.now(), "PENDING_CERTIFICATE", "DISABLED", "EXPIRED", "FAILED")
        found.restored_status = found.status
        found.restorable_until = self.now() + timedelta(days=request.get("PermanentDeletionTimeInDays", 30))
        found.move_to("DELETED", self.now())

    def restore_certificate_authority(self, state: AcmPcaState, request: dict[str, Any]) -> None:
        """Brings a deleted CA back in the state that it had; an active one was disabled before."""
        found = self._authority(state, request["CertificateAuthorityArn"], "RestoreCertificateAuthority")
        found.require(self.now(), "DELETED")
        found.move_to(found.restored_status or "DISABLED", self.now())
        found.restorable_until = None

    def get_certificate_authority_csr(self, state: AcmPcaState, request: dict[str, Any]) -> dict[str, Any]:
        """The CA's signing request."""
        found = self._authority(state, request["CertificateAuthorityArn"], "GetCertificateAuthorityCsr")
        found.require(self.now(), "PENDING_CERTIFICATE", "ACTIVE", "DISABLED", "EXPIRED")
        return {"Csr": found.request()}

    def import_certificate_authority_certificate(self, state: AcmPcaState, request: dict[str, Any]) -> None:
        """Installs the CA's certificate and makes it active."""
        found = self._authority(state, request["CertificateAuthorityArn"], "ImportCertificateAuthorityCertificate")
        found.require(self.now(), "PENDING_CERTIFICATE", "ACTIVE", "DISABLED", "EXPIRED")
        own = pca_installing.read(request["Certificate"], "certificate")
        chain = pca_installing.read(request["CertificateChain"], "chain") if request.get("CertificateChain") else []
        if len(own) != 1:
            raise ServiceError("MalformedCertificateException", "There must be exactly one certificate.")
        pca_installing.check(found, own[0], chain, self.now())
        found.certificate, found.chain = own[0], tuple(chain)
        found.move_to("ACTIVE", self.now())

    def get_certificate_authority_certificate(self, state: AcmPcaState, request: dict[str, Any]) -> dict[str, Any]:
        """The CA's certificate and its chain."""
        found = self._authority(state, request["CertificateAuthorityArn"], "GetCertificateAuthorityCertificate")
        if found.certificate is None:
            raise ServiceError(
                "InvalidStateException", f"The certificate authority {found.arn} has no certificate yet."
            )
        return {"Certificate": _pem(found.certificate), "CertificateChain": _pem(*found.chain)}

    # -- certificates ----------------------------------------------------------------------------------------------

    def issue_certificate(self, state: AcmPcaState, request: dict[str, Any]) -> dict[str, Any]:
        """Issues a certificate; the same token within five minutes issues nothing and answers the first ARN."""
        template = request.get("TemplateArn", DEFAULT)
        found = self._authority(state, request["CertificateAuthorityArn"], "IssueCertificate", template)
        token = request.get("IdempotencyToken", "")
        made, known = found.tokens.get(token, (None, ""))
        if token and made and made + TOKEN_LIFE > self.now():
            return {"CertificateArn": known}
        issued = self._issue(found, request)
        found.tokens[token] = (self.now(), issued.arn)
        return {"CertificateArn": issued.arn}

    def _issue(self, found: Authority, request: dict[str, Any], requested_by: str | None = None) -> Issued:
        now = self.now()
        wanted = pca_issuing.order(request, now)
        pca_issuing.check(found, wanted, now)
        certificate = pca_issuing.issue(found, wanted)
        number = certificate.serial_number
        chain = () if wanted.template.base == "RootCA" else found.full_chain
        ready = now + self.issue_delay
        arn = f"{found.arn}/certificate/{number:032x}"
        issued = Issued(arn, certificate, chain, wanted.template.arn, now, ready, requested_by)
        found.issued[number] = issued
        return issued

    def issue_for_acm(
        self, account: str, region: str, authority_arn: str, csr: bytes, days: int
    ) -> tuple[x509.Certificate, list[x509.Certificate]]:
        """What ACM does for RequestCertificate with a private CA: (certificate, chain). Raises ServiceError."""
        found = self._authority(self.state(account, region), authority_arn, "IssueCertificate", DEFAULT)
        if found.usage_mode == "SHORT_LIVED_CERTIFICATE":
            raise ServiceError("InvalidArgsException", "ACM does not issue from a CA for short-lived certificates.")
        request = {
            "Csr": csr,
            "SigningAlgorithm": found.configuration["SigningAlgorithm"],
            "Validity": {"Type": "DAYS", "Value": days},
        }
        issued = self._issue(found, request, pca_sharing.SERVICE_PRINCIPAL)
        return issued.certificate, list(issued.chain)

    def lets_acm_renew(self, account: str, region: str, authority_arn: str) -> bool:
        """Whether the CA's owner granted ACM what renewals need (CreatePermission)."""
        found = self._authority(self.state(account, region), authority_arn, "IssueCertificate", DEFAULT)
        granted = found.permissions.get((pca_sharing.SERVICE_PRINCIPAL, account), {"Actions": []})
        return "IssueCertificate" in granted["Actions"]

    def get_certificate(self, state: AcmPcaState, request: dict[str, Any]) -> dict[str, Any]:
        """A certificate and its chain, once it is ready."""
        found = self._authority(state, request["CertificateAuthorityArn"], "GetCertificate")
        serial = request["CertificateArn"].removeprefix(f"{found.arn}/certificate/")
        issued = found.issued.get(_number(serial) or -1)
        if issued is None:
            raise ServiceError("ResourceNotFoundException", f"Could not find {request['CertificateArn']}.")
        if self.now() < issued.ready_at:
            raise ServiceError("RequestInProgressException", "The certificate is being issued.")
        return {"Certificate": _pem(issued.certificate), "CertificateChain": _pem(*issued.chain)}

    def revoke_certificate(self, state: AcmPcaState, request: dict[str, Any]) -> None:
        """Revokes a certificate by serial number, once, and not a root CA's own."""
        found = self._authority(state, request["CertificateAuthorityArn"], "RevokeCertificate")
        found.require(self.now(), "ACTIVE", "DISABLED", "EXPIRED")
        number = _number(request["CertificateSerial"])
        if number is None:
            raise ServiceError("InvalidRequestException", "The serial number must be hexadecimal.")
        issued = found.issued.get(number)
        if issued is None:
            raise ServiceError("ResourceNotFoundException", "The certificate authority issued no such certificate.")
        if issued.certificate.issuer == issued.certificate.subject:
            raise ServiceError("InvalidRequestException", "A root CA's self-signed certificate cannot be revoked.")
        if issued.revoked_at:
            raise ServiceError("RequestAlreadyProcessedException", "The certificate is revoked already.")
        issued.revoked_at, issued.revocation_reason = self.now(), request["RevocationReason"]

    def create_certificate_authority_audit_report(self, state: AcmPcaState, request: dict[str, Any]) -> dict[str, Any]:
        """Has the list of what the CA issued written to S3; once in 30 minutes."""
        found = self._authority(state, request["CertificateAuthorityArn"], "CreateCertificateAuthorityAuditReport")
        found.require(self.now(), "ACTIVE", "DISABLED", "EXPIRED")
        if any(item["CreatedAt"] + pca_audit.INTERVAL > self.now() for item in found.reports.values()):
            raise ServiceError("RequestInProgressException", "One audit report can be made in 30 minutes.")
        name, kind, bucket = str(uuid.uuid4()), request["AuditReportResponseFormat"], request["S3BucketName"]
        key = f"audit-report/{found.arn.rpartition('/')[2]}/{name}.{kind.lower()}"
        made = {"AuditReportStatus": "CREATING", "S3BucketName": bucket, "S3Key": key, "CreatedAt": self.now()}
        found.reports[name] = made
        content = pca_audit.report(found, kind)
        self._background(lambda: self._write_report(made, content))
        return {"AuditReportId": name, "S3Key": key}

    def _write_report(self, made: dict[str, Any], content: bytes) -> None:
        content_type = "application/json" if made["S3Key"].endswith("json") else "text/csv"
        status = self._put_object(made["S3BucketName"], made["S3Key"], content, content_type)
        made["AuditReportStatus"] = "SUCCESS" if status < 300 else "FAILED"

    def describe_certificate_authority_audit_report(
        self, state: AcmPcaState, request: dict[str, Any]
    ) -> dict[str, Any]:
        """Where a report is."""
        found = self._authority(state, request["CertificateAuthorityArn"], "DescribeCertificateAuthorityAuditReport")
        if request["AuditReportId"] not in found.reports:
            raise ServiceError("ResourceNotFoundException", f"Could not find the report {request['AuditReportId']}.")
        return found.reports[request["AuditReportId"]]

    # -- policies, permissions, tags -------------------------------------------------------------------------------

    def put_policy(self, state: AcmPcaState, request: dict[str, Any]) -> None:
        """Shares a CA with other accounts."""
        found = self._authority(state, request["ResourceArn"], "PutPolicy")
        found.policy = pca_sharing.checked(request["Policy"])

    def get_policy(self, state: AcmPcaState, request: dict[str, Any]) -> dict[str, Any]:
        """The policy of a CA."""
        found = self._authority(state, request["ResourceArn"], "GetPolicy")
        if found.policy is None:
            raise ServiceError("ResourceNotFoundException", f"{found.arn} has no policy.")
        return {"Policy": found.policy}

    def delete_policy(self, state: AcmPcaState, request: dict[str, Any]) -> None:
        """Ends the sharing of a CA."""
        self._authority(state, request["ResourceArn"], "DeletePolicy").policy = None

    def create_permission(self, state: AcmPcaState, request: dict[str, Any]) -> None:
        """Lets ACM renew certificates of the CA."""
        found = self._authority(state, request["CertificateAuthorityArn"], "CreatePermission")
        granted = pca_sharing.permission(request, found.account, self.now())
        key = (granted["Principal"], granted["SourceAccount"])
        if key in found.permissions:
            raise ServiceError("PermissionAlreadyExistsException", f"{key[0]} has a permission already.")
        found.permissions[key] = granted

    def list_permissions(self, state: AcmPcaState, request: dict[str, Any]) -> dict[str, Any]:
        """What was granted to services."""
        found = self._authority(state, request["CertificateAuthorityArn"], "ListPermissions")
        page, token = self._listed(list(found.permissions.values()), request)
        return {"Permissions": page, "NextToken": token}

    def delete_permission(self, state: AcmPcaState, request: dict[str, Any]) -> None:
        """Takes a permission back."""
        found = self._authority(state, request["CertificateAuthorityArn"], "DeletePermission")
        key = (request["Principal"], request.get("SourceAccount", found.account))
        if found.permissions.pop(key, None) is None:
            raise ServiceError("ResourceNotFoundException", f"{request['Principal']} has no permission.")

    def tag_certificate_authority(self, state: AcmPcaState, request: dict[str, Any]) -> None:
        """Adds tags, up to 50."""
        found = self._authority(state, request["CertificateAuthorityArn"], "TagCertificateAuthority")
        found.tags = acm_tags.added(found.tags, request["Tags"])

    def untag_certificate_authority(self, state: AcmPcaState, request: dict[str, Any]) -> None:
        """Removes tags, those given with a value only if it is theirs."""
        found = self._authority(state, request["CertificateAuthorityArn"], "UntagCertificateAuthority")
        found.tags = acm_tags.without(found.tags, request["Tags"])

    def list_tags(self, state: AcmPcaState, request: dict[str, Any]) -> dict[str, Any]:
        """The tags of a CA."""
        found = self._authority(state, request["CertificateAuthorityArn"], "ListTags")
        page, token = self._listed(acm_tags.shown(found.tags), request)
        return {"Tags": page, "NextToken": token}


def _number(serial: str) -> int | None:
    """A serial number in hexadecimal, with or without colons; None if it is none."""
    try:
        return int(serial.replace(":", ""), 16)
    except ValueError:
        return None
