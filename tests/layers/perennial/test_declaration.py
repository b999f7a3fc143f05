"""certificates.yaml: read whole, or every problem told at once with its line; nothing that it holds surprises."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial import declaration, declaration_text
from perennial.certificate_request import CertificateRequest
from perennial.declaration import document, load, parse, read
from perennial.errors import InvalidInput
from perennial.managed_certificate import Contacts, ManagedCertificate, targets_digest
from perennial.profiles import KEYS

EXAMPLE = Path(__file__).resolve().parents[3] / "docs/certificates.example.yaml"
FINGERPRINT = "5a" * 32
LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:111111111111:listener/app/shop/0123456789abcdef/0123456789abcdef"
FULL = f"""\
# what the shop needs
certificates:
  shop:
    names: [www.Shop.example.net, "*.bücher.example", 10.1.2.3]
    profile: web
    issuer: public-ca
    key: EC-256
    validity_days: 60
    owner: Shop & Co
    contacts: {{ team: [shop@example.net], business: [Anna], on_call: ["+49 30 1"] }}
    environment: production
    windows: [nights]
    service: checkout
    adopts: {FINGERPRINT}
    on_failure: stay
    targets:
      - {{ kind: elbv2, name: window, listener: "{LISTENER}" }}
      - kind: elb
        name: old
        load_balancer: no
        port: 443
        deadline: 30
        names: [www.shop.example.net]
        account: 222222222222
  blog:
    names:
      - blog.example.net
    profile: web
    owner: blog
