"""What holds for every policy rule."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from layers.perennial.policy.cases import AMAZON, BY_HTTP, PRIVATE, Case, asked, violations
from perennial import policy
from perennial.policy import TOPICS, Rule, Subject, judge, rules
from perennial.policy.interface import registry

NOT_TOPICS = {"__init__", "interface", "asked", "judgement"}
CASES: dict[str, Case] = {
    rule: case
    for topic in TOPICS
    for rule, case in import_module(f"layers.perennial.policy.test_{topic}").CASES.items()
}
every_rule = pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.id)


def test_every_topic_is_registered() -> None:
    """A file of rules without its line in __init__.py is named."""
    files = {path.stem for path in Path(policy.__file__).parent.glob("*.py")} - NOT_TOPICS
    missing = sorted(files - set(TOPICS))
    assert not missing, f"add to TOPICS in perennial/policy/__init__.py: {', '.join(missing)}"


@every_rule
def test_every_rule_passes_and_fails(rule: Rule) -> None:
    """Each rule has requests that pass it and such that fail it, with the field, the rule and what is accepted."""
    case = CASES.get(rule.id)
    assert case is not None, f"add {rule.id!r} to CASES of test_{rule.id.partition('.')[0]}.py"
    assert case.passes and case.fails
    for subject in case.passes:
        assert not violations(rule.id, subject)
    for subject, field in case.fails:
        found = violations(rule.id, subject)
        assert [each.field for each in found] == [field] and {each.rule for each in found} == {rule.id}
        assert all(each.detail.endswith(".") and each.accepted and len(str(each)) < 800 for each in found)


def test_no_case_without_a_rule() -> None:
    """A case of a rule that is gone is named."""
    assert CASES.keys() == rules().keys()


@every_rule
def test_ids_and_texts(rule: Rule) -> None:
    """Ids are topic.rule in words, of the topic's own file; texts are there and short."""
    assert re.fullmatch(r"[a-z_]+\.[a-z]+(-[a-z]+)*", rule.id)
    assert rule.run.__module__ == f"perennial.policy.{rule.id.partition('.')[0]}"
    assert 0 < len(rule.title) <= 100 and not rule.title.endswith(".")
    assert rule.cites


def test_an_id_is_taken_once() -> None:
    """Two rules with one id are refused, and the id is named."""
    twice = next(iter(rules().values()))
    with pytest.raises(ValueError, match=re.escape(twice.id)):
        registry((twice, twice))


@pytest.mark.parametrize(
    "subject", [asked(), asked(issuer=PRIVATE), asked(issuer=AMAZON), asked("8.8.8.8", issuer=BY_HTTP, addresses=True)]
)
def test_an_ordinary_request_is_allowed(subject: Subject) -> None:
    """No rule stands in the way of what profile, owner and issuer allow."""
    assert judge(subject) == ()
