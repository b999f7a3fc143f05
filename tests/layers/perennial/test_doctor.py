"""What the doctor says, fact by fact: tables of what is fine, wrong, to be looked at, and not known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from perennial import doctor, doctor_deployment, doctor_issuers, doctor_permissions, doctor_schedules
from perennial.doctor import Diagnosis, Topic, Unknown, Verdict
from perennial.doctor_deployment import PARAMETERS, WORKFLOWS, DeploymentFacts, FunctionFacts, TableFacts, WorkflowFacts
from perennial.doctor_issuers import AcmFacts, AuthorityFacts, BrokenFacts, DirectoryFacts, Facts
from perennial.doctor_permissions import AccountFacts, MeFacts, PermissionFacts, RoleFacts, Trial
from perennial.doctor_schedules import AuditFacts, DiscoveryFacts, RuleFacts, ScheduleFacts, TickFacts
from perennial.profiles import AcmeIssuer, AcmIssuer, Issuer, PcaIssuer, Profile

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FINE, WARNING, WRONG, UNKNOWN = Verdict.FINE, Verdict.WARNING, Verdict.WRONG, Verdict.UNKNOWN
NOT_ASKED = Unknown("it did not answer")
HEALTHY = DeploymentFacts(
    parameters=dict.fromkeys(PARAMETERS, "x"),
    table=TableFacts(status="ACTIVE", protected=True, restorable=True),
    workflows=dict.fromkeys(WORKFLOWS, WorkflowFacts(status="ACTIVE")),
    functions=(FunctionFacts(name="f", state="Active", update="Successful", calls=5),),
)
RULES = (
    RuleFacts(name="discovery", enabled=True, schedule="rate(12 hours)"),
    RuleFacts(name="tick", enabled=True, schedule="rate(1 minute)"),
)
RUNNING = ScheduleFacts(
    rules=RULES,
    tick=TickFacts(last=NOW - MINUTE, anything=True),
    discovery=DiscoveryFacts(completed_at=NOW - HOUR, scopes=3),
    oldest={"renew": NOW - MINUTE, "scan": None},
    audit=AuditFacts(uncovered_since=NOW - MINUTE, checkpoint_at=NOW - HOUR),
)
ALLOWED = PermissionFacts(
    caller="arn:aws:iam::111122223333:role/ada",
    me=MeFacts(name="ada", grants=("requester@shop-team",)),
    trials=(Trial(action="dynamodb:Query", needed_for="reading"),),
    accounts={"111122223333": AccountFacts(complete=3)},
)


def worst(found: list[Diagnosis]) -> Diagnosis:
    return min(found, key=lambda each: list(Verdict).index(each.verdict))


def sound(found: list[Diagnosis]) -> None:
    """Every diagnosis is one line of words, and what is wrong has advice."""
    for each in found:
        assert each.words
        assert len(each.words.splitlines()) == 1
        assert each.advice or each.verdict not in (WRONG, WARNING), each
        assert not each.advice or each.verdict is not FINE, each


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ((FINE, FINE), 0),
        ((FINE, WARNING), 0),
        ((FINE, UNKNOWN), 2),
        ((WARNING, UNKNOWN), 2),
        ((UNKNOWN, WRONG), 1),
        ((WRONG,), 1),
        ((), 2),
    ],
)
def test_exit_codes(verdicts: tuple[Verdict, ...], code: int) -> None:
    """What is wrong counts first; what is unknown is never fine; nothing asked is nothing known."""
    found = [Diagnosis(topic="t", subject="s", verdict=each, words="w") for each in verdicts]
    assert doctor.exit_code(found) == code


def test_summary() -> None:
    """Counts, also of none."""
    found = [Diagnosis(topic="t", subject="s", verdict=each, words="w") for each in (FINE, WARNING, WARNING)]
    assert doctor.summary(found) == "0 wrong, 2 warnings, 1 fine"
    assert doctor.summary([]) == "0 wrong, 0 fine"


# --- the deployment ---


def test_a_healthy_deployment_is_fine() -> None:
    """Every topic of it, and nothing else is said."""
    found = [
        *doctor_deployment.judge(HEALTHY, NOW),
        *doctor_schedules.judge(RUNNING, NOW),
        *doctor_permissions.judge(ALLOWED, "PerennialDiscovery"),
    ]
    assert {each.verdict for each in found} == {FINE}
    assert {each.topic for each in found} == {"deployment", "settings", "schedules", "audit", "permissions"}
    sound(found)


@pytest.mark.parametrize(
    ("changed", "verdict", "said"),
    [
        ({"parameters": {**dict.fromkeys(PARAMETERS, "x"), "api": ""}}, WRONG, "/perennial/api is not there"),
        ({"parameters": {}}, WRONG, "/perennial/table, /perennial/bucket, /perennial/topic and 14 more are not there"),
        ({"settings": "[a] b: is no number\n[c] d"}, WRONG, "[a] b: is no number (and 1 more problems)"),
        ({"table": TableFacts(status="DELETING", protected=True, restorable=True)}, WRONG, "it is DELETING"),
        ({"table": TableFacts(status="ACTIVE", protected=False, restorable=False)}, WARNING,
         "without point-in-time recovery and deletion protection"),
        ({"workflows": {"renewal": WorkflowFacts(status="DELETING")}}, WRONG, "its state machine is DELETING"),
        ({"workflows": {"renewal": WorkflowFacts(status="ACTIVE", failed="r-1", failed_at=NOW - HOUR)}}, WARNING,
         "the execution r-1 failed on 2026-11-01 11:00 UTC"),
        ({"workflows": {"renewal": WorkflowFacts(status="ACTIVE", failed="r-1", failed_at=NOW - 2 * DAY)}}, FINE, ""),
        ({"functions": (FunctionFacts(name="f", state="Failed", update="Successful"),)}, WRONG, "its state is Failed"),
        ({"functions": (FunctionFacts(name="f", state="Inactive", update="Successful"),)}, FINE, ""),
        ({"functions": (FunctionFacts(name="f", state="Active", update="Failed"),)}, WRONG, "its last update failed"),
        ({"functions": (FunctionFacts(name="f", state="Active", update="Successful", calls=9, errors=2),)}, WARNING,
         "2 of 9 calls failed"),
        ({"functions": ()}, UNKNOWN, "the stack has none"),
        ({"key": "PendingDeletion"}, WRONG, "it is PendingDeletion"),
        ({"waiting": 3}, WRONG, "3 events failed for good and wait"),
        ({"alarms": {"NoTick": "Perennial: No tick for 15 minutes: is the schedule enabled?"}}, WRONG, "it sounds"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_deployment(changed: dict[str, object], verdict: Verdict, said: str) -> None:
    """One thing changed is one thing said, with what to do."""
    found = list(doctor_deployment.judge(replace(HEALTHY, **changed), NOW))
    assert (worst(found).verdict, said in worst(found).words) == (verdict, True)
    sound(found)


def test_an_alarm_says_what_to_do() -> None:
    """In its own words."""
    facts = replace(HEALTHY, alarms={"NoTick": "Perennial: No tick for 15 minutes."})
    assert worst(list(doctor_deployment.judge(facts, NOW))).advice == "No tick for 15 minutes."


@pytest.mark.parametrize("name", ["parameters", "table", "functions", "waiting", "alarms", "settings", "key"])
def test_what_is_not_known_of_a_deployment_is_said_so(name: str) -> None:
    """With the reason, and never as fine."""
    found = list(doctor_deployment.judge(replace(HEALTHY, **{name: NOT_ASKED}), NOW))
    (unknown,) = (each for each in found if each.verdict is not FINE)
    assert (unknown.verdict, unknown.words) == (UNKNOWN, "could not be checked: it did not answer")


# --- schedules ---


@pytest.mark.parametrize(
    ("changed", "verdict", "said"),
    [
        ({"rules": (RULES[0], replace(RULES[1], enabled=False))}, WRONG, "rate(1 minute) is disabled"),
        ({"rules": ()}, WRONG, "no scheduled rule"),
        ({"tick": TickFacts(last=NOW - 6 * MINUTE, anything=True)}, WRONG, "nothing that is due is started"),
        ({"tick": TickFacts(last=None, anything=True)}, WRONG, "there was none within a day"),
        ({"tick": TickFacts(last=None, anything=False)}, UNKNOWN, "counted no call of any function"),
        ({"tick": TickFacts(last=NOW - 5 * MINUTE, anything=True)}, FINE, ""),
        ({"discovery": DiscoveryFacts(completed_at=None)}, WRONG, "it has never ended"),
        ({"discovery": DiscoveryFacts(completed_at=NOW - 24 * HOUR, scopes=3)}, FINE, ""),
        ({"discovery": DiscoveryFacts(completed_at=NOW - 25 * HOUR, scopes=3)}, WRONG, "too long ago"),
        ({"discovery": DiscoveryFacts(completed_at=NOW, scopes=3, incomplete=1)}, WARNING, "1 of 3 scopes"),
        ({"oldest": {"renew": NOW - 16 * MINUTE}}, WRONG, "is due since 2026-11-01 11:44 UTC"),
        ({"oldest": {"renew": NOW - 15 * MINUTE}}, FINE, ""),
        ({"audit": AuditFacts(uncovered_since=NOW - 3 * HOUR)}, WRONG, "none was ever made"),
        ({"audit": AuditFacts(uncovered_since=NOW - HOUR)}, FINE, ""),
        ({"audit": AuditFacts(uncovered_since=None)}, FINE, ""),
    ],
)
def test_what_is_wrong_with_schedules(changed: dict[str, object], verdict: Verdict, said: str) -> None:
    """A minute's tick, a rate's Discovery, an hour's checkpoint: each with its own patience."""
    found = list(doctor_schedules.judge(replace(RUNNING, **changed), NOW))
    assert (worst(found).verdict, said in worst(found).words) == (verdict, True)
    sound(found)


