"""The OpenAPI document is made of the routes, whole, and the one in docs/."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from perennial.api.document import document, text
from perennial.api.routes import ALWAYS, OF_WRITES, PROBLEM, ROUTES, WRITES

ROOT = Path(__file__).resolve().parents[4]
DOCUMENT = document()
OPERATIONS = [
    (method.upper(), path, operation) for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
]


def test_it_is_the_one_in_docs() -> None:
    """docs/openapi.json is what the code says; scripts/generate-docs writes it."""
    assert (ROOT / "docs/openapi.json").read_text() == f"{text()}\n"


def test_every_route_is_in_it() -> None:
    """Each route once, under an operation id of its own."""
    assert sorted((method, path) for method, path, _ in OPERATIONS) == sorted(
        (each.method, each.path) for each in ROUTES
    )
    assert len({operation["operationId"] for _, _, operation in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize(
    ("method", "path", "operation"), OPERATIONS, ids=lambda each: each if isinstance(each, str) else ""
)
def test_every_reply_is_documented(method: str, path: str, operation: dict[str, Any]) -> None:
    """Each operation has every status that the limits, the identity and the table can answer, as a problem; writes take
    a key, and changes of a state an ETag."""
    statuses = {int(each) for each in operation["responses"]}
    assert statuses >= {*ALWAYS, *(OF_WRITES if method in WRITES else ()), *((404,) if "{" in path else ())}
    ours = {status: each for status, each in operation["responses"].items() if int(status) >= 400 and status != "502"}
    assert all(PROBLEM in each["content"] for each in ours.values())
    assert operation["responses"]["502"]["content"].keys() == {"application/json"}  # in API Gateway's own words
    names = {each["name"] for each in operation.get("parameters", ())}
    assert ("Idempotency-Key" in names) is (method in WRITES)
    assert (428 in statuses) is (method in ("PUT", "DELETE"))
    assert ("if-match" in {each.lower() for each in names}) is (412 in statuses)
    assert operation["summary"]


def test_headers_of_states() -> None:
    """A thing with a revision comes with its ETag, and one that was made with its place; If-Match is required where
    the answer without it is 428."""
    found = {f"{method} {path}": operation for method, path, operation in OPERATIONS}
    made, read = found["POST /managed"]["responses"]["202"], found["GET /managed/{name}"]["responses"]["200"]
    assert made["headers"]["ETag"]["required"] and made["headers"]["Location"]["required"]
    assert read["headers"]["ETag"]["required"] and "Location" not in read["headers"]
    assert "ETag" not in found["GET /managed"]["responses"]["200"]["headers"]
    for label, operation in found.items():
        for each in operation.get("parameters", ()):
            if each["name"].lower() == "if-match":
                assert each["name"] == "If-Match", label
                assert each["required"] is ("428" in operation["responses"]), label


def test_every_reference_leads_somewhere() -> None:
    """No schema is missing, and none is there for nothing."""
    written = json.dumps(DOCUMENT)
    assert set(re.findall(r"#/components/schemas/([^\"]+)", written)) == set(DOCUMENT["components"]["schemas"])


def test_both_ways_to_sign_in() -> None:
    """A signature of AWS, or a token."""
    assert DOCUMENT["security"] == [{"sigv4": []}, {"token": []}]


def test_names_of_documents_are_short() -> None:
    """No two models have one name: pydantic would tell them apart by the names of modules."""
    assert not [name for name in DOCUMENT["components"]["schemas"] if "__" in name]
