"""A real CDK app, deployed with the real ``cdk``, and what runs in it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_cloud.cloud import HUB_ACCOUNT, MEMBER_ACCOUNT, REGION, Cloud, CloudError
from local_cloud.deploy import App, deploy, is_bootstrapped

pytestmark = pytest.mark.local_cloud

TINY = Path(__file__).parent / "tiny_app"
OTHER_REGION = "us-east-1"
BARE_ACCOUNT = "555555555555"
"""An account that no other test deploys into."""


@pytest.fixture(scope="session")
def tiny(cloud: Cloud) -> dict[str, str]:
    """The outputs of the tiny app, deployed into the hub account."""
    outputs = deploy(cloud, App(TINY))["Tiny"]
    return {name.removesuffix("Output"): value for name, value in outputs.items()}


def invoke(cloud: Cloud, tiny: dict[str, str], event: dict[str, Any]) -> dict[str, Any]:
    """The decoded answer of the tiny app's function."""
    answer = cloud.client("lambda").invoke(FunctionName=tiny["Function"], Payload=json.dumps(event))
    return dict(json.loads(answer["Payload"].read()))


def execute(cloud: Cloud, machine: str, content: Any) -> dict[str, Any]:
    """Run a state machine to its end and describe the execution."""
    states = cloud.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=machine, input=json.dumps(content))["executionArn"]
    execution: dict[str, Any] = states.describe_execution(executionArn=arn)
    while execution["status"] == "RUNNING":
        time.sleep(0.05)
        execution = states.describe_execution(executionArn=arn)
    return execution


