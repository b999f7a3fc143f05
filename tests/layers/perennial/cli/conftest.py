"""An AWS environment for the command: credentials, a region, and no user's own configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from command import Run, Scripted
from perennial.cli.program import program
from perennial.manifest import Seen
from perennial.scanners.interface import Reading, Scanner


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "PERENNIAL_TABLE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # nobody has signed in
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs the command on in-memory AWS; `expect` is the exit code that it must have."""

    def call(*arguments: str, expect: int = 0, stdin: bytes = b"") -> Result:
        result = CliRunner().invoke(program, arguments, input=stdin)
        assert result.exit_code == expect, (result.stderr, result.exception)
        return result

    with mock_aws():
        yield call


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """Replaces every scanner by one that yields what the test says for its source: `scripted(acm=[…])`."""

    def replace(fails: dict[str, Exception] | None = None, **seen: list[Seen]) -> None:
        def scanner(source: str) -> Scanner:
            def scan(reading: Reading) -> Iterator[Seen]:
                yield from seen.get(source, [])
                if fails and source in fails:
                    raise fails[source]

            special: dict[str, Any] = {"everywhere": False} if source in ("iam", "cloudfront", "endpoints") else {}
            return Scanner(
                source=source, title=source, actions=(), scan=scan, hub_only=source == "endpoints", **special
            )

        monkeypatch.setattr("perennial.cli.reach.scanner", scanner)

    return replace
