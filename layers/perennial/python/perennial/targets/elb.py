"""A TLS listener of a Classic Load Balancer, which has exactly one certificate.

SetLoadBalancerListenerSSLCertificate exchanges it in one call. The certificate is in ACM, or with `store = "iam"` in
IAM: for regions without ACM, and where the organisation keeps it so.

Sources: Elastic Load Balancing API Reference, version 2012-06-01 (DescribeLoadBalancers, DescribeLoadBalancerPolicies,
SetLoadBalancerListenerSSLCertificate); Classic Load Balancer user guide, "SSL negotiation configurations".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from perennial.errors import ChangedMeanwhile
from perennial.targets import acm_copy, attached_certificate, elb_listener, iam_copy
from perennial.targets.attached_certificate import PAUSE, asked, attach, client, fingerprint
from perennial.targets.interface import DEADLINE as USUAL_DEADLINE
from perennial.targets.interface import Bundle, Field, Found, Keep, Later, Reach, Target, TargetSettings

TITLE = "Listener of a Classic Load Balancer"
FIELDS = (
    Field(
        name="load_balancer",
        pattern="[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?",
        words="the name of a Classic Load Balancer",
        needed=True,
    ),
    Field(
        name="port",
        pattern="[1-9][0-9]{0,4}",
        words="the port of its HTTPS or SSL listener",
        needed=True,
    ),
    Field(
        name="store",
        pattern="acm|iam",
        words="acm or iam: where the certificate that the listener refers to is kept",
        default="acm",
    ),
)
KEYS = acm_copy.KEYS
LOOKS = (
    *attached_certificate.LOOKS,
    "elasticloadbalancing:DescribeLoadBalancerPolicies",
    "elasticloadbalancing:DescribeLoadBalancers",
)
CHANGES = (
    *acm_copy.CHANGES,
    *iam_copy.CHANGES,
    "elasticloadbalancing:SetLoadBalancerListenerSSLCertificate",
)
RETIRES = (*acm_copy.RETIRES, *iam_copy.RETIRES, *LOOKS)  # whether a copy in IAM serves is looked at
MAX_CHAIN = acm_copy.MAX_CHAIN
DEADLINE = USUAL_DEADLINE
HANDSHAKES = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicListener:
    """The listener of a port of a Classic Load Balancer; see the module's docstring."""

    balancer: str
    port: int
    in_iam: bool
    prefix: str  # of names in IAM
    reach: Reach

    @property
    def shares(self) -> str:
        if self.in_iam:
            return iam_copy.shares(self.reach.account)
        return acm_copy.shares(self.reach.account, self.reach.region)

    def look(self) -> Found:
        listener = elb_listener.read(self._elb, self.balancer, self.port)
        protocols, keys = elb_listener.allowed(self._elb, listener)
        state = {"certificate": listener.certificate, "protocol": listener.protocol, "keys": keys}
        return Found(
            state=json.dumps(state, sort_keys=True),
            fingerprint=fingerprint(self.reach, listener.certificate),
            host=listener.host,
            port=self.port,
            protocols=protocols,
        )

    def refusals(self, found: Found, new: Bundle, earlier: Bundle | None) -> list[str]:
        was = json.loads(found.state)
        wrong = iam_copy.unfit(self.prefix, new) if self.in_iam else self._no_copy(new)
        if was["protocol"] not in elb_listener.TLS:
            wrong.append(f"{self._name} speaks {was['protocol']}, and only HTTPS and SSL listeners have certificates")
        elif was["keys"] and new.key.partition("-")[0] not in was["keys"]:
            wrong.append(
                f"the security policy of {self._name} has no cipher for a key of type {new.key}, so no connection "
                "would succeed: change the policy, or the profile's key"
            )
        return wrong + attached_certificate.irreversible(was["certificate"], found.fingerprint)

    def activate(self, found: Found, new: Bundle, placed: str, keep: Keep) -> Later | None:
        was = json.loads(found.state)["certificate"]
        arn = self._ensured(new, placed, keep)
        if isinstance(arn, Later):
            return arn
        unchanged = fingerprint(self.reach, was) == found.fingerprint
        now = self._now()
        if now == arn or self._serves(now, new):  # as another copy, where this step ran twice at once
            return None
        if now != was or not unchanged:
            raise self._changed(now)
        return attach(self._doing(arn), lambda: self._set(arn)) or self._settled(arn)

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Later | None:
        was = json.loads(found.state)["certificate"]
        now = self._now()
        if now == was:
            return None
        if not self._serves(now, new):
            raise self._changed(now)
        with asked(self._doing(was)):
            self._set(was)
        return self._settled(was)

    def _ensured(self, new: Bundle, placed: str, keep: Keep) -> str | Later:
        """The ARN of the version in the store."""
        if not self.in_iam:
            return acm_copy.ensure(client(self.reach, "acm"), new, placed, keep)
        arn = iam_copy.ensure(client(self.reach, "iam"), self.prefix, iam_copy.PATH, new)
        if isinstance(arn, str) and arn != placed:
            keep(arn)
        return arn

    def _no_copy(self, new: Bundle) -> list[str]:
        """Why ACM could not have a version."""
        return acm_copy.refusals(new, self.reach.account, self.reach.region)

    def _serves(self, arn: str, new: Bundle) -> bool:
        """Whether an ARN has the new version: of two calls at once each may have imported it."""
        return bool(arn) and fingerprint(self.reach, arn) == new.fingerprint

    def _now(self) -> str:
        return elb_listener.read(self._elb, self.balancer, self.port).certificate

    def _settled(self, arn: str) -> Later | None:
        return None if self._now() == arn else Later(PAUSE, f"{self._name} to show its new certificate")

    def _set(self, arn: str) -> None:
        self._elb.set_load_balancer_listener_ssl_certificate(
            LoadBalancerName=self.balancer, LoadBalancerPort=self.port, SSLCertificateId=arn
        )

    def _doing(self, arn: str) -> str:
        return f"elasticloadbalancing:SetLoadBalancerListenerSSLCertificate of {self._name} to {arn}"

    def _changed(self, now: str) -> ChangedMeanwhile:
        return ChangedMeanwhile(
            f"{self._name} has another certificate than was found, {now or 'none'}: it stays. See who changed it, then "
            "roll out again"
        )

    @property
    def _name(self) -> str:
        return f"{self.balancer}:{self.port}"

    @property
    def _elb(self) -> Any:
        return client(self.reach, "elb")


def target(settings: TargetSettings, reach: Reach) -> Target:
    """The listener of a Classic Load Balancer."""
    return ClassicListener(
        balancer=settings.text("load_balancer"),
        port=int(settings.text("port")),
        in_iam=settings.text("store") == "iam",
        prefix=f"{settings.managed}-elb",
        reach=reach,
    )
