"""CloudFront: the certificate that a distribution shows to viewers of its aliases.

UpdateDistribution takes the whole configuration with the ETag of what was read. Only what names the certificate is
changed in it: the TLS policy and all else stay as they are at that moment, whoever changed them. A distribution that
was changed between reading and writing is read again, and left alone only where its certificate is another one. A
server certificate of IAM is replaced by one of ACM, and comes back when what was found is restored. An update takes
some minutes, in which some edge locations show the earlier certificate and some the new one.

Sources: CloudFront API Reference (UpdateDistribution, ViewerCertificate); Developer Guide, "Requirements for using
SSL/TLS certificates with CloudFront", "Use custom URLs by adding alternate domain names"; ACM User Guide,
"Prerequisites for importing ACM certificates" (the key types that CloudFront takes).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from perennial.checks.names import uncovered
from perennial.errors import ChangedMeanwhile, ConcurrentChange
from perennial.scanners.cloudfront import protocols
from perennial.targets import acm_copy
from perennial.targets.cloudfront_distribution import ACM, REGION, Distribution, Distributions, named_in, words
from perennial.targets.interface import Bundle, Field, Found, Keep, Later, Reach, TargetSettings

TITLE = "CloudFront distribution"
FIELDS = (
    Field(
        name="distribution",
        pattern=r"E[0-9A-Z]{8,31}",
        words="the distribution's id, as E1U5RQF7T870K0",
        needed=True,
    ),
    Field(
        name="irreversible",
        pattern="yes|no",
        words='"yes" lets a certificate be replaced that could not be brought back; "no" refuses that',
        default="no",
    ),
)
KEYS = ("EC-256", "RSA-2048", "RSA-3072", "RSA-4096")
LOOKS = (
    "cloudfront:GetDistribution",
    "iam:GetServerCertificate",
    "iam:ListServerCertificates",
    *acm_copy.LOOKS,
)
CHANGES = ("cloudfront:UpdateDistribution", *acm_copy.CHANGES)
RETIRES = acm_copy.RETIRES
MAX_CHAIN = acm_copy.MAX_CHAIN
DEADLINE = 1_800
HANDSHAKES = True
PAUSE = 30  # seconds
ATTEMPTS = 4  # at writing, where others change the distribution too


def target(settings: TargetSettings, reach: Reach) -> CloudFrontDistribution:
    """The distribution that settings name."""
    return CloudFrontDistribution(
        settings.text("distribution"),
        settings.text("irreversible") == "yes",
        Distributions(reach.account, reach.clients("cloudfront"), reach.clients("acm", REGION), reach.clients("iam")),
    )


@dataclass(frozen=True, slots=True)
class CloudFrontDistribution:
    """One distribution."""

    identifier: str
    irreversible: bool
    distributions: Distributions

    @property
    def shares(self) -> str:
        return acm_copy.shares(self.distributions.account, REGION)

    def look(self) -> Found:
        here = self.distributions.read(self.identifier)
        return Found(
            state=json.dumps(here.shown),
            fingerprint=here.fingerprint,
            host=str(here.told.get("DomainName", "")),
            claimed=here.aliases,
            protocols=tuple(protocols(str(here.viewer.get("MinimumProtocolVersion", "")))),
        )

    def refusals(self, found: Found, new: Bundle, earlier: Bundle | None) -> list[str]:
        here = self.distributions.read(self.identifier)
        problems = acm_copy.refusals(new, self.distributions.account, REGION)
        if here.configuration.get("ConnectionMode") == "tenant-only":
            problems.append(f"{self.identifier} serves through its tenants only, which have certificates of their own")
        if not here.shown:
            problems.append(
                f"{self.identifier} shows the certificate of *.cloudfront.net, which is CloudFront's own: nothing is to"
                " be replaced there; give it aliases with a certificate of ACM first"
            )
        elif not here.fingerprint:
            problems.append(f"{self.identifier}: its certificate {words(here.shown)} cannot be read")
        elif self.distributions.manages(here.shown):
            problems.append(f"{self.identifier}: CloudFront itself manages and renews {words(here.shown)}")
        return problems + self._no_way_back(here)

    def _no_way_back(self, here: Distribution) -> list[str]:
        """Since 2019 CloudFront takes no certificate that leaves an alias out. One that covers none is no loss."""
        left_out = uncovered(here.certificate, here.aliases) if here.certificate else []
        if self.irreversible or not left_out or len(left_out) == len(here.aliases):
            return []
        return [
            f"{self.identifier}: {words(here.shown)} does not cover {', '.join(left_out)}, so that CloudFront would"
            ' not take it back: remove that alias first, or set irreversible = "yes" to replace it all the same'
        ]

    def activate(self, found: Found, new: Bundle, placed: str, keep: Keep) -> Later | None:
        here = self.distributions.read(self.identifier)
        if here.fingerprint == new.fingerprint:
            return self._deployed(here.told)
        before = (named_in(found.state), found.fingerprint)
        self._require(here, found, lambda now: (now.shown, now.fingerprint) == before)
        arn = acm_copy.ensure(self.distributions.acm, new, placed, keep)
        return self._change({ACM: arn}, found, lambda now: (now.shown, now.fingerprint) == before, new.fingerprint)

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Later | None:
        here = self.distributions.read(self.identifier)
        if here.fingerprint == found.fingerprint:
            return self._deployed(here.told)
        self._require(here, found, lambda now: now.fingerprint == new.fingerprint)
        back = self._way_back(found, earlier)
        return self._change(back, found, lambda now: now.fingerprint == new.fingerprint)

    def _change(
        self, shown: Mapping[str, str], found: Found, replaceable: Callable[[Distribution], bool], wanted: str = ""
    ) -> Later | None:
        """Let the distribution show a certificate in the place of one that may be replaced. Where it shows the wanted
        one already, as another copy, another call of this rollout was faster."""
        for _ in range(ATTEMPTS):
            here = self.distributions.read(self.identifier)
            if here.shown == shown or (wanted and here.fingerprint == wanted):
                return self._deployed(here.told)
            self._require(here, found, replaceable)
            told = self.distributions.update(self.identifier, here, shown)
            if told is not None:
                return self._deployed(told)
        raise ConcurrentChange(
            f"cloudfront:UpdateDistribution of {self.identifier}: others changed it {ATTEMPTS} times meanwhile; again"
        )

    def _deployed(self, told: Mapping[str, Any]) -> Later | None:
        if told.get("Status") == "InProgress":
            return Later(PAUSE, f"CloudFront to deploy {self.identifier} to all edge locations (InProgress)")
        return None

    def _require(self, here: Distribution, found: Found, expected: Callable[[Distribution], bool]) -> None:
        if not expected(here):
            raise ChangedMeanwhile(
                f"{self.identifier} shows {words(here.shown)} ({here.fingerprint or 'not readable'}) now, and"
                f" {words(named_in(found.state))} ({found.fingerprint}) was found: it stays; look who changed it"
            )

    def _way_back(self, found: Found, earlier: Bundle | None) -> dict[str, str]:
        """What was found; an import of it where the one in ACM was deleted or renewed since."""
        shown = named_in(found.state)
        there = self.distributions.certificate(shown)
        if earlier is None or (there and there.fingerprint == found.fingerprint):
            return shown
        return {ACM: acm_copy.ensure(self.distributions.acm, earlier, "", lambda _: None)}
