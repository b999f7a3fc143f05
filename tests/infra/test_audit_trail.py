"""The audit trail's bucket, key, function and schedule: locked, kept, and allowed next to nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_dynamodb, aws_iam, aws_kms, aws_sqs
from aws_cdk.assertions import Template
from cdk_nag import AwsSolutionsChecks
from infra.audit_trail import REWRITES, AuditTrail, never_rewrite
from infra.functions import runtime

ACCOUNT, REGION = "111122223333", "eu-central-1"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The template of a stack with nothing but the audit trail, checked by cdk-nag."""
    directory: Path = tmp_path_factory.mktemp("audit")
    app = cdk.App(outdir=str(directory / "out"))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    stack = cdk.Stack(app, "Stack", env=cdk.Environment(account=ACCOUNT, region=REGION))
    (directory / "deps").mkdir()
    (directory / "deps" / "package.py").touch()
    key = aws_kms.Key(stack, "Key", enable_key_rotation=True)
    table = aws_dynamodb.Table(
        stack,
        "Table",
        partition_key=aws_dynamodb.Attribute(name="pk", type=aws_dynamodb.AttributeType.STRING),
        point_in_time_recovery_specification=aws_dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
    )
    letters = aws_sqs.Queue(
        stack,
        "Letters",
        enforce_ssl=True,
        dead_letter_queue=aws_sqs.DeadLetterQueue(max_receive_count=3, queue=_last(stack)),
    )
    on = runtime(stack, deps=directory / "deps", architecture="arm64", key=key, environment={"PERENNIAL_TABLE": "t"})
    AuditTrail(stack, "Audit", runtime=on, table=table, retention=cdk.Duration.days(400), dead_letters=letters)
    writer = aws_iam.Role(stack, "Writer", assumed_by=aws_iam.ServicePrincipal("lambda.amazonaws.com"))
    never_rewrite(writer, table)
    app.synth()
    return Template.from_stack(stack)


def _last(stack: cdk.Stack) -> aws_sqs.Queue:
    queue = aws_sqs.Queue(stack, "Last", enforce_ssl=True)
    cdk.Validations.of(queue).acknowledge(cdk.Acknowledgment(id="AwsSolutions-SQS3", reason="it is one"))
    return queue


def found(template: Template, kind: str, part: str) -> dict[str, Any]:
    """The one resource of a type whose logical id has this part."""
    ((_, each),) = {name: each for name, each in template.find_resources(kind).items() if part in name}.items()
    return each


def test_the_bucket_is_locked(template: Template) -> None:
    """Object Lock in compliance mode for the configured time, from the bucket's creation on; private; kept."""
    bucket = found(template, "AWS::S3::Bucket", "Audit")
    said = bucket["Properties"]
    assert said["ObjectLockEnabled"] is True
    assert said["ObjectLockConfiguration"] == {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 400}},
    }
    assert said["VersioningConfiguration"] == {"Status": "Enabled"}
    assert all(said["PublicAccessBlockConfiguration"].values())
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    assert "LifecycleConfiguration" not in said
    (rule,) = said["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}


def test_nobody_hides_a_checkpoint(template: Template) -> None:
    """A marker of deletion in front of a locked version is denied to everybody."""
    statements = found(template, "AWS::S3::BucketPolicy", "Audit")["Properties"]["PolicyDocument"]["Statement"]
    (denied,) = [each for each in statements if each.get("Sid") == "NobodyDeletes"]
    assert (denied["Effect"], denied["Principal"]) == ("Deny", "*")
    assert denied["Action"] == ["s3:DeleteObject", "s3:DeleteObjectVersion"]


def test_the_key_only_signs(template: Template) -> None:
    """ECDSA on P-256, kept when the stack goes, and not the key of proofs."""
    key = found(template, "AWS::KMS::Key", "Audit")
    assert (key["Properties"]["KeySpec"], key["Properties"]["KeyUsage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")
    assert key["DeletionPolicy"] == "Retain"
    assert found(template, "AWS::KMS::Alias", "Audit")["Properties"]["AliasName"] == "alias/perennial-audit"


def test_what_the_function_may(template: Template) -> None:
    """It reads and puts items of the trail, puts and reads checkpoints, signs; it deletes and changes nothing, and
    cannot make a retention shorter or go around it."""
    statements = found(template, "AWS::IAM::Policy", "AuditCheckpoint")["Properties"]["PolicyDocument"]["Statement"]
    actions = {
        action
        for each in statements
        for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
    }
    assert {each for each in actions if not each.startswith("logs:")} == {
        "dynamodb:PutItem",
        "dynamodb:Query",
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:Sign",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
        "s3:PutObjectRetention",
        "sqs:SendMessage",
    }
    (table,) = [each for each in statements if "dynamodb:Query" in each["Action"]]
    assert table["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["AUDIT*"]}}


def test_the_function_is_told_and_called(template: Template) -> None:
    """Each hour, with the bucket, the key and the retention that the bucket has."""
    function = found(template, "AWS::Lambda::Function", "Audit")["Properties"]
    variables = function["Environment"]["Variables"]
    assert function["Handler"] == "audit/checkpoint.handler"
    assert variables["PERENNIAL_AUDIT_RETENTION_DAYS"] == "400"
    assert set(variables) == {
        "PERENNIAL_TABLE",
        "PERENNIAL_AUDIT_BUCKET",
        "PERENNIAL_AUDIT_KEY_ARN",
        "PERENNIAL_AUDIT_RETENTION_DAYS",
    }
    rule = found(template, "AWS::Events::Rule", "Audit")["Properties"]
    assert rule["ScheduleExpression"] == "rate(1 hour)"
    assert rule["Targets"][0]["DeadLetterConfig"]
    assert function["DeadLetterConfig"]


def test_who_writes_may_not_rewrite(template: Template) -> None:
    """Whatever else a role may do with the table, items of the trail it may not change or delete."""
    (denied,) = found(template, "AWS::IAM::Policy", "Writer")["Properties"]["PolicyDocument"]["Statement"]
    assert (denied["Effect"], denied["Action"]) == ("Deny", list(REWRITES))
    assert denied["Condition"] == {"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": ["AUDIT*"]}}
