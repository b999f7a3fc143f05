"""Names of certificates: one canonical text each, rules over them, and which of them are internal."""

from __future__ import annotations

import re
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.errors import InvalidInput
from perennial.names import (
    MAX_NAME,
    MAX_TEXT,
    canonical,
    is_address,
    is_internal,
    is_wildcard,
    matches,
    rule,
    shown,
)

LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])  # 253 characters


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("shop.example.com", "shop.example.com"),
        ("Shop.EXAMPLE.com.", "shop.example.com"),
        ("localhost", "localhost"),
        ("1.example.com", "1.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("straße.de", "xn--strae-oqa.de"),  # UTS #46, non-transitional
        ("shop。example。com", "shop.example.com"),  # ideographic full stops
        ("ｓｈｏｐ.example.com", "shop.example.com"),  # full-width letters
        ("نامه\u200cای.com", "xn--mgba3gch31f060k.com"),  # a joiner that its context allows
        ("*.Shop.example.com", "*.shop.example.com"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        (LONGEST, LONGEST),
        ("*." + LONGEST[2:], "*." + LONGEST[2:]),
    ],
)
def test_canonical(text: str, name: str) -> None:
    """What people write becomes lower-case A-labels, or the shortest form of an address."""
    assert canonical(text) == name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("a" * (MAX_TEXT + 1), "1001 characters"),
        ("shop example.com", "space"),
        (" shop.example.com", "space"),
        ("shop.example.com\n", "space"),
        ("shop\x00.example.com", "invisible"),
        ("sh\u00adop.example.com", "invisible"),  # UTS #46 would drop a soft hyphen
        ("\u202eshop.example.com", "invisible"),  # turns the reading direction
        ("\ud800.example.com", "invisible"),
        ("a\u200cb.com", "not a DNS name"),  # a joiner out of its context
        ("shop_1.example.com", "underscore"),
        ("_acme-challenge.example.com", "underscore"),
        ("-shop.example.com", "not a DNS name"),
        ("shop-.example.com", "not a DNS name"),
        ("sh--op.example.com", "not a DNS name"),  # reserved LDH label
        ("shop..example.com", "not a DNS name"),
        (".example.com", "not a DNS name"),
        (".", "not a DNS name"),
        ("shop.example.com..", "not a DNS name"),
        ("☃.example.com", "not a DNS name"),  # IDNA2008 has no symbols
        ("xn--.example", "not a DNS name"),
        ("xn--a.example", "not a DNS name"),  # stands for a control character
        ("xn---bbk.example", "not a DNS name"),  # not the Punycode of what it stands for
        ("xn--shop-.example", "not a DNS name"),
        ("shop/.example.com", "not a DNS name"),
        ("https://shop.example.com", "without brackets, port"),
        ("shop.example.com:443", "without brackets, port"),
        ("[2001:db8::1]", "without brackets"),
        ("a" * 64 + ".example", "not a DNS name"),
        ("é" * 62 + ".example", "not a DNS name"),  # fits as characters, not as A-label
        ("a" + LONGEST, "not a DNS name"),
        ("*." + LONGEST, "255 characters"),
        ("*", "left-most label"),
        ("*.", "not a DNS name"),
        ("*.*.example.com", "left-most label"),
        ("shop.*.example.com", "left-most label"),
        ("shop*.example.com", "left-most label"),
        ("＊.example.com", "not a DNS name"),  # a full-width asterisk
        ("*.192.0.2.1", "ends in a number"),
        ("192.0.2", "ends in a number"),
        ("192.0.2.256", "ends in a number"),
        ("192.0.2.01", "ends in a number"),
        ("１92.0.2.1", "ends in a number"),  # full-width digit
        ("example.0x7f", "ends in a number"),
        ("2130706433", "ends in a number"),
        ("192.0.2.0/24", "not a DNS name"),
        ("::ffff:192.0.2.1", "write 192.0.2.1"),
        ("fe80::1%eth0", "scope"),
        ("2001:db8::1::", "not an IP address"),
    ],
)
def test_what_is_no_name(text: str, reason: str) -> None:
    """What no certificate may name is refused in one bounded line that says why."""
    with pytest.raises(InvalidInput, match=re.escape(reason)) as caught:
        canonical(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


PARTS = "xn-- xn--bcher-kva *. * . .. 。 é ß א 1 ٣ - _ : :: % / 0x a Z ffff [ ] 127.0.0.1 com ﬁ क् ·l ー"
parts = st.sampled_from([*PARTS.split(), "\u200c", "\u0301", "\ud800", "\U000e0100"])
texts = st.one_of(st.text(max_size=40), st.lists(parts, max_size=12).map("".join), st.text(min_size=60, max_size=70))


@settings(max_examples=600, deadline=None)
@given(texts)
def test_any_text_is_canonical_once_or_refused(text: str) -> None:
    """Whatever is given is refused with InvalidInput, or becomes a name of the right letters that stays as it is."""
    try:
        name = canonical(text)
    except InvalidInput:
        return
    assert canonical(name) == name
    assert len(name) <= MAX_NAME
    if is_address(name):
        assert str(ip_address(name)) == name
    else:
        labels = name.removeprefix("*.").split(".")
        assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label) for label in labels)
    assert shown(name).startswith(name)
    assert matches(rule(name), name)


