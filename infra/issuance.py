"""Issuance: prepare a version, advance its order until the issuer has answered, store what came, clean up.

The input is `{"version": "<managed certificate>/<number>"}`. Whatever fails is recorded by Give up; challenges are
removed on every path.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration, aws_kms
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.functions import Function
from infra.names import ISSUANCE
from infra.workflow import Workflow, call

VERSION = sfn.JsonPath.string_at("$.version")
ERROR = sfn.JsonPath.object_at("$.error")


@dataclass(frozen=True, kw_only=True)
class IssuanceFunctions:
    """The functions that Issuance calls."""

    prepare: Function
    advance: Function
    store: Function
    clean: Function
    give_up: Function

    def all(self) -> list[Function]:
        """All of them."""
        return [self.prepare, self.advance, self.store, self.clean, self.give_up]


class Issuance(Construct):
    """The state machine. One certificate through ACME takes about seventeen state transitions."""

    def __init__(self, scope: Construct, construct_id: str, *, functions: IssuanceFunctions, key: aws_kms.IKey) -> None:
        super().__init__(scope, construct_id)
        self.workflow = Workflow(
            self,
            "Workflow",
            name=ISSUANCE,
            definition=self._definition(functions),
            calls=functions.all(),
            key=key,
            timeout=Duration.days(4),  # ACM waits 72 hours for a validation
        )

    def _definition(self, of: IssuanceFunctions) -> sfn.IChainable:
        clean = self._step("Clean up", of.clean)
        clean.next(self._ended())
        give_up = call(
            self, "Give up", of.give_up, {"version": VERSION, "error": ERROR}, result_path=sfn.JsonPath.DISCARD
        )
        give_up.next(clean)
        prepare, advance, store = (
            self._step(name, function)
            for name, function in (("Prepare", of.prepare), ("Advance", of.advance), ("Store", of.store))
        )
        for each in (prepare, advance, store):
            each.add_catch(give_up, errors=["States.ALL"], result_path="$.error")
        wait = sfn.Wait(self, "Wait", time=sfn.WaitTime.seconds_path("$.step.seconds")).next(advance)
        following = (
            sfn.Choice(self, "What next?")
            .when(_next("wait"), wait)
            .when(_next("advance"), advance)
            .when(_next("store"), store)
            .otherwise(clean)
        )
        advance.next(following)
        store.next(clean)
        return prepare.next(following)

    def _step(self, name: str, function: Function) -> sfn.TaskStateBase:
        return call(self, name, function, {"version": VERSION}, result_path="$.step")

    def _ended(self) -> sfn.IChainable:
        failed = sfn.Fail(self, "Not issued", error="NotIssued", cause_path="$.step.doing")
        postponed = sfn.Succeed(self, "Postponed")
        return (
            sfn.Choice(self, "How did it end?")
            .when(_next("failed"), failed)
            .when(_next("postponed"), postponed)
            .otherwise(sfn.Succeed(self, "Issued"))
        )


def _next(word: str) -> sfn.Condition:
    return sfn.Condition.string_equals("$.step.next", word)
