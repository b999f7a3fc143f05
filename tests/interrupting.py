"""Issuance with something happening at one of its AWS calls or ACME requests, and what must hold afterwards.

point = Point(number=7, act=killed_after)
hub, ended = issued_with(point, "ACME")     # interrupted at the seventh call, then settled by the tick, and judged
point.happened                              # "aws dynamodb:PutItem"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from issuing import IssuingHub, issuing_hub
from perennial import keys
from perennial.certificate import parse
from perennial.errors import PerennialError
from perennial.inventory.records import VersionRecord, VersionState
from perennial.issuance_step import Step
from perennial.issuers.acme_http import Answer, Http

PARTS = 4  # each part of a test takes every fourth point
ASKS: dict[str, tuple[str, tuple[str, ...]]] = {  # issuer -> profile and names
    "ACME": ("web", ("shop.example.com", "*.shop.example.com")),
    "ACM PCA": ("private", ("shop.svc.internal",)),
}


class Killed(BaseException):
    """The process is gone: nothing of it catches this."""


@dataclass
class Point:
    """The n-th call of a whole issuance, and what happens there, once. `happened` names it."""

    number: int
    act: Callable[[Point, Callable[[], Any]], Any]
    kind: str = ""  # aws, acme, or both
    counted: list[str] = field(default_factory=list)
    happened: str = ""

    def call(self, kind: str, name: str, send: Callable[[], Any]) -> Any:
        """Let a call through, unless it is the one."""
        if self.kind and self.kind != kind:
            return send()
        self.counted.append(f"{kind} {name}")
        if len(self.counted) != self.number:
            return send()
        self.happened = self.counted[-1]
        return self.act(self, send)


@contextmanager
def watched(point: Point) -> Iterator[Point]:
    """Every AWS call and every ACME request goes through the point."""
    aws, acme = BaseClient._make_api_call, Http.send

    def call(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        return point.call(
            "aws", f"{client.meta.service_model.service_name}:{operation}", lambda: aws(client, operation, request)
        )

    def send(self: Http, method: str, url: str, **more: Any) -> Answer:
        path = url.split("/")[3]
        return point.call("acme", path, lambda: acme(self, method, url, **more))  # type: ignore[no-any-return]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BaseClient, "_make_api_call", call)
        patched.setattr(Http, "send", send)
        yield point


# --- what happens ---


def killed_before(point: Point, send: Callable[[], Any]) -> Any:
    raise Killed


def killed_after(point: Point, send: Callable[[], Any]) -> Any:
    send()
    raise Killed


def reply_lost(point: Point, send: Callable[[], Any]) -> Any:
    """The call has taken effect; its reply never comes."""
    from botocore.exceptions import ReadTimeoutError

    from perennial.errors import Unavailable

    send()
    if point.happened.startswith("acme"):
        raise Unavailable("the connection was closed")
    raise ReadTimeoutError(endpoint_url="https://aws.example")


def refused(code: str, status: int) -> Callable[[Point, Callable[[], Any]], Any]:
    """AWS refuses the call."""

    def act(point: Point, send: Callable[[], Any]) -> Any:
        answer: Any = {"Error": {"Code": code, "Message": "scripted"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(answer, point.happened.partition(":")[2])

    return act


def problem(code: str, status: int, **headers: str) -> Callable[[Point, Callable[[], Any]], Any]:
    """The CA refuses the request."""

    def act(point: Point, send: Callable[[], Any]) -> Any:
        body = f'{{"type":"urn:ietf:params:acme:error:{code}","detail":"scripted"}}'.encode()
        found = {"content-type": "application/problem+json", "replay-nonce": "bm9uY2U", **headers}
        return Answer(status=status, headers=found, body=body)

    return act


ACTS: dict[str, tuple[str, Callable[[Point, Callable[[], Any]], Any]]] = {
    "killed before": ("", killed_before),
    "killed after": ("", killed_after),
    "reply lost": ("", reply_lost),
    "throttled": ("aws", refused("ThrottlingException", 400)),
    "denied": ("aws", refused("AccessDeniedException", 400)),
    "AWS fails": ("aws", refused("InternalFailure", 500)),
    "badNonce": ("acme", problem("badNonce", 400)),
    "CA fails": ("acme", problem("serverInternal", 500)),
    "CA is overloaded": ("acme", problem("serverInternal", 503, **{"retry-after": "30"})),
    "rateLimited": ("acme", problem("rateLimited", 429, **{"retry-after": "3600"})),
    "rateLimited shortly": ("acme", problem("rateLimited", 429, **{"retry-after": "20"})),
    "order is gone": ("acme", problem("malformed", 404)),
    "unauthorized": ("acme", problem("unauthorized", 403)),
}


def issued_with(point: Point, issuer: str) -> tuple[IssuingHub, VersionRecord]:
    """One issuance with something happening at a point; how it ended after the tick's work."""
    with issuing_hub() as hub:
        profile, names = ASKS[issuer]
        record = hub.request(*names, profile=profile)
        with watched(point), suppress(Killed):
            hub.run(record.reference)
        ended = hub.settle(record.reference)
        judge(hub, ended)
        return hub, ended


