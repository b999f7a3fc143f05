"""The API's handler: what it loads, and what other handlers do not load."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from functions.api import handle

from asked_api import ID, LAMBDA, api_hub, as_role, event
from perennial.api import resolver

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("pydantic", "aws_lambda_powertools.event_handler", "perennial.api")
MODULES = sorted(".".join(file.relative_to(ROOT).with_suffix("").parts) for file in ROOT.glob("functions/*/*.py"))


def _loaded(module: str, unwanted: tuple[str, ...]) -> list[str]:
    """Which of some modules importing a handler loads."""
    program = f"""
import importlib, sys
importlib.import_module({module!r})
print(*[each for each in {unwanted!r} if each in sys.modules])
"""
    path = f"{ROOT / 'layers' / 'perennial' / 'python'}:{ROOT}"
    result = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    return result.stdout.split()


@pytest.mark.parametrize("module", [each for each in MODULES if each != "functions.api.handle"])
def test_no_other_handler_loads_the_router(module: str) -> None:
    """pydantic and the router are the API's alone: they take a cold start's time."""
    assert _loaded(module, HEAVY) == []


def test_the_api_is_loaded_before_it_is_asked() -> None:
    """Its snapshot holds the router and the documents, and neither a client nor a table."""
    assert _loaded("functions.api.handle", HEAVY) == list(HEAVY)
    assert _loaded("functions.api.handle", ("boto3", "pynamodb", "cryptography", "acme")) == []


def test_a_snapshot_has_all_that_a_request_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the runtime takes snapshots, everything is imported before; nothing of it makes a client."""
    registered: list[Any] = []
    runtime = ModuleType("snapshot_restore_py")
    runtime.__spec__ = ModuleSpec("snapshot_restore_py", None)
    runtime.register_before_snapshot = registered.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", runtime)
    importlib.reload(handle)
    assert registered == [resolver.load]
    monkeypatch.setattr(boto3.Session, "client", lambda *_, **__: pytest.fail("a client was made"))
    resolver.load()
    assert set(resolver.NEEDED) <= set(sys.modules)


def test_the_reply_is_one_of_a_proxy_integration() -> None:
    """Status, headers, body and encoding, and nothing else; the clients are made at the first request."""
    with api_hub():
        reply = handle.handler(event("GET", "/me", as_role("anna")), LAMBDA)
    assert set(reply) == {"statusCode", "multiValueHeaders", "body", "isBase64Encoded"}
    assert (reply["statusCode"], reply["multiValueHeaders"]["X-Request-Id"]) == (200, [ID])
