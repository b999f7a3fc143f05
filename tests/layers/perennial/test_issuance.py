"""Issuance as a whole, through ACME: what it leads to, and what it leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from acme_server import problem
from issuing import IssuingHub, issuing_hub
from perennial import issuance_failure, keys, signing_request
from perennial.certificate import parse
from perennial.errors import FINAL, OF_ROLLOUTS, OF_THE_API, InvalidInput, PerennialError, PolicyViolated
from perennial.inventory.records import VersionState
from perennial.issuers.acme_chain import certificate_id


@pytest.fixture
def hub() -> Iterator[IssuingHub]:
    """A hub with one ACME issuer and the zone example.com."""
    with issuing_hub() as made:
        yield made


def test_request_becomes_key_certificate_and_chain_in_one_secret_version(hub: IssuingHub) -> None:
    """One execution: one certificate, its key and chain beside it, in the inventory, no challenge left, nothing due."""
    record = hub.request("shop.example.com", "*.shop.example.com")
    assert hub.run(record.reference) == "issued"
    ended = hub.version(record.reference)
    secret = hub.secret(ended)
    leaf = parse(ended.chain[0])
    assert (ended.state, ended.fingerprint, ended.due_at) == (VersionState.ISSUED, leaf.fingerprint, None)
    assert set(leaf.names) == {"shop.example.com", "*.shop.example.com"}
    held = keys.from_pem(secret["private_key"])
    assert keys.public_sha256(held.public_key()) == leaf.public_key_sha256
    assert secret["certificate"].count("BEGIN") == secret["chain"].count("BEGIN") == 1
    assert hub.server.issued == 1
    assert hub.challenges_left() == []
    assert hub.deployment.inventory.show(ended.fingerprint) is not None


def test_steps_are_few(hub: IssuingHub) -> None:
    """A name takes eight calls of functions: prepare, four times advance, store, clean."""
    record = hub.request("shop.example.com")
    hub.run(record.reference)
    assert hub.steps == ["prepare", *["advance"] * 5, "store", "clean"]


@pytest.mark.parametrize("count", [1, 10])
def test_requests_are_2n_plus_7_with_a_warm_account(hub: IssuingHub, count: int) -> None:
    """Though each step is a process of its own; the first certificate also makes the account."""
    hub.run(hub.request("first.example.com").reference)
    hub.server.clear()
    names = [f"n{number}.example.com" for number in range(count)]
    hub.run(hub.request(*names).reference)
    assert len(hub.server.kinds) == 2 * count + 7, hub.server.kinds


def test_next_version_has_another_key(hub: IssuingHub) -> None:
    """A renewal makes a new key, by default."""
    for _ in range(2):
        hub.run(hub.request("shop.example.com").reference)
    assert hub.secret(hub.version("shop/1"))["private_key"] != hub.secret(hub.version("shop/2"))["private_key"]
    assert hub.server.issued == 2


def test_what_an_exception_allows_is_issued_and_says_so(hub: IssuingHub) -> None:
    """A rule that is suspended for the managed certificate does not refuse it; the version names the exception. When
    that has ended, the next request is refused again."""
    from dataclasses import replace

    from perennial.exception_record import ExceptionRecord, ExceptionState
    from perennial.exception_selection import Selection

    asked = ExceptionRecord(
        id="e" * 32,
        rule="key_strength.profile",
        selection=Selection(managed="shop"),
        reason="An old device.",
        owner="shop",
        ends=hub.now + timedelta(hours=9),
        asked_by=("arn:x",),
        asked_name="rita",
        asked_at=hub.now,
    )
    inventory = hub.deployment.inventory
    kept = inventory.save_exception(asked, ExceptionState.ASKED, None, hub.now)
    inventory.save_exception(replace(kept, state=ExceptionState.ACTIVE), ExceptionState.ASKED, None, hub.now)
    record = hub.request("shop.example.com", key="RSA-2048")
    assert hub.run(record.reference) == "issued"
    assert hub.version(record.reference).message.startswith(
        f"key_strength.profile is suspended by the exception {'e' * 32}"
    )
    with pytest.raises(PolicyViolated, match=r"key_strength\.profile"):
        hub.request("blog.example.com", managed="blog", key="RSA-2048")
    hub.estate.clock.now += timedelta(hours=9)
    with pytest.raises(PolicyViolated, match=r"key_strength\.profile"):
        hub.request("shop.example.com", key="RSA-2048")


def test_what_is_not_allowed_is_not_kept(hub: IssuingHub) -> None:
    """A request that policy forbids is refused with every violation, and no version is made."""
    with pytest.raises(PolicyViolated, match=r"(?s)other\.org.*RSA-2048"):
        hub.request("other.org", key="RSA-2048")
    with pytest.raises(InvalidInput, match="there is no profile"):
        hub.request("shop.example.com", profile="none")
    with pytest.raises(InvalidInput, match="cannot name"):
        hub.request("shop.example.com", managed="a/b")
    assert hub.deployment.inventory.versions("shop") == []


def test_one_version_at_a_time(hub: IssuingHub) -> None:
    """While a version is under way no other is requested: its key would take the place of the pending one."""
    hub.request("shop.example.com")
    with pytest.raises(InvalidInput, match="shop/1 is under way"):
        hub.request("shop.example.com")


def test_rate_limit_is_a_due_time(hub: IssuingHub) -> None:
    """A CA whose limit is used up is asked again when it says; the version then goes on by itself."""
    limited = problem("rateLimited", status=429)
    limited.headers["Retry-After"] = "7200"
    hub.server.refuse["newOrder"] = [limited]
    record = hub.request("shop.example.com")
    assert hub.run(record.reference) == "postponed"
    waiting = hub.version(record.reference)
    assert (waiting.state, waiting.reason) == (VersionState.PREPARED, "rate-limited")
    assert waiting.due_at is not None
    assert abs(waiting.due_at - hub.now - timedelta(hours=2)) < timedelta(minutes=1)
    assert "tried again at" in waiting.message
    assert hub.settle(record.reference).state is VersionState.ISSUED
    assert hub.server.issued == 1


def test_ca_that_is_down_is_asked_again_with_growing_pauses(hub: IssuingHub) -> None:
    """An outage is no failure: the pauses double, and the version is issued when the CA is back."""
    hub.server.refuse["newOrder"] = [problem("serverInternal", status=500)] * 21  # three executions of seven tries
    record = hub.request("shop.example.com")
    pauses = []
    for _ in range(3):
        hub.estate.clock.now = max(hub.now, hub.version(record.reference).due_at or hub.now)
        assert hub.run(record.reference) == "postponed"
        due = hub.version(record.reference).due_at
        assert due is not None
        pauses.append(round((due - hub.now).total_seconds() / 60))
    assert pauses == [1, 2, 4]
    assert hub.settle(record.reference).state is VersionState.ISSUED


def test_name_that_cannot_be_validated_fails_with_its_reason(hub: IssuingHub) -> None:
    """What the CA could not see is said with the name, the challenges are removed, and nothing is due any more."""
    hub.server.shown = set()
    record = hub.request("shop.example.com")
    assert hub.run(record.reference) == "failed"
    ended = hub.version(record.reference)
    assert (ended.state, ended.reason, ended.due_at) == (VersionState.FAILED, "validation-failed", None)
    assert "shop.example.com" in ended.message
    assert hub.challenges_left() == []
    assert hub.server.issued == 0


def test_version_that_ended_is_not_issued_again(hub: IssuingHub) -> None:
    """An execution that comes late finds the version ended, and only cleans up."""
    record = hub.request("shop.example.com")
    hub.run(record.reference)
    before = hub.version(record.reference)
    hub.steps.clear()
    assert hub.run(record.reference) == "issued"
    assert hub.steps == ["prepare", "clean"]
    assert hub.version(record.reference) == before


def test_certificate_for_other_names_is_revoked_and_not_stored(
    hub: IssuingHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was issued but not asked for is revoked, reported, and in no secret."""
    import acme_server

    issue = acme_server._issue
    monkeypatch.setattr(acme_server, "_issue", lambda csr, names: issue(csr, ["other.example.com"]))
    record = hub.request("shop.example.com")
    assert hub.run(record.reference) == "failed"
    ended = hub.version(record.reference)
    assert ended.reason == "wrong-certificate"
    assert "revoked" in ended.message
    assert "other.example.com" in ended.message
    assert len(hub.server.revoked) == 1
    assert hub.challenges_left() == []


