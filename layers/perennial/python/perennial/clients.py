"""boto3 clients for any account and region, and what their errors mean.

Clients pace themselves below each service's published rate, retry throttling adaptively, and never retry a denial.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from perennial.errors import (
    AccessDenied,
    ConcurrentChange,
    NotFound,
    PerennialError,
    RegionDisabled,
    ServiceRefused,
    Throttled,
    Unavailable,
)

if TYPE_CHECKING:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

# Requests per second and account in a region (AWS service quotas, 2026-11); Perennial takes `SHARE` of them.
RATES: dict[tuple[str, str], float] = {
    ("acm", "SearchCertificates"): 5,
    ("acm", "ListCertificates"): 8,
    ("acm", "DescribeCertificate"): 10,
    ("acm", "GetCertificate"): 10,
    ("acm", "ListTagsForCertificate"): 10,
    ("acm", "ImportCertificate"): 1,
    ("acm", "RequestCertificate"): 5,
    ("acm", "ExportCertificate"): 10,
    ("acm-pca", "GetCertificateAuthorityCertificate"): 5,
    ("acm-pca", "DescribeCertificateAuthority"): 20,
    ("acm-pca", "IssueCertificate"): 25,
    ("acm-pca", "GetCertificate"): 75,
    ("acm-pca", "RevokeCertificate"): 20,
    ("route53", "ChangeResourceRecordSets"): 5,  # Route 53: 10 a second for all operations of an account together
    ("route53", "GetChange"): 5,
    ("route53", "ListHostedZones"): 5,
    ("route53", "ListHostedZonesByName"): 5,
    ("route53", "ListResourceRecordSets"): 5,
    ("securityhub", "BatchImportFindings"): 10,
    ("securityhub", "BatchUpdateFindings"): 10,
}
SHARE = 0.8
THROTTLING = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "PriorRequestNotComplete",
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
    }
)
DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "UnauthorizedOperation",
        "NotAuthorized",
        "UnauthorizedException",
        "InvalidAccessException",
        "ExpiredToken",
        "ExpiredTokenException",
    }
)
DISABLED = frozenset(
    {
        "OptInRequired",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "AuthFailure",
        "SubscriptionRequiredException",
    }
)
FAULTS = frozenset(  # of the service itself; pynamodb passes the code on without the HTTP status
    {
        "DependencyTimeoutException",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "InternalServiceErrorException",
        "InternalServiceException",
        "KMSInternalException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    }
)
CONFLICTING = frozenset({"TransactionConflictException", "TransactionInProgressException"})  # of DynamoDB: it passes
HOMES = {  # partition -> the region of IAM, CloudFront and their tags; others have their global services in any region
    "aws": "us-east-1",
    "aws-cn": "cn-northwest-1",
    "aws-us-gov": "us-gov-west-1",
}
UNREACHED = frozenset({"HTTPClientError", "ConnectionError", "IncompleteReadError", "MetadataRetrievalError"})
NO_CREDENTIALS = frozenset(
    {
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "TokenRetrievalError",
        "SSOError",
        "LoginError",
        "ProfileNotFound",
    }
)
_QUOTED = re.compile(r"[Vv]alue:? ['\"].*['\"] (?=at |failed)", re.DOTALL)  # Value '…' at 'privateKey' failed to …
MISSING = frozenset({"ResourceNotFoundException", "NoSuchEntity", "NotFoundException", "NoSuchBucket", "NoSuchKey"})


class Clients:
    """Makes clients from one boto3 session: `clients("acm")`, `clients("acm", "us-east-1")`; each is made once.

    `attempts` is how often a client sends one request at most. What must not arrive late is sent once. `share` is the
    part of each published rate that is taken.
    """

    def __init__(
        self, session: boto3.Session, region: str | None = None, *, attempts: int = 7, share: float = SHARE
    ) -> None:
        self.session = session
        self._attempts = attempts
        self._share = share
        self._others: dict[tuple[str | None, int, float], Clients] = {}
        self.region = region or session.region_name
        self._made: dict[tuple[str, str | None], Any] = {}
        self._lock = threading.Lock()  # boto3 sessions are not thread-safe while they make clients

    def __call__(self, service: str, region: str | None = None) -> Any:
        key = (service, region or self.region)
        with self._lock:
            if key not in self._made:
                self._made[key] = self._make(*key)
            return self._made[key]

    def _make(self, service: str, region: str | None) -> Any:
        from botocore.config import Config

        config = Config(
            retries={"mode": "adaptive", "total_max_attempts": self._attempts},
            connect_timeout=5,
            read_timeout=30,
            max_pool_connections=16,
            user_agent_extra="perennial",
        )
        session: Any = self.session
        client = session.client(service, region_name=region, config=config)
        for (name, operation), rate in RATES.items():
            if name == service:
                pace = Pace(rate * self._share)
                client.meta.events.register(f"before-send.{service}.{operation}", partial(_wait, pace))
        return client

    def at(self, region: str) -> Clients:
        """The same session in another region."""
        return self._other(region, self._attempts, self._share)

    def beside(self, *, once: bool = False) -> Clients:
        """The same, for one of two functions that call at a time: it takes half as much of each rate. With `once` each
        request is sent once: for calls that AWS would carry out again (an import without a token) where only the reply
        was lost."""
        return self._other(self.region, 1 if once else self._attempts, self._share / 2)

    def _other(self, region: str | None, attempts: int, share: float) -> Clients:
        """Made once each, so that clients are not made again and keep their pace."""
        with self._lock:
            key = (region, attempts, share)
            if key not in self._others:
                self._others[key] = Clients(self.session, region, attempts=attempts, share=share)
            return self._others[key]

    def at_home(self) -> Clients:
        """The same session where the partition has its global services."""
        region = self.region or "us-east-1"
        return self.at(HOMES.get(self.session.get_partition_for_region(region), region))

    def assume(self, account: str, role_name: str, external_id: str = "") -> Clients:
        """The same region, as a role of another account. The session's name tells CloudTrail who it was.

        Raises: ClientError.
        """
        import boto3

        partition = self.session.get_partition_for_region(self.region or "us-east-1")
        request = {"RoleArn": f"arn:{partition}:iam::{account}:role/{role_name}", "RoleSessionName": "perennial"}
        if external_id:
            request["ExternalId"] = external_id
        credentials = self("sts").assume_role(**request)["Credentials"]
        session = boto3.Session(
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
            region_name=self.region,
        )
        return Clients(session, self.region)


class Pace:
    """Lets calls through at a rate, in bursts of at most one second's worth."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / rate
        self._clock = clock
        self._next = 0.0
        self._lock = threading.Lock()

    def delay(self) -> float:
        """Seconds to wait before the next call; counts that call."""
        with self._lock:
            now = self._clock()
            due = max(self._next, now - max(0.0, 1.0 - self._interval))
            self._next = due + self._interval
            return max(0.0, due - now)


