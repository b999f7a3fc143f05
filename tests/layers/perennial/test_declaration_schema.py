"""The JSON Schema for editors: valid itself, and of one mind with the reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from layers.perennial.test_declaration import EXAMPLE, FINGERPRINT, FULL, LISTENER, SMALL, entries, tables
from perennial import declaration_text, targets
from perennial.declaration import WHOLE_NUMBERS, document, load, parse
from perennial.declaration_schema import DIALECT, schema
from perennial.errors import InvalidInput

COMMITTED = Path(__file__).resolve().parents[3] / "docs/certificates.schema.json"
SCHEMA = schema()
VALIDATOR = Draft202012Validator(SCHEMA)
ELB = {"kind": "elb", "name": "a", "load_balancer": "x", "port": "443"}
ELBV2 = {"kind": "elbv2", "name": "a", "listener": LISTENER}


def read(whole: Any) -> bool:
    try:
        parse(whole)
    except InvalidInput:
        return False
    return True


def whole(**own: Any) -> Any:
    return {"certificates": {"shop": {**SMALL, **own}}}


def test_it_is_a_schema() -> None:
    """It is one of draft 2020-12, and stands in docs/ as it is made."""
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == DIALECT
    assert json.loads(COMMITTED.read_text("utf-8")) == SCHEMA


def test_patterns_are_those_of_every_language() -> None:
    """Nothing in a pattern is Python's alone."""
    assert not [each for each in ("(?P", "\\Z", "\\A", "(?i") if each in json.dumps(SCHEMA)]


def test_every_field_and_kind_is_in_it() -> None:
    """Every field of a declaration and of each kind of target is described."""
    certificate = SCHEMA["$defs"]["certificate"]["properties"]
    assert set(certificate) == {*document(load(FULL)[0])}
    assert all(each.get("description") or each.get("enum") for each in certificate.values())
    for name, kind in targets.kinds().items():
        members = SCHEMA["$defs"][f"target-{name}"]["properties"]
        assert {each.name for each in kind.FIELDS} < set(members)


@pytest.mark.parametrize("text", [EXAMPLE.read_text("utf-8"), FULL], ids=["the example", "every field"])
def test_what_is_documented_is_valid(text: str) -> None:
    """Examples are valid as the reader sees them."""
    found = declaration_text.read(text, WHOLE_NUMBERS).document
    assert list(VALIDATOR.iter_errors(found)) == []


