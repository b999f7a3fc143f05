"""ACM Private CA as an issuer, where one request never becomes two certificates.

IssueCertificate answers at once with an ARN; the certificate can be fetched some seconds later. AWS remembers the
idempotency token for five minutes after it first saw it. An interruption may lose the ARN:

- The time of asking is kept before IssueCertificate leaves, the ARN as soon as it is there.
- Resumed without an ARN within three minutes, the same request leaves again with the same token: AWS answers with the
  same ARN. A step must end within a minute (its function's time limit), and the SDK must not repeat this call by itself
  (`asking` is a client that sends once), so that nothing leaves when the token is forgotten.
- Resumed later, the CA's audit report tells what it issued at that time. It is made ten minutes after the asking or
  later, when nothing of it can be under way. Each certificate of that time and validity is fetched and its public key
  compared with the CSR's. Found: that is the ARN. Not found: it is asked anew, with the next token, by the same rules.
  (AWS does not say how soon a report lists what was issued; ten minutes are taken to be enough.)

Two versions that share a key (`rotate_key = false`) and are asked for within minutes could get one certificate of the
two; it is for the same names and key, and no third is paid for.

AWS makes one report per CA in 30 minutes: where it refuses another, a report in the bucket that is recent enough is
used, so that one report serves all who wait. The owner of a CA only can have a report made. Where the CA is shared
through RAM and an answer is lost for longer than the token lives, asking again could pay twice, so the order ends with
a reason for a person.

What AWS does when a token comes back with other parameters is not documented; one order always sends the same.
Sources: ACM PCA API Reference; AWS Private CA User Guide, "Use audit reports", "Attach a policy for cross-account
access", "Short-lived certificates".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perennial import signing_request
from perennial.certificate import Certificate, ders, parse
from perennial.errors import (
    AccessDenied,
    InvalidConfiguration,
    InvalidInput,
    InvalidReply,
    NotFound,
    ServiceRefused,
    Throttled,
)
from perennial.issuers import pca_audit, pca_templates
from perennial.issuers.aws_replies import answered, chain, code, pem, refused
from perennial.issuers.interface import Ask, Issued, Keep, Later, Outcome
from perennial.issuers.kept_order import KeptOrder
from perennial.issuers.pca_reports import Report, Reports
from perennial.profiles import PcaIssuer

if TYPE_CHECKING:
    from perennial.deployment import Deployment

ACTIONS = (  # of the step that asks
    "acm-pca:DescribeCertificateAuthority",
    "acm-pca:IssueCertificate",
    "acm-pca:GetCertificate",
    "acm-pca:CreateCertificateAuthorityAuditReport",
    "acm-pca:DescribeCertificateAuthorityAuditReport",
    "s3:ListBucket",  # with the prefix audit-report/
    "s3:GetObject",  # of audit-report/*, as the next one: who has a report made must be allowed to write it, too
    "s3:PutObject",
)
OF_STORING = (  # of the step that judges what was issued
    "acm-pca:GetCertificateAuthorityCertificate",
    "acm-pca:RevokeCertificate",
)
REPEATABLE = timedelta(minutes=3)  # the token lives five, and a step takes up to two
SETTLED = timedelta(minutes=10)  # after the asking, nothing of it is under way, and it is in reports
EARLIER = timedelta(minutes=2)  # how far AWS's clock may be behind
ISSUING = timedelta(hours=1)  # how long issuing may take; it usually takes seconds
COMPARED = 200  # certificates fetched in one step: about 4 s at 60 a second
MAX_ROUNDS = 5  # of asking, and of reports for one order
SHORT_LIVED_DAYS = 7
REASONS = {  # RFC 5280 5.3.1 -> ACM PCA
    0: "UNSPECIFIED",
    1: "KEY_COMPROMISE",
    2: "CERTIFICATE_AUTHORITY_COMPROMISE",
    3: "AFFILIATION_CHANGED",
    4: "SUPERSEDED",
    5: "CESSATION_OF_OPERATION",
    9: "PRIVILEGE_WITHDRAWN",
    10: "A_A_COMPROMISE",
}
_AUTHORITY = re.compile(r"arn:aws[\w-]*:acm-pca:[a-z0-9-]+:\d{12}:certificate-authority/[\w-]+")
_ADVICE = {
    "LimitExceededException": "a quota is used up: have it raised in Service Quotas, then request again",
    "InvalidStateException": "the CA is not active: enable or renew it, then request again",
    "MalformedCSRException": "ACM PCA does not take this CSR: it needs a valid signature, and names or a subject",
    "InvalidArgsException": "ACM PCA does not take these parameters: compare the profile with what the CA can do",
    "ValidationException": "ACM PCA does not take these parameters: compare the profile with what the CA can do",
    "RequestFailedException": "look at the CA in the ACM PCA console, then request again",
}
_STATES = {  # of a CA that does not issue -> what to do
    "CREATING": "wait until it is created, then install its certificate",
    "PENDING_CERTIFICATE": "install its certificate",
    "DISABLED": "enable it",
    "EXPIRED": "renew its certificate",
    "DELETED": "restore it, or name another CA in the issuer's `authority`",
    "FAILED": "create another CA and name it in the issuer's `authority`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(KeptOrder):
    """What is known of one order to a private CA."""

    signing: str = ""  # signing algorithm of the CA
    days: int = 0  # the validity that was asked for, whatever the profile says by now
    report: str = ""  # id of the audit report in which the certificate is looked for
    key: str = ""  # its object in the bucket
    reports: int = 0  # how many were used
    compared: int = 0  # how many of its certificates are not ours


class AcmPca:
    """Issues and revokes through one private CA.

    `client` is acm-pca in the CA's region; `asking` is one that sends each request once (see the module), by default
    the same. `bucket` takes audit reports: its policy must let acm-pca.amazonaws.com write `audit-report/*`.
    """

    def __init__(self, settings: PcaIssuer, *, client: Any, s3: Any, bucket: str, asking: Any = None) -> None:
        if not _AUTHORITY.fullmatch(settings.authority):
            raise InvalidConfiguration(f"issuers.{settings.name}.authority is not the ARN of a private CA")
        self.name = settings.name
        self._arn = settings.authority
        self._client = client
        self._asking = asking or client
        self._reports = Reports(self._arn, client=client, s3=s3, bucket=bucket)

    # -- issuing ---------------------------------------------------------------------------------------------------

    def advance(self, ask: Ask, order: str, *, presented: bool, now: datetime, keep: Keep) -> Outcome:
        """Go on with an order; see `issuers.interface`. There is nothing to present.

        Raises: PerennialError.
        """
        kept = Order.read(order)
        if kept.asked_at is None:
            return self._ask(ask, kept, now, keep)
        if kept.arn:
            return self._fetch(kept.arn, now - kept.asked_at)
        age = now - kept.asked_at
        if age < REPEATABLE:
            return self._issue(ask, kept, keep)
        if age < SETTLED:
            return Later((SETTLED - age).total_seconds(), "what the CA made of a request whose answer was lost")
        return self._look(ask, kept, kept.asked_at, now, keep)

    def _ask(self, ask: Ask, kept: Order, now: datetime, keep: Keep) -> Outcome:
        """Ask for a certificate, after everything that could refuse it without being asked."""
        pca_templates.parameters(ask, self._arn)
        signing = self._judged(ask, now)
        asked = Order(round=kept.round, reports=kept.reports, asked_at=now, signing=signing, days=ask.validity_days)
        keep(asked.text())
        return self._issue(ask, asked, keep)

    def _judged(self, ask: Ask, now: datetime) -> str:
        """The CA's signing algorithm, if the CA can issue what is asked for."""
        with answered(f"acm-pca:DescribeCertificateAuthority {self._arn}", _ADVICE):
            found = self._client.describe_certificate_authority(CertificateAuthorityArn=self._arn)
        authority: Mapping[str, Any] = found["CertificateAuthority"]
        status = authority.get("Status", "")
        if status != "ACTIVE":
            told = _STATES.get(status, "look at it in the ACM PCA console")
            raise ServiceRefused(f"the CA {self._arn} is {status or 'in no known state'}: {told}, then request again")
        self._judge_validity(ask, authority, now)
        return str(authority["CertificateAuthorityConfiguration"]["SigningAlgorithm"])

    def _judge_validity(self, ask: Ask, authority: Mapping[str, Any], now: datetime) -> None:
        if authority.get("UsageMode") == "SHORT_LIVED_CERTIFICATE" and ask.validity_days > SHORT_LIVED_DAYS:
            raise InvalidConfiguration(
                f"profiles.{ask.profile.name}.validity_days: {ask.validity_days} days were asked for; the CA"
                f" {self._arn} is for short-lived certificates and issues for {SHORT_LIVED_DAYS} days at most"
            )
        end = authority.get("NotAfter")
        if end is not None and now + timedelta(days=ask.validity_days) > end:
            raise ServiceRefused(
                f"the CA {self._arn} ends on {end:%Y-%m-%d}, before the {ask.validity_days} days that were asked for:"
                " renew the CA's certificate, or ask for less"
            )

    def _issue(self, ask: Ask, kept: Order, keep: Keep) -> Outcome:
        from botocore.exceptions import ClientError

        doing = f"acm-pca:IssueCertificate from {self._arn}"
        request = self._request(ask, kept)
        with answered(doing, _ADVICE):
            try:
                arn = str(self._asking.issue_certificate(**request)["CertificateArn"])
            except ClientError as error:
                problem = refused(error, doing, _ADVICE)
                if not isinstance(problem, AccessDenied):
                    raise
                raise AccessDenied(f"{problem}; {self._allow(request['TemplateArn'])}") from error
        if not arn.startswith(f"{self._arn}/certificate/"):
            raise InvalidReply(f"{doing}: the answer is no ARN of a certificate of this CA")
        keep(replace(kept, arn=arn).text())
        return Later(1.0, "the CA issues the certificate")

    def _request(self, ask: Ask, kept: Order) -> dict[str, Any]:
        """The same for the same round of an order: AWS sees by the token that it is the same."""
        return {
            "CertificateAuthorityArn": self._arn,
            "Csr": pem("CERTIFICATE REQUEST", ask.csr).encode(),
            "SigningAlgorithm": kept.signing,
            "Validity": {"Type": "DAYS", "Value": kept.days},
            "IdempotencyToken": f"{ask.id[:32]}{kept.round:04d}",
            **pca_templates.parameters(ask, self._arn),
        }

    def _allow(self, template: str) -> str:
        return (
            f"allow it with the template {template}. A CA that another account shares through RAM allows"
            " EndEntityCertificate/V1 only unless its owner shares more: name that in the profile's `template`, with"
            " both usages, or have the share's permission changed"
        )

    def _fetch(self, arn: str, elapsed: timedelta) -> Outcome:
        answer = self._certificate(arn)
        if answer is not None:
            body, above = answer
            return Issued(chain(body, above, f"acm-pca:GetCertificate {arn}"), arn=arn)
        if elapsed > ISSUING:
            raise ServiceRefused(f"the CA has not issued {arn} within an hour: ask AWS Support before requesting again")
        return Later(min(60.0, max(1.0, elapsed.total_seconds())), "the CA issues the certificate")

    def _certificate(self, arn: str) -> tuple[str, str] | None:
        """PEM of a certificate and of its chain; None while it is being issued."""
        from botocore.exceptions import ClientError

        with answered(f"acm-pca:GetCertificate {arn}", _ADVICE):
            try:
                answer = self._client.get_certificate(CertificateAuthorityArn=self._arn, CertificateArn=arn)
            except ClientError as error:
                if code(error) == "RequestInProgressException":
                    return None
                raise
        return answer.get("Certificate", ""), answer.get("CertificateChain", "")

    # -- after a lost answer: the audit report ---------------------------------------------------------------------

    def _look(self, ask: Ask, kept: Order, asked_at: datetime, now: datetime, keep: Keep) -> Outcome:
        if not kept.report:
            return self._have_report(kept, asked_at, keep)
        report = Report(kept.report, kept.key)
        span = {"since": asked_at - EARLIER, "until": asked_at + SETTLED}
        try:
            if not self._reports.is_written(report, now):
                return Later(30.0, "the CA's audit report, to find what was issued")
            found = self._reports.listed(report, validity_days=kept.days, **span)
        except NotFound:
            keep(replace(kept, report="", key="", compared=0).text())
            return Later(5.0, "another audit report of the CA: the last one is gone")
        return self._compare(ask, kept, found, now, keep)

    def _have_report(self, kept: Order, asked_at: datetime, keep: Keep) -> Outcome:
        if kept.reports >= MAX_ROUNDS:
            raise ServiceRefused(
                f"{kept.reports} audit reports did not tell what was issued; {self._by_hand(asked_at)}"
            )
        try:
            report = self._reports.since(asked_at + SETTLED)
        except AccessDenied as error:
            raise ServiceRefused(f"{error}; {self._by_hand(asked_at)}") from error
        if report is None:
            return Later(300.0, "an audit report of the CA: AWS makes one in 30 minutes")
        keep(replace(kept, report=report.id, key=report.key, reports=kept.reports + 1, compared=0).text())
        return Later(10.0, "the CA's audit report, to find what was issued")

    def _by_hand(self, asked_at: datetime) -> str:
        return (
            f"a certificate was asked for at {asked_at:%Y-%m-%d %H:%M:%S} UTC, its answer was lost, and the CA may have"
            f" issued it. Have the owner of the CA (account {self._arn.split(':')[4]}) look in its audit report, revoke"
            " what was issued then for these names, and request again"
        )

    def _compare(
        self, ask: Ask, kept: Order, found: tuple[pca_audit.Listed, ...], now: datetime, keep: Keep
    ) -> Outcome:
        wanted = signing_request.public_key_sha256(ask.csr)
        for number, each in enumerate(found[kept.compared : kept.compared + COMPARED], start=kept.compared):
            held = self._key_of(each.arn)
            if held is None:
                _still_patient(each, now)
                keep(replace(kept, compared=number).text())
                return Later(60.0, "the CA still issues a certificate that may be the one")
            if held != wanted:
                continue
            if each.revoked:
                raise ServiceRefused(f"the certificate {each.arn} was issued and is revoked; request another one")
            keep(replace(kept, arn=each.arn).text())
            return self._fetch(each.arn, timedelta())
        if kept.compared + COMPARED < len(found):
            keep(replace(kept, compared=kept.compared + COMPARED).text())
            return Later(1.0, "the certificates that the CA issued at that time are compared")
        if kept.round + 1 >= MAX_ROUNDS:
            raise ServiceRefused(f"the CA was asked {MAX_ROUNDS} times and issued nothing; look at it in the console")
        return self._ask(ask, replace(kept, round=kept.round + 1), now, keep)

    def _key_of(self, arn: str) -> str | None:
        """SHA-256 of a certificate's public key; "" where issuing it failed, None while it is being issued."""
        from botocore.exceptions import ClientError

        try:
            answer = self._certificate(arn)
        except ServiceRefused as error:
            if isinstance(error.__cause__, ClientError) and code(error.__cause__) == "RequestFailedException":
                return ""
            raise
        if answer is None:
            return None
        key = next((parse(der).public_key_sha256 for der in ders(answer[0])), None)
        if key is None:
            raise InvalidReply(f"the public key of {arn} cannot be read, so that it may be the one that was asked for")
        return key

    # -- other abilities -------------------------------------------------------------------------------------------

    def revoke(self, certificate: Certificate, arn: str, reason: int) -> None:
        """Revoke by serial number; see `issuers.interface.Revoker`.

        Raises: PerennialError.
        """
        from botocore.exceptions import ClientError

        if reason not in REASONS:
            raise InvalidInput(f"{reason} is no reason of ACM PCA; there are {', '.join(map(str, REASONS))}")
        serial = _serial(certificate)
        request = {"CertificateSerial": serial, "RevocationReason": REASONS[reason]}
        with answered(f"acm-pca:RevokeCertificate {serial} of {self._arn}", _ADVICE):
            try:
                self._client.revoke_certificate(CertificateAuthorityArn=self._arn, **request)
            except ClientError as error:
                if code(error) == "RequestAlreadyProcessedException":
                    return
                if code(error) in ("RequestInProgressException", "ConcurrentModificationException"):
                    raise Throttled(f"the revocation of {serial} is under way", retry_after=5.0) from error
                raise

    def roots(self) -> str:
        """PEM of the root that this CA's certificates end at: the last of its chain, or the CA itself.

        Raises: PerennialError.
        """
        doing = f"acm-pca:GetCertificateAuthorityCertificate {self._arn}"
        with answered(doing, _ADVICE):
            answer = self._client.get_certificate_authority_certificate(CertificateAuthorityArn=self._arn)
        found = ders(answer.get("Certificate", "")) + ders(answer.get("CertificateChain", ""))
        if not found or not parse(found[-1]).self_issued:
            raise InvalidReply(f"{doing}: the chain does not end at a root; give the issuer's `roots`")
        return pem("CERTIFICATE", found[-1])


