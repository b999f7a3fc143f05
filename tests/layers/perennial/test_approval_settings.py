"""`[approvals]` of perennial.toml: what it may say, its defaults, and every problem at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from perennial.approval_settings import MAX_DAYS, MAX_PEOPLE, ApprovalRule, Approvals
from perennial.change_request import Kind
from perennial.errors import InvalidConfiguration
from perennial.settings import Settings, load

ROOT = Path(__file__).resolve().parents[3]
KNOWN = """
[issuers.ca]
kind = "acme"
directory = "https://ca.example/directory"

[profiles.web]
issuer = "ca"

[environments.production]

[policy.owners]
shop-team = [".shop.example.com"]
"""


def rules(text: str) -> tuple[ApprovalRule, ...]:
    return load(KNOWN + text).approvals.rules


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        load(KNOWN + text)
    return str(caught.value).split("\n")


def test_defaults() -> None:
    """Left out, a request waits for a week, is kept for more than a year, and the built-in rules count."""
    assert Settings().approvals == load("").approvals == Approvals(expires_days=7, keep_days=400, rules=())


def test_every_field() -> None:
    """A rule has each condition as it was written, names in their canonical form, and the people that it needs."""
    (found,) = rules(
        """
        [approvals.rules.public-shop]
        kinds = ["create", "change"]
        profiles = ["web"]
        environments = ["production", ""]
        owners = ["shop-team"]
        names = [".Shop.Example.com", "*..shop.example.com"]
        wildcard = false
        public = true
        needs = { owner = 1, security = 2 }
        """
    )
    assert found == ApprovalRule(
        name="public-shop",
        kinds=("create", "change"),
        profiles=("web",),
        environments=("production", ""),
        owners=("shop-team",),
        names=(".shop.example.com", "*..shop.example.com"),
        wildcard=False,
        public=True,
        owner=1,
        security=2,
    )


def test_a_condition_that_is_left_out_holds_for_anything() -> None:
    """A rule with needs alone has no condition."""
    assert rules("[approvals.rules.all]\nneeds = {}") == (ApprovalRule(name="all"),)


RULE = "[approvals.rules.r]\nneeds = { owner = 1 }\n"
WRONG: dict[str, tuple[str, str]] = {
    "too long": (f"[approvals]\nexpires_days = {MAX_DAYS + 1}", "approvals.expires_days: '61' is not a whole number"),
    "never": ("[approvals]\nexpires_days = 0", "approvals.expires_days: '0' is not"),
    "kept for no time": ("[approvals]\nkeep_days = 0", "approvals.keep_days: '0' is not"),
    "unknown field": ("[approvals]\nexpire_days = 3", "approvals.expire_days: not known"),
    "no needs": ("[approvals.rules.r]\nkinds = ['create']", "approvals.rules.r.needs: missing"),
    "another role": ("[approvals.rules.r]\nneeds = { boss = 1 }", "approvals.rules.r.needs: "),
    "too many": (f"[approvals.rules.r]\nneeds = {{ owner = {MAX_PEOPLE + 1} }}", "approvals.rules.r.needs: "),
    "fewer than none": ("[approvals.rules.r]\nneeds = { owner = -1 }", "approvals.rules.r.needs: "),
    "true people": ("[approvals.rules.r]\nneeds = { owner = true }", "approvals.rules.r.needs: "),
    "no such kind": (RULE + "kinds = ['delete']", "approvals.rules.r.kinds: "),
    "an empty list": (RULE + "kinds = []", "approvals.rules.r.kinds: '[]' is not"),
    "no names": (RULE + "names = []", "approvals.rules.r.names: '[]' is not"),
    "a strange name": (RULE + "names = ['a b']", "approvals.rules.r.names: 'a b' is refused"),
    "twice": (RULE + "owners = ['shop-team', 'shop-team']", "approvals.rules.r.owners: "),
    "not a flag": (RULE + "wildcard = 'yes'", "approvals.rules.r.wildcard: yes is not true or false"),
    "no such profile": (
        RULE + "profiles = ['wep']",
        "approvals.rules.r.profiles: wep is not there; perennial.toml has web",
    ),
    "no such environment": (RULE + "environments = ['prod']", "approvals.rules.r.environments: prod is not there"),
    "no such owner": (RULE + "owners = ['bank']", "approvals.rules.r.owners: bank is not there"),
    "a strange name of a rule": ("[approvals.rules.'A B']\nneeds = {}", "approvals.rules.'A B': not a name like"),
    "no table": ("[approvals]\nrules = 3", "approvals.rules: '3' is not a table of rules"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told(case: str) -> None:
    """Each problem is one line with its field, and is the only one."""
    text, told = WRONG[case]
    (found,) = problems(text)
    assert found.startswith(told), found


def test_every_problem_at_once() -> None:
    """Problems of several rules come together, also those of conditions on what is not there."""
    found = problems("[approvals.rules.a]\nprofiles = ['x']\n[approvals.rules.b]\nneeds = {}\nkinds = [1]")
    assert [each.partition(": ")[0] for each in found] == [
        "approvals.rules.a.needs",
        "approvals.rules.a.profiles",
        "approvals.rules.b.kinds",
    ]


def test_the_example_file_says_what_the_code_does() -> None:
    """perennial.toml has the defaults, and its commented rule can be read."""
    text = (ROOT / "perennial.toml").read_text()
    assert load(text).approvals == Approvals()
    behind = text.partition("# [approvals.rules.public-shop]\n")[2]
    written = [line.removeprefix("# ") for line in behind.splitlines() if " = " in line and not line.startswith("# A ")]
    (rule,) = rules("[approvals.rules.public-shop]\n" + "\n".join(written))
    assert set(rule.kinds) == set(Kind)
    assert (rule.owner, rule.security, rule.public) == (1, 1, True)


@pytest.mark.parametrize(("page", "taken"), [("https://c.example.com/", True), ("http://c.example.com", False)])
def test_the_page_is_https(page: str, taken: bool) -> None:
    """The page where people decide is an https URL without a query."""
    text = f'[api]\npage = "{page}"'
    if taken:
        assert load(text).api.page == page
    else:
        assert problems(text)[0].startswith("api.page: ")
