"""The deployed API as the commands ask it: signed with the caller's AWS credentials (SigV4), or with a person's token,
which they name or which is theirs because they have signed in.

Every write has an idempotency key, so that one whose reply was lost is sent again and done once. What may pass is tried
again; a refusal is told in the API's own words, one line for each violation (RFC 9457).

Sources: "Signing AWS API requests" (IAM User Guide), RFC 6750 2.1 (bearer tokens), RFC 9110 13.1.1 (If-Match).
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import click

from perennial.cli import api_problem
from perennial.errors import InvalidInput, InvalidReply, PerennialError, Unavailable
from perennial.roles import Action

if TYPE_CHECKING:
    from perennial.cli.api_connection import Address, Connection
    from perennial.cli.signed_in import SignedIn
    from perennial.clients import Clients
    from perennial.issuers.acme_http import Answer

PARAMETER, FOR_PEOPLE = "/perennial/api", "/perennial/api-people"  # SSM parameters that the stack writes
SERVICE = "execute-api"
TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0  # seconds
MAX_TOKEN = 16_384  # characters; API Gateway takes headers of 10,240 bytes in all
TOLD_PAUSE = 3.0  # seconds from which on a person is told that there is a pause
PAGE, MAX_PAGES = 100, 1_000
MAX_REPLY = 8 * 1024 * 1024  # bytes; a Lambda function answers with at most 6 MB
Sign = Callable[[str, str, bytes, Mapping[str, str]], Mapping[str, str]]  # method, URL, body, headers -> headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the API answered: one JSON object, and its ETag where it has one."""

    document: Mapping[str, Any] = field(repr=False)
    etag: str = ""