def eventually(check: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether a check comes true in time."""
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def messages(cloud: Cloud, tiny: dict[str, str]) -> str:
    """All that the function has logged."""
    pages = cloud.client("logs").get_paginator("filter_log_events").paginate(logGroupName=tiny["LogGroup"])
    return "\n".join(event["message"] for page in pages for event in page["events"])


def test_function_finds_its_layer(cloud: Cloud, tiny: dict[str, str]) -> None:
    """A deployed function imports a module that only its layer has."""
    assert invoke(cloud, tiny, {"do": "greet", "name": "Ada"}) == {"text": "hello from the layer, Ada"}


def test_function_error_carries_the_class_of_the_exception(cloud: Cloud, tiny: dict[str, str]) -> None:
    """A failing function reports the exception's class, message and trace, as Lambda does."""
    error = invoke(cloud, tiny, {"do": "final"})
    assert (error["errorType"], error["errorMessage"]) == ("Final", "no way")
    assert any("index.py" in line for line in error["stackTrace"])


def test_function_acts_in_its_account_and_through_a_role_in_another(cloud: Cloud, tiny: dict[str, str]) -> None:
    """A function has its own account and region, and a session of a member's role sees the member's buckets."""
    iam, s3 = cloud.client("iam", MEMBER_ACCOUNT), cloud.client("s3", MEMBER_ACCOUNT, OTHER_REGION)
    role = iam.create_role(RoleName="tiny-reader", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    s3.create_bucket(Bucket="bucket-of-the-member")
    seen = invoke(cloud, tiny, {"do": "whoami", "role": role})
    assert (seen["account"], seen["region"], seen["account_of_role"]) == (HUB_ACCOUNT, REGION, MEMBER_ACCOUNT)
    assert "bucket-of-the-member" in seen["buckets_of_role"]


def test_function_does_not_get_the_environment_of_the_caller(cloud: Cloud, tiny: dict[str, str]) -> None:
    """What the person who started the cloud has in the environment does not reach a function."""
    role = cloud.client("iam").create_role(RoleName="tiny-own", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    environment = invoke(cloud, tiny, {"do": "whoami", "role": role})["environment"]
    assert "AWS_ENDPOINT_URL" in environment
    assert not {"PYTEST_CURRENT_TEST", "PYTHONPATH", "VIRTUAL_ENV"} & set(environment)


def test_workers_share_an_unpacked_layer(cloud: Cloud, tiny: dict[str, str]) -> None:
    """A worker that takes the place of a failed one imports from the same unpacked layer."""
    role = cloud.client("iam").create_role(RoleName="tiny-layer", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    first = invoke(cloud, tiny, {"do": "whoami", "role": role})
    invoke(cloud, tiny, {"do": "final"})
    second = invoke(cloud, tiny, {"do": "whoami", "role": role})
    assert first["layer"] == second["layer"]


def test_logs_of_a_function_are_readable(cloud: Cloud, tiny: dict[str, str]) -> None:
    """What a function prints is in its log group."""
    invoke(cloud, tiny, {"do": "greet", "name": "Grace"})
    assert eventually(lambda: "greeting Grace" in messages(cloud, tiny))


def test_state_machine_retries_and_catches_by_exception_class(cloud: Cloud, tiny: dict[str, str]) -> None:
    """Retry and Catch match Python exception classes, and JSONata maps, assigns and returns the output of the end."""
    execution = execute(cloud, tiny["Inline"], {"names": ["a", "b", "c"]})
    assert json.loads(execution["output"]) == {"greeted": 3, "attempts": 3, "caught": "no way"}


def put_items(cloud: Cloud, tiny: dict[str, str], key: str, failing: int) -> dict[str, str]:
    """Store 20 items, of which some will fail, and return the input of a Distributed Map over them."""
    items = [{"do": "final" if number < failing else "greet", "name": f"n{number}"} for number in range(20, 0, -1)]
    cloud.client("s3").put_object(Bucket=tiny["Bucket"], Key=key, Body=json.dumps(items).encode())
    return {"bucket": tiny["Bucket"], "key": key}


def test_distributed_map_in_jsonpath(cloud: Cloud, tiny: dict[str, str]) -> None:
    """A Distributed Map reads its items from S3 and tolerates a share of failures."""
    execution = execute(cloud, tiny["Distributed"], put_items(cloud, tiny, "few.json", failing=3))
    assert json.loads(execution["output"]) == {"count": 20}


def test_distributed_map_in_jsonata(cloud: Cloud, tiny: dict[str, str]) -> None:
    """The same in JSONata: reader arguments, concurrency, selector, Assign and Output are expressions."""
    execution = execute(cloud, tiny["DistributedJsonata"], put_items(cloud, tiny, "none.json", failing=0))
    assert json.loads(execution["output"]) == {"count": 20, "first": "hello from the layer, N20"}


def test_distributed_map_fails_beyond_the_tolerated_share(cloud: Cloud, tiny: dict[str, str]) -> None:
    """More failures than tolerated fail the execution with the error that Step Functions names."""
    execution = execute(cloud, tiny["DistributedJsonata"], put_items(cloud, tiny, "many.json", failing=15))
    assert execution["error"] == "States.ExceedToleratedFailureThreshold"


def forward_to(cloud: Cloud, bus: str, account: str) -> None:
    """Make a rule in an account that sends its ACM events to a bus."""
    events, role = cloud.client("events", account), f"arn:aws:iam::{account}:role/forward"
    events.put_rule(Name="forward", EventPattern=json.dumps({"source": ["aws.acm"]}))
    events.put_targets(Rule="forward", Targets=[{"Id": "hub", "Arn": bus, "RoleArn": role}])


def test_event_of_a_member_reaches_the_bus_of_the_hub(cloud: Cloud, tiny: dict[str, str]) -> None:
    """An AWS event in a member account goes by rule to the hub's bus, which admits it, and on to the function."""
    forward_to(cloud, tiny["Bus"], MEMBER_ACCOUNT)
    cloud.emit("aws.acm", "ACM Certificate Available", {}, account=MEMBER_ACCOUNT)
    assert eventually(lambda: f"greeting {MEMBER_ACCOUNT}" in messages(cloud, tiny))


def test_event_of_a_stranger_does_not_reach_the_bus(cloud: Cloud, tiny: dict[str, str]) -> None:
    """The bus takes nothing from an account that its policy does not name."""
    stranger = "333333333333"
    forward_to(cloud, tiny["Bus"], stranger)
    cloud.emit("aws.acm", "ACM Certificate Available", {}, account=stranger)
    assert not eventually(lambda: f"greeting {stranger}" in messages(cloud, tiny), seconds=1)


def test_cloudformation_makes_the_added_types(cloud: Cloud, tiny: dict[str, str]) -> None:
    """Types that ministack lacks are made in the services that answer for them: a CA, a hub, an archive."""
    pca = cloud.client("acm-pca")
    authority = pca.describe_certificate_authority(CertificateAuthorityArn=tiny["Authority"])["CertificateAuthority"]
    assert authority["Status"] == "ACTIVE"
    assert cloud.client("securityhub").describe_hub()["HubArn"]
    assert cloud.client("events").list_archives()["Archives"]


def test_deploys_into_other_accounts_and_regions(cloud: Cloud, tiny: dict[str, str]) -> None:
    """The same app goes into another account and region, apart from the first."""
    assert not is_bootstrapped(cloud, BARE_ACCOUNT, OTHER_REGION)
    deploy(cloud, App(TINY), BARE_ACCOUNT, OTHER_REGION)
    names = cloud.client("lambda", BARE_ACCOUNT, OTHER_REGION).list_functions()["Functions"]
    assert [name for name in names if name["FunctionName"].startswith("Tiny-")]
    assert cloud.client("lambda", BARE_ACCOUNT, REGION).list_functions()["Functions"] == []


def test_second_deployment_of_the_same_app_changes_nothing(cloud: Cloud, tiny: dict[str, str]) -> None:
    """Deploying again is safe: the function, its table and its authority are the same as before."""
    again = deploy(cloud, App(TINY))["Tiny"]
    assert {name.removesuffix("Output"): value for name, value in again.items()} == tiny


def test_failing_app_shows_the_end_of_the_log(cloud: Cloud, tmp_path: Path) -> None:
    """When ``cdk`` fails, the error shows what it said last."""
    (tmp_path / "app.py").write_text("raise SystemExit('the app is broken')")
    with pytest.raises(CloudError, match="the app is broken"):
        deploy(cloud, App(tmp_path, command="python app.py"))
