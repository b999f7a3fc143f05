"""May this be issued? Every policy rule: one file a topic, one line here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module

from perennial.policy.asked import days, key
from perennial.policy.interface import CsrFacts, Rule, Subject, Violation, registry
from perennial.policy.judgement import Covered, Judgement, judge, judged, require, subject

__all__ = [
    "TOPICS",
    "Covered",
    "CsrFacts",
    "Judgement",
    "Rule",
    "Subject",
    "Violation",
    "days",
    "judge",
    "judged",
    "key",
    "require",
    "rules",
    "subject",
]

TOPICS = (
    "number",
    "international",
    "names",
    "wildcards",
    "addresses",
    "internal_names",
    "key_strength",
    "key_home",
    "csr",
    "validity",
    "usages",
    "issuers",
)


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule by its id, in the order in which violations are told."""
    return registry(tuple(_rules()))


def _rules() -> Iterator[Rule]:
    for topic in TOPICS:
        yield from import_module(f"perennial.policy.{topic}").RULES
