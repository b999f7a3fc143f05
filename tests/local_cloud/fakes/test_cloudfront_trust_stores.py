"""The fake of CloudFront's trust stores refuses what CloudFront refuses, shown through a boto3 client."""

from typing import Any

import pytest
from balanced_account import ROOT, MemoryBundles, refusal

from certificates import NOW
from local_cloud.fakes.cloudfront_trust_stores import CloudFrontTrustStores
from local_cloud.fakes.loopback import ACCOUNT, client, here


@pytest.fixture
def bundles() -> MemoryBundles:
    return MemoryBundles({("cas", "roots.pem", None): ROOT.pem.encode()})


@pytest.fixture
def cloudfront(bundles: MemoryBundles) -> Any:
    return client(CloudFrontTrustStores(where=here, clock=lambda: NOW, bundles=bundles), validate=False)


def create(cloudfront: Any, name: str = "clients", **changes: Any) -> Any:
    place = {"Bucket": "cas", "Key": "roots.pem", "Region": "eu-central-1"} | changes
    return cloudfront.create_trust_store(
        Name=name, CaCertificatesBundleSource={"CaCertificatesBundleS3Location": place}
    )


def test_create_and_get(cloudfront: Any) -> None:
    """A trust store counts the certificates of its bundle, and is given by identifier or ARN with its ETag."""
    made = create(cloudfront)["TrustStore"]
    assert made["Arn"] == f"arn:aws:cloudfront::{ACCOUNT}:trust-store/{made['Id']}"
    for identifier in (made["Id"], made["Arn"]):
        got = cloudfront.get_trust_store(Identifier=identifier)
        assert (got["TrustStore"]["NumberOfCaCertificates"], got["TrustStore"]["Status"]) == (1, "active")
        assert got["ETag"]


@pytest.mark.parametrize(
    ("content", "changes", "code"),
    [
        (b"no certificate", {}, "InvalidArgument"),
        (ROOT.pem.encode(), {"Key": "none"}, "EntityNotFound"),
        (ROOT.pem.encode(), {"Region": "Frankfurt"}, "InvalidArgument"),
    ],
)
def test_bundle_refused(
    cloudfront: Any, bundles: MemoryBundles, content: bytes, changes: dict[str, str], code: str
) -> None:
    """A bundle that is missing or no PEM is refused."""
    bundles.objects["cas", "roots.pem", None] = content
    assert refusal(create, cloudfront, **changes) == code


def test_names(cloudfront: Any) -> None:
    """A name is unique, and an unknown trust store is not found."""
    create(cloudfront)
    assert refusal(create, cloudfront) == "EntityAlreadyExists"
    assert refusal(cloudfront.get_trust_store, Identifier="ts_none") == "EntityNotFound"


def test_list(cloudfront: Any) -> None:
    """Listing pages through all trust stores of the account."""
    for number in range(3):
        create(cloudfront, f"clients-{number}")
    first = cloudfront.list_trust_stores(MaxItems=2)
    rest = cloudfront.list_trust_stores(MaxItems=2, Marker=first["NextMarker"])
    names = [item["Name"] for item in first["TrustStoreList"] + rest["TrustStoreList"]]
    assert names == ["clients-0", "clients-1", "clients-2"]


def test_rest_of_cloudfront_is_not_taken(cloudfront: Any) -> None:
    """The fake takes the operations on trust stores only, so that distributions stay with ministack."""
    assert refusal(cloudfront.list_distributions) == "UnknownOperationException"
