"""Callback: an HTTP API with one route, where the receivers of webhooks report, and the function behind it.

Anyone may ask: the function verifies the signature. Hence the stage's throttle, a log of who asked, and a role that may
read and write the receivers' records alone, and read the keys of webhooks alone.
"""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import Duration, aws_dynamodb, aws_iam, aws_logs
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

from infra.acknowledge import acknowledge
from infra.functions import Function, Runtime
from perennial import webhook_signature

PATH = "/callbacks"
RATE, BURST = 10, 20  # requests a second, and at once: a receiver sends one report for each event
RECORDS = "CALLBACK#*"  # partition keys of the receivers' records
BY_NAME = "Secrets of webhooks are named when targets are declared; Secrets Manager adds six characters to each."
SIGNED = "The function verifies the signature of each request (Standard Webhooks); a receiver has no AWS identity."
LOGGED = {  # neither headers nor bodies
    "time": "$context.requestTime",
    "request": "$context.requestId",
    "address": "$context.identity.sourceIp",
    "route": "$context.routeKey",
    "status": "$context.status",
    "milliseconds": "$context.responseLatency",
    "error": "$context.error.message",
    "function": "$context.integrationErrorMessage",
}


class Callback(Construct):
    """The API and its function. `url` is what events name, with an id behind it.

    The stack grants the key that encrypts the table.
    """

    def __init__(self, scope: Construct, construct_id: str, *, runtime: Runtime, table: aws_dynamodb.ITable) -> None:
        super().__init__(scope, construct_id)
        self.report = Function(
            self,
            "Report",
            runtime=runtime,
            handler="rollout/callback",
            description="Take the reports of webhooks' receivers",
            timeout=Duration.seconds(10),
            memory=256,
        )
        self._may_report(table)
        api = apigateway.HttpApi(self, "Api", create_default_stage=False, description="Perennial: reports of webhooks")
        routes = api.add_routes(
            path=f"{PATH}/{{id}}",
            methods=[apigateway.HttpMethod.POST],
            integration=HttpLambdaIntegration("Function", self.report.function, timeout=Duration.seconds(15)),
        )
        for each in routes:
            acknowledge(each, {"APIG4": SIGNED})
        self._stage(api, runtime)
        self.url = f"{api.api_endpoint}{PATH}"

    def _may_report(self, table: aws_dynamodb.ITable) -> None:
        self.report.role.add_to_principal_policy(
            aws_iam.PolicyStatement(
                actions=["dynamodb:GetItem", "dynamodb:PutItem"],
                resources=[table.table_arn],
                conditions={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [RECORDS]}},
            )
        )
        stack = cdk.Stack.of(self)
        place = f"arn:{stack.partition}:secretsmanager:{stack.region}:{stack.account}"
        self.report.may(webhook_signature.ACTIONS, [f"{place}:secret:{webhook_signature.SECRETS}*"], BY_NAME)

    def _stage(self, api: apigateway.HttpApi, runtime: Runtime) -> None:
        log = aws_logs.LogGroup(
            self,
            "Access",
            encryption_key=runtime.key,
            retention=aws_logs.RetentionDays.THREE_MONTHS,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        apigateway.CfnStage(
            self,
            "Stage",
            api_id=api.api_id,
            stage_name="$default",
            auto_deploy=True,
            access_log_settings=apigateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=log.log_group_arn, format=json.dumps(LOGGED)
            ),
            default_route_settings=apigateway.CfnStage.RouteSettingsProperty(
                throttling_rate_limit=RATE, throttling_burst_limit=BURST
            ),
        )
