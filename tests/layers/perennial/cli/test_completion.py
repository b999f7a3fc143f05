"""Completion in shells: the scripts, and what they are told."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from command import Run
from perennial.cli.completion import SHELLS, VARIABLE
from perennial.cli.program import program


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell(run: Run, shell: str) -> None:
    """It asks the command under the variable that click listens to."""
    script = run("completion", shell).stdout
    assert f"{VARIABLE}={shell}_complete" in script
    assert "perennial" in script


def test_the_command_answers_the_script() -> None:
    """As the shell asks it: with the words so far."""
    environment = {VARIABLE: "bash_complete", "COMP_WORDS": "perennial exc", "COMP_CWORD": "1"}
    result = CliRunner().invoke(program, [], env=environment, prog_name="perennial")
    assert result.stdout.split() == ["plain,exceptions"]
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("before", "incomplete", "expected"),
    [
        ([], "req", {"request", "requests"}),
        (["request"], "re", {"retire", "revoke", "renew"}),
        (["doctor", "--topic"], "d", {"deployment", "dns"}),
        (["requests", "list", "--st"], "", set()),
        (["requests", "list"], "--st", {"--state"}),
        (["completion"], "", set(SHELLS)),
    ],
)
def test_what_is_completed(before: list[str], incomplete: str, expected: set[str]) -> None:
    """Commands, their options, and the words that options take."""
    complete = ShellComplete(program, {}, "perennial", VARIABLE)
    found = {each.value for each in complete.get_completions(before, incomplete)}
    assert expected <= found or found == expected


def test_an_unknown_shell(run: Run) -> None:
    """The line names those that are known."""
    assert "is not one of 'bash', 'zsh', 'fish'" in run("completion", "csh", expect=2).stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_takes_the_script(run: Run) -> None:
    """Its syntax is right, and it registers the completion."""
    script = run("completion", "bash").stdout + "\ncomplete -p perennial\n"
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=True)
    assert "perennial" in done.stdout
