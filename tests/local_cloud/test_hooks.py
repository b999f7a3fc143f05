"""The hooks into ministack: that the installed version takes them, and what is said when one does not."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud import hooks, resources
from local_cloud.cloud import MEMBER_ACCOUNT, SCRIPTS, Cloud
from local_cloud.patching import TESTED_VERSION, HookLostError

PSEUDO_PARAMETERS = {"Region": "eu-west-1", "AccountId": MEMBER_ACCOUNT, "Partition": "aws"}
QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "unconditional"}}


def test_installed_ministack_takes_every_hook() -> None:
    """The installed ministack takes all hooks; the message of a failure names the hook and what to do."""
    program = "from local_cloud import hooks; hooks.install()"
    result = subprocess.run([sys.executable, "-c", program], cwd=SCRIPTS, capture_output=True, text=True, check=False)
    last_line = (result.stderr.strip().splitlines() or [""])[-1]
    assert result.returncode == 0, last_line


@pytest.mark.parametrize("hook", hooks.HOOKS, ids=lambda hook: hook.__name__)
def test_hook_says_what_is_missing(hook: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a ministack without the parts that it needs, every hook fails in one sentence that names itself."""
    monkeypatch.setattr(importlib, "import_module", ModuleType)
    with pytest.raises(HookLostError) as caught:
        hook()
    sentence = str(caught.value)
    assert f"no longer takes the hook '{hook.__name__}'" in sentence
    assert f"install ministack=={TESTED_VERSION}" in sentence
    assert "ministack." in sentence.partition("because ")[2]


def test_hook_says_that_a_source_line_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker script without the line that is replaced is named, rather than left without error types."""
    monkeypatch.setattr("ministack.core.lambda_runtime._PYTHON_WORKER_SCRIPT", "print('rewritten')")
    with pytest.raises(HookLostError, match=r"the line .* is gone"):
        hooks.name_lambda_errors()


def test_every_hook_says_why_it_is_there() -> None:
    """Each hook has a docstring, since it changes code that is not ours."""
    assert [hook.__name__ for hook in hooks.HOOKS if not hook.__doc__] == []


def test_types_that_ministack_makes_itself_are_left_to_it() -> None:
    """Taken over from ministack are only types whose whole service is a fake; all other added types it lacks."""
    provisioners = importlib.import_module("ministack.services.cloudformation.provisioners")
    taken_over = set(resources.TYPES) & set(provisioners._RESOURCE_HANDLERS)
    assert {name.split("::")[1] for name in taken_over} == {"CertificateManager", "ElasticLoadBalancingV2"}


@pytest.mark.local_cloud
def test_role_that_does_not_exist_cannot_be_assumed(cloud: Cloud) -> None:
    """An account without our role answers AccessDenied instead of handing out a session."""
    role = f"arn:aws:iam::{MEMBER_ACCOUNT}:role/nowhere"
    with pytest.raises(ClientError, match="AccessDenied"):
        cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="tests")


@pytest.mark.local_cloud
def test_requests_of_added_services_reach_the_fakes(cloud: Cloud) -> None:
    """A call for a service that ministack lacks is counted by the fakes."""
    cloud.client("securityhub", "444444444444").enable_security_hub()
    with cloud.open("/_fakes/calls") as answer:
        assert json.load(answer)["securityhub"]["EnableSecurityHub"] >= 1


def execute(
    cloud: Cloud, name: str, states: dict[str, Any], *, language: str = "JSONata", content: object = None
) -> Any:
    """The output of a state machine made of these states, run once with this input."""
    client = cloud.client("stepfunctions")
    definition = {"QueryLanguage": language, "StartAt": next(iter(states)), "States": states}
    role = "arn:aws:iam::111111111111:role/any"
    machine = client.create_state_machine(name=name, definition=json.dumps(definition), roleArn=role)
    arn = client.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps(content or {}))[
        "executionArn"
    ]
    execution = client.describe_execution(executionArn=arn)
    while execution["status"] == "RUNNING":
        time.sleep(0.02)
        execution = client.describe_execution(executionArn=arn)
    return json.loads(execution["output"])


@pytest.mark.local_cloud
def test_parallel_state_in_jsonata(cloud: Cloud) -> None:
    """Arguments, Output and Assign of a Parallel state are evaluated, and its branches keep their own variables."""
    first = {"Type": "Pass", "Output": "{% $states.input.n + 1 %}", "Assign": {"kept": "inner"}, "End": True}
    second = {"Type": "Pass", "Output": "{% $states.input.n + 2 %}", "End": True}
    both = {
        "Type": "Parallel",
        "Arguments": {"n": "{% 10 %}"},
        "Branches": [{"StartAt": "A", "States": {"A": first}}, {"StartAt": "B", "States": {"B": second}}],
        "Assign": {"count": "{% $count($states.result) %}"},
        "Output": {"sum": "{% $sum($states.result) %}"},
        "Next": "Done",
    }
    done = {
        "Type": "Succeed",
        "Output": {"sum": "{% $states.input.sum %}", "count": "{% $count %}", "kept": "{% $kept %}"},
    }
    states = {"Start": {"Type": "Pass", "Assign": {"kept": "outer"}, "Next": "Both"}, "Both": both, "Done": done}
    assert execute(cloud, "parallel", states) == {"sum": 23, "count": 2, "kept": "outer"}


@pytest.mark.local_cloud
def test_succeed_state_has_an_output(cloud: Cloud) -> None:
    """The Output of a Succeed state is the output of the execution."""
    assert execute(cloud, "succeed", {"Done": {"Type": "Succeed", "Output": {"n": "{% 1 + 1 %}"}}}) == {"n": 2}


@pytest.mark.local_cloud
def test_task_that_waits_ends_at_the_time_of_its_input(cloud: Cloud) -> None:
    """A task whose callback does not come ends with States.Timeout after the seconds that its input names."""
    queue = cloud.client("sqs").create_queue(QueueName="callbacks")["QueueUrl"]
    waits = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue, "MessageBody": {"token.$": "$$.Task.Token"}},
        "TimeoutSecondsPath": "$.step.seconds",
        "Catch": [{"ErrorEquals": ["States.Timeout"], "ResultPath": None, "Next": "Late"}],
        "End": True,
    }
    states = {"Waits": waits, "Late": {"Type": "Pass", "Result": "late", "End": True}}
    assert execute(cloud, "callback", states, language="JSONPath", content={"step": {"seconds": 1}}) == "late"


@pytest.mark.local_cloud
def test_condition_on_the_region_and_account_holds_there_only(cloud: Cloud) -> None:
    """A resource under a condition on region, account and partition is made in that region and in no other."""
    here = [{"Fn::Equals": [{"Ref": f"AWS::{name}"}, value]} for name, value in PSEUDO_PARAMETERS.items()]
    topic = {"Type": "AWS::SNS::Topic", "Condition": "Here", "Properties": {"TopicName": "conditional"}}
    template = {"Conditions": {"Here": {"Fn::And": here}}, "Resources": {"Topic": topic, "Always": QUEUE}}
    for region, expected in (("eu-west-1", 1), ("us-east-1", 0)):
        formation = cloud.client("cloudformation", MEMBER_ACCOUNT, region)
        formation.create_stack(StackName="conditional", TemplateBody=json.dumps(template))
        formation.get_waiter("stack_create_complete").wait(
            StackName="conditional", WaiterConfig={"Delay": 0.1, "MaxAttempts": 300}
        )
        topics = cloud.client("sns", MEMBER_ACCOUNT, region).list_topics()["Topics"]
        assert sum(each["TopicArn"].endswith(":conditional") for each in topics) == expected, region
