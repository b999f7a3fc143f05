"""The commands that README and the documents show are commands that there are, with options that they have."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from perennial.cli.program import program

ROOT = next(each for each in Path(__file__).resolve().parents if (each / "README.md").exists())
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NO_COMMANDS = {"audit chain <day> <shard, two digits>"}  # the text of which a hash is made
_BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^(?:\$ |   \$ )?(?:\.venv/bin/)?perennial [^\n]*")
_INLINE = re.compile(r"`perennial ([a-z][^`\n]*)`")


def listings(text: str) -> Iterator[str]:
    """The commands of a document: whole lines of its listings, and those in its sentences."""
    for block in _BLOCK.findall(text):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            if match := _COMMAND.match(line):
                yield match.group().partition("perennial ")[2]
    yield from (each for each in _INLINE.findall(_BLOCK.sub("", text)) if each not in NO_COMMANDS)


def words(command: str) -> list[str]:
    """A command's words as a shell gives them: up to a comment, a pipe, a redirection, or an ellipsis."""
    either = re.sub(r"(?<=\w)\|(?=\w)", "¦", command)  # show|verify
    lexer = shlex.shlex(either.replace("…", " … "), posix=True, punctuation_chars="|><&;")
    lexer.whitespace_split, lexer.commenters = True, "#"
    found: list[str] = []
    for each in lexer:
        if each[0] in "|><&;…":
            break
        found.append(each)
    return found


def problem(command: str) -> str:
    """What is wrong with a command; "" for nothing. `a|b` stands for either."""
    found: click.Command = program
    left = words(command)
    while isinstance(found, click.Group) and left and not left[0].startswith("-"):
        name = left.pop(0)
        for each in name.split("¦"):
            inner = found.get_command(click.Context(found), each)
            if inner is None:
                return f"there is no command {each} in {found.name}"
        assert inner
        found = inner
    known = {name for each in found.params for name in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}
    unknown = [each for each in left if re.match(r"--?[a-z]", each) and each.partition("=")[0] not in known]
    return f"{found.name} has no option {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: str(each.relative_to(ROOT)))
def test_every_command_that_is_shown_is_one(document: Path) -> None:
    """Whoever copies one from a document finds it in --help."""
    wrong = [(each, why) for each in listings(document.read_text("utf-8")) if (why := problem(each))]
    assert wrong == []


def test_readme_shows_commands() -> None:
    """The search finds them."""
    found = list(listings((ROOT / "README.md").read_text("utf-8")))
    assert len(found) > 15
    assert "scan --region all --full --output html --out report.html" in [" ".join(words(each)) for each in found]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("certs lst", "no command lst in certs"),
        ("certs list --expirng 30d", "no option --expirng"),
        ("certs list --expiring=30d -x", "no option -x"),
        ("nothing", "no command nothing in"),
        ("proof show|vrify", "no command vrify"),
        ("proof show|verify ID", ""),
        ("certs list --owner 'a --b' # --c", ""),
        ("audit export --last 30d > audit.jsonl", ""),
        ("adopt 5a3d -o x.yaml && perennial apply --nothing", ""),
        ("why NAME …", ""),
    ],
)
def test_the_check_itself(command: str, said: str) -> None:
    """It sees what is wrong, and nothing else."""
    assert said in problem(command)
    assert bool(said) == bool(problem(command))


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize(
    ("path", "command"), list(_commands(program)), ids=lambda each: " ".join(each) if type(each) is tuple else ""
)
def test_every_example_of_help_is_a_command(path: tuple[str, ...], command: click.Command) -> None:
    """Each example can be copied: its command and options are there."""
    examples = re.sub(r"\\\n\s*", "", command.epilog or "")
    shown = [each.partition("perennial ")[2] for each in examples.splitlines() if each.startswith("  perennial ")]
    assert shown
    assert [(each, why) for each in shown if (why := problem(each))] == []