@settings(max_examples=400, deadline=None)
@given(texts | texts.map(".{}".format) | texts.map("*..{}".format))
def test_any_text_is_a_rule_once_or_refused(text: str) -> None:
    """Whatever is given is refused with InvalidInput, or becomes a rule that stays as it is and can be asked."""
    try:
        found = rule(text)
    except InvalidInput:
        return
    assert rule(found) == found
    if found.startswith((".", "*..")):
        below = found.removeprefix("*.")
        assert matches(found, ("*" if found != below else "x") + below) and not matches(found, below[1:])


RULES = [
    "shop.example.com",
    ".example.com",
    "*.example.com",
    "*..example.com",
    "10.1.0.0/16",
    "10.1.2.3",
    "2001:db8::/32",
]
ALLOWED = {
    "shop.example.com": {"shop.example.com", ".example.com"},
    "a.shop.example.com": {".example.com"},
    "example.com": set(),
    "badexample.com": set(),
    "shop.example.com.org": set(),
    "*.example.com": {"*.example.com", "*..example.com"},
    "*.shop.example.com": {"*..example.com"},
    "*.badexample.com": set(),
    "*.com": set(),
    "10.1.2.3": {"10.1.0.0/16", "10.1.2.3"},
    "10.1.255.255": {"10.1.0.0/16"},
    "10.2.0.0": set(),
    "2001:db8::1": {"2001:db8::/32"},
    "2001:db9::1": set(),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_a_rule_allows_what_it_says_and_nothing_else(name: str) -> None:
    """Exact names, names below, one wildcard, wildcards below, and addresses."""
    assert canonical(name) == name
    assert {each for each in RULES if matches(rule(each), name)} == ALLOWED[name]


@pytest.mark.parametrize(
    ("text", "canonically"),
    [
        (".Bücher.example.", ".xn--bcher-kva.example"),
        ("*..Example.com", "*..example.com"),
        ("*.Example.com", "*.example.com"),
        (".internal", ".internal"),
        ("2001:DB8:0::/32", "2001:db8::/32"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
    ],
)
def test_rules_are_canonical(text: str, canonically: str) -> None:
    """A rule is written as names are, so that it can be compared with them."""
    assert rule(text) == canonically


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (".", "not a DNS name"),
        ("*..", "not a DNS name"),
        ("*", "left-most"),
        (".*.example.com", "left-most"),
        ("*...example.com", "not a DNS name"),
        ("10.1.0.1/16", "not a range"),
        ("10.1.0.0/33", "not a range"),
        ("/", "not a range"),
        ("::ffff:0:0/96", "IPv4 address in IPv6"),
        ("fe80::%1/64", "scope"),
        (".10.1.2.3", "ends in a number"),
        ("." + "a" * MAX_TEXT, "characters"),
    ],
)
def test_what_is_no_rule(text: str, reason: str) -> None:
    """A rule that could not match what its author meant is refused."""
    with pytest.raises(InvalidInput, match=re.escape(reason)):
        rule(text)


