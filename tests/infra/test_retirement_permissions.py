"""What retiring may do: in a stack of its own, and in member accounts; cdk-nag passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from infra.retirement_permissions import RetirementPermissions
from tests.infra.conftest import CONFIGURATION, HUB, MEMBER_REGION, Synthesised, as_list

from perennial import key_store, kms_keys, targets
from perennial.settings import Settings, load
from perennial.targets import acm_copy

RETIRES = {action for each in targets.kinds().values() for action in each.RETIRES}
DELETES = {"acm:DeleteCertificate", "iam:DeleteServerCertificate"}
TAGGED = {"Null": {"aws:ResourceTag/perennial:managed": "false"}}
ISSUED = {"Null": {"aws:ResourceTag/perennial:version": "false"}}


def _synthesised(directory: Path, settings: Settings) -> Synthesised:
    """A stack with one function that has these permissions and nothing else, checked by cdk-nag as the hub's is."""
    import aws_cdk as cdk
    from aws_cdk import aws_dynamodb, aws_kms, aws_lambda
    from cdk_nag import AwsSolutionsChecks
    from infra.functions import Function, Runtime

    app = cdk.App(outdir=str(directory))
    stack = cdk.Stack(app, "Retiring", env=cdk.Environment(account=HUB, region=MEMBER_REGION))
    key = aws_kms.Key(stack, "Key", enable_key_rotation=True)
    name = aws_dynamodb.Attribute(name="pk", type=aws_dynamodb.AttributeType.STRING)
    recovery = aws_dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=True)
    table = aws_dynamodb.Table(stack, "Table", partition_key=name, point_in_time_recovery_specification=recovery)
    runtime = Runtime(
        code=aws_lambda.Code.from_inline("pass"),
        layers=(),
        architecture=aws_lambda.Architecture.ARM_64,
        key=key,
        environment={},
    )
    minute = cdk.Duration.minutes(1)
    function = Function(stack, "Retire", runtime=runtime, handler="index", description="x", timeout=minute)
    RetirementPermissions(stack=stack, settings=settings, table=table).retire(function)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()
    file = directory / "Retiring.template.json"
    return Synthesised(json.loads(file.read_text()), file)


@pytest.fixture(scope="module")
def retiring(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return _synthesised(tmp_path_factory.mktemp("retiring"), load(CONFIGURATION))


def _statements(stack: Synthesised) -> list[dict[str, Any]]:
    policies = [each["Properties"] for each in stack.of("AWS::IAM::Policy").values()]
    return [said for each in policies for said in each["PolicyDocument"]["Statement"]]


def _of(stack: Synthesised, action: str) -> list[dict[str, Any]]:
    return [each for each in _statements(stack) if action in as_list(each["Action"])]


def test_all_that_it_may_do(retiring: Synthesised) -> None:
    """Look for copies and delete them, give up keys, forget, and go to the member accounts; no key can be read."""
    actions = {action for each in _statements(retiring) for action in as_list(each["Action"])}
    own = {"dynamodb:DeleteItem", "sts:AssumeRole", "logs:CreateLogStream", "logs:PutLogEvents"}
    assert actions == RETIRES | set(acm_copy.RETIRES) | set(key_store.RETIRES) | set(kms_keys.RETIRES) | own
    assert not actions & {"secretsmanager:GetSecretValue", "acm:ExportCertificate", "kms:Sign", "kms:Decrypt"}


def test_deletions_need_a_tag(retiring: Synthesised) -> None:
    """No certificate is deleted that has no tag of Perennial: of an import, or of a request to ACM."""
    assert [each["Condition"] for each in _of(retiring, "acm:DeleteCertificate")] == [TAGGED, ISSUED]
    assert [each["Condition"] for each in _of(retiring, "iam:DeleteServerCertificate")] == [TAGGED]
    assert [each["Condition"] for each in _of(retiring, "kms:ScheduleKeyDeletion")] == [TAGGED]
    for action in ("acm:GetCertificate", "iam:ListServerCertificates"):
        assert all("Condition" not in each for each in _of(retiring, action))


def test_keys(retiring: Synthesised) -> None:
    """Aliases of Perennial and keys with its tag; labels of its own secrets alone."""
    places = {str(each["Resource"]): each.get("Condition") for each in _of(retiring, "kms:DeleteAlias")}
    assert {("alias/perennial/*" in each, "key/*" in each): found for each, found in places.items()} == {
        (True, False): None,
        (False, True): TAGGED,
    }
    (secrets,) = _of(retiring, "secretsmanager:UpdateSecretVersionStage")
    assert "secret:perennial/certificates/*" in str(secrets["Resource"])


def test_it_deletes_items_of_managed_certificates_alone(retiring: Synthesised) -> None:
    """In the table only what is kept of managed certificates can be deleted."""
    (said,) = _of(retiring, "dynamodb:DeleteItem")
    assert said["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["MANAGED#*"]}}


def test_other_accounts(retiring: Synthesised) -> None:
    """The role that changes targets there is assumed, in the accounts that are configured."""
    roles = [str(each["Resource"]) for each in _of(retiring, "sts:AssumeRole")]
    assert len(roles) == 1 or all("PerennialTarget" in each for each in roles)
    for account in ("444455556666", "777788889999"):
        assert any(f":iam::{account}:role/PerennialTarget" in each for each in roles)


def test_a_configuration_without_targets(tmp_path: Path) -> None:
    """Without targets, ACM as an issuer and keys in KMS there are only labels to take off, and items to forget."""
    stack = _synthesised(tmp_path, load(""))
    actions = {action for each in _statements(stack) for action in as_list(each["Action"])}
    logs = {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert actions == {"dynamodb:DeleteItem"} | set(key_store.RETIRES) | logs


def test_members(member: Synthesised) -> None:
    """In a member account the role that changes targets may delete what has the tag, and nothing more by retiring."""
    role = member.template["Resources"][member.named_role("PerennialTarget")]
    (policy,) = role["Properties"]["Policies"]
    found = policy["PolicyDocument"]["Statement"]
    acm = [each for each in found if "acm:DeleteCertificate" in as_list(each["Action"])]
    assert [(set(as_list(each["Action"])), each["Condition"]) for each in acm] == [(DELETES, TAGGED)]


def test_every_kind_declares_what_its_copies_need() -> None:
    """A kind that makes copies declares their deletion, and one that deletes declares the reading before it."""
    for name, each in targets.kinds().items():
        imports = {"acm:AddTagsToCertificate", "iam:UploadServerCertificate"} & set(each.CHANGES)
        assert bool(imports) == bool(DELETES & set(each.RETIRES)), name
        if "acm:DeleteCertificate" in each.RETIRES:
            assert {"acm:DescribeCertificate", "acm:ListTagsForCertificate"} <= set(each.RETIRES)
        if "iam:DeleteServerCertificate" in each.RETIRES:
            assert "iam:GetServerCertificate" in each.RETIRES