def test_discovery_is_late_by_its_own_schedule() -> None:
    """Once a day is not late after 25 hours."""
    daily = (replace(RULES[0], schedule="rate(1 day)"), RULES[1])
    late = DiscoveryFacts(completed_at=NOW - 25 * HOUR, scopes=1)
    assert worst(list(doctor_schedules.judge(replace(RUNNING, rules=daily, discovery=late), NOW))).verdict is FINE


@pytest.mark.parametrize("name", ["rules", "tick", "discovery", "oldest", "audit"])
def test_what_is_not_known_of_schedules_is_said_so(name: str) -> None:
    """With the reason, and never as fine."""
    found = list(doctor_schedules.judge(replace(RUNNING, **{name: NOT_ASKED}), NOW))
    assert [each.verdict for each in found if each.verdict is not FINE] == [UNKNOWN]


# --- permissions ---


@pytest.mark.parametrize(
    ("changed", "verdict", "said"),
    [
        ({"caller": NOT_ASKED}, UNKNOWN, "it did not answer"),
        ({"me": NOT_ASKED}, UNKNOWN, "it did not answer"),
        ({"me": MeFacts(name="ada", grants=())}, WARNING, "you have no role"),
        ({"trials": (Trial(action="s3:GetObject", needed_for="x", denied="AccessDenied"),)}, WARNING, "you may not"),
        ({"trials": (Trial(action="s3:GetObject", needed_for="x", denied=NOT_ASKED),)}, UNKNOWN, "it did not answer"),
        ({"accounts": NOT_ASKED}, UNKNOWN, "it did not answer"),
        ({"accounts": {"1": AccountFacts()}}, UNKNOWN, "Discovery has not scanned it yet"),
        ({"accounts": {"1": AccountFacts(failed={"access-denied": 4})}}, WRONG, "4 of 4 scopes were not read"),
        ({"accounts": {"1": AccountFacts(complete=3, failed={"access-denied": 1})}}, WARNING, "1 of 4 scopes"),
    ],
)
def test_permissions(changed: dict[str, object], verdict: Verdict, said: str) -> None:
    """What one may, and what roles elsewhere were seen to do."""
    found = list(doctor_permissions.judge(replace(ALLOWED, **changed), "PerennialDiscovery"))
    assert (worst(found).verdict, said in worst(found).words) == (verdict, True)
    sound(found)


