"""What a command does not need, it does not import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"rich", "pynamodb", "acme", "josepy", "aws_cdk", "moto"}
_CODE = """
import sys
from unittest.mock import patch
from perennial.cli import main
try:
    with patch("perennial.cli.reach.tasks", lambda clients, reach: ([], [])), patch.object(sys, "argv", {argv!r}):
        main()
except SystemExit:
    pass
print("\\n" + __import__("json").dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (("scan", "--json"), set()),
        (("scan", "--output", "csv"), set()),
        (("scan", "--output", "html"), set()),
        (("scan",), {"rich"}),
        (("--help",), set()),
    ],
    ids=" ".join,
)
def test_heavy_packages_stay_out(arguments: tuple[str, ...], needed: set[str], tmp_path: Path) -> None:
    """A scan for a program starts without tables, and no scan knows the deployed table's library."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
    }
    code = _CODE.format(argv=["perennial", *arguments])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert HEAVY & set(json.loads(done.stdout.splitlines()[-1])) == needed