"""
SMALL = {"names": ["a.example.net"], "profile": "web", "owner": "shop"}


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        load(text)
    return str(caught.value).split("\n")


def entry(lines: str) -> str:
    return f"certificates:\n  shop:\n    names: [a.example.net]\n    profile: web\n    owner: shop\n{lines}"


def test_every_field_is_taken() -> None:
    """A file that says everything is read whole: names canonical, texts as they stand, targets in their order."""
    shop, blog = load(FULL)
    names = ("www.shop.example.net", "*.xn--bcher-kva.example", "10.1.2.3")
    assert shop.request == CertificateRequest(
        names=names, profile="web", owner="Shop & Co", key="EC-256", validity_days=60, issuer="public-ca"
    )
    assert shop.contacts == Contacts(team=("shop@example.net",), business=("Anna",), on_call=("+49 30 1",))
    assert (shop.environment, shop.windows, shop.service) == ("production", ("nights",), "checkout")
    assert (shop.adopts, shop.stays) == (FINGERPRINT, True)
    window, old = shop.targets
    assert (window.kind, window.name, window.managed, window.region) == ("elbv2", "window", "shop", "eu-west-1")
    assert (old.text("load_balancer"), old.text("port"), old.account) == ("no", "443", "222222222222")
    assert (old.deadline, old.names) == (30, ("www.shop.example.net",))
    request = CertificateRequest(names=("blog.example.net",), profile="web", owner="blog")
    assert blog == ManagedCertificate(name="blog", request=request)


def test_json_is_read_too() -> None:
    """The same in JSON, as a text and decoded, where numbers and texts are told apart by their spelling."""
    shop = {**SMALL, "validity_days": 30, "targets": [{"kind": "elb", "name": "a", "load_balancer": "x", "port": 443}]}
    whole = {"certificates": {"shop": shop}}
    for indent in (None, 2):
        assert load(json.dumps(whole, indent=indent)) == parse(whole)
    spelled = {"certificates": {"shop": {**SMALL, "owner": "\N{GRINNING FACE}\\ud83d"}}}
    assert load(json.dumps(spelled)) == parse(spelled)
    assert parse(whole)[0].targets[0].text("port") == "443"


@pytest.mark.parametrize("value", ["no", "on", "2026-11-01", "0x1f", "1e3", "12:30", "007", "1_000", ".inf", "=", "<<"])
def test_no_scalar_surprises(value: str) -> None:
    """What YAML would make a boolean, a date or a number stays the text that stands there."""
    (shop,) = load(entry(f"    service: {value}\n"))
    assert shop.service == value


def test_the_example_is_read() -> None:
    """The example of the documentation is valid, and shows every field."""
    text = EXAMPLE.read_text("utf-8")
    found = load(text)
    shown = {key for each in found for key in document(each)}
    assert shown == {*document(load(FULL)[0])}
    assert {each.kind for one in found for each in one.targets} >= {"elbv2", "secretsmanager"}


CASES = [
    ("", 1, "certificates: there must be a table"),
    ("certificates:", 1, "certificates: there must be a table"),
    ("certificates: []", 1, "certificates: there must be a table"),
    ("- a", 1, "certificates: there must be a table"),
    ("certificates: {}\nother: 1", 2, "other: not known; there is certificates"),
    ("certificates:\n  Shop: 1", 2, "certificates.Shop: not a name like"),
    ("certificates:\n  a: 1", 2, "certificates.a: 1 is not a table"),
    (entry("    colour: red"), 6, "certificates.shop.colour: not known; there are names, profile"),
    (entry("    key: RSA-1024"), 6, "certificates.shop.key: RSA-1024 is not one of EC-256"),
    (entry("    issuer: A"), 6, "certificates.shop.issuer: A is not a name like"),
    (entry("    issuer:"), 6, "certificates.shop.issuer: it has no value"),
    (entry("    validity_days: '60'"), 6, "certificates.shop.validity_days: 60 is not a whole number from 0 to 3650"),
    (entry("    validity_days: 3651"), 6, "certificates.shop.validity_days: '3651' is not"),
    (entry("    validity_days: 1e2"), 6, "certificates.shop.validity_days: 1e2"),
    (entry("    contacts: [a]"), 6, "certificates.shop.contacts"),
    (
        entry("    contacts:\n      boss: [a]"),
        7,
        "certificates.shop.contacts.boss: not known; there are team, business",
    ),
    (entry("    contacts:\n      team: a"), 7, "certificates.shop.contacts.team: a is not a list of at most 20"),
    (entry("    environment: Production"), 6, "certificates.shop.environment: Production is not a name"),
    (entry("    windows: nights"), 6, "certificates.shop.windows: nights is not a list"),
    (entry("    windows: [a, a]"), 6, "certificates.shop.windows"),
    (entry('    service: "a\\nb"'), 6, "certificates.shop.service: 'a\\nb' is not a text"),
    (entry('    service: "\\e[2J"'), 6, "certificates.shop.service"),
    (entry("    adopts: 5a5a"), 6, "certificates.shop.adopts: 5a5a is not the SHA-256"),
    (entry("    on_failure: wait"), 6, "certificates.shop.on_failure: wait is not one of return, stay"),
    (entry("    targets: []"), 6, "certificates.shop.targets: '[]' is not a list of 1 to 200 targets"),
    (entry("    targets:\n    - a"), 7, "certificates.shop.targets[1]"),
    (entry("    targets:\n    - kind: ftp"), 7, "certificates.shop.targets[1].kind: ftp is not one of acm"),
    (
        entry("    targets:\n    - kind: elb\n      name: a\n      load_balancer: x\n      port: 0"),
        10,
        "targets[1].port: 0",
    ),
    (entry("    targets:\n    - kind: elb\n      name: a\n      port: 1"), 7, "targets[1].load_balancer: missing"),
    (
        entry("    targets:\n    - {kind: acm, name: A, certificate: x}").replace("name: A", "name: a"),
        7,
        "x is not the ARN",
    ),
    (FULL.replace("    profile: web\n    issuer", "    issuer"), 3, "certificates.shop.profile: missing"),
    (FULL.replace("[www.Shop.example.net,", "[]#"), 4, "certificates.shop.names: '[]' is not a list of 1 to 100"),
    (FULL.replace("10.1.2.3]", "a_b.example]"), 4, "'a_b.example' is refused: the name"),
    (FULL.replace("10.1.2.3]", "WWW.shop.example.net]"), 4, "www.shop.example.net is there twice"),
    (FULL.replace("port: 443", "ports: 443"), 21, "certificates.shop.targets[2].ports: not known"),
]


@pytest.mark.parametrize(("text", "line", "words"), CASES)
def test_a_problem_names_its_line(text: str, line: int, words: str) -> None:
    """What is wrong is told behind file and line, in words; what is missing behind the line of what lacks it."""
    found = [each for each in problems(text) if words in each]
    assert [each.partition(" ")[0] for each in found] == [f"certificates.yaml:{line}:"], problems(text)


def test_all_problems_come_at_once_in_the_order_of_lines() -> None:
    """Faults of the YAML, of fields, and of targets, over several certificates, in one message."""
    text = entry("    owner: twice\n    key: x\n    targets:\n    - kind: ftp\n") + "  b: &b 1\n  c: {}\n"
    lines = [int(re.match(r"certificates.yaml:(\d+): ", each)[1]) for each in problems(text)]  # type: ignore[index]
    assert lines == [6, 7, 9, 10, 11, 11, 11]


def test_a_message_is_bounded() -> None:
    """At most 200 problems are told, and how many more there are."""
    told = problems("certificates:\n" + "".join(f"  c{each}: 1\n" for each in range(300)))
    assert len(told) == 201
    assert re.fullmatch(r"and \d+ more", told[-1])


def test_several_files() -> None:
    """Files add up; problems of all of them are told; a name that two of them declare is refused with both lines."""
    one, two = ("a.yaml", entry("")), ("b.yaml", entry("").replace("shop:", "blog:"))
    found = read([one, two])
    assert [each.name for each in found.certificates] == ["shop", "blog"]
    assert found.places.told("certificates.blog.owner: wrong") == "b.yaml:5: certificates.blog.owner: wrong"
    with pytest.raises(InvalidInput) as caught:
        read([one, ("b.yaml", entry("    key: x")), ("c.yaml", entry("\n\n"))])
    first, second = str(caught.value).split("\n")
    assert first.startswith("b.yaml:6: certificates.shop.key: x")
    assert second == "c.yaml:2: certificates.shop: declared a second time; the first is at a.yaml:2"


def test_without_places_problems_have_their_path_alone() -> None:
    """What an API decodes has no lines."""
    with pytest.raises(InvalidInput, match=r"^certificates\.shop\.owner: missing"):
        parse({"certificates": {"shop": {"names": ["a.example"], "profile": "web"}}})


# --- hostile texts ---

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
)
HOSTILE = {
    "an alias": (entry("    service: *x"), "certificates.yaml:6: the alias x is not read"),
    "an anchor": (entry("    service: &x y"), "certificates.yaml:6: the anchor x is not read"),
    "an anchor at a key": ("certificates:\n  &x a: 1", "certificates.yaml:2: the anchor x is not read"),
    "an alias as key": ("certificates:\n  *x : 1", "certificates.yaml:2: the alias x is not read"),
    "a billion laughs": (LAUGHS, "certificates.yaml:2: the alias a is not read"),
    "a list in itself": ("certificates: &a [*a]", "certificates.yaml:1: the anchor a is not read"),
    "a tag that constructs": (
        entry("    service: !!python/object/apply:os.system [x]"),
        "certificates.yaml:6: the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not read",
    ),
    "a tag of its own": (entry("    service: !x y"), "certificates.yaml:6: the tag '!x' is not read"),
    "a tag by a directive": ("%TAG ! tag:x,2:\n---\ncertificates: !y {}", "certificates.yaml:3: the tag 'tag:x,2:y'"),
    "a merge": (entry("    <<: {owner: x}"), "certificates.yaml:6: certificates.shop.'<<': not known"),
    "a key twice": (entry("    owner: x"), "certificates.yaml:6: certificates.shop.owner: this key is here a second"),
    "a certificate twice": (entry("  shop: {}"), "certificates.yaml:6: certificates.shop: this key is here a second"),
    "a quoted key twice": (entry('    "owner": x'), "certificates.yaml:6: certificates.shop.owner: this key is here"),
    "lists in lists": ("[" * 200_000, "certificates.yaml:1: it nests deeper than 12 levels"),
    "tables in tables": ("{a: " * 200_000, "certificates.yaml:1: it nests deeper than 12 levels"),
    "dashes": ("- " * 200_000, "certificates.yaml:1: it nests deeper than 12 levels"),
    "question marks": ("? " * 200_000, "certificates.yaml:1: the top: a key must be a text"),
    "a list as key": ("certificates:\n  ? [a]\n  : b", "certificates.yaml:2: certificates: a key must be a text"),
    "too much": ("#" * (declaration_text.MAX_TEXT + 1), "certificates.yaml:1: the text has 5000001 characters"),
    "two documents": (entry("") + "---\ncertificates: {}", "certificates.yaml:6: a second document begins here"),
    "a tab": ("certificates:\n\tshop: 1", "certificates.yaml:2: this is not YAML"),
    "a control character": ("certificates:\n  shop: \x07", "certificates.yaml:2: this is no"),
    "a zero": ("certificates:\x00", "certificates.yaml:1: this is no"),
    "half a character": ("certificates: \ud800", "certificates.yaml:1: the text holds half a surrogate pair"),
    "an open quote": ('certificates: "', "certificates.yaml:1: this is not YAML"),
    "a wrong escape": ('certificates: "\\q"', "certificates.yaml:1: this is not YAML"),
    "a colon too many": ("certificates: a: b", "certificates.yaml:1: this is not YAML"),
    "a long number": (
        entry("    validity_days: " + "9" * 10_000),
        "certificates.yaml:6: certificates.shop.validity_days",
    ),
}


@pytest.mark.parametrize("libyaml", [True, False], ids=["libyaml", "Python alone"])
@pytest.mark.parametrize(("text", "words"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts(text: str, words: str, libyaml: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ends in a problem with its line, whichever parser there is, and in no time."""
    import yaml

    if not libyaml:
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    told = problems(text)
    assert any(each.startswith(words) for each in told), told[:5]
    assert all(each.isprintable() and len(each) < 1_000 for each in told)


