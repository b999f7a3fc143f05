"""Clients: how fast they ask, what they ask again, and what an error means to a workflow."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore import exceptions
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import BotoCoreError, ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from pynamodb.exceptions import QueryError

from estate import REGION
from perennial import clients, errors
from perennial.clients import DENIED, DISABLED, FAULTS, MISSING, RATES, SHARE, THROTTLING, Clients, Pace, meaning, meant

SECRET = "MIIEvQIBADANBgkqhkiG9w0BAQ"


def refused(code: str, status: int = 400, message: str = "no") -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "ListCertificates",
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *((refused(code), errors.Throttled) for code in sorted(THROTTLING)),
        *((refused(code), errors.AccessDenied) for code in sorted(DENIED)),
        *((refused(code), errors.RegionDisabled) for code in sorted(DISABLED)),
        *((refused(code, 404), errors.NotFound) for code in sorted(MISSING)),
        *((refused(code), errors.Unavailable) for code in sorted(FAULTS)),
        (refused("Anything", 429), errors.Throttled),
        (refused("Forbidden", 403), errors.AccessDenied),
        (refused("InternalFailure", 500), errors.Unavailable),
        (refused("ServiceUnavailable", 503), errors.Unavailable),
        (refused("ValidationException"), errors.ServiceRefused),
        (refused("InvalidNextTokenException"), errors.ServiceRefused),
        (ClientError({"Error": {}}, "ListCertificates"), errors.ServiceRefused),
        (ClientError({"Error": {"Code": "X"}}, "ListCertificates"), errors.ServiceRefused),
        (exceptions.EndpointConnectionError(endpoint_url="https://acm"), errors.Unavailable),
        (exceptions.ConnectTimeoutError(endpoint_url="https://acm"), errors.Unavailable),
        (exceptions.ReadTimeoutError(endpoint_url="https://acm"), errors.Unavailable),
        (exceptions.ConnectionClosedError(endpoint_url="https://acm"), errors.Unavailable),
        (exceptions.SSLError(endpoint_url="https://acm", error="bad"), errors.Unavailable),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), errors.Unavailable),
        (exceptions.NoCredentialsError(), errors.AccessDenied),
        (exceptions.ProfileNotFound(profile="x"), errors.AccessDenied),
        (exceptions.UnauthorizedSSOTokenError(), errors.AccessDenied),
        (exceptions.NoRegionError(), errors.ServiceRefused),
        (exceptions.ParamValidationError(report="x"), errors.ServiceRefused),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)[:60]),
)
def test_every_error_means_one_thing(error: ClientError | BotoCoreError, expected: type[errors.PerennialError]) -> None:
    """Each code and each failure of the SDK becomes one class, which says whether to try again; the call is named."""
    found = meaning(error, "acm:ListCertificates in eu-west-1")
    assert type(found) is expected
    assert str(found).startswith("acm:ListCertificates in eu-west-1: ")


@pytest.mark.parametrize("pair", [(a, b) for a in range(4) for b in range(a)])
def test_no_code_means_two_things(pair: tuple[int, int]) -> None:
    """The lists of codes do not overlap, so their order does not matter."""
    lists = (THROTTLING, DENIED, DISABLED, MISSING)
    assert lists[pair[0]].isdisjoint(lists[pair[1]])


@pytest.mark.parametrize(
    "error",
    [
        refused("ValidationException", message=f"1 error: Value '{SECRET}' at 'privateKey' failed to satisfy"),
        refused("ValidationException", message=f"Value '{SECRET}'x\n'y' at 'a' failed to satisfy: Member must be"),
        refused("InvalidParameterException", message=f'Invalid value: "{SECRET}" failed validation'),
        exceptions.ParamValidationError(report=f"Invalid type for parameter PrivateKey, value: {SECRET}"),
        exceptions.ParamValidationError(report=SECRET),
    ],
)
def test_no_message_quotes_the_request(error: ClientError | BotoCoreError) -> None:
    """AWS and its SDK quote values that they refuse; these could be keys, and do not get into a message."""
    assert SECRET not in str(meaning(error, "acm:ImportCertificate"))


@pytest.mark.parametrize("error", [refused("X", message="x" * 9_999), exceptions.HTTPClientError(error="x" * 9_999)])
def test_messages_are_bounded(error: ClientError | BotoCoreError) -> None:
    """An answer as long as a page is cut: the message goes into tables and events."""
    assert len(str(meaning(error, "acm:X"))) < 350


@pytest.mark.parametrize(("service", "operation"), sorted(RATES))
def test_paced_operations_exist(service: str, operation: str) -> None:
    """Every rate belongs to a real operation, else it would never be applied."""
    client = boto3.client(service, region_name=REGION)
    assert operation in client.meta.service_model.operation_names
    assert RATES[service, operation] > 0


@settings(max_examples=100, deadline=None)
@given(
    rate=st.sampled_from([0.5, 1.0, 4.0, 6.4, 8.0]),
    waits=st.lists(st.floats(0, 3), min_size=1, max_size=60),
    obeys=st.booleans(),
)
def test_a_pace_is_never_exceeded(rate: float, waits: list[float], obeys: bool) -> None:
    """However the calls arrive, in any span of time there are at most rate × span and one second's worth more."""
    now = 1_000.0
    pace = Pace(rate, clock=lambda: now)
    made: list[float] = []
    for wait in waits:
        delay = pace.delay()
        made.append(now + delay)
        now += wait + (delay if obeys else 0)
    made.sort()
    for first in range(len(made)):
        for last in range(first, len(made)):
            span = made[last] - made[first]
            assert last - first + 1 <= rate * (span + 1) + 1 + 1e-6


