"""Rollout: look at all targets, then change and prove one after the other, or bring back what was there.

The input is `{"rollout": "<managed certificate>/<number>"}`. Every function says what is next; whatever fails is
recorded by Give up, which says so too. One target takes about nine state transitions.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from aws_cdk import Duration, aws_kms
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.functions import Function
from infra.names import ROLLOUT
from infra.workflow import Workflow, call

REFERENCE = sfn.JsonPath.string_at("$.rollout")
ERROR = sfn.JsonPath.object_at("$.error")


@dataclass(frozen=True, kw_only=True)
class RolloutFunctions:
    """The functions that Rollout calls."""

    preflight: Function
    activate: Function
    prove: Function
    restore: Function
    finish: Function
    give_up: Function

    def all(self) -> list[Function]:
        """All of them."""
        return [getattr(self, each.name) for each in fields(self)]


class Rollout(Construct):
    """The state machine."""

    def __init__(self, scope: Construct, construct_id: str, *, functions: RolloutFunctions, key: aws_kms.IKey) -> None:
        super().__init__(scope, construct_id)
        self.workflow = Workflow(
            self,
            "Workflow",
            name=ROLLOUT,
            definition=self._definition(functions),
            calls=functions.all(),
            key=key,
            timeout=Duration.days(7),  # 200 targets, each within its deadline of at most two hours
        )

    def _definition(self, of: RolloutFunctions) -> sfn.IChainable:
        working = {
            "preflight": self._step("Preflight", of.preflight),
            "activate": self._step("Activate", of.activate),
            "prove": self._step("Prove", of.prove),
            "restore": self._step("Restore", of.restore),
        }
        finish = self._step("Finish", of.finish)
        give_up = call(self, "Give up", of.give_up, {"rollout": REFERENCE, "error": ERROR}, result_path="$.step")
        following = self._following(working, finish)
        for each in (*working.values(), give_up):
            each.next(following)
        for each in working.values():
            each.add_catch(give_up, errors=["States.ALL"], result_path="$.error")
        finish.next(self._ended())
        return working["preflight"]

    def _following(self, working: dict[str, sfn.TaskStateBase], finish: sfn.TaskStateBase) -> sfn.Choice:
        """What the last step said: one of the steps, a wait before one of them, or an end."""
        then = sfn.Choice(self, "Then?")
        for name, state in working.items():
            then.when(sfn.Condition.string_equals("$.step.then", name), state)
        then.otherwise(finish)
        wait = sfn.Wait(self, "Wait", time=sfn.WaitTime.seconds_path("$.step.seconds")).next(then)
        following = sfn.Choice(self, "What next?").when(_next("wait"), wait)
        for name, state in working.items():
            following.when(_next(name), state)
        return following.when(_next("postponed"), sfn.Succeed(self, "Postponed")).otherwise(finish)

    def _step(self, name: str, function: Function) -> sfn.TaskStateBase:
        return call(self, name, function, {"rollout": REFERENCE}, result_path="$.step")

    def _ended(self) -> sfn.IChainable:
        failed = sfn.Fail(self, "Not deployed", error="NotDeployed", cause_path="$.step.doing")
        return (
            sfn.Choice(self, "How did it end?").when(_next("deployed"), sfn.Succeed(self, "Deployed")).otherwise(failed)
        )


def _next(word: str) -> sfn.Condition:
    return sfn.Condition.string_equals("$.step.next", word)
