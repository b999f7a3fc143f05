"""Cold start: what importing each Lambda handler costs, as a ratio to importing boto3.

Each import runs in an interpreter of its own, with its bytecode compiled, in turns with `import boto3`; the least CPU
time of each counts, which other programs disturb little. A ratio of 1 is what every Lambda that calls AWS pays anyway.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benches.report import Result, say

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "layers" / "perennial" / "python"
FUNCTIONS = ROOT / "functions"
YARDSTICK = "boto3"
_MEASURE = """
import sys, time
name, _, function = sys.argv[1].partition(":")
began, before = time.process_time(), len(sys.modules)
__import__(name)
if function:
    getattr(sys.modules[name], function)()
print(time.process_time() - began, len(sys.modules) - before)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bench's own options."""
    parser.add_argument("--repeat", type=int, default=7, metavar="N", help="imports of each; the best counts (7)")


def run(options: argparse.Namespace) -> Iterator[Result]:
    """Measure every handler that there is."""
    names = handlers()
    say(f"importing {len(names)} handlers and {YARDSTICK}, {options.repeat} times each")
    seconds, modules = best([YARDSTICK, *names], options.repeat)
    for name in names:
        yield Result(f"import {name}", seconds[name] / seconds[YARDSTICK], f"x import {YARDSTICK}")
        yield Result(f"modules of {name}", modules[name], "modules")
    yield Result(f"import {YARDSTICK}", 1_000 * seconds[YARDSTICK], "ms here")


def handlers() -> list[str]:
    """The importable names of all handler modules: `discovery.scan` for functions/discovery/scan.py."""
    files = (file.relative_to(FUNCTIONS) for file in FUNCTIONS.glob("**/*.py") if file.stem != "__init__")
    return sorted(".".join(file.with_suffix("").parts) for file in files)


def best(names: Sequence[str], repeat: int) -> tuple[dict[str, float], dict[str, int]]:
    """name → least CPU seconds, name → modules loaded. In turns, so that a slow minute hits all alike. Of a function,
    `module:function`, what it does when it is called counts too."""
    seconds = dict.fromkeys(names, float("inf"))
    modules: dict[str, int] = {}
    for turn in range(repeat + 1):
        for name in names:
            took, loaded = _imported(name)
            modules[name] = loaded
            if turn:  # the first one may compile
                seconds[name] = min(seconds[name], took)
    return seconds, modules


def _imported(name: str) -> tuple[float, int]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = os.pathsep.join((str(LIBRARY), str(FUNCTIONS)))
    command = [sys.executable, "-c", _MEASURE, name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: import {name} failed:\n{done.stderr}")
    took, loaded = done.stdout.split()[-2:]
    return float(took), int(loaded)
