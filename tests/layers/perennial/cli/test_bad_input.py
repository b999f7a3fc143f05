"""Whatever a user, an account or a network does: one clear line, exit code 2, and never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from command import Run, Scripted
from perennial.clients import Clients


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing",), "No such command 'nothing'"),
        (("scan", "--nothing"), "No such option"),
        (("scan", "--region", "narnia"), "'narnia' is not like eu-west-1 or all"),
        (("scan", "--region", "eu-wst-1"), "there is no region eu-wst-1"),
        (("scan", "--profile", "missing"), "The config profile (missing) could not be found"),
        (("scan", "--accounts", "123"), "'123' is not like 123456789012"),
        (("scan", "--source", "floppy"), "'floppy' is not one of"),
        (("scan", "--source", "endpoints"), "--source endpoints needs a list: --endpoints FILE"),
        (("scan", "--source", "secretsmanager"), "add --full"),
        (("scan", "--fail-on", "bad"), "'bad' is not one of"),
        (("scan", "--output", "pdf"), "'pdf' is not one of"),
        (("scan", "--endpoints", "missing.txt"), "No such file or directory"),
        (("scan", "--config", "missing.toml"), "No such file or directory"),
        (("scan", "--source", "acm", "--out", "/missing/out.json", "--json"), "/missing/out.json: No such file"),
        (("certs", "list", "--expiring", "soon"), "'soon' is not a length of time; write 12h, 30d or 4w"),
        (("certs", "list", "--expiring", "-3d"), "'-3d' is not a length of time"),
        (("certs", "list", "--limit", "0"), "0 is not in the range"),
        (("certs", "list", "--subtree"), "--subtree goes with --name"),
        (("certs", "list", "--public-key", "abc"), "'abc' is not like 64 hexadecimal digits"),
        (("certs", "list"), "perennial scan works without one"),
        (
            ("certs", "list", "--table", "missing"),
            "there is no deployment of Perennial in eu-west-1 (no table missing)",
        ),
        (("certs", "show"), "Missing argument 'FINGERPRINT'"),
        (("findings", "--severity", "bad"), "'bad' is not one of"),
        (("findings", "--check", "no.such"), "there is no check 'no.such'"),
        (("findings", "--account", "me"), "'me' is not like 123456789012"),
        (("scopes",), "no parameter /perennial/table"),
    ],
    ids=" ".join,
)
def test_bad_input_is_answered_in_one_line(run: Run, scripted: Scripted, arguments: tuple[str, ...], said: str) -> None:
    """The line says what is wrong, and what would be right where that is not obvious."""
    scripted()
    result = run(*arguments, expect=2)
    assert said in result.stderr
    assert result.stderr.startswith("perennial: ")
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"www.example.com\nhttps://shop\n", "line 2 of the endpoints' file: 'https://shop' is not host"),
        (b"www.example.com:99999", "line 1"),
        (b"www.example.com:0", "line 1"),
        (b"\xff\xfe\x00", "not text in UTF-8"),
        (b"# none\n", "names no endpoint"),
        (b"a.example\n" * 200_000, "larger than the 1000000 bytes"),
    ],
)
def test_a_bad_list_of_endpoints_is_told_with_its_line(run: Run, text: bytes, said: str) -> None:
    """Nothing is scanned with half a list."""
    assert said in run("scan", "--endpoints", "-", expect=2, stdin=text).stderr


def test_every_problem_of_a_configuration_is_a_line(run: Run, tmp_path: Path) -> None:
    """All at once, so that it is repaired at once."""
    config = tmp_path / "perennial.toml"
    config.write_text('[discovery]\nregions = ["narnia"]\nsauces = 1\n')
    told = run("scan", "--config", str(config), expect=2).stderr.splitlines()
    assert len(told) == 2
    assert all(line.startswith("perennial: discovery.") for line in told)
    config.write_bytes(b"\xff")
    assert "not text in UTF-8" in run("scan", "--config", str(config), expect=2).stderr


def test_without_credentials_the_line_names_the_ways_to_have_some(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of AWS then."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "no AWS credentials: name a profile" in run("scan", expect=2).stderr


def test_without_a_region_the_line_names_the_option(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A region is never guessed."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert "name one with --region" in run("scan", expect=2).stderr
    assert "name the deployment's with --region" in run("scopes", expect=2).stderr


@pytest.mark.parametrize(
    ("raised", "said", "code"),
    [
        (KeyboardInterrupt(), "interrupted", 130),
        (EndpointConnectionError(endpoint_url="https://x"), "Could not connect", 2),
        (BrokenPipeError(), "", 141),
    ],
    ids=lambda value: type(value).__name__,
)
def test_interruptions_and_network_failures_are_no_tracebacks(
    run: Run, monkeypatch: pytest.MonkeyPatch, raised: BaseException, said: str, code: int
) -> None:
    """Each has its exit code."""

    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr("perennial.cli.reach.tasks", fail)
    result = run("scan", expect=code)
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_an_account_that_cannot_be_entered_is_incomplete_and_the_others_are_scanned(
    run: Run, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One missing role does not hide the other accounts."""
    scripted()

    assume: Callable[..., Clients] = Clients.assume

    def deny(clients: Clients, account: str, role_name: str, external_id: str = "") -> Clients:
        if account == "222233334444":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")
        return assume(clients, account, role_name, external_id)

    monkeypatch.setattr(Clients, "assume", deny)
    result = run("scan", "--json", "--accounts", "222233334444,333344445555", "--source", "acm", expect=2)
    assert '"222233334444/all/all"' in result.stdout
    assert '{"scope":"333344445555/eu-west-1/acm","status":"complete"' in result.stdout
    assert "sts:AssumeRole: AccessDenied: no" in result.stderr


def test_a_reader_that_stops_early_causes_no_noise() -> None:
    """`perennial … | head -1` ends quietly."""
    code = "import sys; from perennial.cli.program import program; program.main(['--help'])"
    paths = os.pathsep.join(path for path in sys.path if path)
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