def test_steps_that_crash_are_tried_again_and_then_given_up(hub: IssuingHub) -> None:
    """A crash may pass; one that comes back every time is no outage, and ends the version with what was reported."""
    record = hub.request("shop.example.com")
    reasons = []
    for _ in range(issuance_failure.CRASHES + 1):
        crash = ("Runtime.ExitError", '{"errorMessage": "exit status 1"}')
        issuance_failure.give_up(hub.deployment, record.reference, *crash, hub.now)
        reasons.append(hub.version(record.reference).reason)
    assert reasons == [*["unavailable"] * issuance_failure.CRASHES, "failed"]
    assert hub.version(record.reference).message.startswith("exit status 1 Next: look at the functions' logs")
    assert hub.settle(record.reference).state is VersionState.FAILED


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ('{"errorMessage": "it broke", "stackTrace": ["secret line"]}', "it broke"),
        ("no JSON", "no JSON"),
        ("[1]", "[1]"),
        ('{"other": 1}', ""),
        ("x" * 5_000, "x" * issuance_failure.MAX_TEXT),
    ],
)
def test_reason_is_the_errors_own_sentence(cause: str, told: str) -> None:
    """Of what Lambda reports the message alone is kept, bounded, whatever the report looks like."""
    assert issuance_failure.message(cause) == told


