"""The http-01 solver: a file is kept, shown to whoever asks for it, and removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from perennial import errors
from perennial.profiles import Solvers
from perennial.solvers import http01
from perennial.solvers.http01 import PATH, Answer, Http01, answer
from perennial.solvers.interface import Challenge, Shown

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TOKEN = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"
CONTENT = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
LISTENERS = ("arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/web/1/2",)


class Files:
    """The inventory, as far as files go."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, int]] = {}

    def show_challenge(self, token: str, content: str, expires_at: int) -> None:
        self.kept[token] = (content, expires_at)

    def shown_challenge(self, token: str) -> str | None:
        return self.kept.get(token, (None, 0))[0]

    def hide_challenge(self, token: str) -> None:
        self.kept.pop(token, None)


@pytest.fixture
def files() -> Files:
    return Files()


def solver(files: Files, listeners: tuple[str, ...] = LISTENERS) -> Http01:
    return Http01(files, listeners=listeners, clock=lambda: NOW)


def challenge(token: str = TOKEN, content: str = CONTENT, **more: Any) -> Challenge:
    return Challenge(shown=Shown.HTTP, where=token, value=content, name="shop.example.com", **more)


def test_a_file_is_shown_and_removed(files: Files) -> None:
    """A challenge is visible at once, forgotten by itself after a week, and removed as often as asked."""
    for _ in range(2):
        assert solver(files).present([challenge()]) == ()
    assert solver(files).ready(())
    assert files.kept == {TOKEN: (CONTENT, int((NOW + timedelta(days=7)).timestamp()))}
    for _ in range(2):
        solver(files).clean([challenge()])
    assert files.kept == {}


def test_what_stays(files: Files) -> None:
    """A file that stays is not removed."""
    solver(files).present([challenge(stays=True)])
    solver(files).clean([challenge(stays=True)])
    assert TOKEN in files.kept


def test_no_listener(files: Files) -> None:
    """Without a listener nobody would answer: the message names the setting. Cleaning needs none."""
    with pytest.raises(errors.NotFound, match=r"shop\.example\.com: .*\[solvers\] listeners"):
        solver(files, ()).present([challenge()])
    assert solver(files, ()).present([]) == ()
    solver(files, ()).clean([challenge()])


@pytest.mark.parametrize(
    ("token", "content"),
    [
        ("", CONTENT),
        ("../../index.html", "../../index.html.abc"),
        ("a b", "a b.c"),
        ("a" * 257, f"{'a' * 257}.c"),
        (TOKEN, TOKEN),
        (TOKEN, f"other.{TOKEN}"),
        (TOKEN, f"{TOKEN}.<script>"),
        (TOKEN, f"{TOKEN}.{'a' * 129}"),
        (f"{TOKEN}\n", CONTENT),
        (TOKEN, f"{CONTENT}\n"),
    ],
    ids=lambda text: text[:12],
)
def test_hostile_challenges(files: Files, token: str, content: str) -> None:
    """Only a token and its key authorization are ever shown on the customer's host: of several, then none."""
    with pytest.raises(errors.InvalidInput, match=r"shop\.example\.com"):
        solver(files).present([challenge(), challenge(token, content)])
    assert files.kept == {}


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", PATH + TOKEN, Answer(status=200, text=CONTENT)),
        ("HEAD", PATH + TOKEN, Answer(status=200)),
        ("POST", PATH + TOKEN, Answer(status=405, allow="GET, HEAD")),
        ("GET", PATH + "unknown", Answer(status=404)),
        ("GET", PATH, Answer(status=404)),
        ("GET", PATH + TOKEN + "/", Answer(status=404)),
        ("GET", PATH + "../" + TOKEN, Answer(status=404)),
        ("GET", PATH + "%2e", Answer(status=404)),
        ("GET", PATH + "a" * 257, Answer(status=404)),
        ("GET", TOKEN, Answer(status=404)),
        ("GET", "/", Answer(status=404)),
        ("None", "None", Answer(status=404)),
    ],
)
def test_answers(files: Files, method: str, path: str, expected: Answer) -> None:
    """A file under its own path, and nothing else."""
    solver(files).present([challenge()])
    assert answer(files, method, path) == expected


def test_an_inventory_that_does_not_answer() -> None:
    """What DynamoDB refuses is told as what it means."""

    def refuse(token: str) -> str | None:
        error: Any = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}
        raise ClientError(error, "GetItem")

    files: Any = SimpleNamespace(shown_challenge=refuse)
    with pytest.raises(errors.Throttled):
        answer(files, "GET", PATH + TOKEN)


def test_the_solver_of_a_deployment(files: Files) -> None:
    """The deployment's solver keeps files in its inventory, with its clock."""
    settings = SimpleNamespace(solvers=Solvers(listeners=LISTENERS))
    deployment: Any = SimpleNamespace(inventory=files, settings=settings, clock=lambda: NOW)
    http01.of(deployment).present([challenge()])
    assert files.kept[TOKEN][1] == int((NOW + http01.KEPT).timestamp())
