"""http-01: the function that answers, and a rule on each configured listener that sends the CA's requests to it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import Duration, aws_lambda
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from constructs import Construct

from infra.functions import Function, Runtime
from perennial.errors import InvalidConfiguration
from perennial.profiles import Solvers
from perennial.solvers.http01 import PATH

PRINCIPAL = "elasticloadbalancing.amazonaws.com"
_LISTENER = re.compile(
    r"arn:aws[a-z-]*:elasticloadbalancing:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):listener/app/[^/]+/[^/]+/[^/]+"
)


class Http01(Construct):
    """The function, and for each listener a target group, the permission to call, and the rule.

    `answer` may at first read nothing: the stack grants it the table.
    """

    def __init__(self, scope: Construct, construct_id: str, *, runtime: Runtime, solvers: Solvers) -> None:
        super().__init__(scope, construct_id)
        self.answer = Function(
            self,
            "Answer",
            runtime=runtime,
            handler="issuance/answer_http01",
            description="Answer http-01 requests of CAs",
            timeout=Duration.seconds(10),
            memory=256,
        )
        _check(cdk.Stack.of(self), solvers.listeners)
        for listener in solvers.listeners:
            _Rule(self, _short(listener), answer=self.answer, listener=listener, priority=solvers.rule_priority)


class _Rule(Construct):
    """One listener's way to the function."""

    def __init__(self, scope: Construct, construct_id: str, *, answer: Function, listener: str, priority: int) -> None:
        super().__init__(scope, construct_id)
        function, name = answer.function, f"perennial-http01-{construct_id}"
        permission = _permission(self, function, name)
        group = elbv2.CfnTargetGroup(
            self,
            "Group",
            name=name,
            target_type="lambda",
            targets=[elbv2.CfnTargetGroup.TargetDescriptionProperty(id=function.function_arn)],
        )
        group.add_dependency(permission)  # a function that may not be called cannot be registered
        elbv2.CfnListenerRule(
            self,
            "Rule",
            listener_arn=listener,
            priority=priority,
            conditions=[
                elbv2.CfnListenerRule.RuleConditionProperty(
                    field="path-pattern",
                    path_pattern_config=elbv2.CfnListenerRule.PathPatternConfigProperty(values=[f"{PATH}*"]),
                )
            ],
            actions=[elbv2.CfnListenerRule.ActionProperty(type="forward", target_group_arn=group.ref)],
        )


def _permission(scope: Construct, function: aws_lambda.Function, group: str) -> aws_lambda.CfnPermission:
    """For this target group only. It must be there before the group is, whose ARN ends in what AWS makes up: hence the
    group's fixed name and a wildcard for the rest."""
    stack = cdk.Stack.of(scope)
    service = f"arn:{stack.partition}:elasticloadbalancing:{stack.region}:{stack.account}"
    return aws_lambda.CfnPermission(
        scope,
        "Permission",
        action="lambda:InvokeFunction",
        function_name=function.function_arn,
        principal=PRINCIPAL,
        source_account=stack.account,
        source_arn=f"{service}:targetgroup/{group}/*",
    )


def _short(listener: str) -> str:
    """A name that follows from the listener's, short enough for a target group's (32 characters)."""
    return hashlib.sha256(listener.encode()).hexdigest()[:8]


def _check(stack: cdk.Stack, listeners: Sequence[str]) -> None:
    """Raises: InvalidConfiguration. A rule, its target group and the function are all of one account and region."""
    if listeners and (cdk.Token.is_unresolved(stack.account) or cdk.Token.is_unresolved(stack.region)):
        raise InvalidConfiguration("[solvers] listeners needs to know where it is deployed: give -c account and region")
    for listener in listeners:
        found = _LISTENER.fullmatch(listener)
        if not found:
            raise InvalidConfiguration(
                f"[solvers] listeners: {listener[:200]!r} is not the ARN of a listener of an Application Load Balancer"
            )
        if (found["account"], found["region"]) != (stack.account, stack.region):
            raise InvalidConfiguration(
                f"[solvers] listeners: {listener} is not in account {stack.account} and region {stack.region}, where "
                "the function is: let that listener redirect to one that is there, or use dns-01"
            )
