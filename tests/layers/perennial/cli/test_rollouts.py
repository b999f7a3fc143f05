"""`perennial deploy` and `perennial rollouts`: what they ask for, show, refuse, and how they wait."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command import Run
from perennial import target_settings
from perennial.target_settings import Declared
from perennial.targets.interface import TargetSettings
from rolling import RollingHub, rolling_hub

TARGETS = '[[targets]]\nkind = "scripted"\nname = "canary"\n\n[[targets]]\nkind = "scripted"\nname = "rest"\n'


@pytest.fixture
def hub(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[RollingHub]:
    """A deployment with two issued versions of `shop`, as its parameters name it."""
    with rolling_hub("canary", "rest") as made:
        environment = made.deployment.environment
        settings = f"{environment['PERENNIAL_SETTINGS_BUCKET']}/{environment['PERENNIAL_SETTINGS_KEY']}"
        ssm = made.deployment.clients("ssm")
        for name, value in {"table": environment["PERENNIAL_TABLE"], "settings": settings}.items():
            ssm.put_parameter(Name=f"/perennial/{name}", Value=value, Type="String", Overwrite=True)
        yield made


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "shop.toml"
    path.write_text(TARGETS)
    return str(path)


def test_it_is_asked_for(run: Run, hub: RollingHub, file: str) -> None:
    """The rollout of the newest version is kept, due at once, with who asked; the next command is named."""
    result = run("deploy", "shop", "--targets", file)
    assert "Requested rollout shop/1" in result.stderr
    assert "perennial rollouts shop" in result.stderr
    record = hub.rollout("shop/1")
    assert (record.version, record.count, record.state) == (2, 2, "checking")
    assert record.due_at
    assert record.asked_by.startswith("arn:aws:")


def test_the_targets_before(run: Run, hub: RollingHub, file: str) -> None:
    """Without a file the targets of the last rollout are taken, for any version."""
    run("deploy", "shop", "--targets", file)
    hub.run("shop/1")
    run("deploy", "shop", "--version", "1")
    assert [each.settings.name for each in hub.targets("shop/2").values()] == ["canary", "rest"]
    assert hub.rollout("shop/2").version == 1


@pytest.mark.parametrize(
    ("arguments", "text", "said"),
    [
        (("shop",), None, "no targets are known yet"),
        (("shop", "--version", "9"), TARGETS, "there is no version shop/9"),
        (("none",), TARGETS, "'none' has no issued version"),
        (("shop",), "[[targets", "the targets cannot be read as TOML"),
        (("shop",), TARGETS.replace("scripted", "ftp"), "targets[1].kind: ftp is not one of scripted"),
        (("shop", "--version", "0"), TARGETS, "0 is not in the range"),
    ],
)
def test_what_is_refused(
    run: Run, hub: RollingHub, tmp_path: Path, arguments: tuple[str, ...], text: str | None, said: str
) -> None:
    """A line says what is wrong; the exit code is 2; nothing is kept."""
    named: tuple[str, ...] = ()
    if text is not None:
        (tmp_path / "x.toml").write_text(text)
        named = ("--targets", str(tmp_path / "x.toml"))
    result = run("deploy", *arguments, *named, expect=2)
    assert said in result.stderr
    assert hub.deployment.inventory.rollouts("shop") == []


def test_what_is_no_text(run: Run, hub: RollingHub, tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused in words."""
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    assert "not a text in UTF-8" in run("deploy", "shop", "--targets", str(tmp_path / "x.toml"), expect=2).stderr


@pytest.mark.parametrize(("deaf", "code", "state"), [(False, 0, "deployed"), (True, 2, "returned")])
def test_it_waits(
    run: Run, hub: RollingHub, file: str, monkeypatch: pytest.MonkeyPatch, deaf: bool, code: int, state: str
) -> None:
    """--wait says what changes and ends with the result: 0 when it is proven everywhere, else 2."""
    hub.places["rest"].deaf = deaf
    monkeypatch.setattr(time, "sleep", lambda _: hub.run("shop/1"))
    result = run("deploy", "shop", "--targets", file, "--wait", expect=code)
    assert f"rollout shop/1: {state}" in result.stderr
    assert "canary: " in result.stderr
    assert result.stdout.startswith(f"Rollout shop/1, version 2: {state}\n")


def test_it_is_shown(run: Run, hub: RollingHub, file: str) -> None:
    """The newest rollout in full, with each target's state, what was there before and the proof; then the others."""
    run("deploy", "shop", "--targets", file)
    hub.run("shop/1")
    hub.places["rest"].refuses = ["It is full."]
    run("deploy", "shop", "--version", "1")
    hub.run("shop/2")
    said = run("rollouts", "shop").stdout
    first, *_ = said.splitlines()
    assert first == "Rollout shop/2, version 1: refused"
    assert "Nothing was changed. rest: It is full. Next: " in said
    assert "2. rest (scripted): refused" in said
    assert "\nRollout shop/1, version 2: deployed, 20" in said
    whole = run("rollouts", "shop", "--all").stdout
    assert whole.count("(scripted): proven") == 2
    assert "before  serial" in whole
    assert hub.targets("shop/1")["canary"].proof in whole


def test_it_is_shown_as_json(run: Run, hub: RollingHub, file: str) -> None:
    """--json has every rollout with its targets."""
    run("deploy", "shop", "--targets", file)
    hub.run("shop/1")
    (record,) = json.loads(run("rollouts", "shop", "--json").stdout)
    assert (record["rollout"], record["version"], record["state"], record["on_failure"]) == (1, 2, "deployed", "return")
    assert [each["state"] for each in record["targets"]] == ["proven", "proven"]
    assert record["targets"][0]["found"] == hub.versions[1].fingerprint
    assert record["ended_at"]
    assert record["due_at"] is None


def test_none_yet(run: Run, hub: RollingHub) -> None:
    """A managed certificate without rollouts is told so, with the next command."""
    assert "perennial deploy shop --targets FILE begins one" in run("rollouts", "shop", expect=2).stderr


def test_hostile_texts_are_shown_as_themselves(run: Run, hub: RollingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that came from elsewhere commands the terminal."""
    declared = Declared(targets=(TargetSettings(kind="scripted", name="canary", fields={"x": "\x1b[2J"}),))
    monkeypatch.setattr(target_settings, "load", lambda *_: declared)
    hub.places["canary"].refuses = ["\x1b]0;x\x07"]
    run("deploy", "shop", "--targets", "-", stdin=b"")
    hub.run("shop/1")
    for arguments in ((), ("--json",)):
        said: Any = run("rollouts", "shop", *arguments).stdout
        assert not set(said) & {"\x1b", "\x07"}
