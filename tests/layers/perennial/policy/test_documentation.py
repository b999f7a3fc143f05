"""docs/policy.md says what the rules say."""

from __future__ import annotations

import re
from pathlib import Path

from perennial.names import matches, rule
from perennial.policy import rules

TEXT = (Path(__file__).resolve().parents[4] / "docs/policy.md").read_text("utf-8")
ALLOWED = {  # name rule -> names that it allows, names that it does not
    "shop.example.com": (["shop.example.com"], ["a.shop.example.com", "*.shop.example.com"]),
    ".example.com": (["shop.example.com", "a.shop.example.com"], ["example.com", "*.example.com"]),
    "*.example.com": (["*.example.com"], ["*.shop.example.com", "shop.example.com"]),
    "*..example.com": (["*.example.com", "*.shop.example.com"], ["shop.example.com", "*.com"]),
    "10.1.2.3": (["10.1.2.3"], ["10.1.2.4"]),
    "10.1.0.0/16": (["10.1.2.3"], ["10.2.0.0"]),
}


def test_every_rule_is_documented() -> None:
    """Each rule has one row with its title and source, in the order in which violations are told."""
    rows = re.findall(r"^\| `([a-z_]+\.[a-z-]+)` \| (.+) \| (.+) \|$", TEXT, re.MULTILINE)
    assert rows == [(each.id, each.title, each.cites) for each in rules().values()]


def test_name_rules_do_what_is_documented() -> None:
    """Each documented form of a name rule allows what its row says, and nothing beside it."""
    documented = re.findall(r"^\| `(.+)` \| .+ \|$", TEXT[: TEXT.index("## Number")], re.MULTILINE)
    assert documented == list(ALLOWED)
    for text, (allowed, refused) in ALLOWED.items():
        assert all(matches(rule(text), name) for name in allowed)
        assert not any(matches(rule(text), name) for name in refused)
