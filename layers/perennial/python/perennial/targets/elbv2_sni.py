"""The SNI certificate that a managed certificate has on a TLS listener's list, among those of others.

Which one it is tells its tag in ACM (`perennial:managed`); before the first rollout it may be one of somebody else that
the target says it `replaces`. There may be several, left by a rollout that nobody ended: all of them are found, and the
newest stands for them. What is not found so is somebody else's: it may come and go, and is never touched.

The new one is added, read back, and only then the old ones are removed; the way back is the same in reverse. While both
are listed the load balancer may serve either, each with its own key and chain, so nobody is ever without one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perennial.errors import ChangedMeanwhile, NotFound
from perennial.issuers.aws_replies import answered
from perennial.targets import acm_copy, attached_certificate, elbv2_listener
from perennial.targets.attached_certificate import PAUSE, asked, attach, client, fingerprint
from perennial.targets.interface import Bundle, Found, Keep, Later, Reach

if TYPE_CHECKING:
    from perennial.certificate import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class SniCertificate:
    """The SNI certificate of `managed` on the listener `arn`; see the module's docstring. `quota` is how many
    certificates its load balancer may have besides the default ones."""

    arn: str
    managed: str
    replaces: str
    quota: int
    reach: Reach

    @property
    def shares(self) -> str:
        return acm_copy.shares(self.reach.account, self.reach.region)

    def look(self) -> Found:
        listener = elbv2_listener.read(self._elbv2, self.arn)
        ours = self._ours(self._listed()) if listener.is_tls else []
        there = {each: attached_certificate.held(self.reach, each) for each in ours}
        state = {each: (held.fingerprint or "") if held else "" for each, held in there.items()}
        newest = max(there, key=lambda each: _begins(there[each]), default="")
        return elbv2_listener.found(self._elbv2, listener, {"listed": state}, state.get(newest, ""))

    def refusals(self, found: Found, new: Bundle, earlier: Bundle | None) -> list[str]:
        was = json.loads(found.state)
        wrong = elbv2_listener.refusals(self.reach, self.arn, was, new)
        for arn, serves in was["listed"].items():
            wrong += attached_certificate.irreversible(arn, serves)
        return wrong + (self._no_room(new) if not wrong else [])

    def activate(self, found: Found, new: Bundle, placed: str, keep: Keep) -> Later | None:
        was = json.loads(found.state)["listed"]
        arn = acm_copy.ensure(self._acm, new, placed, keep)
        if arn == new.arn:
            self._tag(arn, new)
        now = self._listed()
        copies = {arn, *self._copies(was, now, new)}  # of two calls at once each may have imported one
        self._require_as_found(was, now, copies)
        if not copies & set(now) and (later := self._added(arn)):
            return later
        return self._removed(each for each in was if each not in copies)

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Later | None:
        was = json.loads(found.state)["listed"]
        now = self._listed()
        copies = self._copies(was, now, new)
        missing = [each for each in was if each not in now]
        if missing and not copies:
            raise self._changed(f"neither {', '.join(missing)} nor {new.reference} is on its list")
        for each in missing:
            if later := self._added(each, fresh=False):
                return later
        return self._removed(copies)

    def _copies(self, was: Iterable[str], now: Iterable[str], new: Bundle) -> list[str]:
        """Our copies of the new version that are on the list and were not found there."""
        added = [each for each in now if each not in was and self._is_ours(each)]
        return [each for each in added if fingerprint(self.reach, each) == new.fingerprint]

    def _require_as_found(self, was: Mapping[str, str], now: Iterable[str], copies: Collection[str]) -> None:
        """Raises: ChangedMeanwhile."""
        there = list(now)
        if not set(copies) & set(there) and (missing := [each for each in was if each not in there]):
            raise self._changed(f"{', '.join(missing)} is not on its list any more")
        strangers = [each for each in there if each not in copies and each not in was]
        if more := [each for each in strangers if self._is_ours(each)]:
            raise self._changed(f"{', '.join(more)} of {self.managed} was added to its list")
        kept = [each for each in was if each in there and each not in copies]
        if other := [each for each in kept if fingerprint(self.reach, each) != was[each]]:
            raise self._changed(f"{', '.join(other)} has another certificate than was found")

    def _added(self, arn: str, *, fresh: bool = True) -> Later | None:
        """On the list. `fresh`: the certificate is there, though the load balancer may not see it yet."""
        doing = f"elasticloadbalancing:AddListenerCertificates of {arn} to {self.arn}"
        request = {"ListenerArn": self.arn, "Certificates": [{"CertificateArn": arn}]}
        if fresh:
            if later := attach(doing, lambda: self._elbv2.add_listener_certificates(**request)):
                return later
        else:
            with asked(doing):
                self._elbv2.add_listener_certificates(**request)
        return None if arn in self._listed() else Later(PAUSE, f"{self.arn} to list {arn}")

    def _removed(self, arns: Iterable[str]) -> Later | None:
        """Off the list."""
        now = self._listed()
        going = [each for each in arns if each in now]
        for arn in going:
            with asked(f"elasticloadbalancing:RemoveListenerCertificates of {arn} from {self.arn}"):
                self._elbv2.remove_listener_certificates(ListenerArn=self.arn, Certificates=[{"CertificateArn": arn}])
        left = set(going) & set(self._listed()) if going else ()
        return Later(PAUSE, f"{self.arn} to list {', '.join(sorted(left))} no more") if left else None

    def _no_room(self, new: Bundle) -> list[str]:
        """Why there is no room for both, while both are listed."""
        balancer = elbv2_listener.read(self._elbv2, self.arn).balancer
        count = elbv2_listener.listed_everywhere(self._elbv2, balancer)
        if count < self.quota or acm_copy.known(self._acm, new, "") in self._listed():
            return []
        return [
            f"{balancer} has {count} certificates besides the default ones and may have {self.quota}; for a moment one "
            "more is needed: take one off that nothing needs, or have the quota raised and set the target's quota"
        ]

    def _listed(self) -> list[str]:
        return elbv2_listener.listed(self._elbv2, self.arn)

    def _ours(self, listed: Iterable[str]) -> list[str]:
        there = list(dict.fromkeys(listed))
        return [each for each in there if self._is_ours(each)] or [each for each in there if each == self.replaces]

    def _is_ours(self, arn: str) -> bool:
        return self._tags(arn).get(acm_copy.MANAGED_TAG) == self.managed and bool(self.managed)

    def _tags(self, arn: str) -> dict[str, str]:
        """A certificate's tags in ACM; none where it is IAM's, or was deleted since it was listed."""
        if ":acm:" not in arn:
            return {}
        try:
            with answered(f"acm:ListTagsForCertificate of {arn}", {}):
                tags = self._acm.list_tags_for_certificate(CertificateArn=arn).get("Tags", ())
        except NotFound:
            return {}
        return {each.get("Key", ""): each.get("Value", "") for each in tags}

    def _tag(self, arn: str, new: Bundle) -> None:
        """Marks a certificate that ACM issued, as an import is marked: the next rollout finds it by this."""
        if self._tags(arn).get(acm_copy.MANAGED_TAG) == new.managed:
            return
        with answered(f"acm:AddTagsToCertificate of {arn}", {}):
            self._acm.add_tags_to_certificate(
                CertificateArn=arn, Tags=[{"Key": acm_copy.MANAGED_TAG, "Value": new.managed}]
            )

    def _changed(self, what: str) -> ChangedMeanwhile:
        return ChangedMeanwhile(f"{self.arn}: {what}; it stays so. See who changed it, then roll out again")

    @property
    def _elbv2(self) -> Any:
        return client(self.reach, "elbv2")

    @property
    def _acm(self) -> Any:
        return client(self.reach, "acm")


def _begins(held: Certificate | None) -> float:
    """When a certificate begins, as a time stamp; 0 where that is not known."""
    return held.not_before.timestamp() if held and held.not_before else 0.0
