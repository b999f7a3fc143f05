"""`perennial doctor`: what it shows, and its exit codes."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from api_server import answer, api_server
from command import Run
from perennial import doctor_gathering, doctor_resolver
from perennial.cli.api_client import Caller
from perennial.cli.doctor import _me
from perennial.doctor import Diagnosis, Verdict
from perennial.errors import Unavailable


def diagnosis(verdict: Verdict, topic: str = "dns", advice: str = "") -> Diagnosis:
    return Diagnosis(topic=topic, subject=f"{verdict}\x1b[31m", verdict=verdict, words="it is so", advice=advice)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Diagnosis]:
    """What is found: the test fills it."""
    found: list[Diagnosis] = []

    def examine(asked: doctor_gathering.Asked, now: datetime) -> list[Diagnosis]:
        assert asked.clients.region == "eu-west-1"
        return found

    monkeypatch.setattr(doctor_gathering, "examine", examine)
    return found


def test_the_worst_first_and_what_to_do(run: Run, judged: list[Diagnosis]) -> None:
    """What is fine is counted, and shown with --all."""
    judged += [diagnosis(each, advice="" if each is Verdict.FINE else f"mend {each}") for each in reversed(Verdict)]
    result = run("doctor", expect=1)
    assert result.stdout.splitlines() == [
        "WRONG    dns: wrong\\x1b[31m: it is so",
        "         → mend wrong",
        "WARNING  dns: warning\\x1b[31m: it is so",
        "         → mend warning",
        "UNKNOWN  dns: unknown\\x1b[31m: it is so",
        "         → mend unknown",
    ]
    assert result.stderr == "1 wrong, 1 warning, 1 unknown, 1 fine\n"
    assert "FINE     dns: fine" in run("doctor", "--all", expect=1).stdout


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ((Verdict.FINE, Verdict.WARNING), 0),
        ((Verdict.FINE, Verdict.WRONG, Verdict.UNKNOWN), 1),
        ((Verdict.UNKNOWN,), 2),
    ],
)
def test_exit_codes(run: Run, judged: list[Diagnosis], verdicts: tuple[Verdict, ...], code: int) -> None:
    """As its help says."""
    judged += map(diagnosis, verdicts)
    run("doctor", expect=code)
    assert "Exit codes: 0 all is fine" in run("doctor", "--help").stdout


def test_a_topic_alone(run: Run, judged: list[Diagnosis]) -> None:
    """The exit code is that of what is shown."""
    judged += [diagnosis(Verdict.WRONG), diagnosis(Verdict.FINE, "audit")]
    assert run("doctor", "--topic", "audit", "--all").stdout.count("\n") == 1
    run("doctor", "--topic", "audit", "--topic", "dns", expect=1)
    assert "'x' is not one of" in run("doctor", "--topic", "x", expect=2).stderr


def test_json(run: Run, judged: list[Diagnosis]) -> None:
    """All of it, also what is fine."""
    judged += [diagnosis(Verdict.WRONG, advice="mend"), diagnosis(Verdict.FINE)]
    first, second = json.loads(run("doctor", "--json", expect=1).stdout)
    assert first == {
        "topic": "dns",
        "subject": "wrong\x1b[31m",
        "verdict": "wrong",
        "words": "it is so",
        "advice": "mend",
    }
    assert second["advice"] is None


def test_where_nothing_is_deployed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real questions, on an account without a deployment: wrong, and no traceback."""

    def none() -> Any:
        raise Unavailable("/etc/resolv.conf names no resolver")

    monkeypatch.setattr(doctor_resolver, "resolvers", none)
    result = run("doctor", expect=1)
    assert "are not there" in result.stdout
    assert "there is no API of Perennial" in " ".join(result.stdout.split())


def test_without_credentials_or_region(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be asked then, and the line says why."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert "no region" in run("doctor", expect=2).stderr
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "no AWS credentials" in run("doctor", expect=2).stderr


def test_who_the_api_takes_one_for(run: Run) -> None:
    """Bounded, whatever the API says."""
    with api_server({("GET", "/v1/me"): answer({"name": "a" * 999, "grants": ["viewer"] * 99})}) as server:
        found = _me(Caller(url=server.url))
    assert (len(found.name), len(found.grants)) == (200, 50)
    with api_server({("GET", "/v1/me"): answer({"grants": "x"})}) as server:
        assert _me(Caller(url=server.url)).grants == ()