def test_the_number_of_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading stops where there are too many."""
    monkeypatch.setattr(declaration_text, "MAX_VALUES", 100)
    assert problems("a: [" + "1, " * 200 + "]") == [
        "certificates.yaml:1: there are more than 100 values; write several files"
    ]


def test_the_number_of_certificates_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than may be declared at once are refused."""
    monkeypatch.setattr(declaration, "MAX_CERTIFICATES", 2)
    with pytest.raises(InvalidInput, match="at most 2 certificates"):
        parse({"certificates": dict.fromkeys("abc", SMALL)})
    assert len(parse({"certificates": dict.fromkeys("ab", SMALL)})) == 2


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
fields = st.sampled_from([*document(load(FULL)[0]), "x"])


@given(st.dictionaries(st.sampled_from(["certificates", "x"]), st.dictionaries(st.text(max_size=5), json_values)))
def test_no_document_makes_the_reader_fail(whole: Any) -> None:
    """Whatever is decoded, it is read or refused in words."""
    try:
        parse(whole)
    except InvalidInput as error:
        assert all(each.isprintable() for each in str(error).split("\n"))


@given(st.dictionaries(fields, json_values, max_size=5))
def test_no_field_makes_the_reader_fail(own: dict[str, Any]) -> None:
    """Whatever a field holds, problems are about it, and the other certificates are read."""
    try:
        parse({"certificates": {"a": {**SMALL, **own}}})
    except InvalidInput as error:
        assert all(each.startswith("certificates.a.") for each in str(error).split("\n"))