class Api:
    """The API at an address. `sign` adds to the headers of a request who asks."""

    def __init__(
        self, at: Address, sign: Sign, connection: Connection, *, pause: Callable[[float], object] = time.sleep
    ) -> None:
        self._at = at
        self._sign = sign
        self._connection = connection
        self._pause = pause

    def get(self, *path: str, action: Action | None, **query: str) -> Reply:
        """Read something. `action` is what it needs, for the words of a refusal.

        Raises: PerennialError.
        """
        return self._call("GET", _path(path, query), action, b"", {})

    def post(self, *path: str, action: Action | None, body: Mapping[str, Any] | None = None, etag: str = "") -> Reply:
        """Write something, once, however often it is sent.

        Raises: PerennialError.
        """
        return self.write("POST", *path, action=action, body=body, etag=etag)

    def write(
        self,
        method: str,
        *path: str,
        action: Action | None,
        body: Mapping[str, Any] | None = None,
        etag: str = "",
        query: Mapping[str, str] | None = None,
    ) -> Reply:
        """As `post`, with any method. `etag`: only where nobody changed it since it was read."""
        headers = {"Idempotency-Key": secrets.token_hex(16)} | ({"If-Match": etag} if etag else {})
        text = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        return self._call(method, _path(path, query or {}), action, text, headers)

    def every(self, *path: str, action: Action | None, most: int, **query: str) -> Iterator[Mapping[str, Any]]:
        """The members of a list, page by page, at most so many.

        Raises: PerennialError.
        """
        left = most
        further: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            page = self.get(*path, action=action, **query, **further, limit=str(min(left, PAGE))).document
            for each in _items(page)[:left]:
                left -= 1
                yield each
            following = page.get("next")
            if left <= 0 or not following:
                return
            further = {"next": str(following)}
        raise InvalidReply(f"the list of {path[0]} does not end after {MAX_PAGES} pages")

    def _call(self, method: str, path: str, action: Action | None, body: bytes, headers: Mapping[str, str]) -> Reply:
        for attempt in range(TRIES):
            try:
                answer = self._sent(method, path, body, headers)
                error = api_problem.read(answer, action)
            except Unavailable as unreachable:
                answer, error = None, unreachable
            if error is None and answer is not None:
                return _reply(answer)
            if attempt + 1 == TRIES or not _may_pass(error):
                break
            self._pause(_told(_pause(attempt, error)))
        assert error is not None
        raise error

    def _sent(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One request; it is signed anew each time, as a signature holds for minutes."""
        told = {"Accept": "application/json", **headers}
        if body:
            told["Content-Type"] = "application/json"
        signed = self._sign(method, f"{self._at.url}{path}", body, told)
        if self._at.through != self._at.url:
            signed = {**signed, "Host": self._at.host}
        url = f"{self._at.through}{path}"
        return self._connection.send(method, url, body=body or None, headers=signed, limit=MAX_REPLY)


def _path(parts: tuple[str, ...], query: Mapping[str, str]) -> str:
    """Each part is one segment, whatever it holds."""
    for each in parts:
        if each in ("", ".", "..") or len(each) > 500:
            raise InvalidInput(f"{each[:100]!r} names nothing")
    asked = {name: value for name, value in query.items() if value}
    path = "".join(f"/{quote(each, safe='')}" for each in parts)
    return f"{path}?{urlencode(asked, quote_via=quote)}" if asked else path


def _reply(answer: Answer) -> Reply:
    """Raises: InvalidReply where it is no JSON object."""
    where = "the API's reply"
    if answer.content_type not in ("application/json", "application/problem+json"):
        raise InvalidReply(f"{where} is {answer.content_type[:60] or 'without a content type'}, not JSON: {_NOT_IT}")
    return Reply(document=api_problem.json_object(answer.body, where), etag=answer.headers.get("etag", "")[:200])


_NOT_IT = "is it the API of Perennial that answers? /perennial/api in Parameter Store has its address, or --api"


def _items(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = page.get("items")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise InvalidReply("the API's reply has no list of items; is the command of another version? pip install -U")
    return found


def _may_pass(error: PerennialError | None) -> bool:
    return error is not None and error.retry and error.reason != "concurrent-change"


def _pause(attempt: int, error: PerennialError | None) -> float:
    """Seconds: what the API asked for, else a random part of a time that doubles."""
    asked = error.retry_after if error else None
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
    return min(asked, LONGEST_PAUSE) if asked is not None else longest * (1 + secrets.randbelow(1_000) / 1_000) / 2


def _told(pause: float) -> float:
    """A pause, of which a person is told where it is long."""
    if pause >= TOLD_PAUSE:
        click.echo(f"the API does not take it now; again in {pause:.0f} seconds", err=True)
    return pause


# --- who asks ---


@dataclass(frozen=True)
class Caller:
    """Who asks, and whom: the AWS session, or a token. `url` is the API's, "" for that of the deployment."""

    profile: str | None = None
    region: str | None = None
    token: str = field(default="", repr=False)
    url: str = ""

    @cached_property
    def clients(self) -> Clients:
        """Raises: InvalidInput without credentials or region."""
        from perennial.cli.reach import clients_of

        clients = clients_of(self.profile, self.region)
        if clients.region is None:
            raise InvalidInput("no region: name the deployment's with --region eu-west-1")
        return clients


def api(caller: Caller) -> Api:
    """The API of the deployment, or at the address that the caller names.

    Raises: InvalidInput, ClientError, BotoCoreError.
    """
    from perennial.cli.api_connection import Connection, address, roots_of

    if caller.token:
        return Api(place(caller, people=True), _bearer(caller.token), Connection(roots_of(None)))
    if kept := _signed_in(caller):
        connection = Connection(roots_of(None))
        return Api(address(kept.api, os.environ), _as_signed_in(kept, connection), connection)
    return Api(place(caller, people=False), _signer(caller.clients), Connection(roots_of(caller.clients)))


def place(caller: Caller, *, people: bool) -> Address:
    """Where the API is, as the caller names it, else as the deployment does: the one for tokens, where `people` is set.

    Raises: as `api`.
    """
    from perennial.cli.api_connection import address

    return address(caller.url or _deployed(caller, FOR_PEOPLE if people else PARAMETER), os.environ)


def _signed_in(caller: Caller) -> SignedIn | None:
    """Who has signed in, where the caller names nobody else and no other deployment.

    Raises: InvalidConfiguration where that cannot be read.
    """
    from perennial.cli import signed_in
    from perennial.cli.api_connection import address

    if caller.profile or caller.region:
        return None
    kept = signed_in.read(os.environ)
    if kept is None or address(kept.api, os.environ).through != kept.through:  # AWS then, and a local cloud now
        return None
    return kept if not caller.url or address(caller.url, os.environ).url == kept.api else None


def _as_signed_in(kept: SignedIn, connection: Connection) -> Sign:
    """Sends the token of who has signed in, renewed in time: a command may wait for hours."""
    from perennial.cli.signing_in import Ways, renewed

    ways, latest = Ways(connection=connection, environ=os.environ), [kept]

    def sign(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
        latest[0] = renewed(ways, latest[0])
        return _bearer(latest[0].token)(method, url, body, headers)

    return sign


def _deployed(caller: Caller, name: str) -> str:
    from botocore.exceptions import ClientError

    try:
        return str(caller.clients("ssm").get_parameter(Name=name)["Parameter"]["Value"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        raise InvalidInput(_NO_API.format(name=name, region=caller.clients.region)) from error


_NO_API = (
    "there is no API of Perennial in {region} (no parameter {name}): name another --region or --profile, or the API's "
    "address with --api; a deployment of before the API gets one when it is deployed again"
)


def _bearer(token: str) -> Sign:
    if len(token) > MAX_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInput("the token is none: a JWT has no spaces, and three parts between dots")
    return lambda method, url, body, headers: {**headers, "Authorization": f"Bearer {token}"}


def _signer(clients: Clients) -> Sign:
    """Signs with the session's credentials, as they are at the moment of each request."""

    def sign(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
        credentials = clients.session.get_credentials().get_frozen_credentials()
        SigV4Auth(credentials, SERVICE, clients.region).add_auth(request)
        return {str(name): str(value) for name, value in request.headers.items()}

    return sign
