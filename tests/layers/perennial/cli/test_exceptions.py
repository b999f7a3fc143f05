"""`perennial exceptions`: asked of a server that answers as the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api_server import Server, answer, api_server, problem
from command import Run
from perennial.cli import deciding

ID = "0192f3a4b5c6d7e8f90a1b2c3d4e5f60"
ASK = ("exceptions", "ask", "keys.weak", "--owner", "shop-team", "--reason", "until it is replaced")


def exception(**changed: Any) -> dict[str, Any]:
    """An exception as the API gives it."""
    return {
        "id": ID,
        "rule": "keys.weak",
        "selection": {"name": "old.example.com", "subtree": True, "account": "111122223333"},
        "reason": "until it is replaced\x1b[31m",
        "owner": "shop-team",
        "environment": "",
        "ends": "2026-12-01T00:00:00Z",
        "state": "asked",
        "asked_by": "Ada",
        "asked_at": "2026-11-01T12:00:00Z",
        "decided_by": "",
        "decided_at": None,
        "decision": "",
        "ended_by": "",
        "ended_at": None,
        "ended_why": "",
        "revision": 4,
        **changed,
    }


@pytest.fixture
def server(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The API, named by the environment."""
    with api_server() as made:
        monkeypatch.setenv("PERENNIAL_API", made.url)
        made.answers[("GET", f"/v1/exceptions/{ID}")] = answer(exception(), etag='"4"')
        made.answers[("POST", "/v1/exceptions")] = answer(exception(), 202)
        for what, state in (("approval", "active"), ("rejection", "rejected"), ("end", "ended")):
            made.answers[("POST", f"/v1/exceptions/{ID}/{what}")] = answer(exception(state=state))
        yield made


def test_list(run: Run, server: Server) -> None:
    """Those in a state, each with what it covers, who answers for it, and its end."""
    server.answers[("GET", "/v1/exceptions")] = answer({"items": [exception(state="active")], "next": None})
    result = run("exceptions", "list", "--state", "active")
    assert server.asked[0].query == {"state": "active", "limit": "100"}
    assert result.stdout.splitlines() == [
        f"{ID}  keys.weak: active, until 2026-12-01 00:00 UTC",
        "  name old.example.com and below, account 111122223333; shop-team answers; asked by Ada",
    ]
    assert json.loads(run("exceptions", "list", "--state", "all", "--json").stdout) == [exception(state="active")]
    assert "state" not in server.asked[-1].query
    server.answers[("GET", "/v1/exceptions")] = answer({"items": [], "next": None})
    assert run("exceptions", "list", "--state", "asked").stderr == "There is no asked exception.\n"


def test_list_by_default(run: Run, server: Server) -> None:
    """Those that wait come first, then those that hold; of both together at most so many."""
    server.answers[("GET", "/v1/exceptions")] = answer({"items": [exception()], "next": None})
    assert len(run("exceptions", "list").stdout.splitlines()) == 4
    assert [each.query["state"] for each in server.asked] == ["asked", "active"]
    assert len(run("exceptions", "list", "--limit", "1").stdout.splitlines()) == 2


def test_show(run: Run, server: Server) -> None:
    """All of it; nothing of it commands the terminal."""
    found = exception(state="ended", decided_by="Sec", decided_at="2026-11-02T09:00:00Z", ended_why="by time")
    server.answers[("GET", f"/v1/exceptions/{ID}")] = answer(found)
    told = run("exceptions", "show", ID).stdout
    assert told.splitlines()[:2] == [
        f"keys.weak: ended ({ID})",
        "  Covers         name old.example.com and below, account 111122223333",
    ]
    assert "  Decided        2026-11-02 09:00 UTC\n" in told
    assert "\x1b" not in told
    assert json.loads(run("exceptions", "show", ID, "--json").stdout) == found


def test_ask(run: Run, server: Server) -> None:
    """For a selection, until a day, or for a time from now on."""
    result = run(*ASK, "--name", "old.example.com", "--subtree", "--account", "111122223333", "--until", "2027-01-31")
    (came,) = server.of("POST")
    assert came.document == {
        "rule": "keys.weak",
        "selection": {"name": "old.example.com", "subtree": True, "account": "111122223333"},
        "reason": "until it is replaced",
        "owner": "shop-team",
        "ends": "2027-01-31T00:00:00+00:00",
    }
    assert f"perennial exceptions approve {ID}" in result.stderr
    before = datetime.now(UTC).replace(microsecond=0)
    run(*ASK, "--managed", "legacy", "--in-region", "eu-west-1", "--of-owner", "core", "--for", "30d")
    document = server.of("POST")[1].document
    assert document["selection"] == {"managed": "legacy", "region": "eu-west-1", "owner": "core"}
    assert before <= datetime.fromisoformat(document["ends"]) - timedelta(days=30) <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--for", "30d"), "say what it covers"),
        (("--subtree", "--for", "30d"), "say what it covers"),
        (("--managed", "legacy"), "either --for 30d or --until"),
        (("--managed", "legacy", "--for", "30d", "--until", "2027-01-31"), "either --for 30d or --until"),
        (("--managed", "legacy", "--for", "soon"), "is not a length of time"),
        (("--managed", "legacy", "--until", "31.1.2027"), "does not match the formats"),
        (("--account", "me", "--for", "30d"), "is not like 123456789012"),
    ],
)
def test_what_cannot_be_asked_for(run: Run, server: Server, arguments: tuple[str, ...], said: str) -> None:
    """Said in one line, before anything is asked."""
    result = run(*ASK, *arguments, expect=2)
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert server.asked == []


def test_approve(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """After it was shown and agreed to."""
    assert "grant it with --yes" in run("exceptions", "approve", ID, stdin=b"y\n", expect=2).stderr
    monkeypatch.setattr(deciding, "at_terminal", lambda: True)
    no = run("exceptions", "approve", ID, stdin=b"n\n", expect=130)
    assert "Covers         name old.example.com and below" in no.stderr
    assert server.of("POST") == []
    result = run("exceptions", "approve", ID, "--reason", "agreed", stdin=b"y\n")
    (came,) = server.of("POST")
    assert came.document == {"reason": "agreed"}
    assert result.stdout.startswith(f"keys.weak: active ({ID})\n")


@pytest.mark.parametrize(("command", "path"), [("reject", "rejection"), ("end", "end")])
def test_reject_and_end(run: Run, server: Server, command: str, path: str) -> None:
    """Each with a reason."""
    assert "Missing option '--reason'" in run("exceptions", command, ID, expect=2).stderr
    run("exceptions", command, ID, "--reason", "replaced", "--json")
    (came,) = server.of("POST")
    assert came.path == f"/v1/exceptions/{ID}/{path}"
    assert came.document == {"reason": "replaced"}


def test_a_refusal(run: Run, server: Server) -> None:
    """The role that is needed, and the exit code 2."""
    server.answers[("POST", f"/v1/exceptions/{ID}/approval")] = problem(403, "exceptions:grant needs the role security")
    told = run("exceptions", "approve", ID, "--yes", expect=2).stderr
    assert "perennial: exceptions:grant needs the role security\n" in told
