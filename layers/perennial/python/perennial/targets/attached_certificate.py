"""A certificate that a load balancer refers to by its ARN: ACM's, or a server certificate of IAM; and what the errors
of Elastic Load Balancing about it mean.

Sources: Elastic Load Balancing API Reference, versions 2015-12-01 and 2012-06-01 (ModifyListener,
AddListenerCertificates, SetLoadBalancerListenerSSLCertificate).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from perennial.errors import NotFound
from perennial.issuers.aws_replies import code, refused
from perennial.targets import acm_copy, iam_copy
from perennial.targets.interface import Later, Reach

if TYPE_CHECKING:
    from perennial.certificate import Certificate

LOOKS = (*acm_copy.LOOKS, "iam:GetServerCertificate")
GONE = ("ListenerNotFound", "LoadBalancerNotFound")
NOT_SEEN = "CertificateNotFound"
PAUSE = 5  # seconds until a certificate that was just made is looked for again, or a change that was just made
ADVICE = {
    NOT_SEEN: "the load balancer finds no such certificate in its account and region: see whether it was deleted",
    "TooManyCertificates": "take certificates that nothing needs off the load balancer's listeners, or have its quota"
    " raised in Service Quotas",
    "UnsupportedCertificate": "load balancers take no certificate that ACM issued through its ACME endpoint, or has not"
    " issued yet: use another issuer",
}


def client(reach: Reach, service: str) -> Any:
    """A client of the target's account, in its region."""
    return reach.clients(service)


def held(reach: Reach, arn: str) -> Certificate | None:
    """What an ARN of ACM or IAM has now; None where there is none."""
    if _service(arn) == "iam":
        return iam_copy.certificate(client(reach, "iam"), arn.rsplit("/", 1)[-1])
    return acm_copy.certificate(client(reach, "acm"), arn) if _service(arn) == "acm" else None


def fingerprint(reach: Reach, arn: str) -> str:
    """SHA-256 of what an ARN has now; "" where there is none."""
    found = held(reach, arn)
    return found.fingerprint or "" if found else ""


@contextmanager
def asked(doing: str, advice: Mapping[str, str] = ADVICE) -> Iterator[None]:
    """Raise what the errors of Elastic Load Balancing mean in the block.

    Raises: NotFound where listener or load balancer are gone, and other PerennialErrors.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from perennial.clients import meaning

    try:
        yield
    except ClientError as error:
        if code(error) in GONE:
            raise NotFound(f"{meaning(error, doing)}; correct the target, or remove it where it is gone") from error
        raise refused(error, doing, advice) from error
    except BotoCoreError as error:
        raise meaning(error, doing) from error


def attach(doing: str, call: Callable[[], object]) -> Later | None:
    """Let a load balancer refer to a certificate that is known to be there. Elastic Load Balancing may not see one that
    is some seconds old (IAM is eventually consistent): then Later."""
    from botocore.exceptions import ClientError

    with asked(doing):
        try:
            call()
        except ClientError as error:
            if code(error) != NOT_SEEN:
                raise
            return Later(PAUSE, "Elastic Load Balancing to find the new certificate")
    return None


def elsewhere(reach: Reach, arn: str) -> list[str]:
    """Why an ARN is not where the target is: a sentence, or []."""
    account, region = _owner(arn)
    if (account, region) == (reach.account, reach.region):
        return []
    return [f"{arn} is in {region} of account {account}, and the target in {reach.region} of {reach.account}"]


def irreversible(arn: str, found: str) -> list[str]:
    """Why a certificate could not be put back: a sentence, or []."""
    if not arn or found:
        return []
    return [f"{arn} serves there and cannot be read any more, so it could not be put back: put another there first"]


def _service(arn: str) -> str:
    return [*arn.split(":"), "", "", ""][2]


def _owner(arn: str) -> tuple[str, str]:
    """Account and region."""
    parts = [*arn.split(":"), *[""] * 5]
    return parts[4], parts[3]