@pytest.mark.parametrize(
    ("assumed", "verdict", "said"),
    [(True, FINE, "can be assumed"), (False, UNKNOWN, "and not you"), (NOT_ASKED, UNKNOWN, "did not answer")],
)
def test_roles_of_other_accounts(assumed: bool | Unknown, verdict: Verdict, said: str) -> None:
    """One that keeps the caller out does as it should: whether it lets the hub in is not known then."""
    found = doctor_permissions.judge_role(RoleFacts(account="1", role="R", needed_for="dns", assumed=assumed))
    assert (found.verdict, said in found.words) == (verdict, True)


# --- issuers ---

ACME = AcmeIssuer(name="ca", directory="https://ca.example/directory")
PCA = PcaIssuer(name="ca", authority="arn:aws:acm-pca:eu-west-1:111122223333:certificate-authority/1")
ACM = AcmIssuer(name="ca")
WEB = Profile(name="web", issuer="ca")


@pytest.mark.parametrize(
    ("issuer", "facts", "verdict", "said"),
    [
        (ACME, DirectoryFacts(), FINE, "has no renewal information"),
        (ACME, DirectoryFacts(advises=True), FINE, "advises when to renew"),
        (ACME, DirectoryFacts(account_bound=True), WRONG, "eab_secret is not set"),
        (replace(ACME, eab_secret="s"), DirectoryFacts(account_bound=True), FINE, ""),
        (ACME, BrokenFacts(words="the reply is text/html, not application/json"), WRONG, "text/html"),
        (ACME, NOT_ASKED, UNKNOWN, "it did not answer"),
        (replace(ACME, distrusted=True), NOT_ASKED, FINE, "nothing is asked of it"),
        (PCA, AuthorityFacts(status="ACTIVE", not_after=NOW + 1_000 * DAY), FINE, "active until 2029-07-28"),
        (PCA, AuthorityFacts(status="DISABLED", not_after=NOW + 1_000 * DAY), WRONG, "the CA is DISABLED"),
        (PCA, AuthorityFacts(status="ACTIVE", not_after=NOW), WRONG, "the CA ended"),
        (PCA, AuthorityFacts(status="ACTIVE", not_after=NOW + 89 * DAY), WRONG, "issues none of those"),
        (PCA, AuthorityFacts(status="ACTIVE", not_after=NOW + 179 * DAY), WARNING, "the CA ends on"),
        (PCA, AuthorityFacts(status="ACTIVE", not_after=NOW + 181 * DAY), FINE, ""),
        (PCA, AuthorityFacts(status="ACTIVE", not_after=None), UNKNOWN, "does not say when"),
        (ACM, AcmFacts(region="us-east-1"), FINE, "ACM answers in us-east-1"),
    ],
)
def test_issuers(issuer: Issuer, facts: Facts | Unknown, verdict: Verdict, said: str) -> None:
    """Reachable, active, and fit for the profiles that use them."""
    (found,) = doctor_issuers.judge([issuer], [WEB], {"ca": facts}, NOW)
    assert (found.verdict, said in found.words) == (verdict, True)
    sound([found])


