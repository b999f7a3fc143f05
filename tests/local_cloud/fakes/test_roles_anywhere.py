"""The fake of IAM Roles Anywhere refuses what the service refuses, shown through a boto3 client."""

from typing import Any

import pytest
from balanced_account import refusal

from certificates import NOW, build
from local_cloud.fakes.loopback import ACCOUNT, REGION, client, here
from local_cloud.fakes.roles_anywhere import RolesAnywhere

ROOT = build("Example Root", ca=True)
PRIVATE_CA = f"arn:aws:acm-pca:{REGION}:{ACCOUNT}:certificate-authority/11111111-2222-3333-4444-555555555555"
NOBODY = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def anywhere() -> Any:
    def exists(region: str, arn: str) -> bool:
        return (region, arn) == (REGION, PRIVATE_CA)

    return client(RolesAnywhere(where=here, clock=lambda: NOW, authority_exists=exists), validate=False)


def bundle(pem: str = ROOT.pem) -> dict[str, Any]:
    return {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": pem}}


def private(arn: str = PRIVATE_CA) -> dict[str, Any]:
    return {"sourceType": "AWS_ACM_PCA", "sourceData": {"acmPcaArn": arn}}


def create(anywhere: Any, **changes: Any) -> Any:
    return anywhere.create_trust_anchor(**{"name": "workloads", "source": bundle()} | changes)["trustAnchor"]


@pytest.mark.parametrize("source", [bundle(), bundle(ROOT.pem * 2), private()])
def test_create(anywhere: Any, source: dict[str, Any]) -> None:
    """A trust anchor is made from a bundle or a private CA, and is disabled unless it is created enabled."""
    made = create(anywhere, source=source)
    assert made["trustAnchorArn"] == f"arn:aws:rolesanywhere:{REGION}:{ACCOUNT}:trust-anchor/{made['trustAnchorId']}"
    got = anywhere.get_trust_anchor(trustAnchorId=made["trustAnchorId"])["trustAnchor"]
    assert (got["source"], got["enabled"], got["createdAt"]) == (source, False, NOW)
    assert [item["threshold"] for item in got["notificationSettings"]] == [45, 45]
    assert create(anywhere, enabled=True)["enabled"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "with/slash"},
        {"name": ""},
        {"source": {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {}}},
        {"source": {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"acmPcaArn": PRIVATE_CA}}},
        {"source": {"sourceType": "AWS_ACM_PCA", "sourceData": {"x509CertificateData": ROOT.pem}}},
        {"source": {"sourceType": "SELF_SIGNED_REPOSITORY", "sourceData": {}}},
        {"source": {"sourceType": "S3"}},
        {"source": private(PRIVATE_CA + "0")},
        {"source": bundle("no certificate")},
        {"source": bundle(ROOT.pem * 3)},
        {"source": bundle(build("www.example.com").pem)},
        {"source": bundle(build(ca=True, ku=None).pem)},
        {"source": bundle(build(ca=True, ku=("crl_sign",)).pem)},
        {"source": bundle(build(ca=True, key="RSA-2048", signature_hash="sha1").pem)},
        {"notificationSettings": [{"enabled": True, "event": "CA_CERTIFICATE_EXPIRY", "threshold": 361}]},
    ],
)
def test_create_refused(anywhere: Any, changes: dict[str, Any]) -> None:
    """A trust anchor whose name or source breaks a rule is refused and is not there."""
    assert refusal(create, anywhere, **changes) == "ValidationException"
    assert anywhere.list_trust_anchors()["trustAnchors"] == []


def test_quota(anywhere: Any) -> None:
    """A region holds at most 50 trust anchors, which are listed page by page."""
    for _ in range(50):
        create(anywhere)
    assert refusal(create, anywhere) == "ValidationException"
    pages = list(anywhere.get_paginator("list_trust_anchors").paginate(pageSize=20))
    assert [len(page["trustAnchors"]) for page in pages] == [20, 20, 10]


def test_life(anywhere: Any) -> None:
    """A trust anchor is enabled, updated, disabled and deleted."""
    anchor = {"trustAnchorId": create(anywhere)["trustAnchorId"]}
    assert anywhere.enable_trust_anchor(**anchor)["trustAnchor"]["enabled"]
    updated = anywhere.update_trust_anchor(**anchor, name="renamed", source=private())["trustAnchor"]
    assert (updated["name"], updated["source"]) == ("renamed", private())
    assert refusal(anywhere.update_trust_anchor, **anchor, source=bundle("no")) == "ValidationException"
    assert not anywhere.disable_trust_anchor(**anchor)["trustAnchor"]["enabled"]
    assert anywhere.delete_trust_anchor(**anchor)["trustAnchor"]["name"] == "renamed"
    assert anywhere.list_trust_anchors()["trustAnchors"] == []


@pytest.mark.parametrize("operation", ["get", "enable", "disable", "update", "delete"])
def test_unknown(anywhere: Any, operation: str) -> None:
    """An operation on a trust anchor that does not exist answers ResourceNotFoundException."""
    call = getattr(anywhere, f"{operation}_trust_anchor")
    assert refusal(call, trustAnchorId=NOBODY) == "ResourceNotFoundException"


def test_tags(anywhere: Any) -> None:
    """Tags are added and removed by ARN; there are at most 200, and an unknown ARN is refused."""
    resource = {"resourceArn": create(anywhere, tags=[{"key": "owner", "value": "shop"}])["trustAnchorArn"]}
    anywhere.tag_resource(**resource, tags=[{"key": "tier", "value": "1"}])
    anywhere.untag_resource(**resource, tagKeys=["owner"])
    assert anywhere.list_tags_for_resource(**resource)["tags"] == [{"key": "tier", "value": "1"}]
    many = [{"key": f"k{number}", "value": ""} for number in range(200)]
    assert refusal(anywhere.tag_resource, **resource, tags=many) == "TooManyTagsException"
    assert refusal(anywhere.list_tags_for_resource, resourceArn="none") == "ResourceNotFoundException"


def test_profiles_are_not_faked(anywhere: Any) -> None:
    """An operation that is not part of the fake says so."""
    assert refusal(anywhere.list_profiles) == "NotImplementedException"