@pytest.mark.parametrize(
    ("name", "internal"),
    [
        ("shop.example.com", False),
        ("localhost.example.com", False),
        ("notlocal", True),
        ("localhost", True),
        ("db.internal", True),
        ("db.corp.internal", True),
        ("dbinternal.com", False),
        ("printer.local", True),
        ("nas.home.arpa", True),
        ("home.arpa", True),
        ("e164.arpa", False),
        ("1.2.0.192.in-addr.arpa", True),
        ("shop.test", True),
        ("shop.example", True),
        ("shop.onion", True),
        ("shop.localhost", True),
        ("*.corp.internal", True),
        ("*.internal", True),
        ("*.com", False),
        ("*.shop.example.com", False),
        ("a.corp.example.com", True),
        ("corp.example.com", True),
        ("*.corp.example.com", True),
        ("notcorp.example.com", False),
        ("*.example.com", False),
        ("8.8.8.8", False),
        ("9.255.255.255", False),
        ("10.0.0.0", True),
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("100.63.255.255", False),
        ("100.64.0.0", True),
        ("127.0.0.1", True),
        ("169.254.169.254", True),
        ("172.15.255.255", False),
        ("172.16.0.1", True),
        ("172.32.0.0", False),
        ("192.168.1.1", True),
        ("192.88.99.1", True),
        ("192.0.2.1", True),
        ("198.19.255.255", True),
        ("198.20.0.0", False),
        ("223.255.255.255", False),
        ("224.0.0.1", True),
        ("255.255.255.255", True),
        ("2606:4700::1111", False),
        ("::1", True),
        ("::", True),
        ("64:ff9b::1", True),
        ("fc00::1", True),
        ("fe80::1", True),
        ("ff02::1", True),
        ("2001:db8::1", True),
        ("2001::1", True),
        ("2002::1", True),
        ("3fff::1", True),
        ("4000::1", True),
    ],
)
def test_internal_names(name: str, internal: bool) -> None:
    """Internal is what the public DNS and the public Internet do not have, and what the organisation says."""
    assert canonical(name) == name
    assert is_internal(name, ("corp.example.com",)) is internal


def test_the_organisations_suffixes_decide_for_its_domains_only() -> None:
    """Without the organisation's suffix its domain is a public one."""
    assert not is_internal("a.corp.example.com")
    assert is_internal("a.corp.example.com", iter(["corp.example.com"]))


def test_kinds_of_names() -> None:
    """Wildcards and addresses are told from other names."""
    assert is_wildcard("*.example.com") and not is_wildcard("shop.example.com")
    assert is_address("192.0.2.1") and is_address("2001:db8::1") and not is_address("a1.example.com1")
    assert not is_address("") and not is_address("1")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("shop.example.com", "shop.example.com"),
        ("2001:db8::1", "2001:db8::1"),
        ("*.xn--bcher-kva.example", "*.xn--bcher-kva.example (*.bücher.example)"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example (bücher.example)"),
        ("xn--a.example", "xn--a.example"),
        ("bücher.example", "'bücher.example'"),
        ("a\nb", "'a\\nb'"),
        ("a" * 300, repr("a" * 79 + "…")),
    ],
)
def test_names_for_people(name: str, text: str) -> None:
    """Internationalised names are shown with what they stand for; what is no name cannot disturb a message."""
    assert shown(name) == text