def test_a_profile_that_the_ca_does_not_have() -> None:
    """Found before the first order is refused; other issuers' profiles do not matter."""
    short = replace(WEB, acme_profile="shortlived")
    facts = {"ca": DirectoryFacts(profiles=("classic",))}
    (found,) = doctor_issuers.judge([ACME], [short], facts, NOW)
    assert (found.verdict, "no profile shortlived, it has classic" in found.words) == (WRONG, True)
    (found,) = doctor_issuers.judge([ACME], [replace(short, issuer="other")], facts, NOW)
    assert found.verdict is FINE
    (found,) = doctor_issuers.judge([ACME], [replace(short, issuer="other", issuers=("ca",))], facts, NOW)
    assert found.verdict is WRONG


def test_without_issuers() -> None:
    """Said, with where to read on."""
    (found,) = doctor_issuers.judge([], [], {}, NOW)
    assert (found.verdict, "docs/issuance.md" in found.advice) == (WARNING, True)


def test_one_that_was_not_asked_is_unknown() -> None:
    """Also where a fact of another kind came."""
    assert [each.verdict for each in doctor_issuers.judge([ACME, PCA], [], {}, NOW)] == [UNKNOWN, UNKNOWN]


def test_every_topic_is_one_that_the_command_knows() -> None:
    """`--topic` names all of them."""
    from perennial import doctor_dns
    from perennial.cli.doctor import TOPICS

    modules = (doctor_deployment, doctor_schedules, doctor_permissions, doctor_issuers, doctor_dns)
    found = {each.name for module in modules for each in vars(module).values() if isinstance(each, Topic)}
    assert found == set(TOPICS)
