"""The handlers of Approval pass on the request and nothing else; the token goes to the library alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from tests.functions.test_handlers import _context

from perennial import change_request_steps
from perennial.change_request import ChangeRequest, Kind, RequestState, Wish

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DEPLOYMENT = SimpleNamespace(clock=lambda: NOW)
ID, TOKEN = "01a196fb16006a34df8d9526c150b2a8", "AAAAKgAAAAIAAAAAAAAAAT0ken"
REQUEST = ChangeRequest(
    id=ID,
    wish=Wish(kind=Kind.RENEW, managed="shop"),
    owner="shop",
    environment="",
    digest="d",
    asked_by=("a",),
    principal="a",
    asked_name="a",
    asked_at=NOW,
    source="api",
    reason="",
    needs=(),
    expires_at=NOW + timedelta(seconds=90),
    forget_at=NOW + timedelta(days=1),
)


def _loaded(monkeypatch: pytest.MonkeyPatch, name: str, function: str, answer: Any) -> tuple[Any, list[Any]]:
    loaded = import_module(f"functions.approval.{name}")
    monkeypatch.setattr(loaded, "deployment", lambda: DEPLOYMENT)
    called: list[Any] = []
    monkeypatch.setattr(change_request_steps, function, lambda *given: called.append(given) or answer)
    return loaded, called


@pytest.mark.parametrize("name", ["apply", "expire"])
@pytest.mark.parametrize(
    ("state", "step"),
    [
        (RequestState.DONE, {"next": "ended", "seconds": 0}),
        (RequestState.APPROVED, {"next": "apply", "seconds": 0}),
        (RequestState.WAITING, {"next": "ask", "seconds": 90}),
    ],
)
def test_steps(monkeypatch: pytest.MonkeyPatch, name: str, state: RequestState, step: dict[str, Any]) -> None:
    """Applying and expiring say what is next for the request as it is then."""
    loaded, called = _loaded(monkeypatch, name, name, replace(REQUEST, state=state))
    assert loaded.handler({"request": ID}, _context()) == step
    assert called == [(DEPLOYMENT, ID, NOW)]


def test_asking_shows_no_token(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The token reaches the library, and neither the answer nor the log, even where events are to be logged."""
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")
    loaded, called = _loaded(monkeypatch, "ask", "tell", None)
    assert loaded.handler({"request": ID, "token": TOKEN}, _context()) == {}
    assert called == [(DEPLOYMENT, ID, TOKEN, NOW)]
    written = capsys.readouterr()
    assert ID in written.out
    assert TOKEN not in written.out + written.err
