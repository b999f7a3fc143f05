"""`perennial alerts`: the ladder as it is now, and answering."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from command import Run
from estate import Estate
from layers.perennial.conftest import in_memory_hub
from managed_records import DECLARED, record
from perennial import acknowledgement, renewal
from perennial.errors import ConcurrentChange
from perennial.inventory.managed import Managed
from perennial.inventory.records import ManagedRecord, ManagedState, Serving, Told
from perennial.managed_certificate import targets_digest

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


def serving(left: float, days: float = 90) -> Serving:
    """A certificate of which so many days are left."""
    end = NOW + timedelta(days=left)
    return Serving(
        number=1,
        fingerprint="1" * 64,
        issuer="public",
        key="EC-256",
        signature="ecdsa-with-SHA256",
        not_before=end - timedelta(days=days),
        not_after=end,
        request=None,
        targets=targets_digest(DECLARED.targets),
        since=end - timedelta(days=days),
    )


def named(name: str, left: float, **more: Any) -> ManagedRecord:
    declared = replace(DECLARED, name=name)
    return record(**{"declared": declared, "serving": serving(left), "state": ManagedState.SERVING, **more})


def failing(name: str, left: float, told: Told | None = None) -> ManagedRecord:
    more = {"state": ManagedState.FAILING, "attempts": 2, "failure": "policy", "failure_message": "not \x1b[31mallowed"}
    return named(name, left, told=told, due_at=NOW + DAY, step="request", **more)


@pytest.fixture
def hub(run: Run) -> Iterator[Estate]:
    """A deployment as its parameters name it, with four certificates: three of them in trouble."""
    with in_memory_hub() as made:
        environment = made.deployment.environment
        settings = f"{environment['PERENNIAL_SETTINGS_BUCKET']}/{environment['PERENNIAL_SETTINGS_KEY']}"
        for name, value in {"table": environment["PERENNIAL_TABLE"], "settings": settings}.items():
            made.deployment.clients("ssm").put_parameter(
                Name=f"/perennial/{name}", Value=value, Type="String", Overwrite=True
            )
        for each in (
            named("healthy", 60, due_at=NOW + 10 * DAY, step="request"),
            failing("early", 40, Told(level=1, at=NOW - DAY)),
            failing("worst", -1, Told(level=4, at=NOW - DAY, acknowledged_by="arn:aws:iam::1:user/anna")),
            failing("untold", 14),
        ):
            made.deployment.inventory.save_managed(each)
        yield made


def told(hub: Estate, name: str) -> Told | None:
    return hub.deployment.inventory.managed_certificate(name).told


def test_the_worst_comes_first(run: Run, hub: Estate) -> None:
    """Who is on the ladder, by level: with what was told, by whom it was answered, and why."""
    rows = [line.split() for line in run("alerts", "list").stdout.splitlines()]
    assert rows[0][:2] == ["Level", "Certificate"]
    assert [row[:2] for row in rows[1:]] == [["4", "worst"], ["2", "untold"], ["1", "early"]]
    assert rows[1][-2:] == ["anna", "policy"]


def test_it_fits_a_terminal(run: Run, hub: Estate) -> None:
    """No line is longer than 80 columns, and none commands the terminal."""
    lines = run("alerts", "list", "--all").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("\x1b" in each for each in lines)


def test_all_of_them_as_json(run: Run, hub: Estate) -> None:
    """--json has every field; --all also those of which there is nothing to tell."""
    on_it = json.loads(run("alerts", "list", "--json").stdout)
    assert [each["managed"] for each in on_it] == ["worst", "untold", "early"]
    first, *_, last = json.loads(run("alerts", "list", "--all", "--json").stdout)
    assert (last["managed"], last["level"], last["told_at"], last["acknowledged_by"]) == ("healthy", 0, None, None)
    assert first == {
        "managed": "worst",
        "level": 4,
        "state": "failing",
        "owner": "shop-team",
        "service": None,
        "environment": None,
        "not_after": (NOW - DAY).isoformat(),
        "told_level": 4,
        "told_at": (NOW - DAY).isoformat(),
        "acknowledged_by": "arn:aws:iam::1:user/anna",
        "attempts": 2,
        "reason": "policy",
        "message": "not \x1b[31mallowed",
    }


def test_nothing_to_tell(run: Run, hub: Estate) -> None:
    """Without trouble, the list says so."""
    for name in ("worst", "untold", "early"):
        known = hub.deployment.inventory.managed_certificate(name)
        fine = replace(known, told=None, attempts=0, state=ManagedState.SERVING, serving=serving(60))
        hub.deployment.inventory.save_managed(fine)
    result = run("alerts", "list")
    assert (result.stdout, result.stderr) == ("", "Nobody is to be told of anything.\n")
    assert run("alerts", "list", "--json").stdout == "[\n]\n"


def test_acknowledging(run: Run, hub: Estate) -> None:
    """It is kept with the caller's ARN; time, level and what is due stay as they are."""
    result = run("alerts", "ack", "early")
    found = told(hub, "early")
    assert found == Told(level=1, at=NOW - DAY, acknowledged_by=found.acknowledged_by if found else "")
    assert found.acknowledged_by.startswith("arn:aws:")
    assert f"early: level 1 is acknowledged by {found.acknowledged_by}" in result.stderr
    assert hub.deployment.inventory.managed_certificate("early").due_at == NOW + DAY


def test_in_someone_s_name(run: Run, hub: Estate) -> None:
    """--by says who answers; what it cannot show is not kept."""
    run("alerts", "ack", "early", "--by", 'Anna\x1b[31m "until Monday"')
    found = told(hub, "early")
    assert found
    assert found.acknowledged_by == "Anna [31m 'until Monday'"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("untold",), "untold is not on the ladder: nobody was told that its renewal fails or is late"),
        (("healthy",), "healthy is not on the ladder"),
        (("none",), "'none' is not declared"),
        (("early", "--by", " \t"), "name who acknowledges: --by NAME"),
    ],
)
def test_what_cannot_be_acknowledged(run: Run, hub: Estate, arguments: tuple[str, ...], said: str) -> None:
    """A sentence says why, and the exit code is 2."""
    assert said in run("alerts", "ack", *arguments, expect=2).stderr


@pytest.mark.parametrize(("times", "succeeds"), [(1, True), (4, True), (5, False)])
def test_someone_else_writes_meanwhile(
    run: Run, hub: Estate, monkeypatch: pytest.MonkeyPatch, times: int, succeeds: bool
) -> None:
    """A change in between is read, and the answer given again: five times in all."""
    left, save = [times], Managed.save_managed

    def racing(self: Any, known: ManagedRecord, event: Any) -> ManagedRecord:
        if left[0]:
            left[0] -= 1
            raise ConcurrentChange("changed")
        return save(self, known, event)

    monkeypatch.setattr(Managed, "save_managed", racing)
    assert acknowledgement.TRIES == 5
    run("alerts", "ack", "early", "--by", "anna", expect=0 if succeeds else 2)
    found = told(hub, "early")
    assert found
    assert found.acknowledged_by == ("anna" if succeeds else "")


def test_the_list_is_as_the_lifecycle_judges(hub: Estate) -> None:
    """The scenario is what it seems: 14 of 90 days are below one sixth, 40 above one third."""
    assert serving(14).not_after - renewal.lifetime(serving(14)) / 6 < NOW < renewal.share_at(serving(40))
