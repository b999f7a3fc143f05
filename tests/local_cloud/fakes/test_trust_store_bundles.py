"""Trust stores read their bundle from the S3 of the local cloud and hand it out again under a URL."""

from urllib.request import urlopen

import pytest

from certificates import build
from local_cloud.cloud import Cloud

pytestmark = pytest.mark.local_cloud

ACCOUNT = "314159265358"
REGION = "eu-central-1"
ROOT = build("Example Root", ca=True)


def test_bundle_comes_back(cloud: Cloud) -> None:
    """The location of a trust store answers a plain GET with the bundle, even after the object in S3 is gone."""
    s3, elb = (cloud.client(service, ACCOUNT, REGION) for service in ("s3", "elbv2"))
    s3.create_bucket(Bucket="trusted-cas", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="trusted-cas", Key="clients/roots.pem", Body=ROOT.pem.encode())
    source = {"CaCertificatesBundleS3Bucket": "trusted-cas", "CaCertificatesBundleS3Key": "clients/roots.pem"}
    store = elb.create_trust_store(Name="clients", **source)["TrustStores"][0]["TrustStoreArn"]
    s3.delete_object(Bucket="trusted-cas", Key="clients/roots.pem")
    location = elb.get_trust_store_ca_certificates_bundle(TrustStoreArn=store)["Location"]
    assert urlopen(location).read().decode() == ROOT.pem
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["trusted-cas"]


@pytest.mark.parametrize(("bucket", "key"), [("no-such-bucket", "a"), ("untrusted-cas", "no-such-key")])
def test_missing_bundle(cloud: Cloud, bucket: str, key: str) -> None:
    """A trust store cannot be made from a bucket or an object that is not there."""
    s3, elb = (cloud.client(service, ACCOUNT, REGION) for service in ("s3", "elbv2"))
    if bucket == "untrusted-cas":
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    source = {"CaCertificatesBundleS3Bucket": bucket, "CaCertificatesBundleS3Key": key}
    with pytest.raises(elb.exceptions.CaCertificatesBundleNotFoundException):
        elb.create_trust_store(Name="missing", **source)
