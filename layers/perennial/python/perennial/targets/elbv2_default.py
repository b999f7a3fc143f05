"""The default certificate of a TLS listener: the one that serves whoever asks for no name, or for one that no
certificate of the list covers.

ModifyListener puts another one in its place in one call, and leaves the listener's SNI certificates as they are. The
former default does not become one of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from perennial.errors import ChangedMeanwhile
from perennial.targets import acm_copy, attached_certificate, elbv2_listener
from perennial.targets.attached_certificate import PAUSE, asked, attach, client, fingerprint
from perennial.targets.interface import Bundle, Found, Keep, Later, Reach


@dataclass(frozen=True, slots=True)
class DefaultCertificate:
    """The default certificate of the listener `arn`; see the module's docstring."""

    arn: str
    reach: Reach

    @property
    def shares(self) -> str:
        return acm_copy.shares(self.reach.account, self.reach.region)

    def look(self) -> Found:
        listener = elbv2_listener.read(self._elbv2, self.arn)
        serves = fingerprint(self.reach, listener.default) if listener.default else ""
        return elbv2_listener.found(self._elbv2, listener, {"default": listener.default}, serves)

    def refusals(self, found: Found, new: Bundle, earlier: Bundle | None) -> list[str]:
        was = json.loads(found.state)
        return [
            *elbv2_listener.refusals(self.reach, self.arn, was, new),
            *attached_certificate.irreversible(was["default"], found.fingerprint),
        ]

    def activate(self, found: Found, new: Bundle, placed: str, keep: Keep) -> Later | None:
        was = json.loads(found.state)["default"]
        arn = acm_copy.ensure(self._acm, new, placed, keep)
        unchanged = fingerprint(self.reach, was) == found.fingerprint
        now = self._now()
        if now == arn or self._serves(now, new):  # as another copy, where this step ran twice at once
            return None
        if now != was or not unchanged:
            raise self._changed(now)
        doing = self._doing(arn)
        return attach(doing, lambda: self._modify(arn)) or self._settled(arn)

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Later | None:
        was = json.loads(found.state)["default"]
        now = self._now()
        if now == was:
            return None
        if not self._serves(now, new):
            raise self._changed(now)
        with asked(self._doing(was)):
            self._modify(was)
        return self._settled(was)

    def _settled(self, arn: str) -> Later | None:
        return None if self._now() == arn else Later(PAUSE, f"{self.arn} to show its new default certificate")

    def _serves(self, arn: str, new: Bundle) -> bool:
        """Whether an ARN has the new version: of two calls at once each may have imported it."""
        return bool(arn) and fingerprint(self.reach, arn) == new.fingerprint

    def _now(self) -> str:
        return elbv2_listener.read(self._elbv2, self.arn).default

    def _modify(self, arn: str) -> None:
        self._elbv2.modify_listener(ListenerArn=self.arn, Certificates=[{"CertificateArn": arn}])

    def _doing(self, arn: str) -> str:
        return f"elasticloadbalancing:ModifyListener of {self.arn} to {arn}"

    def _changed(self, now: str) -> ChangedMeanwhile:
        return ChangedMeanwhile(
            f"{self.arn} has another default certificate than was found, {now or 'none'}: it stays. See who changed "
            "it, then roll out again"
        )

    @property
    def _elbv2(self) -> Any:
        return client(self.reach, "elbv2")

    @property
    def _acm(self) -> Any:
        return client(self.reach, "acm")
