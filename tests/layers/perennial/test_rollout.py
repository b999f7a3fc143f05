"""Rollouts: every target is judged before anything is changed, changed and proven in order, or brought back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from perennial import rollout, rollout_request
from perennial.errors import (
    FINAL,
    OF_THE_API,
    AccessDenied,
    ChangedMeanwhile,
    InvalidInput,
    NotFound,
    PerennialError,
    PolicyViolated,
    Throttled,
    Unavailable,
    ValidationFailed,
)
from perennial.inventory.records import RolloutState, TargetState
from perennial.proof_signing import verify
from perennial.target_settings import Declared
from perennial.targets.interface import READ_BACK, TargetSettings
from rolling import ASKED_BY, MANAGED, RollingHub, rolling_hub


def states(hub: RollingHub, reference: str) -> list[str]:
    return [str(each.state) for each in hub.targets(reference).values()]


def serving(hub: RollingHub) -> list[int]:
    """The versions that the places serve."""
    of = {each.fingerprint: number for number, each in hub.versions.items()}
    return [of.get(each.serves, 0) for each in hub.places.values()]


# --- it goes well ---


def test_a_rollout() -> None:
    """The newest version goes to every place in order, is proven there, and becomes the current one of its secret."""
    with rolling_hub("canary", "rest") as hub:
        record = hub.request()
        assert record.version == 2
        assert hub.run(record.reference) == "deployed"
        ended = hub.rollout(record.reference)
        assert ended.state is RolloutState.DEPLOYED
        assert ended.ended_at == hub.now
        assert ended.due_at is None
        assert states(hub, record.reference) == ["proven", "proven"]
        assert serving(hub) == [2, 2]
        assert hub.current() == hub.versions[2].certificate_pem
        new = hub.versions[2].fingerprint[:8]
        assert [each.log for each in hub.places.values()] == [[f"activate {new}"]] * 2


def test_one_after_the_other() -> None:
    """A place is changed only after the one before it is proven."""
    with rolling_hub("canary", "rest") as hub:
        hub.places["canary"].deaf = True
        order = []

        def around(name: str, step: Any) -> Any:
            order.append((name, hub.places["canary"].serves, list(hub.places["rest"].log)))
            if name == "prove" and len([each for each in order if each[0] == "prove"]) == 3:
                hub.places["canary"].serves = hub.places["canary"].told
            return step()

        hub.around = around
        assert hub.run(hub.request().reference) == "deployed"
        waiting = [log for _, serves, log in order if serves == hub.versions[1].fingerprint]
        assert len(waiting) >= 4
        assert not any(waiting)


def test_the_proofs() -> None:
    """Each target's proof is kept, names who asked and what was seen, and its signature holds."""
    with rolling_hub("canary", "rest") as hub:
        record = hub.request()
        hub.run(record.reference)
        proofs = hub.deployment.inventory.proofs(MANAGED)
        assert {each.target for each in proofs} == {"canary", "rest"}
        named = hub.deployment.named("PERENNIAL_PROOF_KEY_ID")
        key = hub.deployment.clients("kms").get_public_key(KeyId=named)["PublicKey"]
        for each in proofs:
            verify(each, key)
            assert (each.purpose, each.asked_by, each.rollout) == ("deployed", ASKED_BY, record.number)
            assert each.expected == hub.versions[2].fingerprint
            assert {seen.sni for seen in each.observations} == set(hub.versions[2].names)
            assert hub.targets(record.reference)[each.target].proof == each.id


def test_what_was_seen_before() -> None:
    """The rollout keeps what handshakes showed before anything was changed."""
    with rolling_hub() as hub:
        record = hub.request()
        hub.run(record.reference)
        assert hub.versions[1].certificate.serial in hub.targets(record.reference)["edge"].seen


def test_an_earlier_version_again() -> None:
    """A version that was deployed before can be deployed again, and is current again."""
    with rolling_hub() as hub:
        hub.run(hub.request().reference)
        again = hub.request(version=1)
        assert again.number == 2
        assert hub.run(again.reference) == "deployed"
        assert serving(hub) == [1]
        assert hub.current() == hub.versions[1].certificate_pem


def test_a_slow_place_is_waited_for() -> None:
    """What takes its time is asked again, within its deadline."""
    with rolling_hub() as hub:
        hub.places["edge"].slow = 3
        began = hub.now
        assert hub.run(hub.request().reference) == "deployed"
        assert 60 <= (hub.now - began).total_seconds() < 300


def test_many_targets_cost_few_writes_each() -> None:
    """The steps write two items for a target at a time, whatever the number of targets."""
    with rolling_hub(*(f"place-{number}" for number in range(12))) as hub:
        record = hub.request()
        assert hub.run(record.reference) == "deployed"
        assert hub.steps.count("preflight") == 3
        assert hub.steps.count("activate") == hub.steps.count("prove") == 12
        assert serving(hub) == [2] * 12


