"""Interrupted everywhere: whatever request is lost, going on from the order that was kept ends with one certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from acme_server import AcmeServer, Asker, Reply, acme, problem
from perennial.errors import PerennialError, RateLimited, Unavailable
from perennial.issuers.interface import Ask, Issued

pytestmark = pytest.mark.slow

NAMES = ("a.example.com", "*.a.example.com", "b.example.com")
COLD = 2 * len(NAMES) + 8  # requests of an undisturbed order with a new account


@pytest.fixture
def server_and_secrets() -> Iterator[tuple[AcmeServer, object]]:
    with acme() as made:
        yield made


class _Killed(BaseException):
    """The process ends here."""


def _go_on(asker: Asker, ask: Ask) -> int:
    """Steps until it is issued, each failure followed by another try; how many failed."""
    failed = 0
    for _ in range(30):
        try:
            if isinstance(asker.step(ask), Issued):
                return failed
        except (Unavailable, RateLimited, _Killed):
            failed += 1
    raise AssertionError("not issued")


@pytest.mark.parametrize("number", range(1, COLD + 1))
def test_a_lost_reply_costs_no_second_certificate(server_and_secrets: tuple[AcmeServer, object], number: int) -> None:
    """The server acted on the request and its reply was lost: the next step finds out."""
    server, secrets = server_and_secrets
    server.lose = lambda kind: len(server.kinds) == number
    asker = Asker(server, secrets)
    assert _go_on(asker, asker.ask(*NAMES)) == 1
    assert server.issued == 1
    assert len(server.accounts) == 1


@pytest.mark.parametrize("number", range(1, COLD + 1))
@pytest.mark.parametrize(
    "refusal",
    (
        lambda: Reply(503, body=b"busy", kind="text/plain"),
        lambda: problem("serverInternal", status=500),
        lambda: problem("rateLimited", status=429),
        lambda: problem("badNonce"),
    ),
    ids=("503", "serverInternal", "rateLimited", "badNonce"),
)
def test_a_fault_of_the_ca_passes(
    server_and_secrets: tuple[AcmeServer, object], number: int, refusal: Callable[[], Reply]
) -> None:
    """Each request meets each fault of the CA's once."""
    server, secrets = server_and_secrets
    acted = server._acted

    def fail_once(method: str, kind: str, name: str, body: bytes, refusals: list[Reply]) -> Reply:
        if len(server.kinds) == number and not (kind == "newNonce" and refusal().status == 400):
            return refusal()
        return acted(method, kind, name, body, refusals)

    server._acted = fail_once  # type: ignore[method-assign]
    asker = Asker(server, secrets)
    assert _go_on(asker, asker.ask(*NAMES)) <= 1
    assert server.issued == 1
    assert len(server.accounts) == 1


@pytest.mark.parametrize("number", range(1, 8))
@pytest.mark.parametrize("kept", (False, True), ids=("before it is kept", "after it is kept"))
def test_a_process_that_dies_as_the_order_is_kept_goes_on(
    server_and_secrets: tuple[AcmeServer, object], number: int, kept: bool
) -> None:
    """The CA did what it was asked, and the order with that is stored or not."""
    server, secrets = server_and_secrets
    asker = Asker(server, secrets)
    times = iter(range(1, 1_000))
    keep = asker._keep

    def die(text: str) -> None:
        now = next(times) == number
        if kept or not now:
            keep(text)
        if now:
            raise _Killed

    asker._keep = die  # type: ignore[method-assign]
    assert _go_on(asker, asker.ask(*NAMES)) <= 1
    assert server.issued == 1


@pytest.mark.parametrize("number", range(1, COLD + 1))
def test_every_reply_after_one_is_lost(server_and_secrets: tuple[AcmeServer, object], number: int) -> None:
    """A CA that is gone for a while: the order waits where it was."""
    server, secrets = server_and_secrets
    gone = iter([True] * 3)
    server.lose = lambda kind: len(server.kinds) >= number and next(gone, False)
    asker = Asker(server, secrets)
    assert _go_on(asker, asker.ask(*NAMES)) >= 1
    assert server.issued == 1


def test_a_lost_reply_is_an_error_that_is_retried(server_and_secrets: tuple[AcmeServer, object]) -> None:
    """The workflow's own back-off applies."""
    server, secrets = server_and_secrets
    server.lose = lambda kind: True
    with pytest.raises(PerennialError) as raised:
        Asker(server, secrets).issue("a.example.com")
    assert raised.value.retry
