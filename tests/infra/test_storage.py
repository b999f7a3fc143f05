"""What is kept is encrypted, private, restorable, and never replaced by mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.infra.conftest import HUB, MEMBER_REGION, synthesise

from perennial.inventory.indexes import INDEXES, TIME_TO_LIVE

ENCRYPTION, PROOFS = "EncryptionKey3A692D6E", "ProofsKey5E8E2385"
MANIFESTS, CHECKPOINTS, SIGNER = "ManifestsBucket99AD6324", "AuditBucket7486E833", "AuditKey2ED08D30"


def _only(resources: dict[str, dict[str, Any]]) -> dict[str, Any]:
    (found,) = resources.values()
    return found


def test_table_has_the_declared_indexes(hub: Any) -> None:
    """The table's indexes, keys and projections are exactly those that the inventory declares."""
    built = {}
    for index in _only(hub.of("AWS::DynamoDB::Table"))["Properties"]["GlobalSecondaryIndexes"]:
        keys = {each["KeyType"]: each["AttributeName"] for each in index["KeySchema"]}
        projected = index["Projection"].get("NonKeyAttributes")
        built[index["IndexName"]] = (keys["HASH"], keys["RANGE"], tuple(projected) if projected else None)
    assert built == INDEXES


def test_table_is_safe(hub: Any) -> None:
    """The table is on demand, under the customer's key, restorable, protected, and outlives the stack."""
    table = _only(hub.of("AWS::DynamoDB::Table"))
    key = ENCRYPTION
    said = table["Properties"]
    assert said["BillingMode"] == "PAY_PER_REQUEST"
    assert said["SSESpecification"]["KMSMasterKeyId"] == {"Fn::GetAtt": [key, "Arn"]}
    assert said["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert said["TimeToLiveSpecification"] == {"AttributeName": TIME_TO_LIVE, "Enabled": True}
    assert said["DeletionProtectionEnabled"] is True
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"


def test_bucket_is_private_and_forgets_plans(hub: Any) -> None:
    """The bucket admits nobody public, keeps versions for 30 days and plans of runs for 30 days, and stays."""
    bucket = hub.of("AWS::S3::Bucket")[MANIFESTS]
    said = bucket["Properties"]
    rules = {each["Id"]: each for each in said["LifecycleConfiguration"]["Rules"]}
    assert all(said["PublicAccessBlockConfiguration"].values())
    assert said["VersioningConfiguration"] == {"Status": "Enabled"}
    assert (rules["runs"]["Prefix"], rules["runs"]["ExpirationInDays"]) == ("runs/", 30)
    assert rules["superseded"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert bucket["DeletionPolicy"] == "Retain"


def test_key_rotates(hub: Any) -> None:
    """The key rotates every year and is kept when the stack goes."""
    key = hub.of("AWS::KMS::Key")[ENCRYPTION]
    assert key["Properties"]["EnableKeyRotation"] is True
    assert key["DeletionPolicy"] == "Retain"


def test_key_of_proofs_stays(hub: Any) -> None:
    """The key that signs proofs is kept when the stack goes, so that they can be verified later too; it only signs."""
    key = hub.of("AWS::KMS::Key")[PROOFS]
    assert (key["Properties"]["KeySpec"], key["Properties"]["KeyUsage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")
    assert key["DeletionPolicy"] == "Retain"


def test_stateful_logical_ids_never_change(hub: Any) -> None:
    """A changed logical id would replace the resource and leave its content behind: these are for ever."""
    stateful = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::KMS::Key", "AWS::SNS::Topic", "AWS::Events::EventBus")
    assert [name for kind in stateful for name in hub.of(kind)] == [
        "InventoryTable40A3050B",
        MANIFESTS,
        CHECKPOINTS,
        ENCRYPTION,
        PROOFS,
        SIGNER,
        "NotificationsTopicAE679CBD",
        "EventsBus45DE4339",
    ]


def test_topic_is_encrypted(hub: Any) -> None:
    """What people are told is encrypted under the customer's key."""
    key = ENCRYPTION
    assert _only(hub.of("AWS::SNS::Topic"))["Properties"]["KmsMasterKeyId"] == {"Fn::GetAtt": [key, "Arn"]}


REWRITING = {"dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:UpdateItem"}


def test_no_role_rewrites_the_audit_trail(hub: Any) -> None:
    """Every role that may change or delete items of the table may not do so with those of the audit trail."""
    rewriting = {role for role in hub.of("AWS::IAM::Role") if hub.actions(role) & REWRITING}
    denied = set()
    for policy in hub.of("AWS::IAM::Policy").values():
        for said in policy["Properties"]["PolicyDocument"]["Statement"]:
            of_the_trail = {"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": ["AUDIT*"]}}
            if said["Effect"] == "Deny" and set(said["Action"]) == REWRITING and said["Condition"] == of_the_trail:
                denied |= {role["Ref"] for role in policy["Properties"]["Roles"]}
    assert len(rewriting) > 10
    assert rewriting <= denied


def _locked(stack: Any) -> tuple[int, set[str | None]]:
    """For how many days the bucket locks, and what the functions are told of that."""
    rule = stack.of("AWS::S3::Bucket")[CHECKPOINTS]["Properties"]["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert rule["Mode"] == "COMPLIANCE"
    told = {
        each["Properties"]["Environment"]["Variables"].get("PERENNIAL_AUDIT_RETENTION_DAYS")
        for each in stack.of("AWS::Lambda::Function").values()
        if "Environment" in each["Properties"]
    }
    return rule["Days"], told


def test_checkpoints_stay_as_long_as_is_configured(hub: Any, tmp_path: Path) -> None:
    """Bucket and function have the time of perennial.toml, by default 400 days."""
    (tmp_path / "perennial.toml").write_text("[audit]\nretention_days = 3650\n")
    (tmp_path / "deps" / "python").mkdir(parents=True)
    (tmp_path / "deps" / "python" / "package.py").touch()
    where = {"account": HUB, "region": MEMBER_REGION, "deps": str(tmp_path / "deps")}
    assert _locked(hub) == (400, {None, "400"})
    assert _locked(synthesise(tmp_path, where)) == (3_650, {None, "3650"})


def test_people_find_bucket_and_key_of_the_audit_trail(hub: Any) -> None:
    """By parameters and by outputs of the stack."""
    named = {each["Properties"]["Name"]: each["Properties"]["Value"] for each in hub.of("AWS::SSM::Parameter").values()}
    assert named["/perennial/audit-bucket"] == {"Ref": CHECKPOINTS}
    assert named["/perennial/audit-key"] == {"Fn::GetAtt": [SIGNER, "Arn"]}
    told = {name: hub.template["Outputs"][name]["Value"] for name in ("AuditBucketName", "AuditKeyArn")}
    assert told == {"AuditBucketName": {"Ref": CHECKPOINTS}, "AuditKeyArn": {"Fn::GetAtt": [SIGNER, "Arn"]}}
