"""A request is judged by all rules at once, and refused in bounded words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layers.perennial.policy.cases import AMAZON, NOW, ORGANISATION, PRIVATE, PROFILE, PUBLIC, asked
from perennial import policy
from perennial.certificate_request import CertificateRequest
from perennial.errors import PolicyViolated
from perennial.policy import Subject
from perennial.profiles import Issuer


def message(subject: Subject) -> list[str]:
    with pytest.raises(PolicyViolated) as caught:
        policy.require(subject)
    return str(caught.value).split("\n")


def test_what_is_allowed_is_let_through() -> None:
    """Nothing happens to a request that no rule forbids."""
    policy.require(asked())
    assert policy.subject(asked().request, PROFILE, PUBLIC, ORGANISATION, NOW) == asked()


def test_every_violation_is_told_at_once() -> None:
    """A request that breaks rules of many topics is repaired in one go."""
    subject = asked(
        *("*.other.org", "db.corp.internal", "8.8.8.8", "db.corp.internal"),
        owner="nobody",
        key="Ed25519",
        days=300,
        max_names=3,
        usages=("clientAuth",),
    )
    assert [each.rule for each in policy.judge(subject)] == [
        "number.profile",
        "number.once",
        "names.profile",
        *["names.owner"] * 4,
        "names.owner-known",
        "wildcards.profile",
        "addresses.profile",
        "addresses.issuer",
        *["internal_names.public"] * 2,
        "key_strength.profile",
        "key_strength.issuer",
        "key_strength.public",
        "validity.profile",
        "validity.public",
        "usages.public",
    ]


def test_a_line_has_field_detail_what_is_accepted_and_the_rule() -> None:
    """Each line of the message is enough to repair the request."""
    (line,) = message(
        asked(
            "b.example.com",
            "a.other.org",
            organisation=replace(ORGANISATION, owners={"shop": (".example.com", ".other.org")}),
        )
    )
    assert line == (
        "names[1] a.other.org: The profile web does not allow this name. Accepted: names that match .example.com, "
        "*.example.com, .corp.internal, xn--bcher-kva.de, 192.0.2.0/24 and 1 more. (names.profile)"
    )


@pytest.mark.parametrize(("count", "lines", "last"), [(25, 50, ""), (26, 51, "and 2 more")])
def test_a_message_has_fifty_violations_at_most(count: int, lines: int, last: str) -> None:
    """Two violations a name: the fiftieth is shown, and those beyond are counted."""
    hosts = (f"h{each}.other.org" for each in range(count))
    found = message(asked(*hosts, max_names=100))
    assert len(found) == lines and (found[-1] == last if last else "h24" in found[-1])


def test_a_flood_of_names_is_refused_in_bounded_words() -> None:
    """A hundred thousand names are counted, and only the first are judged one by one."""
    found = policy.judge(asked(*["x" * 400] * 100_000))
    assert "number.organisation" in {each.rule for each in found} and len(found) < 10_000
    assert all(len(line) <= 1_000 for line in message(asked(*["x" * 400] * 100_000)))


words = st.text(max_size=30) | st.sampled_from(
    ["shop", "*.example.com", "*.", "10.0.0.1", "::1", "xn--a", "web", "é.de"]
)


@settings(max_examples=150, deadline=None)
@given(
    names=st.lists(words, max_size=4),
    owner=words,
    key=words,
    days=st.integers(),
    issuer=st.sampled_from([PUBLIC, PRIVATE, AMAZON]),
)
def test_no_request_makes_a_rule_fail(names: list[str], owner: str, key: str, days: int, issuer: Issuer) -> None:
    """Whatever a request holds, every rule answers, each violation is one printable line, and a stranger gets none."""
    request = CertificateRequest(names=tuple(names), profile="web", owner=owner, key=key, validity_days=days)
    subject = replace(asked(issuer=issuer), request=request)
    for each in policy.judge(subject):
        assert len(str(each)) < 2_000 and "\n" not in str(each)
    if owner not in ORGANISATION.owners:
        assert "names.owner-known" in {each.rule for each in policy.judge(subject)}
