"""API Gateway: the custom domain of REST, HTTP and WebSocket APIs, with a regional or an edge-optimized endpoint.

A custom domain is one resource, whatever kinds of APIs are mapped to it. It is read and changed through version 1 of
the API: a PATCH there names one path, where version 2 takes a whole configuration and knows but two of the security
policies. API Gateway has no conditional write, so the domain is read right before the write. An update takes up to an
hour; meanwhile both certificates serve, and the domain takes no other change.

Sources: API Gateway API Reference (DomainName, Patch Operations); Developer Guide, "Set up an edge-optimized custom
domain name", "Get certificates ready", "How to turn on mutual TLS authentication"; ACM User Guide, "Prerequisites for
importing ACM certificates", "API Gateway problems".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from perennial.errors import ChangedMeanwhile, ServiceRefused
from perennial.issuers.aws_replies import answered, code
from perennial.scanners.apigateway import protocols
from perennial.targets import acm_copy
from perennial.targets.interface import Bundle, Field, Found, Keep, Later, Reach, TargetSettings
from perennial.targets.reply_members import inner

TITLE = "API Gateway custom domain"
REGIONAL, EDGE = "regional", "edge"
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
FIELDS = (
    Field(
        name="domain",
        pattern=rf"(?=.{{1,253}}$)(\*\.)?({_LABEL}\.)+{_LABEL}",
        words="the custom domain name in lower case, as api.example.com or *.example.com",
        needed=True,
    ),
    Field(
        name="endpoint",
        pattern=f"{REGIONAL}|{EDGE}",
        words=f'"{REGIONAL}", or "{EDGE}" for an edge-optimized one, whose certificate is in us-east-1',
        default=REGIONAL,
    ),
)
KEYS = acm_copy.KEYS
EDGE_KEYS = ("EC-256", "RSA-2048", "RSA-3072", "RSA-4096")  # an edge-optimized endpoint is a distribution of CloudFront
LOOKS = ("apigateway:GET", *acm_copy.LOOKS)
CHANGES = ("apigateway:PATCH", "cloudfront:UpdateDistribution", *acm_copy.CHANGES)  # of CloudFront: edge-optimized ones
RETIRES = acm_copy.RETIRES
MAX_CHAIN = acm_copy.MAX_CHAIN
DEADLINE = 4_500  # the guide has up to 60 minutes for an update
HANDSHAKES = True
PAUSE = 30  # seconds
UPDATING = "UPDATING"
_MEMBERS = {
    REGIONAL: ("regionalCertificateArn", "regionalDomainName"),
    EDGE: ("certificateArn", "distributionDomainName"),
}
_STUCK = {
    "PENDING_CERTIFICATE_REIMPORT": (
        "the certificate that was imported again does not pass API Gateway's check: import one of the same issuer whose"
        " names the domain's ownershipVerificationCertificateArn covers"
    ),
    "PENDING_OWNERSHIP_VERIFICATION": (
        "the certificate of ownershipVerificationCertificateArn is no longer valid: give the domain one of ACM that is"
    ),
    "PENDING": "the domain is not ready for changes yet: wait until it is AVAILABLE",
    "FAILED": "repair the domain in API Gateway first",
}
_ADVICE = {
    "NotFoundException": "check domain, account and region; private custom domain names are not supported",
    "BadRequestException": (
        "the certificate must be issued, cover the domain, and be in the domain's account and in its region (us-east-1"
        " for an edge-optimized one)"
    ),
    "LimitExceededException": "try again later, or have the quota raised",
}


def target(settings: TargetSettings, reach: Reach) -> CustomDomain:
    """The custom domain that settings name."""
    endpoint = settings.text("endpoint") or REGIONAL
    region = "us-east-1" if endpoint == EDGE else reach.region
    api: Any = reach.clients("apigateway")
    acm: Any = reach.clients("acm", region)
    return CustomDomain(settings.text("domain"), endpoint, reach.account, region, api, acm)


@dataclass(frozen=True, slots=True)
class Domain:
    """A custom domain as it is now: what GetDomainName tells, and the SHA-256 of its certificate."""

    told: Mapping[str, Any]
    arn: str
    host: str
    fingerprint: str

    @property
    def status(self) -> str:
        return str(self.told.get("domainNameStatus") or "AVAILABLE")

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(self.told.get("endpointConfiguration", {}).get("types", ()))

    @property
    def ownership(self) -> str:
        return str(self.told.get("ownershipVerificationCertificateArn", ""))

    @property
    def mutual(self) -> bool:
        return bool(self.told.get("mutualTlsAuthentication", {}).get("truststoreUri"))


@dataclass(frozen=True, slots=True)
class CustomDomain:
    """One custom domain. `region` is its certificate's."""

    name: str
    endpoint: str
    account: str
    region: str
    api: Any
    acm: Any

    @property
    def shares(self) -> str:
        return acm_copy.shares(self.account, self.region)

    def look(self) -> Found:
        here = self._read()
        return Found(
            state=here.arn,
            fingerprint=here.fingerprint,
            host=here.host,
            claimed=(self.name,),
            protocols=tuple(protocols(str(here.told.get("securityPolicy", "")))),
        )

    def refusals(self, found: Found, new: Bundle, earlier: Bundle | None) -> list[str]:
        here = self._read()
        return [
            *self._about_endpoint(here),
            *self._about_status(here),
            *self._about_certificates(found, new),
            *self._about_ownership(here, new),
            *acm_copy.refusals(new, self.account, self.region),
        ]

    def activate(self, found: Found, new: Bundle, placed: str, keep: Keep) -> Later | None:
        here = self._read()
        if here.fingerprint == new.fingerprint:
            return self._taken(here.told)
        self._require_found(here, found)
        if here.status == UPDATING:
            return self._waiting()
        arn = acm_copy.ensure(self.acm, new, placed, keep)
        here = self._read()
        if here.fingerprint == new.fingerprint:  # another call of this rollout was faster
            return self._taken(here.told)
        self._require_found(here, found)
        return self._put(arn)

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Later | None:
        here = self._read()
        if here.fingerprint == found.fingerprint:
            return self._waiting() if here.status == UPDATING else None
        if here.fingerprint != new.fingerprint:
            raise ChangedMeanwhile(
                f"{self.name} has {here.arn or 'no certificate'} now, which is neither {found.state} as it was found,"
                f" nor {new.reference}: it stays; look who put it there"
            )
        return self._waiting() if here.status == UPDATING else self._put(self._way_back(found, earlier))

    # --- the domain ---

    def _read(self) -> Domain:
        with answered(f"apigateway:GET (GetDomainName) of {self.name}", _ADVICE):
            told: Mapping[str, Any] = self.api.get_domain_name(domainName=self.name)
        certificate, host = _MEMBERS[self.endpoint]
        arn = str(told.get(certificate) or "")
        return Domain(told, arn, str(told.get(host) or ""), acm_copy.held(self.acm, arn) if arn else "")

    def _put(self, arn: str) -> Later | None:
        """Give the domain a certificate."""
        from botocore.exceptions import ClientError

        change = {"op": "replace", "path": f"/{_MEMBERS[self.endpoint][0]}", "value": arn}
        with answered(f"apigateway:PATCH (UpdateDomainName) of {self.name} to {arn}", _ADVICE):
            try:
                told = self.api.update_domain_name(domainName=self.name, patchOperations=[change])
            except ClientError as error:
                if code(error) != "ConflictException":  # "There is already an update in progress"
                    raise
                return Later(PAUSE, f"API Gateway, which answers: {error.response['Error'].get('Message', '')[:200]}")
        return self._taken(told)

    def _taken(self, told: Mapping[str, Any]) -> Later | None:
        """None when an update has ended.

        Raises: ServiceRefused where it does not end by itself.
        """
        status = str(told.get("domainNameStatus") or "AVAILABLE")
        if status in _STUCK:
            raise ServiceRefused(self._stuck(status, told))
        return self._waiting() if status == UPDATING else None

    def _waiting(self) -> Later:
        return Later(PAUSE, f"API Gateway to end its update of {self.name} (up to an hour)")

    def _require_found(self, here: Domain, found: Found) -> None:
        if (here.arn, here.fingerprint) != (found.state, found.fingerprint):
            raise ChangedMeanwhile(
                f"{self.name} has {here.arn or 'no certificate'} ({here.fingerprint or 'not in ACM'}) and not"
                f" {found.state} ({found.fingerprint}) as it was found; look who changed it, then start again"
            )

    def _way_back(self, found: Found, earlier: Bundle | None) -> str:
        """The ARN of what was found; of an import where it was deleted or renewed since."""
        if earlier is None or acm_copy.held(self.acm, found.state) == found.fingerprint:
            return found.state
        return acm_copy.ensure(self.acm, earlier, "", lambda _: None)

    # --- why not ---

    def _about_endpoint(self, here: Domain) -> list[str]:
        types = here.types or (self.endpoint.upper(),)
        if len(types) > 1:
            return [f"{self.name} has two endpoints ({', '.join(types)}): end its migration first"]
        if types == ("PRIVATE",):
            return [f"{self.name} is a private custom domain name, which is not supported"]
        if types != (self.endpoint.upper(),):
            return [f'{self.name} has an endpoint of type {types[0]}: declare endpoint = "{types[0].lower()}"']
        return []

    def _about_status(self, here: Domain) -> list[str]:
        return [self._stuck(here.status, here.told)] if here.status in _STUCK else []

    def _stuck(self, status: str, told: Mapping[str, Any]) -> str:
        message = str(told.get("domainNameStatusMessage") or "")[:200]
        return f"{self.name} is {status}{f' ({message})' if message else ''}: {_STUCK[status]}"

    def _about_certificates(self, found: Found, new: Bundle) -> list[str]:
        problems = []
        if not found.fingerprint:
            problems.append(
                f"{self.name} has no certificate of ACM in {self.region} that could be brought back; where one was"
                " uploaded to API Gateway itself, which does not give it out, attach one of ACM first"
            )
        if self.endpoint == EDGE and new.key not in EDGE_KEYS:
            problems.append(f"an edge-optimized endpoint takes keys of {', '.join(EDGE_KEYS)}, and not {new.key}")
        return problems

    def _about_ownership(self, here: Domain, new: Bundle) -> list[str]:
        """With mutual TLS, what ACM did not issue needs another certificate that did, for all of its names."""
        if not here.mutual or self._public(new):
            return []
        if not here.ownership:
            return [
                f"{self.name} has mutual TLS, where an imported or private certificate needs a public one of ACM beside"
                " it that shows who owns the name: set the domain's ownershipVerificationCertificateArn"
            ]
        if acm_copy.certificate(self.acm, here.ownership) is None:
            return [f"{self.name}: its ownershipVerificationCertificateArn {here.ownership} is not in ACM: set another"]
        return []

    def _public(self, new: Bundle) -> bool:
        """Whether what the domain would get is a certificate that ACM itself issued."""
        if new.arn.split(":")[3:5] != [self.region, self.account]:
            return False
        doing = f"acm:DescribeCertificate of {new.arn}"
        with answered(doing, {}):
            answer = self.acm.describe_certificate(CertificateArn=new.arn)
        return bool(inner(answer, "Certificate", doing).get("Type") == "AMAZON_ISSUED")