def test_requester_keeps_the_key(hub: IssuingHub) -> None:
    """A certificate for a CSR's key: the secret has the certificate and its chain, and no key."""
    private = keys.generate("EC-256")
    csr = signing_request.make(private, ("shop.example.com",))
    record = hub.request("shop.example.com", profile="own-key", csr=csr)
    assert hub.run(record.reference) == "issued"
    ended = hub.version(record.reference)
    assert parse(ended.chain[0]).public_key_sha256 == keys.public_sha256(private.public_key())
    assert "private_key" not in hub.secret(ended)


def test_key_stays_in_kms(hub: IssuingHub) -> None:
    """KMS signs the CSR; what is stored names the key and does not hold it."""
    record = hub.request("shop.example.com", profile="in-kms")
    assert hub.run(record.reference) == "issued"
    ended = hub.version(record.reference)
    public = hub.deployment.clients("kms").get_public_key(KeyId=ended.key_arn)["PublicKey"]
    assert parse(ended.chain[0]).public_key_sha256 == hashlib.sha256(public).hexdigest()
    assert "private_key" not in hub.secret(ended)


def test_profile_may_keep_the_key(hub: IssuingHub) -> None:
    """With rotate_key = false a renewal has the key that is current."""
    first = hub.request("shop.example.com", profile="keeping")
    hub.run(first.reference)
    issued = hub.version(first.reference)
    hub.deployment.clients("secretsmanager").update_secret_version_stage(  # it was proven, and promoted
        SecretId=issued.secret,
        VersionStage="AWSCURRENT",
        MoveToVersionId=issued.secret_version,
        RemoveFromVersionId=_current(hub, issued.secret),
    )
    second = hub.request("shop.example.com", profile="keeping")
    assert hub.run(second.reference) == "issued"
    assert len(hub.keys_of("shop")) == 1
    assert hub.server.issued == 2


def _current(hub: IssuingHub, secret: str) -> str:
    versions = hub.deployment.clients("secretsmanager").list_secret_version_ids(SecretId=secret)["Versions"]
    return next(str(each["VersionId"]) for each in versions if "AWSCURRENT" in each["VersionStages"])