def judge(hub: IssuingHub, ended: VersionRecord) -> None:
    """What holds after whatever happened."""
    assert ended.state.ended
    assert ended.due_at is None
    assert hub.challenges_left() == []
    _nothing_secret(hub)
    if ended.state is VersionState.FAILED:
        assert ended.reason
        assert "Next: " in ended.message
        if hub.issued():  # what was paid for can still be used: its key is stored
            assert len(hub.keys_of("shop")) == 1
        return
    held = hub.secret(ended)
    leaf = parse(ended.chain[0])
    assert keys.public_sha256(keys.from_pem(held["private_key"]).public_key()) == leaf.public_key_sha256
    assert set(leaf.names) == set(ended.request.names)
    assert len(hub.keys_of("shop")) == 1


def _nothing_secret(hub: IssuingHub) -> None:
    """No key is in the table; its base64 cannot be there in another shape than the PEM's lines."""
    table = hub.table()
    assert "PRIVATE KEY" not in table
    for private in hub.private_keys():
        line = private.splitlines()[1]
        assert line not in table


def total(kind: str, issuer: str) -> int:
    """The calls of an issuance that nothing happens to."""
    point = Point(number=0, act=killed_before, kind=kind)
    issued_with(point, issuer)
    return len(point.counted)


def at_every_point(issuer: str, what: str, part: int) -> int:
    """Let something happen at every fourth point of an issuance, beginning with the `part`th; returns how many.

    After each: exactly one certificate paid for, its key stored with it, no challenge left; or no certificate and a
    final reason with its next step. Nothing secret is in the table.
    """
    kind, act = ACTS[what]
    numbers = range(1 + part, total(kind, issuer) + 1, PARTS)
    final = []
    for number in numbers:
        point = Point(number=number, act=act, kind=kind)
        hub, ended = issued_with(point, issuer)
        assert point.happened
        if ended.state is VersionState.ISSUED:
            assert hub.issued() == 1, point.happened
        else:
            final.append(point.happened)
            assert hub.issued() <= 1, point.happened
    print(f"{issuer}, {what}: {len(numbers)} points, of which {len(final)} end with a reason: {sorted(set(final))}")
    return len(numbers)


class Doubled:
    """Runs the step that is under way a second time, in the midst of one of its calls."""

    def __init__(self) -> None:
        self._step: Callable[[], Step] | None = None

    def around(self, name: str, step: Callable[[], Step]) -> Step:
        self._step = step
        return step()

    def twice(self, point: Point, send: Callable[[], Any]) -> Any:
        assert self._step is not None
        with suppress(PerennialError):
            self._step()
        return send()