def test_nothing_was_there() -> None:
    """A place without a certificate gets the version; there is nothing to come back."""
    with rolling_hub(earlier=False) as hub:
        hub.places["edge"].serves = hub.versions[1].fingerprint  # it answers handshakes, with what AWS does not tell
        assert hub.run(hub.request().reference) == "deployed"


# --- refused before anything changes ---


def test_refused_by_a_place() -> None:
    """One place that refuses stops the rollout before any is changed; all reasons of all places are told."""
    with rolling_hub("canary", "middle", "rest") as hub:
        hub.places["middle"].refuses = ["It is full.", "It is closed."]
        hub.places["rest"].fails["look"] = [NotFound("rest is gone; name another")]
        record = hub.request()
        assert hub.run(record.reference) == "refused"
        ended = hub.rollout(record.reference)
        assert ended.state is RolloutState.REFUSED
        assert all(each in ended.message for each in ("middle: It is full. It is closed.", "rest is gone", "Next: "))
        assert ended.message.startswith("Nothing was changed.")
        assert states(hub, record.reference) == ["ready", "refused", "refused"]
        assert serving(hub) == [1, 1, 1]
        assert [each.log for each in hub.places.values()] == [[], [], []]
        assert hub.current() != hub.versions[2].certificate_pem


def test_refused_without_permission() -> None:
    """A place that may not be looked at refuses, with the action that is missing."""
    with rolling_hub() as hub:
        hub.places["edge"].fails["look"] = [AccessDenied("elasticloadbalancing:DescribeListeners: denied")]
        record = hub.request()
        assert hub.run(record.reference) == "refused"
        assert "elasticloadbalancing:DescribeListeners" in hub.rollout(record.reference).message


def test_refused_by_the_preflight() -> None:
    """A certificate that does not cover the names is refused before anything changes."""
    with rolling_hub() as hub:
        hub.issue(3, names=("other.example.com",))
        record = rollout_request.request(
            hub.deployment,
            MANAGED,
            Declared(targets=(replace(hub.declared().targets[0], names=("shop.example.com",)),)),
            ASKED_BY,
            hub.now,
            source="cli",
        )
        assert hub.run(record.reference) == "refused"
        assert "shop.example.com" in hub.rollout(record.reference).message
        assert serving(hub) == [1]


def test_refused_as_it_answers_no_handshake() -> None:
    """A place that no handshake reaches before could not be proven after: it is refused, with what to do."""
    with rolling_hub() as hub:
        hub.places["edge"].answers = False
        record = hub.request()
        assert hub.run(record.reference) == "refused"
        assert "read-back" in hub.rollout(record.reference).message
        assert hub.places["edge"].log == []


def test_read_back() -> None:
    """With proof = "read-back" no handshake is made, and the proof says so."""
    with rolling_hub() as hub:
        hub.places["edge"].answers = False
        settings = replace(hub.declared().targets[0], proof=READ_BACK)
        record = rollout_request.request(
            hub.deployment, MANAGED, Declared(targets=(settings,)), ASKED_BY, hub.now, source="cli"
        )
        assert hub.run(record.reference) == "deployed"
        (proof,) = hub.deployment.inventory.proofs(MANAGED)
        assert (proof.method, proof.observations) == ("read-back", ())


# --- what may be asked for ---


def _ask(hub: RollingHub, **changed: Any) -> None:
    settings = replace(hub.declared().targets[0], **changed)
    rollout_request.request(hub.deployment, MANAGED, Declared(targets=(settings,)), ASKED_BY, hub.now, source="cli")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"kind": "elbv2"}, "targets.kinds of perennial.toml has no elbv2"),
        ({"account": "333333333333"}, "targets.accounts of perennial.toml has no 333333333333"),
        ({"fields": {"bucket": "any"}}, "targets.buckets of perennial.toml has no any"),
    ],
)
def test_what_is_not_named_is_forbidden(changed: dict[str, Any], told: str) -> None:
    """A kind, an account or a bucket that perennial.toml does not name is refused at once."""
    with rolling_hub() as hub, pytest.raises(InvalidInput, match=told):
        _ask(hub, **changed)


def test_one_at_a_time() -> None:
    """While a rollout is under way no other one of the same managed certificate begins."""
    with rolling_hub() as hub:
        hub.request()
        with pytest.raises(InvalidInput, match="under way"):
            hub.request()


