"""A CDK app with a little of everything that Perennial's own stack uses."""

import os
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_acmpca as acmpca
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_securityhub as securityhub
from aws_cdk import aws_stepfunctions as sfn

INVOKE = "arn:aws:states:::lambda:invoke"
RETRY = [{"ErrorEquals": ["Flaky"], "IntervalSeconds": 1, "MaxAttempts": 4, "JitterStrategy": "FULL"}]


class Tiny(cdk.Stack):
    """Resources of every kind, and an output for each that a test needs."""

    def __init__(self, scope: cdk.App, name: str, **kwargs: Any) -> None:
        super().__init__(scope, name, **kwargs)
        key = kms.Key(self, "Key")
        bucket = s3.Bucket(self, "Bucket", encryption_key=key, versioned=True)
        table = self.table(key)
        function = self.function(table)
        table.grant_read_write_data(function)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("states.amazonaws.com"))
        self.machine("Inline", inline(function.function_arn))
        self.machine("Distributed", distributed(function.function_arn))
        self.machine("DistributedJsonata", distributed_jsonata(function.function_arn))
        self.events(function)
        self.authority()
        securityhub.CfnHub(self, "Hub")
        self.outputs(Bucket=bucket.bucket_name, Function=function.function_name, Table=table.table_name)

    def outputs(self, **values: str) -> None:
        for name, value in values.items():
            cdk.CfnOutput(self, f"{name}Output", value=value)

    def table(self, key: kms.Key) -> dynamodb.TableV2:
        by_owner = dynamodb.GlobalSecondaryIndexPropsV2(
            index_name="by-owner", partition_key=dynamodb.Attribute(name="owner", type=dynamodb.AttributeType.STRING)
        )
        return dynamodb.TableV2(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            encryption=dynamodb.TableEncryptionV2.customer_managed_key(key),
            global_secondary_indexes=[by_owner],
        )

    def function(self, table: dynamodb.TableV2) -> lambda_.Function:
        layer = lambda_.LayerVersion(self, "Layer", code=lambda_.Code.from_asset("layer"))
        group = logs.LogGroup(self, "FunctionLogs")
        self.outputs(LogGroup=group.log_group_name)
        return lambda_.Function(
            self,
            "Function",
            runtime=lambda_.Runtime.PYTHON_3_13,
            handler="index.handler",
            code=lambda_.Code.from_asset("function"),
            layers=[layer],
            environment={"TABLE": table.table_name},
            timeout=cdk.Duration.seconds(20),
            log_group=group,
        )

    def machine(self, name: str, definition: dict[str, Any]) -> None:
        text = self.to_json_string(definition)
        machine = sfn.CfnStateMachine(self, name, role_arn=self.role.role_arn, definition_string=text)
        self.outputs(**{name: machine.attr_arn})

    def events(self, function: lambda_.Function) -> None:
        bus = events.EventBus(self, "Bus", event_bus_name="tiny")
        bus.archive("Archive", event_pattern=events.EventPattern(source=["aws.acm"]), retention=cdk.Duration.days(1))
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
            "Action": "events:PutEvents",
            "Resource": bus.event_bus_arn,
        }
        events.CfnEventBusPolicy(
            self, "BusPolicy", event_bus_name=bus.event_bus_name, statement_id="member", statement=statement
        )
        greeting = events.RuleTargetInput.from_object({"do": "greet", "name": events.EventField.account})
        target = targets.LambdaFunction(function, event=greeting)
        events.Rule(
            self, "Rule", event_bus=bus, event_pattern=events.EventPattern(source=["aws.acm"]), targets=[target]
        )
        self.outputs(Bus=bus.event_bus_arn)

    def authority(self) -> None:
        """A private root CA with its own certificate, activated: all by CloudFormation."""
        authority = acmpca.CfnCertificateAuthority(
            self,
            "Authority",
            type="ROOT",
            key_algorithm="EC_prime256v1",
            signing_algorithm="SHA256WITHECDSA",
            subject={"commonName": "Tiny Root"},
        )
        certificate = acmpca.CfnCertificate(
            self,
            "AuthorityCertificate",
            certificate_authority_arn=authority.attr_arn,
            certificate_signing_request=authority.attr_certificate_signing_request,
            signing_algorithm="SHA256WITHECDSA",
            template_arn="arn:aws:acm-pca:::template/RootCACertificate/V1",
            validity={"type": "YEARS", "value": 5},
        )
        acmpca.CfnCertificateAuthorityActivation(
            self,
            "AuthorityActivation",
            certificate_authority_arn=authority.attr_arn,
            certificate=certificate.attr_certificate,
        )
        self.outputs(Authority=authority.attr_arn)


