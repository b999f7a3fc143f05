"""The fake of Elastic Load Balancing version 2 refuses what the service refuses of trust stores and mutual TLS."""

from typing import Any

import pytest
from balanced_account import ROOT, BalancedAccount, listener, load_balancer, refusal


@pytest.fixture
def account() -> BalancedAccount:
    return BalancedAccount()


@pytest.fixture
def elb(account: BalancedAccount) -> Any:
    return account.elbv2()


@pytest.fixture
def store(elb: Any, account: BalancedAccount) -> Any:
    account.bundles.objects["cas", "roots.pem", None] = ROOT.pem.encode() * 2
    made = create(elb)
    assert (made["Status"], made["NumberOfCaCertificates"]) == ("ACTIVE", 2)
    return made["TrustStoreArn"]


def create(elb: Any, name: str = "clients", key: str = "roots.pem") -> Any:
    location = {"CaCertificatesBundleS3Bucket": "cas", "CaCertificatesBundleS3Key": key}
    return elb.create_trust_store(Name=name, **location)["TrustStores"][0]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "CaCertificatesBundleNotFound"),
        (b"", "InvalidCaCertificatesBundle"),
        (b"no certificate", "InvalidCaCertificatesBundle"),
        (b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n" + ROOT.pem.encode(),
         "InvalidCaCertificatesBundle"),
    ],
)  # fmt: skip
def test_bundle_refused(elb: Any, account: BalancedAccount, content: bytes | None, code: str) -> None:
    """A bundle that is missing, empty, no PEM or holds a private key is refused."""
    if content is not None:
        account.bundles.objects["cas", "roots.pem", None] = content
    assert refusal(create, elb) == code


def test_bundle_is_a_copy(elb: Any, account: BalancedAccount, store: str) -> None:
    """The location gives the bundle that the trust store read, whatever became of the object."""
    account.bundles.objects.clear()
    location = elb.get_trust_store_ca_certificates_bundle(TrustStoreArn=store)["Location"]
    assert account.bundles.handed_out[location.removeprefix("https://s3.test/")] == ROOT.pem.encode() * 2


def test_modify(elb: Any, account: BalancedAccount, store: str) -> None:
    """A trust store gets another bundle by ModifyTrustStore, from a version of the object if one is named."""
    account.bundles.objects["cas", "roots.pem", "v2"] = ROOT.pem.encode()
    location = {"CaCertificatesBundleS3Bucket": "cas", "CaCertificatesBundleS3Key": "roots.pem"}
    elb.modify_trust_store(TrustStoreArn=store, CaCertificatesBundleS3ObjectVersion="v2", **location)
    (found,) = elb.describe_trust_stores(Names=["clients"])["TrustStores"]
    assert found["NumberOfCaCertificates"] == 1


def test_names(elb: Any, store: str) -> None:
    """A trust store's name is unique and well formed, and unknown ones are not found."""
    assert refusal(create, elb) == "DuplicateTrustStoreName"
    assert refusal(create, elb, "-clients") == "ValidationError"
    assert refusal(elb.describe_trust_stores, Names=["none"]) == "TrustStoreNotFound"
    assert refusal(elb.describe_trust_stores, TrustStoreArns=["none"]) == "TrustStoreNotFound"
    assert refusal(elb.delete_trust_store, TrustStoreArn="none") == "TrustStoreNotFound"


def test_in_use(elb: Any, account: BalancedAccount, store: str) -> None:
    """A trust store with which a listener verifies clients shows its load balancer and cannot be deleted."""
    owner = load_balancer(elb)
    mutual = {"Mode": "verify", "TrustStoreArn": store}
    arn = listener(elb, owner, account.acm_certificate(), MutualAuthentication=mutual)
    users = elb.describe_trust_store_associations(TrustStoreArn=store)["TrustStoreAssociations"]
    assert users == [{"ResourceArn": owner}]
    assert refusal(elb.delete_trust_store, TrustStoreArn=store) == "TrustStoreInUse"
    elb.modify_listener(ListenerArn=arn, MutualAuthentication={"Mode": "off"})
    elb.delete_trust_store(TrustStoreArn=store)


@pytest.mark.parametrize(
    ("mutual", "code"),
    [
        ({"Mode": "verify"}, "ValidationError"),
        ({"Mode": "passthrough", "TrustStoreArn": "none"}, "ValidationError"),
        ({"Mode": "maybe"}, "ValidationError"),
        ({"Mode": "verify", "TrustStoreArn": "none"}, "TrustStoreNotFound"),
    ],
)
def test_mutual_refused(elb: Any, account: BalancedAccount, mutual: dict[str, str], code: str) -> None:
    """Mode verify needs a trust store that exists, and no other mode takes one."""
    certificate = account.acm_certificate()
    assert refusal(listener, elb, load_balancer(elb), certificate, MutualAuthentication=mutual) == code