def _wait(pace: Pace, **_: Any) -> None:
    time.sleep(pace.delay())


@contextmanager
def meant(doing: str) -> Iterator[None]:
    """Raise what AWS's errors mean in the block, also those that pynamodb raises: it has them as their cause.

    Raises: PerennialError.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from pynamodb.exceptions import PynamoDBException

    try:
        yield
    except (ClientError, BotoCoreError, PynamoDBException) as error:
        told = (error.cause or error.__cause__) if isinstance(error, PynamoDBException) else error
        if not isinstance(told, ClientError | BotoCoreError):
            raise
        raise meaning(told, doing) from error


def meaning(error: ClientError | BotoCoreError, doing: str) -> PerennialError:
    """What an AWS error means to a workflow; `doing` names the call, as "acm:ListCertificates in eu-west-1"."""
    response: Any = getattr(error, "response", None)  # HTTPClientError has one that is None
    if not isinstance(response, dict):
        return _without_answer(error, doing)
    code = str(response.get("Error", {}).get("Code", "Unknown"))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = f"{doing}: {code}: {_QUOTED.sub('the value ', str(response.get('Error', {}).get('Message', '')))[:300]}"
    if code in THROTTLING or status == 429:
        return Throttled(text)
    if code in CONFLICTING:
        return ConcurrentChange(text)
    if code in DENIED:
        return AccessDenied(text)
    if code in DISABLED:
        return RegionDisabled(text)
    if code in MISSING:
        return NotFound(text)
    if status == 403:
        return AccessDenied(text)
    return Unavailable(text) if status >= 500 or code in FAULTS else ServiceRefused(text)


def _without_answer(error: Exception, doing: str) -> PerennialError:
    """What the SDK raised by itself: a network's failure passes, anything else does not. Messages about the network,
    credentials and regions are told; others are not, as those about parameters quote the request."""
    kinds = {each.__name__ for each in type(error).__mro__}
    name = type(error).__name__
    if name == "EndpointConnectionError" and not runs_at(getattr(error, "kwargs", {}).get("endpoint_url", "")):
        return RegionDisabled(f"{doing}: AWS does not run this service in this region")
    if kinds & UNREACHED:
        return Unavailable(f"{doing}: {name}: {str(error)[:300]}")
    if kinds & NO_CREDENTIALS:
        return AccessDenied(f"{doing}: {name}: {str(error)[:300]}")
    return ServiceRefused(f"{doing}: {name}" + (f": {str(error)[:300]}" if "Region" in name else ""))


def runs_at(url: str) -> bool:
    """Whether AWS runs a service in the region of an endpoint (`https://acm-pca.eu-west-1.amazonaws.com`), as far as
    botocore's data knows; True for any other endpoint. The data may be older than a region: ask only where the endpoint
    cannot be reached."""
    from botocore.session import get_session

    prefix, region = [*(urlsplit(url).hostname or "").split("."), "", ""][:2]
    for partition in get_session().get_data("endpoints")["partitions"]:
        if region in partition["regions"] and prefix in partition["services"]:
            return region in partition["services"][prefix]["endpoints"]
    return True
