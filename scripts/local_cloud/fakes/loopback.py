"""A real boto3 client whose requests end in a fake inside the test process: no server, no ministack."""

from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from local_cloud.fakes.wire import HttpRequest, Response

ACCOUNT = "111122223333"
REGION = "eu-central-1"


class Served(Protocol):
    """A service that answers requests: a fake, or one of ministack's."""

    service: str

    def handle(self, request: HttpRequest) -> Response:
        """Serves one request."""


class _Raw:
    """The part of urllib3's response that botocore reads."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> list[bytes]:
        return [self._body]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _request(prepared: AWSPreparedRequest) -> HttpRequest:
    url = urlsplit(prepared.url)
    body: Any = prepared.body or b""
    content: bytes = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else body.read()
    headers = {name.lower(): _text(value) for name, value in prepared.headers.items()}
    query = parse_qs(url.query, keep_blank_values=True)
    return HttpRequest(prepared.method, unquote(url.path), headers, content, query)


def client(fake: Served, region: str = REGION, *, validate: bool = True) -> Any:
    """A boto3 client of the fake's service. `validate=False` lets calls through that boto3 itself would refuse."""
    make: Any = boto3.client
    made = make(
        fake.service,
        region_name=region,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="test",
        config=Config(parameter_validation=validate, retries={"total_max_attempts": 1}),
    )

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        status, headers, body = fake.handle(_request(request))
        return AWSResponse(request.url, status, headers, _Raw(body))

    made.meta.events.register("before-send", send)
    return made


def here() -> tuple[str, str]:
    """The account and region that the fakes of the tests serve."""
    return ACCOUNT, REGION