def test_the_targets_of_the_rollout_before() -> None:
    """Without targets those of the last rollout are taken; without one there are none."""
    with rolling_hub() as hub:
        with pytest.raises(InvalidInput, match="no targets are known"):
            rollout_request.request(hub.deployment, MANAGED, None, ASKED_BY, hub.now, source="cli")
        hub.run(hub.request(stays=True).reference)
        again = rollout_request.request(hub.deployment, MANAGED, None, ASKED_BY, hub.now, 1, source="cli")
        assert again.stays
        assert [each.settings for each in hub.targets(again.reference).values()] == list(hub.declared().targets)


def test_only_what_was_issued() -> None:
    """A version that is not issued, or not there, cannot be deployed."""
    with rolling_hub() as hub:
        with pytest.raises(NotFound):
            hub.request(version=9)
        with pytest.raises(NotFound, match="no issued version"):
            rollout_request.request(hub.deployment, "none", hub.declared(), ASKED_BY, hub.now, source="cli")


# --- it fails, and comes back ---


def test_not_proven_comes_back() -> None:
    """Where handshakes go on to show the old certificate until the deadline, it comes back, and so do those before."""
    with rolling_hub("canary", "rest") as hub:
        hub.places["rest"].deaf = True
        record = hub.request()
        began = hub.now
        assert hub.run(record.reference) == "returned"
        ended = hub.rollout(record.reference)
        assert ended.state is RolloutState.RETURNED
        assert ended.reason == "not-proven"
        assert "rest" in ended.message
        assert "Next: " in ended.message
        assert states(hub, record.reference) == ["returned", "returned"]
        assert serving(hub) == [1, 1]
        assert all(each.told == hub.versions[1].fingerprint for each in hub.places.values())
        assert (hub.now - began).total_seconds() < 300 + 2 * 40
        purposes = [(each.target, each.purpose) for each in hub.deployment.inventory.proofs(MANAGED)]
        assert sorted(purposes) == [("canary", "deployed"), ("canary", "restored"), ("rest", "restored")]
        assert hub.current() != hub.versions[2].certificate_pem


def test_the_others_stay() -> None:
    """With on_failure = "stay" those that were proven before keep the new version."""
    with rolling_hub("canary", "rest") as hub:
        hub.places["rest"].deaf = True
        record = hub.request(stays=True)
        assert hub.run(record.reference) == "returned"
        assert states(hub, record.reference) == ["proven", "returned"]
        assert serving(hub) == [2, 1]


def test_what_comes_after_is_not_touched() -> None:
    """Targets behind the one that fails are never changed."""
    with rolling_hub("canary", "middle", "rest") as hub:
        hub.places["middle"].fails["activate"] = [AccessDenied("no")]
        record = hub.request()
        assert hub.run(record.reference) == "returned"
        assert hub.places["rest"].log == []
        assert states(hub, record.reference) == ["returned", "returned", "ready"]


def test_changed_by_someone_else() -> None:
    """What someone else put there between the look and the change stays; the others come back."""
    with rolling_hub("canary", "rest") as hub:

        def around(name: str, step: Any) -> Any:
            if name == "activate" and "activate" not in hub.steps[:-1]:
                hub.places["rest"].put("c" * 64)
            return step()

        hub.around = around
        record = hub.request()
        assert hub.run(record.reference) == "returned"
        assert hub.places["rest"].told == "c" * 64
        assert hub.places["rest"].log == []
        assert hub.rollout(record.reference).reason == "changed-meanwhile"
        assert states(hub, record.reference) == ["returned", "left"]


def test_it_cannot_be_brought_back() -> None:
    """A place that cannot be brought back is named, the others come back, and the rollout has failed."""
    with rolling_hub("canary", "rest") as hub:
        hub.places["rest"].deaf = True
        hub.places["rest"].fails["restore"] = [AccessDenied("elasticloadbalancing:ModifyListener: denied")] * 9
        record = hub.request()
        assert hub.run(record.reference) == "postponed"
        assert "It is tried again at" in hub.targets(record.reference)["rest"].message
        began = hub.now
        ended = hub.settle(record.reference)
        assert ended.state is RolloutState.FAILED
        assert (hub.now - began).total_seconds() < 30 * 60  # the others wait no longer
        assert "rest could not be brought back: elasticloadbalancing:ModifyListener" in ended.message
        assert states(hub, record.reference) == ["returned", "failed"]


def test_the_way_back_is_proven() -> None:
    """A place whose handshakes do not show what was there before has failed, and is not called returned."""
    with rolling_hub("canary", "rest") as hub:
        hub.places["rest"].fails["activate"] = [AccessDenied("no")]

        def around(name: str, step: Any) -> Any:
            hub.places["canary"].deaf = name == "restore" or hub.places["canary"].deaf
            return step()

        hub.around = around
        record = hub.request()
        assert hub.run(record.reference) == "failed"
        assert states(hub, record.reference)[0] == "failed"
        assert "canary could not be brought back" in hub.rollout(record.reference).message


