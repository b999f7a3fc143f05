"""Roles may do what the code declares, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.infra.conftest import as_list

from perennial.scanners import scanners

KEY = {"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"}
TABLE = {
    f"dynamodb:{each}" for each in ("BatchGetItem", "BatchWriteItem", "GetItem", "PutItem", "Query", "UpdateItem")
} | KEY
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
OWN = {
    "Plan": {"s3:GetObject", "s3:PutObject", "ec2:DescribeRegions", "organizations:ListAccounts", "sts:AssumeRole"},
    "Abandon": set(),
    "Collect": {"s3:GetObject", "s3:ListBucket", "s3:PutObject"},
    "Assess": {"s3:GetObject"},
    "Publish": {
        "events:PutEvents",
        "s3:GetObject",
        "securityhub:BatchImportFindings",
        "securityhub:BatchUpdateFindings",
        "sns:Publish",
        "sts:AssumeRole",
    },
    "Tick": {"sqs:SendMessage", "states:ListExecutions", "states:StartExecution"},
    "Event": {"s3:GetObject", "sqs:SendMessage"},
}


OF_TARGETS = {"Null": {"aws:ResourceTag/perennial:target": "false"}}


def _declared(*, hub: bool) -> set[str]:
    actions = {action for each in scanners().values() if hub or not each.hub_only for action in each.actions}
    return actions | {"ec2:DescribeRegions", "tag:GetResources"}


def _role_of(stack: Any, function: str) -> str:
    return next(
        name for name in stack.of("AWS::IAM::Role") if name.startswith((f"{function}Role", f"Dispatch{function}Role"))
    )


def _statements(stack: Any) -> list[dict[str, Any]]:
    documents = [each["Properties"]["PolicyDocument"] for each in stack.of("AWS::IAM::Policy").values()]
    for role in stack.of("AWS::IAM::Role").values():
        documents += [each["PolicyDocument"] for each in role["Properties"].get("Policies", ())]
    return [statement for each in documents for statement in each["Statement"]]


def test_member_role_has_the_scanners_actions(member: Any) -> None:
    """The role in a member account may do exactly what the scanners declare."""
    assert member.actions(member.named_role("PerennialDiscovery")) == _declared(hub=False)


def test_scan_role_has_the_scanners_actions(hub: Any) -> None:
    """The scanning function adds only its table, its manifests, its log, and assuming the members' role."""
    manifests = {"s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject"}
    expected = _declared(hub=True) | manifests | TABLE | LOGS | {"sts:AssumeRole"}
    assert hub.actions(hub.named_role("PerennialScan")) == expected


@pytest.mark.parametrize("function", sorted(OWN))
def test_other_roles_have_their_own_actions(hub: Any, function: str) -> None:
    """Each function has a role of its own with what it calls."""
    assert hub.actions(_role_of(hub, function)) == OWN[function] | TABLE | LOGS


@pytest.mark.parametrize("which", ["hub", "member"])
def test_no_wildcard_actions(which: str, request: pytest.FixtureRequest) -> None:
    """No identity policy allows an action by a pattern, and none scans the table."""
    actions = {each for said in _statements(request.getfixturevalue(which)) for each in as_list(said["Action"])}
    assert not [each for each in actions if "*" in each or each == "dynamodb:Scan"]


def test_only_selected_secrets_are_readable(member: Any) -> None:
    """A secret is readable only with the configured tag, or under a configured prefix."""
    reads = [each for each in _statements(member) if "secretsmanager:GetSecretValue" in as_list(each["Action"])]
    reads = [each for each in reads if each.get("Condition") != OF_TARGETS]  # another role, and another tag
    tagged, named = sorted(reads, key=lambda each: "Condition" not in each)
    assert tagged["Condition"] == {"Null": {"secretsmanager:ResourceTag/perennial:certificate": "false"}}
    assert "secret:tls/*" in json.dumps(named["Resource"])
    assert tagged["Action"] == named["Action"] == "secretsmanager:GetSecretValue"


def test_member_trusts_only_the_hubs_roles(member: Any) -> None:
    """The members' roles trust named roles of the hub, with the external id, and are made in one region."""
    trust = {}
    for role in ("PerennialDiscovery", "PerennialFindings"):
        resource = member.template["Resources"][member.named_role(role)]
        (statement,) = resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        principals = statement["Condition"]["ArnEquals"]["aws:PrincipalArn"]
        trust[role] = [each["Fn::Join"][1][-1] for each in as_list(principals)]
        assert statement["Condition"]["StringEquals"] == {"sts:ExternalId": "perennial-1"}
        assert resource["Condition"] == "WithRoles"
    assert trust == {
        "PerennialDiscovery": [":role/PerennialScan", ":role/PerennialPlan"],
        "PerennialFindings": [":role/PerennialPublish"],
    }


def test_bus_admits_only_the_organization(hub: Any) -> None:
    """Only accounts of the organization may put events on the bus."""
    (policy,) = hub.of("AWS::Events::EventBusPolicy").values()
    statement = policy["Properties"]["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}
    assert statement["Action"] == "events:PutEvents"


def test_every_call_to_the_table_is_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operations that a whole run makes on the table are those that the stack grants, and no others."""
    from botocore.client import BaseClient
    from infra.stack import READ, WRITE

    from layers.perennial import test_interruption as workflow
    from layers.perennial.conftest import in_memory_hub

    made: set[str] = set()
    original = BaseClient._make_api_call

    def recorded(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        if client.meta.service_model.service_name == "dynamodb":
            made.add(f"dynamodb:{operation}")
        return original(client, operation, request)

    with in_memory_hub(workflow.CONFIGURATION) as estate:
        monkeypatch.setattr(BaseClient, "_make_api_call", recorded)
        workflow.begin(estate)
        workflow.run(estate, "first")
        workflow.change(estate)
        workflow.run(estate, "second")
    assert made <= {*READ, *WRITE}
    assert set(WRITE) <= made
