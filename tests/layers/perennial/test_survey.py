"""Scanning without a deployment: joins, incomplete scopes, and what a subject is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from certificates import NOW, build, facts
from perennial import survey as surveying
from perennial.certificate import Certificate
from perennial.checks.interface import Check, Severity, Subject, Verdict
from perennial.errors import InvalidInput
from perennial.manifest import Role, Scope, Seen, Sighting
from perennial.scanners.interface import GLOBAL, Reading, Scanner
from perennial.settings import Ownership, Settings
from perennial.survey import OWN, Order, Survey, Task, survey

HOLDER = "arn:aws:acm:us-east-1:111122223333:certificate/one"
LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/shop/1/2"
LEAF = build("shop.example.com")


def _check(needs_full: bool = False) -> Check:
    def run(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
        return (Verdict(f"{len(subject.attached)} attached, owner {subject.owner}"),)

    return Check(
        id="test.full" if needs_full else "test.all",
        severity=Severity.LOW,
        title="A test",
        remediation="Nothing.",
        cites="none",
        applies=lambda subject: True,
        run=run,
        needs_full=needs_full,
    )


CHECKS = {each.id: each for each in (_check(), _check(needs_full=True))}


def _stored(location: str = HOLDER, certificate: Certificate = LEAF.certificate, **attributes: Any) -> Seen:
    sighting = Sighting(
        location=location,
        role=Role.STORED,
        resource=location,
        fingerprint=certificate.fingerprint,
        attributes=attributes,
    )
    return Seen(sighting, certificate)


def _attached(holder: str = HOLDER) -> Seen:
    return Seen(Sighting(location=f"{LISTENER}#{holder}", role=Role.ATTACHED, resource=LISTENER, holder=holder))


def _task(
    source: str, *seen: Seen, fails: Exception | None = None, region: str = "eu-west-1", account: str = OWN
) -> Task:
    def scan(reading: Reading) -> Iterator[Seen]:
        yield from seen
        if fails:
            raise fails

    scanner = Scanner(source=source, title=source, actions=(), scan=scan)
    return Task(scope=Scope(account, region, source), scanner=scanner, clients=None)  # type: ignore[arg-type]


def _survey(*tasks: Task, whose: Callable[[], str] = lambda: "999999999999", **order: Any) -> Survey:
    return survey(tasks, (), Order(**{"checks": CHECKS, "now": NOW, **order}), whose)


def test_attachments_are_joined_with_the_place_that_holds_their_certificate_in_any_scope() -> None:
    """A listener in one region is part of the subject of a certificate in another."""
    found = _survey(_task("acm", _stored(), region="us-east-1"), _task("elbv2", _attached()))
    assert [(len(each.attached), each.attached[0][0].source) for each in found.subjects] == [(1, "elbv2")]
    assert not found.loose


def test_an_attachment_whose_holder_was_not_scanned_is_told_without_facts_and_not_judged() -> None:
    """It is neither lost nor reported as unreadable."""
    found = _survey(_task("elbv2", _attached("arn:aws:acm:eu-west-1:111122223333:certificate/other")))
    assert [each.certificate for each in found.loose] == [None]
    assert not found.findings


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        (
            ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListThings"),
            "access-denied",
            "acm:ListThings in eu-west-1: AccessDenied: no",
        ),
        (
            EndpointConnectionError(endpoint_url="https://acm"),
            "unavailable",
            "acm in eu-west-1: EndpointConnectionError",
        ),
        (InvalidInput("the list is empty"), "invalid-input", "the list is empty"),
    ],
)
def test_a_scope_that_fails_is_incomplete_and_the_others_go_on(error: Exception, reason: str, message: str) -> None:
    """What was seen before the failure stays, and the reason names the call."""
    found = _survey(_task("acm", _stored(), fails=error), _task("iam", _stored("arn:aws:iam::111122223333:sc/two")))
    assert [each.reason for each in found.scopes] == [reason, None]
    assert (found.scopes[0].message or "").startswith(message)
    assert len(found.subjects) == 2
    assert not found.complete


def test_the_callers_account_is_the_one_that_most_arns_tell() -> None:
    """No call asks for it, and an authority shared by another account does not decide."""
    shared = Seen(
        Sighting(
            location="arn:aws:acm-pca:eu-west-1:444455556666:ca/1", role=Role.AUTHORITY, resource="arn:aws:x:y:4:z"
        )
    )

    def never() -> str:
        raise AssertionError("asked")

    found = _survey(_task("acm_pca", shared), _task("acm", _stored()), whose=never)
    assert {each.scope.account for each in found.scopes} == {"111122223333"}
    assert {each.scope.account for each in found.findings} == {"111122223333"}


def test_the_account_is_asked_for_where_no_arn_tells_it() -> None:
    """An empty account has a number too, and named accounts keep theirs."""
    found = _survey(_task("acm"), _task("acm", account="222233334444"))
    assert [each.scope.account for each in found.scopes] == ["999999999999", "222233334444"]


def test_named_accounts_never_ask_for_the_callers() -> None:
    """Where every scope has its account, nothing is asked."""

    def never() -> str:
        raise AssertionError("asked")

    assert _survey(_task("acm", account="222233334444"), whose=never).complete


def test_a_quick_scan_leaves_out_the_checks_that_need_each_certificate_and_says_so() -> None:
    """A full scan judges them all."""
    quick, full = _survey(_task("acm", _stored())), _survey(_task("acm", _stored()), full=True)
    assert ({each.check for each in quick.findings}, quick.not_judged) == ({"test.all"}, ("test.full",))
    assert ({each.check for each in full.findings}, full.not_judged) == (set(CHECKS), ())


def test_other_certificates_with_the_same_key_are_named_in_a_full_scan() -> None:
    """The key is compared over everything that was scanned."""
    other = replace(LEAF.certificate, fingerprint="b" * 64)
    tasks = (_task("acm", _stored()), _task("iam", _stored("arn:aws:iam::111122223333:sc/two", other)))
    assert [each.same_key for each in _survey(*tasks, full=True).subjects] == [("b" * 64,), (LEAF.fingerprint,)]
    assert [each.same_key for each in _survey(*tasks).subjects] == [(), ()]


@pytest.mark.parametrize(
    ("attributes", "public"),
    [
        ({}, None),
        ({"type": "IMPORTED"}, None),
        ({"type": "AMAZON_ISSUED"}, True),
        ({"type": "PRIVATE"}, False),
        ({"type": "IMPORTED", "public": True}, True),
    ],
)
def test_whether_a_certificate_is_public_is_told_by_its_chain_or_by_the_service(
    attributes: dict[str, Any], public: bool | None
) -> None:
    """What neither tells stays unknown."""
    assert _survey(_task("acm", _stored(**attributes))).subjects[0].public is public


def test_owners_come_from_the_settings_and_are_not_missed_in_a_quick_scan() -> None:
    """A quick scan reads no tags, so that it does not know that nobody is named."""
    ownership = Ownership(names={"*.example.com": "shop"})
    found = _survey(_task("acm", _stored()), settings=Settings(ownership=ownership)).subjects[0]
    assert (found.owner, found.owner_known) == ("shop", False)


def test_a_certificate_that_another_place_read_is_known_by_its_fingerprint() -> None:
    """A place that tells the fingerprint only has the facts of the other."""
    bare = replace(_stored("arn:aws:iam::111122223333:sc/two"), certificate=None)
    found = _survey(_task("acm", _stored()), _task("iam", bare))
    assert [each.certificate for each in found.subjects] == [LEAF.certificate, LEAF.certificate]


def test_results_come_in_the_order_of_the_scopes_whatever_ends_first() -> None:
    """The same estate gives the same output."""
    tasks = [_task("acm", _stored(f"arn:aws:acm:r:111122223333:certificate/{number}")) for number in range(40)]
    assert [each.sighting.location[-2:].strip("/") for each in _survey(*tasks).subjects] == [str(n) for n in range(40)]


def test_a_watcher_is_told_of_each_sighting_and_each_end() -> None:
    """Progress is what was seen and how many scopes ended."""
    told: list[tuple[str, bool]] = []
    _survey(_task("acm", _stored()), watch=lambda scope, sighting: told.append((scope.source, sighting is None)))
    assert told == [("acm", False), ("acm", True)]


def test_tags_are_read_in_a_full_scan_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick scan makes no call of the tagging API."""
    monkeypatch.setattr(surveying, "tags_of", lambda clients, kind: {kind: {"owner": "shop"}})
    read: list[Any] = []

    def scan(reading: Reading) -> Iterator[Seen]:
        read.append(reading.tags("acm:certificate"))
        yield from ()

    task = replace(_task("acm", region=GLOBAL), scanner=Scanner(source="acm", title="", actions=(), scan=scan))
    _survey(task)
    _survey(task, full=True)
    assert read == [{}, {"acm:certificate": {"owner": "shop"}}]


def test_a_certificate_of_unknown_facts_is_a_subject_too() -> None:
    """What could not be read is told, never dropped."""
    unread = facts(LEAF, fingerprint=None)
    assert len(_survey(_task("acm", _stored("arn:aws:acm:r:111122223333:certificate/9", unread))).subjects) == 1