# --- what passes ---


def test_what_passes_is_tried_again() -> None:
    """Throttling is tried again at once by the workflow, and later by the tick when it lasts."""
    with rolling_hub() as hub:
        hub.places["edge"].fails["activate"] = [Throttled("slow down")] * 9
        record = hub.request()
        assert hub.run(record.reference) == "postponed"
        assert "It is tried again at" in hub.rollout(record.reference).message
        assert hub.settle(record.reference).state is RolloutState.DEPLOYED


def test_what_never_passes_comes_back() -> None:
    """What lasts too long ends the target, and what was there comes back."""
    with rolling_hub("canary", "rest") as hub:
        hub.places["rest"].fails["activate"] = [Unavailable("down")] * 1_000
        record = hub.request()
        hub.run(record.reference)
        assert hub.settle(record.reference).state is RolloutState.RETURNED
        assert serving(hub) == [1, 1]


def test_a_permission_that_comes_back() -> None:
    """On the way back a denial is tried again for a while: someone may put it right."""
    with rolling_hub() as hub:
        hub.places["edge"].deaf = True
        hub.places["edge"].fails["restore"] = [AccessDenied("no")] * 3
        record = hub.request()
        hub.run(record.reference)
        ended = hub.settle(record.reference)
        assert ended.state is RolloutState.RETURNED
        assert ended.reason == "not-proven"


def test_the_way_back_waits_longer() -> None:
    """On the way back a place is not given up for an outage of some hours."""
    with rolling_hub() as hub:
        hub.places["edge"].deaf = True
        hub.places["edge"].fails["restore"] = [Unavailable("down")] * 60
        record = hub.request()
        hub.run(record.reference)
        assert hub.settle(record.reference).state is RolloutState.RETURNED


def test_a_crash_is_tried_again() -> None:
    """A step that crashes is tried again by the tick; one that always crashes ends with what was there."""
    with rolling_hub() as hub:
        hub.places["edge"].fails["activate"] = [ZeroDivisionError("bug")] * 2
        record = hub.request()
        assert hub.run(record.reference) == "postponed"
        assert hub.settle(record.reference).state is RolloutState.DEPLOYED
        hub.places["edge"].fails["activate"] = [ZeroDivisionError("bug")] * 100
        again = hub.request(version=1)
        hub.run(again.reference)
        ended = hub.settle(again.reference)
        assert ended.state is RolloutState.RETURNED
        assert ended.reason == "failed"
        assert "the functions' logs" in ended.message


def test_a_request_that_died_ends() -> None:
    """A rollout whose targets were never written ends with a reason, and the next one can begin."""
    with rolling_hub() as hub:
        inventory = hub.deployment.inventory
        settings = TargetSettings(kind="scripted", name="edge", managed=MANAGED)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(type(inventory), "save_target", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                rollout_request.request(
                    hub.deployment, MANAGED, Declared(targets=(settings,)), ASKED_BY, hub.now, source="cli"
                )
        (begun,) = hub.deployment.inventory.rollouts(MANAGED)
        ended = hub.settle(begun.reference)
        assert ended.state is RolloutState.REFUSED
        assert hub.run(hub.request().reference) == "deployed"


def test_every_final_reason_has_a_next_step() -> None:
    """Whatever a rollout ends for, a person is told what to do; policy and challenges are judged before it begins."""
    elsewhere = {PolicyViolated.reason, ValidationFailed.reason, *(each.reason for each in OF_THE_API)}
    assert set(rollout.NEXT_STEPS) == {each.reason for each in (*FINAL, PerennialError)} - elsewhere


@pytest.mark.parametrize("fails", [ChangedMeanwhile("theirs"), AccessDenied("denied")])
def test_every_failure_names_the_next_step(fails: Exception) -> None:
    """Whatever ends a rollout, its message says what to do."""
    with rolling_hub() as hub:
        hub.places["edge"].fails["activate"] = [fails]
        record = hub.request()
        hub.run(record.reference)
        assert "Next: " in hub.settle(record.reference).message
        assert TargetState.PROVEN not in [each.state for each in hub.targets(record.reference).values()]


def test_a_failure_that_is_recorded_twice() -> None:
    """Give up that runs again, as its reply was lost, does not take the failure for one of the way back."""
    with rolling_hub() as hub:
        hub.places["edge"].deaf = True

        def around(name: str, step: Any) -> Any:
            if name == "give_up":
                step()
                hub.forget()
            return step()

        hub.around = around
        record = hub.request()
        assert hub.run(record.reference) == "returned"
        assert states(hub, record.reference) == ["returned"]
        assert serving(hub) == [1]
