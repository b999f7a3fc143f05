"""http-01: what is made for each listener, and which listeners are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms
from aws_cdk.assertions import Match, Template
from cdk_nag import AwsSolutionsChecks
from infra.functions import runtime
from infra.http01 import Http01

from perennial.errors import InvalidConfiguration
from perennial.profiles import Solvers

ACCOUNT, REGION = "111122223333", "eu-central-1"
LISTENERS = tuple(f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:listener/app/web-{n}/1/2" for n in range(2))
KIND = "AWS::ElasticLoadBalancingV2::"


def synthesised(directory: Path, listeners: tuple[str, ...], *, somewhere: bool = True) -> Template:
    """The template of a stack with nothing but http-01, checked by cdk-nag."""
    app = cdk.App(outdir=str(directory / "out"))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    where = cdk.Environment(account=ACCOUNT, region=REGION) if somewhere else None
    stack = cdk.Stack(app, "Stack", env=where)
    (directory / "deps").mkdir()
    (directory / "deps" / "package.py").touch()
    key = aws_kms.Key(stack, "Key", enable_key_rotation=True)
    on = runtime(stack, deps=directory / "deps", architecture="arm64", key=key, environment={})
    made = Http01(stack, "Http01", runtime=on, solvers=Solvers(listeners=listeners, rule_priority=7))
    assert made.answer.function.function_arn
    app.synth()
    return Template.from_stack(stack)


def test_each_listener_has_its_rule(tmp_path: Path) -> None:
    """Each listener has a rule of the configured priority for the challenges' path, to a target group of its own."""
    template = synthesised(tmp_path, LISTENERS)
    rules = [each["Properties"] for each in template.find_resources(f"{KIND}ListenerRule").values()]
    groups = template.find_resources(f"{KIND}TargetGroup")
    assert sorted(each["ListenerArn"] for each in rules) == sorted(LISTENERS)
    assert {each["Priority"] for each in rules} == {7}
    path = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/.well-known/acme-challenge/*"]}}
    assert all(each["Conditions"] == [path] for each in rules)
    forwarded = [action["TargetGroupArn"]["Ref"] for each in rules for action in each["Actions"]]
    assert sorted(forwarded) == sorted(groups)


def test_only_the_target_group_may_call(tmp_path: Path) -> None:
    """The function may be called by the load balancer for the target group only, before that is made."""
    template = synthesised(tmp_path, LISTENERS[:1])
    ((group, made),) = template.find_resources(f"{KIND}TargetGroup").items()
    ((permission, allowed),) = template.find_resources("AWS::Lambda::Permission").items()
    name = made["Properties"]["Name"]
    source = allowed["Properties"]["SourceArn"]["Fn::Join"][1]
    assert "".join(part if isinstance(part, str) else "aws" for part in source) == (
        f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/{name}/*"
    )
    assert (allowed["Properties"]["Principal"], allowed["Properties"]["SourceAccount"]) == (
        "elasticloadbalancing.amazonaws.com",
        ACCOUNT,
    )
    assert made["DependsOn"] == [permission]
    assert made["Properties"]["TargetType"] == "lambda"
    assert len(name) <= 32
    assert group


def test_the_function_reads_nothing_by_itself(tmp_path: Path) -> None:
    """The function's role may only write its log; the stack grants it the table."""
    template = synthesised(tmp_path, ())
    (policy,) = template.find_resources("AWS::IAM::Policy").values()
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    assert [each["Action"] for each in statements] == [["logs:CreateLogStream", "logs:PutLogEvents"]]
    template.resource_count_is(f"{KIND}ListenerRule", 0)
    template.has_resource_properties(
        "AWS::Lambda::Function", Match.object_like({"Handler": "issuance/answer_http01.handler"})
    )


@pytest.mark.parametrize(
    ("listener", "said"),
    [
        (LISTENERS[0].replace(ACCOUNT, "444455556666"), f"not in account {ACCOUNT} and region {REGION}"),
        (LISTENERS[0].replace(REGION, "us-east-1"), f"not in account {ACCOUNT} and region {REGION}"),
        (LISTENERS[0].replace("/app/", "/net/"), "not the ARN of a listener of an Application Load Balancer"),
        ("web", "not the ARN of a listener of an Application Load Balancer"),
    ],
)
def test_listeners_elsewhere(tmp_path: Path, listener: str, said: str) -> None:
    """A listener of another account or region, or of another kind, fails the synthesis with what is wrong."""
    with pytest.raises(InvalidConfiguration, match=said):
        synthesised(tmp_path, (listener,))


def test_a_stack_of_any_place(tmp_path: Path) -> None:
    """Where the stack's place is not known, it cannot be told whether a listener is there."""
    with pytest.raises(InvalidConfiguration, match="give -c account and region"):
        synthesised(tmp_path, LISTENERS, somewhere=False)


def test_the_same_names_at_every_synthesis(tmp_path: Path) -> None:
    """A target group's name follows from its listener, so that a change of the list replaces no other group."""

    def names(directory: str, listeners: tuple[str, ...]) -> dict[str, Any]:
        (tmp_path / directory).mkdir()
        found = synthesised(tmp_path / directory, listeners).find_resources(f"{KIND}TargetGroup")
        return {name: each["Properties"]["Name"] for name, each in found.items()}

    assert names("one", LISTENERS[1:]).items() <= names("both", LISTENERS).items()