@settings(max_examples=200)
@given(st.text(alphabet=st.sampled_from("abc:-?&*!|>'\"%@`{}[],# \n\t0\\"), max_size=60))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    """Whatever the characters of YAML are put together to, it is read or refused with a line."""
    try:
        load(text)
    except InvalidInput as error:
        assert all(re.match(r"certificates\.yaml:\d+: ", each) for each in str(error).split("\n"))


names = st.from_regex(r"[a-z][a-z0-9]{0,8}\.example\.net", fullmatch=True)
words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)
tables = st.from_regex(r"[a-z0-9][a-z0-9-]{0,12}", fullmatch=True)
elb = st.fixed_dictionaries(
    {"kind": st.just("elb"), "load_balancer": st.from_regex(r"[A-Za-z0-9]{1,9}", fullmatch=True), "port": st.just("1")},
    optional={"store": st.sampled_from(["acm", "iam"]), "deadline": st.integers(10, 7_200)},
)
entries = st.fixed_dictionaries(
    {"names": st.lists(names, min_size=1, max_size=4, unique=True), "profile": tables, "owner": words},
    optional={
        "issuer": tables,
        "key": st.sampled_from(KEYS),
        "validity_days": st.integers(1, 3_650),
        "contacts": st.fixed_dictionaries({"team": st.lists(words, min_size=1, max_size=3)}),
        "windows": st.lists(tables, min_size=1, max_size=3, unique=True),
        "environment": tables,
        "service": words,
        "adopts": st.just(FINGERPRINT),
        "on_failure": st.just("stay"),
        "targets": st.lists(elb, min_size=1, max_size=3).map(
            lambda found: [{**each, "name": f"t{at}"} for at, each in enumerate(found)]
        ),
    },
)


@given(st.dictionaries(st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,9}[a-z0-9])?", fullmatch=True), entries, max_size=3))
def test_what_is_read_is_written_back(whole: dict[str, Any]) -> None:
    """`document` says of a declaration what has to be declared for it, as JSON and YAML keep it."""
    found = parse({"certificates": whole})
    again = {"certificates": {each.name: document(each) for each in found}}
    assert parse(again) == found
    assert load(json.dumps(again)) == found
    assert [targets_digest(each.targets) for each in load(json.dumps(again))] == [
        targets_digest(each.targets) for each in found
    ]
