"""Help that helps."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from command import Run
from perennial import __version__
from perennial.cli.program import program


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(_commands(program)), ids=" ".join)
def test_every_command_shows_an_example_of_itself(run: Run, path: tuple[str, ...]) -> None:
    """Whoever asks for help sees a command to copy."""
    assert f"  perennial {' '.join(path)}" in run(*path, "--help").stdout.partition("Examples:")[2]


def test_the_exit_codes_are_in_the_help(run: Run) -> None:
    """Pipelines depend on them."""
    for arguments in (("--help",), ("scan", "--help")):
        assert "Exit codes: 0" in run(*arguments).stdout


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    """And the exit code says that nothing was done."""
    assert "perennial scan" in run(expect=2).output


def test_the_version(run: Run) -> None:
    """One line."""
    assert run("--version").stdout == f"perennial {__version__}\n"
