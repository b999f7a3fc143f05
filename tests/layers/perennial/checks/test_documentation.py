"""docs/checks.md says what the checks say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from perennial.checks import CHECKS

ROOT = Path(__file__).resolve().parents[4]
SCRIPT = ROOT / "scripts/generate-docs"


def test_catalogue_has_not_drifted() -> None:
    """The committed catalogue is what scripts/generate-docs writes."""
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_drift_is_noticed(tmp_path: Path) -> None:
    """In a tree whose catalogue says something else the script exits with 1, and writing mends it."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "layers").symlink_to(ROOT / "layers")
    (tmp_path / "docs/checks.md").write_text("# Checks\n")
    script = tmp_path / "scripts/generate-docs"
    script.write_bytes(SCRIPT.read_bytes())
    runs = ([sys.executable, script, *arguments] for arguments in (["--check"], [], ["--check"]))
    assert [subprocess.run(each, check=False, capture_output=True).returncode for each in runs] == [1, 0, 0]


def test_every_check_has_its_heading_and_link() -> None:
    """Each check has one heading, and the table links to it as GitHub names it."""
    text = (ROOT / "docs/checks.md").read_text("utf-8")
    assert re.findall(r"^### `(.+)`$", text, re.MULTILINE) == list(CHECKS)
    links = dict(re.findall(r"^\| \[`(.+?)`\]\(#(.+?)\)", text, re.MULTILINE))
    assert links == {check: re.sub(r"[^a-z0-9-]", "", check) for check in CHECKS}
