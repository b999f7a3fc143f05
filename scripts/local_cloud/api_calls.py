"""Calls to the REST APIs of a local cloud, over TLS at its edge, as their clients make them: for tests and the demo.

    call(cloud, "GET", f"{url}managed", credentials=principal(cloud, HUB_ACCOUNT, "ada"))     # signed, SigV4
    call(cloud, "GET", f"{url}managed", token=token(cloud, "grace@example.com", ["shop-developers"]))

A URL is the one that the stack tells, ``https://….execute-api.REGION.amazonaws.com/v1/``. See `people` for who calls.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from local_cloud.cloud import Cloud


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Credentials of a principal of IAM; `token` is "" for a user. `arn` is what STS calls who has them."""

    arn: str
    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)

    @property
    def env(self) -> dict[str, str]:
        """The variables by which SDKs and the AWS CLI have them."""
        more = {"AWS_SESSION_TOKEN": self.token} if self.token else {}
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key, **more}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What an API answered; the header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body, read as JSON. Raises: ValueError."""
        return json.loads(self.body)


def root(account: str) -> Credentials:
    """Credentials of the root of an account."""
    return Credentials(arn=f"arn:aws:iam::{account}:root", access_key=account, secret_key=account)


def call(
    cloud: Cloud,
    method: str,
    url: str,
    *,
    credentials: Credentials | None = None,
    token: str = "",
    content: Any = None,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = 60,
) -> Reply:
    """Call an API over TLS, signed or with a bearer token. `content` is sent as JSON, bytes as they are."""
    body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
    url = f"{url}?{urlencode(query, quote_via=quote)}" if query else url  # a signature has %20 for a space, never +
    sent = {**({"Content-Type": "application/json"} if body else {}), **(headers or {})}
    sent |= {"Authorization": f"Bearer {token}"} if token else {}
    if credentials:
        sent = signed(credentials, method, url, body, sent)
    return send(cloud, method, url, body, sent, seconds=seconds)


def signed(
    credentials: Credentials, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The headers of a request, with a signature for the API Gateway of the URL's region."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as Keys

    keys = Keys(credentials.access_key, credentials.secret_key, credentials.token or None)
    region = (urlsplit(url).hostname or "").split(".")[2]
    request = AWSRequest(method=method, url=url, data=body, headers=dict(headers or {}))
    SigV4Auth(keys, "execute-api", region).add_auth(request)
    return {str(name): str(value) for name, value in request.headers.items()}


def send(
    cloud: Cloud, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, seconds: float
) -> Reply:
    """Send a request as it is to one of AWS's host names at the edge; its certificate is verified."""
    import urllib3

    parts = urlsplit(url)
    host = parts.hostname or ""
    with cloud.open(f"/_local_cloud/edge/resolve?{urlencode({'host': host, 'port': 443})}") as answer:
        address, port = json.load(answer)[0]
    with cloud.open("/_local_cloud/edge/root") as answer:
        root = answer.read().decode()
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with urllib3.HTTPSConnectionPool(
        address, port, server_hostname=host, assert_hostname=host, ca_cert_data=root, retries=False, timeout=seconds
    ) as pool:
        got = pool.request(method, target, body=body or None, headers={**(headers or {}), "Host": host}, redirect=False)
        return Reply(
            status=got.status, headers={name.lower(): value for name, value in got.headers.itermerged()}, body=got.data
        )
