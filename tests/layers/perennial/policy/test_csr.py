"""A requester's CSR and the request say the same."""

from __future__ import annotations

from dataclasses import replace

from layers.perennial.policy.cases import ORGANISATION, PROFILE, PUBLIC, Case, asked, violations
from perennial import policy
from perennial.policy import CsrFacts
from perennial.profiles import KeyHome

GIVEN = CsrFacts(names=("a.example.com", "b.example.com"), key="EC-256", usages=("serverAuth",))
READ = asked("b.example.com", "a.example.com", csr=GIVEN)
UNREAD = replace(READ, csr=None)
CASES = {
    "csr.read": Case((READ, asked()), ((UNREAD, "csr"), (replace(UNREAD, csr_problem="It is no request."), "csr"))),
    "csr.names": Case(
        (READ, asked("b.example.com")),
        (
            (asked("a.example.com", csr=GIVEN), "csr"),
            (asked("a.example.com", "b.example.com", "c.example.com", csr=GIVEN), "csr"),
            (asked("a.example.com", csr=replace(GIVEN, names=())), "csr"),
        ),
    ),
    "csr.key": Case(
        (READ, asked(key="EC-256", csr=GIVEN), asked(key="RSA-2048")),
        ((asked(key="EC-384", csr=GIVEN), "csr"),),
    ),
    "csr.usages": Case(
        (READ, asked(csr=replace(GIVEN, usages=()))),
        ((asked(csr=replace(GIVEN, usages=("serverAuth", "clientAuth"))), "csr"),),
    ),
}


def test_names_that_differ_are_told_from_both_sides() -> None:
    """What the CSR lacks and what it has besides are two violations with their names."""
    found = violations("csr.names", asked("a.example.com", "xn--bcher-kva.de", csr=GIVEN))
    assert [each.detail for each in found] == [
        "The CSR does not have xn--bcher-kva.de (bücher.de).",
        "The CSR also has b.example.com.",
    ]


def test_a_request_with_a_csr_that_cannot_be_read_is_refused() -> None:
    """What is no CSR becomes a violation with the reason, beside all others."""
    request = replace(UNREAD.request, csr=b"nonsense", owner="nobody")
    profile = replace(PROFILE, key_home=KeyHome.REQUESTER)
    found = policy.judge(policy.subject(request, profile, PUBLIC, ORGANISATION, UNREAD.now))
    assert {"csr.read", "names.owner-known"} <= {each.rule for each in found}
    (detail,) = [each.detail for each in found if each.rule == "csr.read"]
    assert detail != "Nobody read the CSR." and "\n" not in detail
