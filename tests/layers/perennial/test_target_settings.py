"""Targets as they are declared: every problem is told at once, each with the field and what is accepted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial import target_settings, targets
from perennial.errors import InvalidInput
from perennial.targets.interface import HANDSHAKE, READ_BACK

LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:111111111111:listener/app/shop/0123456789abcdef/0123456789abcdef"
TEXT = f"""
on_failure = "stay"

[[targets]]
kind = "elbv2"
name = "edge"
listener = "{LISTENER}"
names = ["Shop.Example.com"]
endpoints = ["10.0.0.1:8443"]
deadline = 90

[[targets]]
kind = "secretsmanager"
name = "mail"
secret = "shop/mail"
"""


def problems(document: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        target_settings.parse(document, "shop")
    return str(refused.value).splitlines()


def one(**changed: Any) -> dict[str, Any]:
    """A document with one target."""
    target = {"kind": "elbv2", "name": "edge", "listener": LISTENER, **changed}
    return {"targets": [{name: value for name, value in target.items() if value is not None}]}


def test_targets() -> None:
    """Targets keep their order; an ARN says the account and region; what is left out is the kind's default."""
    declared = target_settings.load(TEXT, "shop")
    edge, mail = declared.targets
    assert declared.stays
    assert (edge.kind, edge.name, edge.managed) == ("elbv2", "edge", "shop")
    assert (edge.account, edge.region) == ("111111111111", "eu-west-1")
    assert (edge.names, edge.endpoints, edge.deadline) == (("shop.example.com",), ("10.0.0.1:8443",), 90)
    assert (edge.proof, edge.text("slot")) == (HANDSHAKE, "default")
    assert (mail.account, mail.region, mail.names, mail.endpoints) == ("", "", (), ())
    assert (mail.proof, mail.deadline) == (READ_BACK, targets.kind("secretsmanager").DEADLINE)


def test_every_kind_can_be_declared() -> None:
    """Every kind has a title, and its fields are told where they are missing, all at once."""
    for name, kind in targets.kinds().items():
        needed = {each.name for each in kind.FIELDS if each.needed}
        assert needed, name
        told = problems({"targets": [{"kind": name, "name": "x"}]})
        assert {each.partition(":")[0] for each in told} == {f"targets[1].{each}" for each in needed}
        for each in kind.FIELDS:
            assert each.words
            assert not (each.needed and each.default)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({}, "targets: there must be a list of 1 to 200 of them"),
        ({"targets": []}, "targets: there must be a list of 1 to 200 of them"),
        ({"targets": [1] * 201}, "targets: there must be a list of 1 to 200 of them"),
        ({"targets": "elbv2"}, "targets: there must be a list of 1 to 200 of them"),
        ({"targets": ["elbv2"]}, "targets[1]: elbv2 is not a table"),
        (one(kind="ftp"), "targets[1].kind: ftp is not one of acm, apigateway"),
        (one(kind=None), "targets[1].kind: missing; it must be one of acm, apigateway"),
        (one(name="Two words"), "targets[1].name: 'Two words' is not a name like"),
        (one(listener="arn:aws:iam::1:x"), "targets[1].listener: 'arn:aws:iam::1:x' is not the ARN of an HTTPS"),
        (one(names=["no name"]), "targets[1].names: 'no name' is refused"),
        (one(endpoints=["http://x"]), "targets[1].endpoints: "),
        (one(deadline=1), "targets[1].deadline: '1' is not a whole number from 10 to 7200"),
        (one(proof="trust me"), "targets[1].proof: 'trust me' is not one of handshake, read-back"),
        (one(account="222222222222"), "targets[1].account: 222222222222 is not that of listener, 111111111111"),
        (one(region="us-east-1"), "targets[1].region: us-east-1 is not that of listener, eu-west-1"),
        (one(listner="x"), "targets[1].listner: not known; there are kind, name"),
        ({**one(), "on_failure": "panic"}, "on_failure: panic is not one of return, stay"),
        ({**one(), "when": "now"}, "when: not known; there are on_failure"),
        ({"targets": one()["targets"] * 2}, "targets: the name edge is there twice; each target needs one of its own"),
    ],
)
def test_what_is_refused(document: dict[str, Any], told: str) -> None:
    """One sentence says which field is wrong, what was found and what is accepted."""
    assert [each for each in problems(document) if each.startswith(told)]


def test_all_problems_at_once() -> None:
    """Problems of several targets are all told."""
    found = problems({"targets": [{"kind": "ftp"}, *one(deadline=1, proof="no")["targets"]], "on_failure": "x"})
    assert len(found) == 4


def test_a_text_that_is_none() -> None:
    """What is no TOML, or too long, is refused with a reason."""
    with pytest.raises(InvalidInput, match="cannot be read as TOML"):
        target_settings.load("[[targets", "shop")
    with pytest.raises(InvalidInput, match="at most 256000"):
        target_settings.load("#" * 256_001, "shop")


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=10), each, max_size=3),
    max_leaves=10,
)
_NAMES = st.sampled_from(["kind", "name", "listener", "names", "endpoints", "proof", "deadline", "account", "secret"])


@given(st.lists(st.dictionaries(_NAMES, _ANY | st.sampled_from(targets.names()), max_size=6) | _ANY, max_size=3))
def test_whatever_is_declared(listed: list[Any]) -> None:
    """Any document is either understood or refused in bounded lines; nothing else is raised."""
    try:
        target_settings.parse({"targets": listed}, "shop")
    except InvalidInput as error:
        assert all(0 < len(line) < 2_000 for line in str(error).splitlines())