def issuer(settings: PcaIssuer, deployment: Deployment) -> AcmPca:
    """The issuer with a deployment's clients.

    Raises: InvalidConfiguration.
    """
    from perennial.clients import Clients

    region = [*settings.authority.split(":"), "", "", ""][3]
    once = Clients(deployment.clients.session, region or deployment.clients.region, attempts=1)
    return AcmPca(
        settings,
        client=deployment.clients("acm-pca", region),
        s3=deployment.clients("s3"),
        bucket=deployment.named("PERENNIAL_BUCKET"),
        asking=once("acm-pca"),
    )


def _still_patient(listed: pca_audit.Listed, now: datetime) -> None:
    """Raises ServiceRefused where a certificate is being issued for longer than that can take."""
    if now - listed.issued_at >= ISSUING:
        raise ServiceRefused(
            f"the CA has not issued {listed.arn} within an hour, and it may be the certificate that was asked for: ask"
            " AWS Support before requesting again"
        )


def _serial(certificate: Certificate) -> str:
    """As ACM PCA writes it: pairs of hexadecimal digits with colons between."""
    if certificate.serial is None:
        raise InvalidInput("the certificate's serial number is not known, and ACM PCA revokes by it")
    digits = certificate.serial.zfill(len(certificate.serial) + len(certificate.serial) % 2)
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
