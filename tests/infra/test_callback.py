"""The API for reports: one route, throttled and logged, to a function that may do next to nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_dynamodb, aws_kms
from aws_cdk.assertions import Template
from cdk_nag import AwsSolutionsChecks
from infra.callback import Callback
from infra.functions import runtime

ACCOUNT, REGION = "111122223333", "eu-central-1"
KIND = "AWS::ApiGatewayV2::"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The template of a stack with nothing but the API, checked by cdk-nag."""
    directory: Path = tmp_path_factory.mktemp("callback")
    app = cdk.App(outdir=str(directory / "out"))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    stack = cdk.Stack(app, "Stack", env=cdk.Environment(account=ACCOUNT, region=REGION))
    (directory / "deps").mkdir()
    (directory / "deps" / "package.py").touch()
    key = aws_kms.Key(stack, "Key", enable_key_rotation=True)
    text = aws_dynamodb.Attribute(name="pk", type=aws_dynamodb.AttributeType.STRING)
    table = aws_dynamodb.Table(
        stack,
        "Table",
        partition_key=text,
        point_in_time_recovery_specification=aws_dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
    )
    on = runtime(stack, deps=directory / "deps", architecture="arm64", key=key, environment={})
    made = Callback(stack, "Callback", runtime=on, table=table)
    cdk.CfnOutput(stack, "Url", value=made.url)
    app.synth()
    return Template.from_stack(stack)


def only(template: Template, kind: str) -> tuple[str, dict[str, Any]]:
    """The one resource of a type: its logical id and properties."""
    ((name, found),) = template.find_resources(kind).items()
    return name, found["Properties"]


def test_one_route(template: Template) -> None:
    """POST of a report is the only request that reaches the function; payload format 2.0 is what it reads."""
    integration, made = only(template, f"{KIND}Integration")
    _, route = only(template, f"{KIND}Route")
    assert route["RouteKey"] == "POST /callbacks/{id}"
    assert route["Target"]["Fn::Join"][1] == ["integrations/", {"Ref": integration}]
    assert (made["IntegrationType"], made["PayloadFormatVersion"]) == ("AWS_PROXY", "2.0")
    _, api = only(template, f"{KIND}Api")
    assert api["ProtocolType"] == "HTTP"
    assert "CorsConfiguration" not in api


def test_the_url_ends_in_the_route(template: Template) -> None:
    """What the sending functions are told is the API's endpoint and the route's path."""
    ((_, output),) = template.find_outputs("Url").items()
    api, _ = only(template, f"{KIND}Api")
    assert output["Value"] == {"Fn::Join": ["", [{"Fn::GetAtt": [api, "ApiEndpoint"]}, "/callbacks"]]}


def test_it_is_throttled_and_logged(template: Template) -> None:
    """The stage bounds what strangers can cost, and logs who asked, but neither headers nor bodies."""
    _, stage = only(template, f"{KIND}Stage")
    assert stage["DefaultRouteSettings"] == {"ThrottlingRateLimit": 10, "ThrottlingBurstLimit": 20}
    logged = json.loads(stage["AccessLogSettings"]["Format"])
    assert logged["address"] == "$context.identity.sourceIp"
    assert all(value.startswith("$context.") and "authorizer" not in value for value in logged.values())
    groups = template.find_resources("AWS::Logs::LogGroup")
    assert stage["AccessLogSettings"]["DestinationArn"]["Fn::GetAtt"][0] in groups
    assert all(each["Properties"]["KmsKeyId"] for each in groups.values())


def test_only_the_route_may_call(template: Template) -> None:
    """The function may be called by API Gateway for this API's route alone."""
    _, allowed = only(template, "AWS::Lambda::Permission")
    api, _ = only(template, f"{KIND}Api")
    assert allowed["Principal"] == "apigateway.amazonaws.com"
    parts = allowed["SourceArn"]["Fn::Join"][1]
    assert {"Ref": api} in parts
    assert parts[-1] == "/*/*/callbacks/{id}"


def test_what_the_function_may_do(template: Template) -> None:
    """Its log; records of receivers and nothing else of the table; keys of webhooks and no other secret."""
    _, policy = only(template, "AWS::IAM::Policy")
    statements = {str(each["Action"]): each for each in policy["PolicyDocument"]["Statement"]}
    assert sorted(statements) == [
        "['dynamodb:GetItem', 'dynamodb:PutItem']",
        "['logs:CreateLogStream', 'logs:PutLogEvents']",
        "secretsmanager:GetSecretValue",
    ]
    condition = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["CALLBACK#*"]}}
    assert statements["['dynamodb:GetItem', 'dynamodb:PutItem']"]["Condition"] == condition
    secrets = statements["secretsmanager:GetSecretValue"]["Resource"]["Fn::Join"][1]
    assert secrets[-1] == f":secretsmanager:{REGION}:{ACCOUNT}:secret:perennial/webhooks/*"


def test_the_records_begin_so() -> None:
    """What the role may touch is where the inventory keeps the records."""
    from infra.callback import RECORDS

    from perennial.inventory import callbacks
    from perennial.webhook_receiver import receiver_id

    assert callbacks._key(receiver_id("shop", "agent")).startswith(RECORDS.removesuffix("*"))
