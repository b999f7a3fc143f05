"""Certificates that nothing uses, and certificates that may be used for more than they should."""

from __future__ import annotations

from datetime import datetime, timedelta

from perennial.checks.interface import Check, Severity, Subject, Verdict
from perennial.checks.places import facts, instant, public_tls_leaf
from perennial.checks.wording import about_place
from perennial.manifest import Role

GRACE = timedelta(days=7)  # between issuing or importing a certificate and attaching it


def _use_is_known(subject: Subject) -> bool:
    """Where every use would be seen. A secret may be read by anyone, and what was exported may serve anywhere."""
    attributes = subject.sighting.attributes
    if subject.certificate is None or subject.sighting.role is not Role.STORED:
        return False
    if subject.scope.source == "acm":
        return attributes.get("in_use") is not None and attributes.get("origin") != "ACME" and not _exported(subject)
    return subject.scope.source == "iam" and subject.full


def _exported(subject: Subject) -> bool:
    """ACM renews what is in use or was exported: what is eligible though nothing uses it was exported."""
    attributes = subject.sighting.attributes
    exportable = attributes.get("type") == "PRIVATE" or attributes.get("exportable") in (True, "ENABLED")
    return exportable and attributes.get("renewal_eligible") in (True, "ELIGIBLE")


def _idle(subject: Subject) -> bool:
    return subject.sighting.attributes.get("in_use") is not True and not subject.attached


def _unused(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    here_since = instant(subject.sighting, "changed_at")
    if not _idle(subject) or (here_since is not None and now - here_since < GRACE):
        return ()
    return about_place("No load balancer, distribution, API or other service uses it.")


def _grace_ends(subject: Subject, now: datetime) -> datetime | None:
    here_since = instant(subject.sighting, "changed_at")
    return here_since + GRACE if here_since is not None and now - here_since < GRACE else None


def _client_auth(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    purposes = facts(subject).extended_key_usage or ()
    return about_place("Its extended key usage includes clientAuth." if "clientAuth" in purposes else None)


CHECKS = (
    Check(
        id="usage.unused",
        severity=Severity.LOW,
        title="Nothing uses the certificate",
        remediation=(
            "Delete it once its owner agrees (aws acm delete-certificate, aws iam delete-server-certificate): "
            "it counts towards the quota, ACM does not renew it, and its key is one more that can leak."
        ),
        cites="ACM User Guide, Managed certificate renewal and Quotas; IAM User Guide, Managing server certificates",
        applies=_use_is_known,
        run=_unused,
        changes_at=_grace_ends,
    ),
    Check(
        id="usage.client-auth",
        severity=Severity.LOW,
        title="A public TLS server certificate may also authenticate clients",
        remediation=(
            "Where it is used for mutual TLS, move the client side to a certificate of a private CA; then have it "
            "issued again with serverAuth only: the next public one comes without clientAuth."
        ),
        cites="Chrome Root Program Policy 1.8, dedicated TLS server authentication (leaves since 2027-03-15)",
        applies=lambda subject: public_tls_leaf(subject) and facts(subject).extended_key_usage is not None,
        run=_client_auth,
    ),
)