def call(function: str, **more: Any) -> dict[str, Any]:
    """A JSONata task that hands its input to the function."""
    arguments = {"FunctionName": function, "Payload": "{% $states.input %}"}
    output = "{% $states.result.Payload %}"
    return {"Type": "Task", "Resource": INVOKE, "Arguments": arguments, "Output": output, **more}


def inline(function: str) -> dict[str, Any]:
    """An inline Map, then a task that fails twice, then one that fails for good and is caught."""
    greet_each = {
        "Type": "Map",
        "Items": "{% $states.input.names %}",
        "ItemSelector": {"do": "greet", "name": "{% $states.context.Map.Item.Value %}"},
        "ItemProcessor": {"StartAt": "Greet", "States": {"Greet": call(function, End=True)}},
        "Assign": {"greeted": "{% $count($states.result) %}"},
        "Output": {"do": "flaky", "id": "{% $states.context.Execution.Name %}"},
        "Next": "Flaky",
    }
    catch = {
        "ErrorEquals": ["Final"],
        "Output": {"caught": "{% $parse($states.errorOutput.Cause).errorMessage %}"},
        "Next": "Done",
    }
    keep_attempts = {"attempts": "{% $states.result.Payload.attempts %}"}
    flaky = call(function, Retry=RETRY, Assign=keep_attempts, Next="Final")
    states = {
        "GreetEach": greet_each,
        "Flaky": flaky | {"Output": {"do": "final"}},
        "Final": call(function, Retry=RETRY, Catch=[catch], Next="Done"),
        "Done": {
            "Type": "Succeed",
            "Output": {
                "greeted": "{% $greeted %}",
                "attempts": "{% $attempts %}",
                "caught": "{% $states.input.caught %}",
            },
        },
    }
    return {"QueryLanguage": "JSONata", "StartAt": "GreetEach", "States": states}


def distributed(function: str) -> dict[str, Any]:
    """A Distributed Map over a JSON object in S3, in JSONPath."""
    parameters = {"FunctionName": function, "Payload.$": "$"}
    greet = {"Type": "Task", "Resource": INVOKE, "Parameters": parameters, "OutputPath": "$.Payload", "End": True}
    each = {
        "Type": "Map",
        "MaxConcurrency": 5,
        "ToleratedFailurePercentage": 50,
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Parameters": {"Bucket.$": "$.bucket", "Key.$": "$.key"},
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Greet",
            "States": {"Greet": greet},
        },
        "ResultSelector": {"count.$": "States.ArrayLength($)"},
        "End": True,
    }
    return {"StartAt": "Each", "States": {"Each": each}}


def distributed_jsonata(function: str) -> dict[str, Any]:
    """The same in JSONata, with every part an expression."""
    each = {
        "Type": "Map",
        "MaxConcurrency": "{% 2 + 3 %}",
        "ToleratedFailurePercentage": 50,
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Arguments": {"Bucket": "{% $states.input.bucket %}", "Key": "{% $states.input.key %}"},
        },
        "ItemSelector": {
            "do": "{% $states.context.Map.Item.Value.do %}",
            "name": "{% $uppercase($states.context.Map.Item.Value.name) %}",
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Greet",
            "States": {"Greet": call(function, End=True)},
        },
        "Assign": {"count": "{% $count($states.result) %}"},
        "Output": {"first": "{% $states.result[0].text %}"},
        "Next": "Done",
    }
    output = {"count": "{% $count %}", "first": "{% $states.input.first %}"}
    done = {"Type": "Succeed", "Output": output}
    return {"QueryLanguage": "JSONata", "StartAt": "Each", "States": {"Each": each, "Done": done}}


app = cdk.App()
environment = cdk.Environment(account=os.environ["CDK_DEFAULT_ACCOUNT"], region=os.environ["CDK_DEFAULT_REGION"])
Tiny(app, "Tiny", env=environment)
app.synth()
