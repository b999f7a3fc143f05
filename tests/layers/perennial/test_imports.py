"""What a handler does not import: every cold start of a Lambda pays for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FUNCTIONS = ROOT / "functions"
LIBRARY = ROOT / "layers" / "perennial" / "python"
HEAVY = {  # package -> the handlers that need it as they start; all others import it when they come to it, or never
    "acme": frozenset[str](),
    "aws_xray_sdk": frozenset[str](),
    "cryptography": frozenset[str](),
    "joserfc": frozenset[str](),
    "josepy": frozenset[str](),
    "OpenSSL": frozenset[str](),
    "pydantic": frozenset({"api.handle"}),  # once for each version: SnapStart keeps what it loaded
}
ONLY_FOR_THE_COMMAND = ("click", "rich")
_LOADED = "import json, sys; __import__(sys.argv[1]); print(json.dumps(sorted(sys.modules)))"


def _handlers() -> list[str]:
    """The importable names of the handlers, as the functions' code lies in a Lambda."""
    files = sorted(FUNCTIONS.glob("**/*.py"))
    names = (file.relative_to(FUNCTIONS).with_suffix("") for file in files if file.stem != "__init__")
    return [".".join(name.parts) for name in names]


HANDLERS = _handlers()


@cache
def _modules(handler: str) -> frozenset[str]:
    """The modules that an interpreter has loaded once it imported a handler and nothing else."""
    path = os.pathsep.join((str(LIBRARY), str(FUNCTIONS)))
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, handler],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"import {handler} needs the environment or fails:\n{done.stderr}"
    return frozenset(json.loads(done.stdout))


def _packages(handler: str) -> set[str]:
    return {name.partition(".")[0] for name in _modules(handler)}


def test_there_are_handlers_to_look_at() -> None:
    assert HANDLERS


@pytest.mark.parametrize("package", HEAVY)
@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_leaves_out_a_heavy_package_that_it_does_not_need(handler: str, package: str) -> None:
    if handler not in HEAVY[package]:
        assert package not in _packages(handler), f"import {package} in the function that uses it, not at the top"


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_leaves_out_what_only_the_command_needs(handler: str) -> None:
    assert not _packages(handler) & set(ONLY_FOR_THE_COMMAND)


@pytest.mark.parametrize("handler", HANDLERS)
def test_no_client_is_made_as_a_handler_is_imported(handler: str) -> None:
    assert "boto3" not in _packages(handler)


def test_handlers_that_are_allowed_a_heavy_package_exist() -> None:
    assert {handler for allowed in HEAVY.values() for handler in allowed} <= set(HANDLERS)
