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

from perennial.certificate import parse
from perennial.errors import ChangedMeanwhile, ConcurrentChange, InvalidInput, InvalidReply, NotFound
from perennial.issuers.aws_replies import answered, chain, code
from perennial.scanners.cloudfront import protocols
from perennial.targets import acm_copy
from perennial.targets.interface import Bundle, Field, Found, Keep, Later, Reach, TargetSettings

TITLE = "CloudFront distribution"
FIELDS = (
    Field(
        name="distribution",
        pattern=r"E[0-9A-Z]{8,31}",
        words="the distribution's id, as E1U5RQF7T870K0",
        needed=True,
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
MAX_CHAIN = acm_copy.MAX_CHAIN
DEADLINE = 1_800
HANDSHAKES = True
REGION = "us-east-1"  # where CloudFront takes certificates from
PAUSE = 30  # seconds
ATTEMPTS = 4  # at writing, where others change the distribution too
_ACM, _IAM = "ACMCertificateArn", "IAMCertificateId"
_KEPT = ("SSLSupportMethod", "MinimumProtocolVersion")  # of a ViewerCertificate; the rest names the certificate
_STALE = ("PreconditionFailed", "InvalidIfMatchVersion")
_ADVICE = {
    "InvalidViewerCertificate": (
        f"the certificate must be issued and in {REGION}, come with its chain from a CA that Mozilla includes, and"
        " cover every alias"
    ),
    "TooManyCertificates": "remove distributions with dedicated IP addresses, or have the quota raised",
    "CNAMEAlreadyExists": "another distribution has one of the aliases: remove it there",
    "IllegalUpdate": "look at the distribution in CloudFront: something else in its configuration is refused",
}


def target(settings: TargetSettings, reach: Reach) -> CloudFrontDistribution:
    """The distribution that settings name."""
    return CloudFrontDistribution(
        settings.text("distribution"),
        reach.account,
        reach.clients("cloudfront"),
        reach.clients("acm", REGION),
        reach.clients("iam"),
    )


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution as it is now, and the SHA-256 of its certificate. `shown` names that: {} for *.cloudfront.net."""

    etag: str
    told: Mapping[str, Any]
    shown: Mapping[str, str]
    fingerprint: str

    @property
    def configuration(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.told["DistributionConfig"]
        return found

    @property
    def viewer(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.configuration.get("ViewerCertificate", {})
        return found

    @property
    def aliases(self) -> tuple[str, ...]:
        return tuple(self.configuration.get("Aliases", {}).get("Items", ()))

    def with_certificate(self, shown: Mapping[str, str]) -> dict[str, Any]:
        """The whole configuration with another certificate."""
        kept = {name: self.viewer[name] for name in _KEPT if name in self.viewer}
        return {**self.configuration, "ViewerCertificate": {"CloudFrontDefaultCertificate": False, **kept, **shown}}


@dataclass(frozen=True, slots=True)
class CloudFrontDistribution:
    """One distribution."""

    identifier: str
    account: str
    api: Any
    acm: Any
    iam: Any

    @property
    def shares(self) -> str:
        return acm_copy.shares(self.account, REGION)

    def look(self) -> Found:
        here = self._read()
        return Found(
            state=json.dumps(here.shown),
            fingerprint=here.fingerprint,
            host=str(here.told.get("DomainName", "")),
            claimed=here.aliases,
            protocols=tuple(protocols(str(here.viewer.get("MinimumProtocolVersion", "")))),
        )

    def refusals(self, found: Found, new: Bundle, earlier: Bundle | None) -> list[str]:
        here = self._read()
        problems = acm_copy.refusals(new, self.account, REGION)
        if here.configuration.get("ConnectionMode") == "tenant-only":
            problems.append(f"{self.identifier} serves through its tenants only, which have certificates of their own")
        if not here.shown:
            problems.append(
                f"{self.identifier} shows the certificate of *.cloudfront.net, which is CloudFront's own: nothing is to"
                " be replaced there; give it aliases with a certificate of ACM first"
            )
        elif not here.fingerprint:
            problems.append(f"{self.identifier}: its certificate {_named(here.shown)} cannot be read")
        elif self._is_cloudfronts(here.shown.get(_ACM, "")):
            problems.append(f"{self.identifier}: CloudFront itself manages and renews {_named(here.shown)}")
        return problems

    def activate(self, found: Found, new: Bundle, placed: str, keep: Keep) -> Later | None:
        here = self._read()
        if here.fingerprint == new.fingerprint:
            return self._deployed(here.told)
        before = (_shown(found.state), found.fingerprint)
        self._require(here, found, lambda now: (now.shown, now.fingerprint) == before)
        arn = acm_copy.ensure(self.acm, new, placed, keep)
        return self._change({_ACM: arn}, found, lambda now: (now.shown, now.fingerprint) == before)

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Later | None:
        here = self._read()
        if here.fingerprint == found.fingerprint:
            return self._deployed(here.told)
        self._require(here, found, lambda now: now.fingerprint == new.fingerprint)
        back = self._way_back(found, earlier)
        return self._change(back, found, lambda now: now.fingerprint == new.fingerprint)

    # --- the distribution ---

    def _read(self) -> Distribution:
        answer = self._answer()
        told: Mapping[str, Any] = answer.get("Distribution", {})
        if not answer.get("ETag") or not told.get("DistributionConfig"):
            raise InvalidReply(f"cloudfront:GetDistribution of {self.identifier}: no ETag, or no configuration")
        viewer = told["DistributionConfig"].get("ViewerCertificate", {})
        shown = {name: str(viewer[name]) for name in (_ACM, _IAM) if viewer.get(name)}
        return Distribution(str(answer["ETag"]), told, shown, self._fingerprint(shown))

    def _answer(self) -> Mapping[str, Any]:
        from botocore.exceptions import ClientError

        doing = f"cloudfront:GetDistribution of {self.identifier}"
        with answered(doing, _ADVICE):
            try:
                answer: Mapping[str, Any] = self.api.get_distribution(Id=self.identifier)
            except ClientError as error:
                if code(error) != "NoSuchDistribution":
                    raise
                raise NotFound(f"{doing}: there is none in account {self.account}; check id and account") from error
        return answer

    def _fingerprint(self, shown: Mapping[str, str]) -> str:
        if _ACM in shown:
            return acm_copy.held(self.acm, shown[_ACM])
        return self._of_iam(shown[_IAM]) if _IAM in shown else ""

    def _of_iam(self, identifier: str) -> str:
        """SHA-256 of a server certificate by its id; "" where the account has none of that id."""
        with answered("iam:ListServerCertificates", {}):
            pages = self.iam.get_paginator("list_server_certificates").paginate()
            listed = [each for page in pages for each in page["ServerCertificateMetadataList"]]
        name = next((each["ServerCertificateName"] for each in listed if each["ServerCertificateId"] == identifier), "")
        if not name:
            return ""
        doing = f"iam:GetServerCertificate of {name}"
        with answered(doing, {}):
            body = self.iam.get_server_certificate(ServerCertificateName=name)["ServerCertificate"]["CertificateBody"]
        return parse(chain(body, "", doing)[0]).fingerprint or ""

    def _change(
        self, shown: Mapping[str, str], found: Found, replaceable: Callable[[Distribution], bool]
    ) -> Later | None:
        """Let the distribution show a certificate in the place of one that may be replaced."""
        for _ in range(ATTEMPTS):
            here = self._read()
            if here.shown == shown:
                return self._deployed(here.told)
            self._require(here, found, replaceable)
            told = self._put(here, shown)
            if told is not None:
                return self._deployed(told)
        raise ConcurrentChange(
            f"cloudfront:UpdateDistribution of {self.identifier}: others changed it {ATTEMPTS} times meanwhile; again"
        )

    def _put(self, here: Distribution, shown: Mapping[str, str]) -> Mapping[str, Any] | None:
        """The distribution after the change; None where someone changed it since it was read."""
        from botocore.exceptions import ClientError

        wanted = here.with_certificate(shown)
        with answered(f"cloudfront:UpdateDistribution of {self.identifier} to {_named(shown)}", _ADVICE):
            try:
                answer = self.api.update_distribution(Id=self.identifier, IfMatch=here.etag, DistributionConfig=wanted)
            except ClientError as error:
                if code(error) not in _STALE:
                    raise
                return None
        told: Mapping[str, Any] = answer.get("Distribution", {})
        return told

    def _deployed(self, told: Mapping[str, Any]) -> Later | None:
        if told.get("Status") == "InProgress":
            return Later(PAUSE, f"CloudFront to deploy {self.identifier} to all edge locations (InProgress)")
        return None

    def _require(self, here: Distribution, found: Found, expected: Callable[[Distribution], bool]) -> None:
        if not expected(here):
            raise ChangedMeanwhile(
                f"{self.identifier} shows {_named(here.shown)} ({here.fingerprint or 'not readable'}) now, and"
                f" {_named(_shown(found.state))} ({found.fingerprint}) was found: it stays; look who changed it"
            )

    def _way_back(self, found: Found, earlier: Bundle | None) -> dict[str, str]:
        """What was found; an import of it where the one in ACM was deleted or renewed since."""
        shown = _shown(found.state)
        if earlier is None or self._fingerprint(shown) == found.fingerprint:
            return shown
        return {_ACM: acm_copy.ensure(self.acm, earlier, "", lambda _: None)}

    def _is_cloudfronts(self, arn: str) -> bool:
        if not arn:
            return False
        with answered(f"acm:DescribeCertificate of {arn}", {}):
            told = self.acm.describe_certificate(CertificateArn=arn)["Certificate"]
        return bool(told.get("ManagedBy") == "CLOUDFRONT")


def _shown(state: str) -> dict[str, str]:
    """What names a certificate, from the state that was kept."""
    try:
        found = json.loads(state)
    except ValueError as error:
        raise InvalidInput(f"the kept state of a distribution cannot be read: {state[:200]!r}") from error
    if not isinstance(found, dict) or not set(found) <= {_ACM, _IAM}:
        raise InvalidInput(f"the kept state is not of a distribution: {state[:200]!r}")
    return {name: str(value) for name, value in found.items()}


def _named(shown: Mapping[str, str]) -> str:
    return shown.get(_ACM) or shown.get(_IAM) or "the certificate of *.cloudfront.net"
