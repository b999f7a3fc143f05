"""Every scanner is registered, and says what it needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import perennial.scanners
from perennial.scanners import scanner, scanners, sources

FOLDER = Path(str(perennial.scanners.__file__)).parent
ACTION = re.compile(r"[a-z0-9-]+:[A-Z][A-Za-z]+")


def test_every_file_has_its_line() -> None:
    """A scanner's file without its line in __init__.py is named here."""
    files = {each.stem for each in FOLDER.glob("*.py")} - {"__init__", "interface"}
    assert files - set(sources()) == set(), "these files have no line in scanners/__init__.py"
    assert set(sources()) - files == set(), "these lines of scanners/__init__.py have no file"


@pytest.mark.parametrize("source", sources())
def test_a_scanner_declares_its_source_title_and_permissions(source: str) -> None:
    """Each has its own name, a title, and the IAM actions that it needs, as IAM spells them; a handshake needs none."""
    found = scanner(source)
    assert (found.source, bool(found.title)) == (source, True)
    assert bool(found.actions) is (source != "endpoints")
    assert all(ACTION.fullmatch(action) for action in found.actions)


def test_scanners_are_found_by_their_source() -> None:
    """The registry holds each once."""
    assert tuple(scanners()) == sources()
