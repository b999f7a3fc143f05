"""A fake of AWS Certificate Manager. Source of the rules: ACM API Reference and User Guide, operation by operation.

Public requests are issued by a CA of this process as soon as their validation record is in ministack's Route 53;
private ones by the fake of ACM PCA. ACM's ACME endpoints are not part of it: certificates of that origin are planted
(`acm_seed`). Admin paths: `/_fakes/acm/seed`, `/validate`, `/renew`, `/use`, `/quotas`, `/pass-time` (`acm_core`).
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from local_cloud.fakes import acm_certificate, acm_import, acm_requests, acm_search, acm_tags, pages
from local_cloud.fakes.acm_certificate import Certificate
from local_cloud.fakes.acm_core import AcmCore
from local_cloud.fakes.acm_import import refused
from local_cloud.fakes.acm_search import Moment
from local_cloud.fakes.acm_state import AcmState
from local_cloud.fakes.service import ServiceError

_MARKS_REFUSED_IN_PASSPHRASES = b"#$%"


class Acm(AcmCore):
    """AWS Certificate Manager."""

    service = "acm"
    credential_scope = "acm"
    target_prefixes = ("CertificateManager",)
    rates: ClassVar[Mapping[str, float]] = {
        "ImportCertificate": 1,
        "PutAccountConfiguration": 1,
        "SearchCertificates": 5,
        "RequestCertificate": 5,
        "ListCertificates": 8,
        "DescribeCertificate": 10,
        "GetCertificate": 10,
        "ListTagsForCertificate": 10,
        "ExportCertificate": 10,
    }

    # -- import, request, delete -----------------------------------------------------------------------------------

    def import_certificate(self, state: AcmState, request: dict[str, Any]) -> dict[str, Any]:
        """Imports new material, or puts it in the place of what an ARN holds."""
        if "CertificateArn" in request:
            return self._reimport(state, request)
        material = acm_import.check(request, self.now())
        tags = acm_tags.added({}, request.get("Tags", []))
        state.require_room()
        state.count_import(self.now())
        item = Certificate(
            acm_requests.new_arn(state), "IMPORTED", "ISSUED", self.now(), "CUSTOMER_PROVIDED", tags=tags
        )
        state.add(self._filled(item, material))
        return {"CertificateArn": item.arn}

    def _reimport(self, state: AcmState, request: dict[str, Any]) -> dict[str, Any]:
        item = self.find(state, request["CertificateArn"])
        if "Tags" in request:
            raise refused("Tagging is not permitted on re-import.")
        if item.kind != "IMPORTED" or item.origin == "ACME" or item.facts is None:
            raise refused(f"Certificate {item.arn} was not imported.")
        material = acm_import.check(request, self.now())
        acm_import.check_replacement(item.facts, material.facts)
        self._filled(item, material)
        return {"CertificateArn": item.arn}

    def _filled(self, item: Certificate, material: acm_import.Material) -> Certificate:
        item.facts, item.der, item.chain = material.facts, material.der, material.chain
        item.private_key, item.imported_at = material.private_key, self.now()
        item.requested_names, item.stored_status = (), "ISSUED"
        return item

    def request_certificate(self, state: AcmState, request: dict[str, Any]) -> dict[str, Any]:
        """Requests a public certificate, or a private one, which is issued at once."""
        if arn := acm_requests.repeated(state, request, self.now()):
            return {"CertificateArn": arn}
        item = acm_requests.make(state, request, self.now())
        if item.kind != "PRIVATE":
            state.require_room()
        state.add(item)
        acm_requests.remember(state, request, item.arn, self.now())
        if item.kind == "PRIVATE":
            self.issue_private(state, item)
        return {"CertificateArn": item.arn}

    def delete_certificate(self, state: AcmState, request: dict[str, Any]) -> None:
        """Deletes a certificate that nothing uses; one of ACME origin cannot be deleted."""
        item = self.find(state, request["CertificateArn"])
        if item.origin == "ACME":
            raise refused("A certificate with the key pair origin ACME cannot be deleted.")
        self.require_unused(state, item)
        state.remove(item)

    # -- reading ---------------------------------------------------------------------------------------------------

    def describe_certificate(self, state: AcmState, request: dict[str, Any]) -> dict[str, Any]:
        """Everything about one certificate."""
        item = self.find(state, request["CertificateArn"])
        shown = acm_certificate.detail(item, self.now(), self.users_of(state, item))
        if self.now() < item.created_at + self.record_delay:  # User Guide, "DNS validation": they take some seconds
            for option in shown["DomainValidationOptions"] or ():
                option.pop("ResourceRecord", None)
        return {"Certificate": shown}

    def get_certificate(self, state: AcmState, request: dict[str, Any]) -> dict[str, Any]:
        """The PEM of a certificate and its chain."""
        item = self.issued(state, request["CertificateArn"])
        return {"Certificate": item.body_pem, "CertificateChain": item.chain_pem}

    def _moment(self, state: AcmState) -> Moment:
        users = self._users.view(state.account, state.region)
        return Moment(self.now(), lambda item: bool(item.seeded_users) or bool(users(item.arn)))

    def list_certificates(self, state: AcmState, request: dict[str, Any]) -> dict[str, Any]:
        """Summaries; without filters no EC, no RSA_3072/4096, nothing of ACME origin."""
        if ("SortBy" in request) != ("SortOrder" in request):
            raise refused("SortBy and SortOrder must be given together.")
        moment = self._moment(state)
        accepted = acm_search.listed(request, moment)
        found, token = self._page(state, request, accepted, moment, size=request.get("MaxItems", 100))
        shown = [acm_certificate.summary(item, moment.now, moment.in_use(item)) for item in found]
        return {"CertificateSummaryList": shown, "NextToken": token}

    def search_certificates(self, state: AcmState, request: dict[str, Any]) -> dict[str, Any]:
        """X.509 attributes and metadata of the certificates that a filter statement selects."""
        moment = self._moment(state)
        accepted = acm_search.searched(request.get("FilterStatement"), moment)
        found, token = self._page(state, request, accepted, moment, size=request.get("MaxResults", 100))
        shown = [acm_certificate.search_result(item, moment.now, moment.in_use(item)) for item in found]
        return {"Results": shown, "NextToken": token}

    def _page(
        self, state: AcmState, request: dict[str, Any], accepted: acm_search.Predicate, moment: Moment, *, size: int
    ) -> tuple[Iterable[Certificate], str | None]:
        self.settle(state)
        query = {key: value for key, value in request.items() if key not in ("NextToken", "MaxItems", "MaxResults")}

        def find() -> list[Certificate]:
            matching = [item for item in state.certificates.values() if accepted(item)]
            return acm_search.ordered(matching, request.get("SortBy"), request.get("SortOrder"), moment)

        try:
            found, token = state.listings.page(find, request.get("NextToken"), size, query)
        except pages.BadToken as error:
            raise refused("The NextToken is not valid.") from error
        return [item for item in found if item.arn in state.certificates], token

    # -- life of an issued certificate -----------------------------------------------------------------------------

    def export_certificate(self, state: AcmState, request: dict[str, Any]) -> dict[str, Any]:
        """Certificate, chain and encrypted key of a private or an exportable public certificate."""
        item = self.issued(state, request["CertificateArn"])
        if item.export_option != "ENABLED" or item.origin == "ACME" or item.private_key is None:
            raise refused(f"Certificate {item.arn} is not exportable.")
        passphrase = request["Passphrase"]
        if not passphrase.isascii() or any(mark in passphrase for mark in _MARKS_REFUSED_IN_PASSPHRASES):
            raise refused("A passphrase has ASCII characters only, and none of #, $ and %.")
        item.exported = True
        key = load_pem_private_key(item.private_key, None)
        encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))
        return {
            "Certificate": item.body_pem,
            "CertificateChain": item.chain_pem,
            "PrivateKey": encrypted.decode(),
        }

    def renew_certificate(self, state: AcmState, request: dict[str, Any]) -> None:
        """Renews an exported private certificate, the only kind that can be renewed by request."""
        item = self.issued(state, request["CertificateArn"])
        if item.kind != "PRIVATE" or not item.exported or item.origin == "ACME":
            raise refused(f"Certificate {item.arn} is not eligible for renewal: only exported private ones are.")
        self.reissue(state, item)

    def revoke_certificate(self, state: AcmState, request: dict[str, Any]) -> dict[str, Any]:
        """Revokes a public certificate that was exported before and that nothing uses."""
        item = self.issued(state, request["CertificateArn"])
        if item.kind != "AMAZON_ISSUED" or not item.exported or item.origin == "ACME":
            raise refused(f"Certificate {item.arn} cannot be revoked: only exported public certificates can.")
        if item.stored_status == "REVOKED":
            raise ServiceError("ConflictException", f"Certificate {item.arn} is revoked already.")
        self.require_unused(state, item)
        item.stored_status, item.revoked_at = "REVOKED", self.now()
        item.revocation_reason = request["RevocationReason"]
        return {"CertificateArn": item.arn}

    def update_certificate_options(self, state: AcmState, request: dict[str, Any]) -> None:
        """Changes the export option of a certificate that ACM issued."""
        item = self.find(state, request["CertificateArn"])
        options = request["Options"]
        if item.kind != "AMAZON_ISSUED" or item.origin == "ACME":
            raise ServiceError("InvalidStateException", f"Certificate {item.arn} has no options to update.")
        if "ValidationMethod" in options:
            raise ServiceError(
                "NotImplementedException", "Changing the validation method is not part of the fake.", 501
            )
        if options.get("CertificateTransparencyLoggingPreference") == "DISABLED":
            raise refused("Opting out of certificate transparency logging is no longer available.")
        if options.get("Export") == "DISABLED" and item.exported:
            raise ServiceError("ConflictException", f"Certificate {item.arn} was exported already.")
        item.export_option = options.get("Export", item.export_option)

    def resend_validation_email(self, state: AcmState, request: dict[str, Any]) -> None:
        """Sends nothing; refuses what is not waiting for an e-mail."""
        item = self.find(state, request["CertificateArn"])
        if item.validation_method != "EMAIL" or item.status(self.now()) != "PENDING_VALIDATION":
            raise ServiceError("InvalidStateException", f"Certificate {item.arn} does not wait for e-mail validation.")
        if request["Domain"] not in item.names:
            raise ServiceError("InvalidDomainValidationOptionsException", f"{request['Domain']} is not in the request.")

    # -- account and tags ------------------------------------------------------------------------------------------

    def get_account_configuration(self, state: AcmState, _: dict[str, Any]) -> dict[str, Any]:
        """From how many days before the end ACM sends events."""
        return {"ExpiryEvents": {"DaysBeforeExpiry": state.days_before_expiry}}

    def put_account_configuration(self, state: AcmState, request: dict[str, Any]) -> None:
        """Sets from how many days before the end ACM sends events."""
        events = request.get("ExpiryEvents", {})
        state.days_before_expiry = events.get("DaysBeforeExpiry", state.days_before_expiry)

    def list_tags_for_certificate(self, state: AcmState, request: dict[str, Any]) -> dict[str, Any]:
        """The tags of a certificate."""
        return {"Tags": acm_tags.shown(self.find(state, request["CertificateArn"]).tags)}

    def add_tags_to_certificate(self, state: AcmState, request: dict[str, Any]) -> None:
        """Adds tags, up to 50."""
        item = self.find(state, request["CertificateArn"])
        item.tags = acm_tags.added(item.tags, request["Tags"])

    def remove_tags_from_certificate(self, state: AcmState, request: dict[str, Any]) -> None:
        """Removes tags, those given with a value only if it is theirs."""
        item = self.find(state, request["CertificateArn"])
        item.tags = acm_tags.without(item.tags, request["Tags"])

    def list_tags_for_resource(self, state: AcmState, request: dict[str, Any]) -> dict[str, Any]:
        """The tags of a certificate."""
        return {"Tags": acm_tags.shown(self.find(state, request["ResourceArn"]).tags)}

    def tag_resource(self, state: AcmState, request: dict[str, Any]) -> None:
        """Adds tags, up to 50."""
        item = self.find(state, request["ResourceArn"])
        item.tags = acm_tags.added(item.tags, request["Tags"], too_many="ServiceQuotaExceededException")

    def untag_resource(self, state: AcmState, request: dict[str, Any]) -> None:
        """Removes tags by key."""
        item = self.find(state, request["ResourceArn"])
        item.tags = {key: value for key, value in item.tags.items() if key not in request["TagKeys"]}