def test_private_certificate_comes_from_acm_pca(hub: IssuingHub) -> None:
    """ACM PCA needs no challenge: the certificate leads to the CA's own root, and is in one secret version."""
    record = hub.request("shop.svc.internal", profile="private")
    assert hub.run(record.reference) == "issued"
    ended = hub.version(record.reference)
    assert ended.arn == hub.authority.issued()[0]
    assert parse(ended.chain[0]).issuer == "CN=Inside"
    assert hub.secret(ended)["private_key"].startswith("-----BEGIN PRIVATE KEY")
    assert hub.server.kinds == []


def slow(code: str, status: int, seconds: int) -> Any:
    """A refusal that says when to come back."""
    refusal = problem(code, status=status)
    refusal.headers["Retry-After"] = str(seconds)
    return refusal


def test_retry_after_is_obeyed_in_the_workflow(hub: IssuingHub) -> None:
    """A CA that is overloaded for half a minute is asked again after half a minute, and not before."""
    hub.server.refuse["newOrder"] = [slow("serverInternal", 503, 30)]
    record = hub.request("shop.example.com")
    before = hub.now
    assert hub.run(record.reference) == "issued"
    assert hub.now - before >= timedelta(seconds=30)
    assert hub.server.kinds.count("newOrder") == 2


def test_ca_that_always_asks_for_a_second_more_gets_a_due_time(hub: IssuingHub) -> None:
    """A few short waits are made in the workflow; then the version waits outside of it, longer each time."""
    hub.server.refuse["newOrder"] = [slow("rateLimited", 429, 1)] * 100
    record = hub.request("shop.example.com")
    asked, pauses = [], []
    for _ in range(3):
        hub.server.clear()
        hub.estate.clock.now = max(hub.now, hub.version(record.reference).due_at or hub.now)
        assert hub.run(record.reference) == "postponed"
        asked.append(hub.server.kinds.count("newOrder"))
        due = hub.version(record.reference).due_at
        assert due is not None
        pauses.append(due - hub.now)
    assert asked == [issuance_failure.PATIENCE + 1, 1, 1]
    assert pauses[0] < pauses[1] < pauses[2]


def test_ca_that_asks_for_years_is_asked_again_within_a_week(hub: IssuingHub) -> None:
    """However long a CA's limit is said to be, the version is looked at again within seven days."""
    hub.server.refuse["newOrder"] = [slow("rateLimited", 429, 10**12)]
    record = hub.request("shop.example.com")
    assert hub.run(record.reference) == "postponed"
    due = hub.version(record.reference).due_at
    assert due is not None
    assert due - hub.now <= timedelta(days=7)


def test_renewal_names_what_it_replaces(hub: IssuingHub) -> None:
    """The CA is told of the certificate that was issued last, also where a version between failed."""
    for shown in (True, False, True):
        visible = hub.server.shown
        hub.server.shown = visible if shown else set()
        hub.run(hub.request("shop.example.com").reference)
        hub.server.shown = visible
    first = parse(hub.version("shop/1").chain[0])
    told = [order.asked.get("replaces") for order in hub.server.orders.values()]
    assert told == [None, certificate_id(first), certificate_id(first)]


def test_first_certificate_of_another_issuer_replaces_nothing(hub: IssuingHub) -> None:
    """A CA is not told of what another one issued."""
    hub.run(hub.request("shop.svc.internal", profile="private").reference)
    hub.run(hub.request("shop.example.com").reference)
    assert [order.asked.get("replaces") for order in hub.server.orders.values()] == [None]


def test_every_final_reason_has_a_next_step() -> None:
    """Whatever a version fails for, a person is told what to do."""
    of_versions = {each for each in FINAL if each not in (*OF_ROLLOUTS, *OF_THE_API)}
    assert set(issuance_failure.NEXT_STEPS) == {each.reason for each in (*of_versions, PerennialError)}
