"""What the operations of the fake ACM stand on: finding, settling, issuing; and the fake's admin paths."""

import functools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from local_cloud.fakes import acm_requests, acm_seed, ministack_state
from local_cloud.fakes.acm_certificate import Certificate, Renewal
from local_cloud.fakes.acm_issuing import PublicAuthority
from local_cloud.fakes.acm_pca import AcmPca
from local_cloud.fakes.acm_requests import PrivateIssuer
from local_cloud.fakes.acm_state import AcmState, Quotas
from local_cloud.fakes.references import References, references
from local_cloud.fakes.service import FakeService, ServiceError


class AcmCore(FakeService[AcmState]):
    """ACM without its operations."""

    def __init__(
        self,
        *,
        resolve: Callable[[str], str | None] = ministack_state.cname,
        users: References = references,
        pca: AcmPca | None = None,
        record_delay: float = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.record_delay = timedelta(seconds=record_delay)
        self._clock = self.now
        self.quotas = Quotas()
        self._pca = pca
        self._resolve = resolve
        self._users = users
        self._authority = PublicAuthority()

    def new_state(self, account: str, region: str) -> AcmState:
        """An account without certificates."""
        return AcmState(account, region, self.quotas)

    def reset(self) -> None:
        """Forgets all certificates, quotas that were set, and how far the clock was put forward."""
        super().reset()
        self.now = self._clock
        self.quotas = Quotas()

    def settle(self, state: AcmState) -> None:
        """Issues the pending requests whose validation records have appeared."""
        for arn in list(state.pending):
            item = state.certificates[arn]
            if item.status(self.now()) != "PENDING_VALIDATION":
                state.pending.discard(arn)
            elif item.validations and acm_requests.proven(item, self._resolve):
                self.issue(state, item)

    def issue(self, state: AcmState, item: Certificate) -> None:
        """Issues what a request or a renewal asks for. Raises the ServiceError of a private CA."""
        state.pending.discard(item.arn)
        if item.kind == "AMAZON_ISSUED":
            acm_requests.issue_public(item, self._authority, self.now())
        else:
            acm_requests.issue_private(item, self._private(state), self.now())

    def issue_private(self, state: AcmState, item: Certificate) -> None:
        """What the private CA refuses makes the request FAILED; ACM's answer to the caller is the ARN all the same."""
        try:
            self.issue(state, item)
        except ServiceError as error:
            item.stored_status, item.failure_reason = "FAILED", acm_requests.failure_reason(error)

    def reissue(self, state: AcmState, item: Certificate) -> None:
        """Runs a renewal and notes its outcome."""
        item.requested_names = item.requested_names or tuple(item.names)
        item.requested_key = item.key_algorithm
        try:
            self._require_renewal_permission(state, item)
            self.issue(state, item)
            item.renewal = Renewal("SUCCESS", self.now())
        except ServiceError as error:
            item.renewal = Renewal("FAILED", self.now(), acm_requests.failure_reason(error))

    def _require_renewal_permission(self, state: AcmState, item: Certificate) -> None:
        """ACM renews a private certificate only if the CA's owner let it (acm-pca CreatePermission)."""
        arn = item.authority_arn
        if arn and not self._private_authority().lets_acm_renew(state.account, state.region, arn):
            raise ServiceError("AccessDeniedException", f"ACM has no permission to issue from {arn}.")

    def _private_authority(self) -> AcmPca:
        if self._pca is None:
            raise ServiceError("InternalFailure", "The fake of ACM PCA is not part of this process.", 500)
        return self._pca

    def _private(self, state: AcmState) -> PrivateIssuer:
        return functools.partial(self._private_authority().issue_for_acm, state.account, state.region)

    def find(self, state: AcmState, arn: str) -> Certificate:
        """The certificate of an ARN. Raises InvalidArnException and ResourceNotFoundException."""
        if not arn.split(":", 5)[-1].startswith("certificate/"):
            raise ServiceError("InvalidArnException", f"{arn} is no certificate ARN")
        self.settle(state)
        if arn not in state.certificates:
            raise ServiceError("ResourceNotFoundException", f"Could not find certificate {arn}.")
        return state.certificates[arn]

    def issued(self, state: AcmState, arn: str) -> Certificate:
        """The certificate of an ARN, once it is issued. Raises RequestInProgressException before."""
        item = self.find(state, arn)
        if item.status(self.now()) == "PENDING_VALIDATION":
            raise ServiceError("RequestInProgressException", f"Certificate request is in progress for {arn}.")
        if item.der is None:
            raise ServiceError("ResourceNotFoundException", f"Certificate {arn} has not been issued.")
        return item

    def users_of(self, state: AcmState, item: Certificate) -> list[str]:
        """The ARNs of the resources that use the certificate."""
        attached = self._users.users(state.account, state.region, item.arn)
        return sorted({*item.seeded_users, *attached})

    def require_unused(self, state: AcmState, item: Certificate) -> None:
        """Raises ResourceInUseException if something uses the certificate."""
        if users := self.users_of(state, item):
            raise ServiceError("ResourceInUseException", f"Certificate {item.arn} is in use by {', '.join(users)}.")

    def certificate(self, arn: str) -> Certificate | None:
        """The certificate of an ARN in whatever account and region it names; for services that attach it."""
        parts = arn.split(":")
        if len(parts) < 6:
            return None
        state = self.state(parts[4], parts[3])
        self.settle(state)
        return state.certificates.get(arn)

    def admin_seed(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        """Plants certificates (see `acm_seed`); answers their ARNs."""
        account, region = self.where()
        planted = []
        for entry in entries:
            state = self.state(entry.get("account", account), entry.get("region", region))
            item = acm_seed.planted(state, entry, self.now())
            state.add(item)
            planted.append(item.arn)
        return {"arns": planted}

    def _named(self, content: dict[str, Any]) -> tuple[AcmState, Certificate]:
        """The certificate that an admin request names by `arn`, and the state that holds it."""
        parts = content["arn"].split(":")
        state = self.state(parts[4], parts[3])
        return state, self.find(state, content["arn"])

    def admin_validate(self, content: dict[str, Any]) -> dict[str, Any]:
        """{"arn", "failure_reason"?}: ends the validation of a request, with success or with a failure."""
        state, item = self._named(content)
        if reason := content.get("failure_reason"):
            item.stored_status, item.failure_reason = "FAILED", reason
            state.pending.discard(item.arn)
        else:
            for validation in item.validations:
                validation.status = "SUCCESS"
            self.issue(state, item)
        return {"status": item.status(self.now())}

    def admin_renew(self, content: dict[str, Any]) -> dict[str, Any]:
        """{"arn", "status"?, "reason"?}: runs managed renewal, or gives it another outcome than SUCCESS."""
        state, item = self._named(content)
        if content.get("status", "SUCCESS") == "SUCCESS":
            self.reissue(state, item)
        else:
            item.renewal = Renewal(content["status"], self.now(), content.get("reason"))
        return {"renewal_status": item.renewal.status if item.renewal else None}

    def admin_use(self, content: dict[str, Any]) -> dict[str, Any]:
        """{"arn", "in_use_by": [ARN]}: says which resources use a certificate, besides those that the fakes know."""
        state, item = self._named(content)
        item.seeded_users = tuple(content["in_use_by"])
        return {"in_use_by": self.users_of(state, item)}

    def admin_pass_time(self, content: dict[str, float]) -> dict[str, str]:
        """{"seconds"}: puts the clock forward, so that tokens are forgotten and requests time out; answers the time."""
        before, ahead = self.now, timedelta(seconds=content["seconds"])
        self.now = lambda: before() + ahead
        return {"now": self.now().isoformat()}

    def admin_quotas(self, content: dict[str, int]) -> dict[str, int]:
        """{"certificates"?, "imports_per_year"?, "names"?}: sets the quotas of all accounts."""
        vars(self.quotas).update(vars(replace(self.quotas, **content)))
        return vars(self.quotas)