def test_an_idle_pace_lets_a_call_through_at_once() -> None:
    """Who asks rarely never waits."""
    now = 0.0
    pace = Pace(2.0, clock=lambda: now)
    for _ in range(10):
        assert pace.delay() == 0
        now += 0.5


def test_one_a_second() -> None:
    """Where one call a second is allowed, the second one waits for a second, however long nothing was asked."""
    now = 100.0
    pace = Pace(1.0, clock=lambda: now)
    assert pace.delay() == 0
    now += 60
    assert [pace.delay(), pace.delay(), pace.delay()] == [0, 1, 2]


def test_two_beside_each_other(made: Clients) -> None:
    """What runs beside another takes half of each rate, and is the same one when it is asked for again."""
    once = made.beside(once=True)
    assert once is made.beside(once=True)
    assert once is not made.beside()
    assert (once._share, once._attempts) == (SHARE / 2, 1)
    assert (made.beside()._share, made.beside()._attempts) == (SHARE / 2, 7)
    assert made.at("us-east-1") is made.at("us-east-1")
    assert made.at("us-east-1").region == "us-east-1"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    """Clients with credentials that nobody checks, and without waiting."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("botocore.retries.bucket.TokenBucket.acquire", lambda *_, **__: True)
    yield Clients(boto3.Session("key", "secret", region_name=REGION))


def answering(client: Any, status: int, body: str) -> list[str]:
    """Answer every request without a network; returns the list of the URLs that were asked."""
    asked: list[str] = []

    class Raw(io.BytesIO):
        def stream(self, **_: object) -> Iterator[bytes]:
            yield self.read()

    def answer(request: AWSRequest, **_: object) -> AWSResponse:
        asked.append(request.url)
        return AWSResponse(request.url, status, {}, Raw(body.encode()))

    client.meta.events.register_last("before-send.*.*", answer)
    return asked


@pytest.mark.parametrize(
    ("status", "code", "attempts"),
    [
        (400, "AccessDeniedException", 1),
        (403, "AccessDenied", 1),
        (400, "ValidationException", 1),
        (400, "ResourceNotFoundException", 1),
        (400, "ThrottlingException", 7),
        (503, "ServiceUnavailable", 7),
        (200, "", 1),
    ],
)
def test_only_what_may_pass_is_asked_again(made: Clients, status: int, code: str, attempts: int) -> None:
    """Throttling and faults are asked again at most six times, a denial or a mistake never."""
    acm = made("acm")
    asked = answering(acm, status, f'{{"__type": "{code}", "message": "m"}}' if code else "{}")
    if code:
        with pytest.raises(ClientError, match=code):
            acm.list_certificates()
    else:
        acm.list_certificates()
    assert len(asked) == attempts


def test_every_attempt_is_paced(made: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry is a request too: each waits for its turn, at the share of the service's rate, and other calls do not."""
    rates: list[float] = []
    waited: list[Pace] = []
    monkeypatch.setattr(clients, "Pace", lambda rate: rates.append(rate) or Pace(rate))
    monkeypatch.setattr(clients, "_wait", lambda pace, **_: waited.append(pace))
    acm = made("acm")
    answering(acm, 400, '{"__type": "ThrottlingException"}')
    with pytest.raises(ClientError):
        acm.list_certificates()
    assert len(waited) == 7
    with pytest.raises(ClientError):
        acm.get_account_configuration()
    assert len(waited) == 7
    assert sorted(rates) == sorted(rate * SHARE for (service, _), rate in RATES.items() if service == "acm")


def test_a_client_is_made_once_for_a_service_and_region(made: Clients) -> None:
    """Asking again gives the same client; another region gives another."""
    assert made("acm") is made("acm", REGION)
    assert made("acm", "us-east-1") is not made("acm")
    assert made("acm", "us-east-1").meta.region_name == made.at("us-east-1")("acm").meta.region_name == "us-east-1"


@pytest.mark.parametrize(
    ("region", "arn"), [(REGION, "arn:aws:iam::1:role/R"), ("cn-north-1", "arn:aws-cn:iam::1:role/R")]
)
def test_a_role_is_assumed_in_the_partition_of_the_region(region: str, arn: str) -> None:
    """The role's ARN has the region's partition, the session its own name, and an external id where one is set."""
    asked: list[dict[str, str]] = []

    class Sts:
        def assume_role(self, **request: str) -> dict[str, Any]:
            asked.append(request)
            return {"Credentials": {"AccessKeyId": "a", "SecretAccessKey": "s", "SessionToken": "t"}}

    own = Clients(boto3.Session("key", "secret", region_name=region))
    own._made[("sts", region)] = Sts()
    assumed = own.assume("1", "R", "external")
    own.assume("1", "R")
    assert assumed.region == region
    assert asked == [
        {"RoleArn": arn, "RoleSessionName": "perennial", "ExternalId": "external"},
        {"RoleArn": arn, "RoleSessionName": "perennial"},
    ]


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (refused("ThrottlingException"), errors.Throttled),
        (refused("InternalServerError", 500), errors.Unavailable),
        (exceptions.ReadTimeoutError(endpoint_url="https://aws.example"), errors.Unavailable),
    ],
)
def test_what_the_tables_library_raises_is_meant_too(cause: Exception, expected: type[Exception]) -> None:
    """pynamodb puts errors of its own around AWS's, and names them as cause in an attribute only."""
    with pytest.raises(expected), meant("a test"):
        raise QueryError("Failed to query items", cause)