CASES: list[tuple[Any, bool]] = [
    ({}, False),
    ([], False),
    ({"certificates": {}}, True),
    ({"certificates": []}, False),
    ({"certificates": {}, "other": 1}, False),
    ({"certificates": {"Shop": SMALL}}, False),
    ({"certificates": {"a" * 65: SMALL}}, False),
    ({"certificates": {"shop.example-1": SMALL}}, True),
    ({"certificates": {"-shop": SMALL}}, False),
    ({"certificates": {"shop": []}}, False),
    *(({"certificates": {"shop": {k: v for k, v in SMALL.items() if k != name}}}, False) for name in SMALL),
    (whole(), True),
    (whole(colour="red"), False),
    (whole(names="a.example.net"), False),
    (whole(names=[]), False),
    (whole(names=[1]), False),
    (whole(names=["a b"]), False),
    (whole(names=[""]), False),
    (whole(names=[f"a{each}.example" for each in range(100)]), True),
    (whole(names=[f"a{each}.example" for each in range(101)]), False),
    (whole(profile="Web"), False),
    (whole(profile=""), False),
    (whole(owner=""), False),
    (whole(owner=" a"), False),
    (whole(owner="a b & c"), True),
    (whole(owner="a" * 129), False),
    (whole(owner="a\nb"), False),
    (whole(owner=1), False),
    (whole(key="EC-256"), True),
    (whole(key="EC-521"), False),
    (whole(key=""), True),
    (whole(issuer=""), True),
    (whole(issuer="A"), False),
    (whole(validity_days=0), True),
    (whole(validity_days=3_650), True),
    (whole(validity_days=3_651), False),
    (whole(validity_days=-1), False),
    (whole(validity_days="60"), False),
    (whole(validity_days=True), False),
    (whole(contacts={}), True),
    (whole(contacts={"team": ["anna"], "business": [], "on_call": ["x"]}), True),
    (whole(contacts={"boss": ["anna"]}), False),
    (whole(contacts={"team": "anna"}), False),
    (whole(contacts={"team": ["a"] * 21}), False),
    (whole(contacts=["anna"]), False),
    (whole(environment="production"), True),
    (whole(environment=1), False),
    (whole(windows=["nights"]), True),
    (whole(windows="nights"), False),
    (whole(windows=["nights", "nights"]), False),
    (whole(windows=[f"a{each}" for each in range(21)]), False),
    (whole(service="checkout"), True),
    (whole(service=""), True),
    (whole(service=["a"]), False),
    (whole(adopts=FINGERPRINT), True),
    (whole(adopts=FINGERPRINT.upper()), False),
    (whole(adopts="5a"), False),
    (whole(on_failure="stay"), True),
    (whole(on_failure="wait"), False),
    (whole(targets=[]), False),
    (whole(targets={}), False),
    (whole(targets=[ELB]), True),
    (whole(targets=["elb"]), False),
    (whole(targets=[{**ELB, "port": 443}]), True),
    (whole(targets=[{**ELB, "port": "0"}]), False),
    (whole(targets=[{**ELB, "port": True}]), False),
    (whole(targets=[{**ELB, "port": None}]), False),
    (whole(targets=[{**ELB, "kind": "ftp"}]), False),
    (whole(targets=[{**ELB, "kind": "elbv2"}]), False),
    (whole(targets=[{**ELB, "listener": LISTENER}]), False),
    (whole(targets=[{**ELB, "name": "A"}]), False),
    (whole(targets=[{**ELB, "deadline": 10}]), True),
    (whole(targets=[{**ELB, "deadline": 9}]), False),
    (whole(targets=[{**ELB, "deadline": "600"}]), False),
    (whole(targets=[{**ELB, "proof": "read-back", "endpoints": ["a.example:443"], "names": ["a.example"]}]), True),
    (whole(targets=[{**ELB, "proof": "none"}]), False),
    (whole(targets=[{**ELB, "endpoints": ["a b"]}]), False),
    (whole(targets=[{**ELB, "account": "111111111111", "region": "eu-west-1"}]), True),
    (whole(targets=[{**ELB, "account": "1"}]), False),
    (whole(targets=[{**ELB, "account": 111111111111}]), True),
    (whole(targets=[{**ELB, "region": "Frankfurt"}]), False),
    (whole(targets=[ELBV2]), True),
    (whole(targets=[{**ELBV2, "slot": "sni", "quota": 50}]), True),
    (whole(targets=[{**ELBV2, "slot": "both"}]), False),
    (whole(targets=[{**ELBV2, "listener": "x"}]), False),
    (whole(targets=[{key: value for key, value in ELBV2.items() if key != "listener"}]), False),
    (whole(targets=[{**ELB, "name": f"t{each}"} for each in range(200)]), True),
    (whole(targets=[{**ELB, "name": f"t{each}"} for each in range(201)]), False),
]


@pytest.mark.parametrize(("case", "valid"), CASES)
def test_schema_and_reader_agree(case: Any, valid: bool) -> None:
    """What the one accepts or refuses, the other does."""
    assert (VALIDATOR.is_valid(case), read(case)) == (valid, valid)


@settings(max_examples=50)
@given(tables.filter(lambda name: not name.endswith("-")), entries)
def test_whatever_the_reader_takes_is_valid(name: str, entry: dict[str, Any]) -> None:
    """The schema refuses nothing that may be declared."""
    case = {"certificates": {name: entry}}
    assert read(case)
    assert list(VALIDATOR.iter_errors(case)) == []
