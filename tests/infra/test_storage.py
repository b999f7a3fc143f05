"""What is kept is encrypted, private, restorable, and never replaced by mistake."""

from __future__ import annotations

from typing import Any

from perennial.inventory.indexes import INDEXES, TIME_TO_LIVE

ENCRYPTION, PROOFS = "EncryptionKey3A692D6E", "ProofsKey5E8E2385"


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
    bucket = _only(hub.of("AWS::S3::Bucket"))
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
        "ManifestsBucket99AD6324",
        ENCRYPTION,
        PROOFS,
        "NotificationsTopicAE679CBD",
        "EventsBus45DE4339",
    ]


def test_topic_is_encrypted(hub: Any) -> None:
    """What people are told is encrypted under the customer's key."""
    key = ENCRYPTION
    assert _only(hub.of("AWS::SNS::Topic"))["Properties"]["KmsMasterKeyId"] == {"Fn::GetAtt": [key, "Arn"]}
