"""Every Lambda runs alike, logs to its own group, and its handler exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def _own(hub: Any) -> list[dict[str, Any]]:
    return [each["Properties"] for each in hub.of("AWS::Lambda::Function").values()]


def test_runtime(hub: Any) -> None:
    """Every function runs on Python 3.13 on arm64, with both layers."""
    assert {(each["Runtime"], *each["Architectures"]) for each in _own(hub)} == {("python3.13", "arm64")}
    assert {len(each["Layers"]) for each in _own(hub)} == {2}


def test_every_file_is_a_function(hub: Any) -> None:
    """Every file of functions/ is deployed once, under its own name."""
    files = {str(file.relative_to(ROOT / "functions").with_suffix("")) for file in ROOT.glob("functions/*/*.py")}
    assert sorted(each["Handler"] for each in _own(hub)) == sorted(f"{file}.handler" for file in files)


def test_logs(hub: Any) -> None:
    """Every function has a log group of its own; every log group is encrypted and forgets after three months."""
    groups = [each["LoggingConfig"]["LogGroup"]["Ref"] for each in _own(hub)]
    kept = hub.of("AWS::Logs::LogGroup")
    assert len(set(groups)) == len(groups)
    assert set(groups) <= set(kept)
    assert {each["Properties"]["RetentionInDays"] for each in kept.values()} == {90}
    assert all("KmsKeyId" in each["Properties"] for each in kept.values())


def test_no_tracing(hub: Any) -> None:
    """No function is traced: the tracing library is in no layer."""
    for each in _own(hub):
        assert "TracingConfig" not in each
        assert not [name for name in each["Environment"]["Variables"] if "XRAY" in name]
    assert "xray" not in (ROOT / "requirements" / "lambda.txt").read_text()


def test_asynchronous_failures_are_kept(hub: Any) -> None:
    """What EventBridge invokes has a dead-letter queue, at the function and at every rule's target."""
    dead = [each["Handler"] for each in _own(hub) if "DeadLetterConfig" in each]
    assert sorted(dead) == ["audit/checkpoint.handler", "dispatch/event.handler", "dispatch/tick.handler"]
    targets = [target for each in hub.of("AWS::Events::Rule").values() for target in each["Properties"]["Targets"]]
    assert all("DeadLetterConfig" in each for each in targets)
