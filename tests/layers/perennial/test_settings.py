"""perennial.toml: everything that is wrong at once, each with the field, what was found and what is accepted."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from perennial.errors import InvalidConfiguration
from perennial.settings import MAX_FILE_BYTES, Settings, load

FULL = """
[discovery]
accounts = ["111111111111", "222222222222"]
role_name = "path/Reader"
external_id = "x-1"
regions = ["eu-west-1", "us-gov-west-1"]
sources = ["acm", "elbv2"]
secret_tag = "tls"
secret_prefixes = ["prod/tls/"]
endpoints = ["shop.example.com", "shop.example.com:8443", "[2001:db8::1]:443", "192.0.2.1:443"]
concurrency = 5

[ownership]
tag_keys = ["team"]
[ownership.names]
"*.shop.example.com" = "shop"
[ownership.accounts]
111111111111 = "blog"

[checks]
allowed_issuers = ["Amazon", "Let's Encrypt"]
expiry_days = [60, 20, 5]
stuck_days = 2

[findings]
security_hub = false
notify_from = "medium"
"""


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        load(text)
    return str(caught.value).split("\n")


def test_an_empty_file_is_the_default() -> None:
    """Nothing needs to be configured."""
    assert load("") == load("{}") == load("\ufeff# only a comment\n") == Settings()


def test_every_field_is_taken() -> None:
    """A file that sets everything is read whole, in TOML as written and in JSON as deployed."""
    found = load(FULL)
    assert found == load(json.dumps(tomllib.loads(FULL)))
    assert found.discovery.accounts == ("111111111111", "222222222222")
    assert (found.discovery.role_name, found.discovery.external_id) == ("path/Reader", "x-1")
    assert (found.discovery.regions, found.discovery.sources) == (("eu-west-1", "us-gov-west-1"), ("acm", "elbv2"))
    assert (found.discovery.secret_tag, found.discovery.secret_prefixes) == ("tls", ("prod/tls/",))
    assert (len(found.discovery.endpoints), found.discovery.concurrency) == (4, 5)
    assert found.ownership.tag_keys == ("team",)
    assert dict(found.ownership.names) == {"*.shop.example.com": "shop"}
    assert dict(found.ownership.accounts) == {"111111111111": "blog"}
    assert found.checks.allowed_issuers == ("Amazon", "Let's Encrypt")
    assert (found.checks.expiry_days, found.checks.stuck_days) == ((60, 20, 5), 2)
    assert (found.findings.security_hub, found.findings.notify_from) == (False, "medium")


@pytest.mark.parametrize(
    ("text", "organization", "regions"),
    [
        ('discovery.accounts = "organization"', True, ()),
        ('discovery.accounts = "self"', False, ()),
        ('discovery.regions = "enabled"', False, ()),
        ('discovery.regions = ["eu-west-1"]', False, ("eu-west-1",)),
    ],
)
def test_words_stand_for_all(text: str, organization: bool, regions: tuple[str, ...]) -> None:
    """Words say "all of them" where a list would have to name each."""
    found = load(text).discovery
    assert (found.organization, found.regions, found.accounts) == (organization, regions, ())


@pytest.mark.parametrize(
    ("text", "field", "found", "accepted"),
    [
        ('discovery.accounts = "all"', "discovery.accounts", "all", '"organization"'),
        ("discovery.accounts = []", "discovery.accounts", "[]", "12-digit"),
        ("discovery.accounts = [111111111111]", "discovery.accounts", "111111111111", "12-digit"),
        ('discovery.accounts = ["1234"]', "discovery.accounts", "1234", "12-digit"),
        ('discovery.accounts = ["١٢٣٤٥٦٧٨٩٠١٢"]', "discovery.accounts", "١٢٣٤٥٦٧٨٩٠١٢", "12-digit"),
        ("discovery.concurrency = 0", "discovery.concurrency", "0", "from 1 to 1000"),
        ("discovery.concurrency = 1001", "discovery.concurrency", "1001", "from 1 to 1000"),
        ("discovery.concurrency = true", "discovery.concurrency", "True", "whole number"),
        ("discovery.concurrency = 1.0", "discovery.concurrency", "1.0", "whole number"),
        ("discovery.concurrency = nan", "discovery.concurrency", "nan", "whole number"),
        ('discovery.concurrency = "5"', "discovery.concurrency", "5", "whole number"),
        ("discovery.concurrency = 1979-05-27", "discovery.concurrency", "1979-05-27", "whole number"),
        ("discovery.concurrency = 0x" + "f" * 9_000, "discovery.concurrency", "int", "whole number"),
        ('discovery.regions = ["Ireland"]', "discovery.regions", "Ireland", '"enabled"'),
        ('discovery.regions = "eu-west-1"', "discovery.regions", "eu-west-1", "a list of texts"),
        ('discovery.regions = ["eu-west-1\\n"]', "discovery.regions", "eu-west-1", "a list of texts"),
        ('discovery.sources = ["ACM"]', "discovery.sources", "ACM", '"all"'),
        ("discovery.sources = [1]", "discovery.sources", "1", "a list of texts"),
        ('discovery.role_name = "a b"', "discovery.role_name", "a b", "a text like"),
        ('discovery.role_name = ""', "discovery.role_name", "''", "a text like"),
        ('discovery.role_name = "Ünicode"', "discovery.role_name", "Ünicode", "a text like"),
        ('discovery.secret_tag = ""', "discovery.secret_tag", "''", "a text like"),
        ('discovery.endpoints = ["https://a"]', "discovery.endpoints", "https://a", "a list of texts"),
        ('discovery.endpoints = ["a:b"]', "discovery.endpoints", "a:b", "a list of texts"),
        ('discovery.endpoints = ["a:٤٤٣"]', "discovery.endpoints", "a:٤٤٣", "a list of texts"),
        ("discovery = 1", "discovery", "1", "table"),
        ("[[discovery]]", "discovery", "[{}]", "table"),
        ('discovery.region = "x"', "discovery.region", "not known", "regions"),
        ('ownership.names = ["a"]', "ownership.names", "['a']", "a table"),
        ('[ownership.names]\n"a b" = "x"', "ownership.names", "a b", "a table"),
        ('[ownership.names]\n"a" = 1', "ownership.names", "1", "a table"),
        ('[ownership.accounts]\n"1" = "x"', "ownership.accounts", "'1': 'x'", "a table"),
        ("checks.expiry_days = [7, 14, 30]", "checks.expiry_days", "[7, 14, 30]", "falling"),
        ("checks.expiry_days = [30, 30, 7]", "checks.expiry_days", "[30, 30, 7]", "falling"),
        ("checks.expiry_days = [30, 7]", "checks.expiry_days", "[30, 7]", "three"),
        ("checks.expiry_days = [30, 14, true]", "checks.expiry_days", "True", "three"),
        ("checks.stuck_days = -1", "checks.stuck_days", "-1", "from 1 to 365"),
        ("findings.security_hub = 1", "findings.security_hub", "1", "true or false"),
        ('findings.security_hub = "yes"', "findings.security_hub", "yes", "true or false"),
        ('findings.notify_from = "HIGH"', "findings.notify_from", "HIGH", "critical|high"),
        ("[colour]", "colour", "not known", "discovery, ownership, checks, findings"),
        ("x = 1", "x", "not known", "discovery"),
        ('["a\\nb"]', "a\\nb", "not known", "discovery"),
        ('discovery."a\\nb" = 1', "a\\nb", "not known", "concurrency"),
    ],
)
def test_a_problem_names_field_finding_and_what_is_accepted(text: str, field: str, found: str, accepted: str) -> None:
    """One line for each problem, with all that is needed to repair it."""
    (line,) = problems(text)
    assert field in line and found in line and accepted in line
    assert len(line) < 400


def test_all_problems_are_told_at_once() -> None:
    """A file with problems in every table is repaired in one go."""
    text = """
    colour = 1
    discovery.concurrency = 0
    discovery.regions = ["x"]
    discovery.unknown = 1
    ownership.tag_keys = "owner"
    checks.stuck_days = 0
    findings.notify_from = "loud"
    """
    fields = [line.split(":")[0] for line in problems(text)]
    assert fields == [
        "checks.stuck_days",
        "colour",
        "discovery.concurrency",
        "discovery.regions",
        "discovery.unknown",
        "findings.notify_from",
        "ownership.tag_keys",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("discovery", "cannot be read"),
        ("{", "cannot be read"),
        ("[discovery]\n[discovery]", "cannot be read"),
        ("x = " + "[" * 20_000, "cannot be read"),
        ('{"x": ' + "[" * 200_000, "cannot be read"),
        ("x = " + "9" * 9_000, "cannot be read"),
        ("#" * (MAX_FILE_BYTES + 1), f"at most {MAX_FILE_BYTES}"),
        ("\x00", "cannot be read"),
        ("\ud800", "cannot be read"),
    ],
)
def test_what_is_no_configuration_is_refused_in_one_line(text: str, reason: str) -> None:
    """Broken, endless or hostile files end in one clear error, never in one of the decoder's."""
    (line,) = problems(text)
    assert reason in line and len(line) < 400


values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ["accounts", "regions", "concurrency", "names", "tag_keys", "expiry_days", "security_hub", "endpoints", "x"]
TABLES = ["discovery", "ownership", "checks", "findings", "x"]


@example_settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(TABLES), st.dictionaries(st.sampled_from(FIELDS), values) | values))
def test_no_document_makes_the_reader_fail(document: dict[str, Any]) -> None:
    """Any JSON is either taken or refused with lines of bounded length."""
    try:
        load(json.dumps(document))
    except InvalidConfiguration as error:
        assert all(len(line) < 500 for line in str(error).split("\n"))
