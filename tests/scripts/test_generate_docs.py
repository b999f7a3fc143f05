"""The catalogues say what the code says: nothing in them is written twice and nothing has drifted."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from infra.permissions import OF_EVERY_SCAN, discovery_statements

from perennial.alert_event import AlertEvent
from perennial.change_request_message import RequestEvent
from perennial.events import LENGTHS, FindingEvent, detail_type
from perennial.exception_event import ExceptionEvent
from perennial.findings import State
from perennial.scanners import scanners
from perennial.settings import Discovery

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """scripts/generate-docs as a module."""
    loader = SourceFileLoader("generate_docs", str(ROOT / "scripts/generate-docs"))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_every_catalogue_is_as_committed(script: ModuleType) -> None:
    """Each file in docs/ is what its catalogue says now."""
    for name, catalogue in script.CATALOGUES.items():
        assert (ROOT / name).read_text("utf-8") == f"{catalogue()}\n", f"{name}: run scripts/generate-docs"


def test_every_source_and_action_is_listed(script: ModuleType) -> None:
    """Each scanner has one row, with its title and every action that it declares."""
    rows = {row.split("`")[1]: row for row in script.sources().splitlines() if row.startswith("| `")}
    assert list(rows) == list(scanners())
    for source, scanner in scanners().items():
        assert scanner.title in rows[source]
        assert [each for each in scanner.actions if f"`{each}`" not in rows[source]] == []


def test_policy_is_what_a_deployment_grants(script: ModuleType) -> None:
    """The policy for people has exactly the statements of the scanning role, and its reasons name what infra adds."""
    granted = [_plain(each.to_json()) for each in discovery_statements(Discovery(), partition="aws", hub=True)]
    shown = json.loads(_json_blocks(script.sources())[0])["Statement"]
    assert [_plain(each) for each in shown] == granted
    assert set(script.OF_EVERY_SCAN) == set(OF_EVERY_SCAN)


def test_every_field_of_an_event_is_explained(script: ModuleType) -> None:
    """Each field has one row and a meaning, and a length where texts are cut; nothing is explained that is gone."""
    rows = re.findall(r"^\| `(\w+)` \| (\d*) \| (.+) \|$", script.event_fields(), re.MULTILINE)
    assert [name for name, _, _ in rows] == [each.name for each in fields(FindingEvent)]
    assert {name: int(length) for name, length, _ in rows if length} == LENGTHS
    assert set(script.MEANINGS) == {each.name for each in fields(FindingEvent)}


def test_example_event_has_every_field(script: ModuleType) -> None:
    """The example is a whole event, and the example of a rule asks only for fields that events have."""
    event, rule = (json.loads(block) for block in _json_blocks(script.event_fields()))
    assert list(event) == [each.name for each in fields(FindingEvent)]
    assert set(rule["detail"]) <= set(event)


def test_every_field_of_an_alert_s_event_is_explained(script: ModuleType) -> None:
    """Each field has one row and a meaning; the example of a rule asks only for fields that events have."""
    text = script.alert_events()
    assert [row.split("`")[1] for row in text.splitlines() if row.startswith("| `")] == list(script.ALERT_MEANINGS)
    assert list(script.ALERT_MEANINGS) == [each.name for each in fields(AlertEvent)]
    (rule,) = map(json.loads, _json_blocks(text))
    assert set(rule["detail"]) <= set(script.ALERT_MEANINGS)


def test_every_field_of_what_waits_for_a_decision_is_explained(script: ModuleType) -> None:
    """The fields of both events have one row each, in their order; nothing is explained that neither has."""
    text = script.asked_events()
    wanted = [[each.name for each in fields(kind)] for kind in (RequestEvent, ExceptionEvent)]
    found = [[row.split("`")[1] for row in part.splitlines() if row.startswith("| `")] for part in text.split("\n## ")]
    assert found[1:] == wanted
    assert set(script.ASKED_MEANINGS) == {name for names in wanted for name in names}


def test_every_event_that_is_put_on_the_bus_is_documented() -> None:
    """Two modules write a detail-type: that of findings, and the one that all others go through by its name there."""
    library = ROOT / "layers/perennial/python/perennial"
    sources = {each: each.read_text("utf-8") for each in library.rglob("*.py")}
    assert {each.name for each, text in sources.items() if '"DetailType"' in text} == {"events.py", "telling.py"}
    told = [name for path, text in sources.items() for name in _told_by(path, text)]
    assert len(told) >= 4
    text = (ROOT / "docs/events.md").read_text("utf-8")
    assert [each for each in [*told, *_of_findings()] if f"\n| {each} | " not in text] == []


def _told_by(path: Path, text: str) -> Iterator[str]:
    """The detail-types that a module gives `telling.entry`: constants of that module."""
    for call in ast.walk(ast.parse(text)):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "telling.entry":
            module = import_module(f"perennial.{path.stem}")
            named = [each.id for each in ast.walk(call.args[0]) if isinstance(each, ast.Name) and each.id.isupper()]
            assert named, f"{path.name} gives a detail-type that is no constant"
            yield from (getattr(module, each) for each in named)


def _of_findings() -> set[str]:
    """Every detail-type that a finding can have."""
    opened = datetime(2026, 11, 1, tzinfo=UTC)
    times = (opened, opened + timedelta(days=1))
    facts = (SimpleNamespace(state=state, opened_at=opened, updated_at=at) for state in State for at in times)
    return {detail_type(each) for each in facts}  # type: ignore[arg-type]


def test_cost_counts_the_sources_as_they_are() -> None:
    """The estimate's number of scopes follows from how far each source reaches now."""
    found = scanners().values()
    everywhere = sum(each.everywhere for each in found)
    once = sum(each.hub_only for each in found)
    of_account = len(found) - everywhere - once
    text = (ROOT / "docs/cost.md").read_text("utf-8")
    assert f"{everywhere} sources in each account and region, {of_account} in each account, {once} once" in text
    assert f"20 × 3 × {everywhere} + 20 × {of_account} + {once} = {60 * everywhere + 20 * of_account + once}" in text


def test_links_lead_somewhere() -> None:
    """Every link between the documents names a file that is there."""
    documents = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    links = [
        (each, name) for each in documents for name in re.findall(r"\]\(([^)#:]+)[^)]*\)", each.read_text("utf-8"))
    ]
    assert [f"{each.name}: {name}" for each, name in links if not (each.parent / name).exists()] == []


def _json_blocks(text: str) -> list[str]:
    return re.findall(r"```json\n(.+?)\n```", text, re.DOTALL)


def _plain(statement: dict[str, Any]) -> dict[str, Any]:
    """A statement with lists where IAM takes one value or a list, in one order."""
    listed = {name: sorted([value] if isinstance(value, str) else value) for name, value in statement.items()
              if name in ("Action", "Resource")}  # fmt: skip
    return {**statement, **listed}
