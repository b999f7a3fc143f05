"""The fake of Classic Load Balancers refuses what the service refuses, shown through a boto3 client."""

from typing import Any

import pytest
from balanced_account import BalancedAccount, refusal

from certificates import NOW
from local_cloud.fakes.elb import ClassicElb
from local_cloud.fakes.loopback import ACCOUNT, REGION, client, here

UNKNOWN = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/11111111-2222-3333-4444-555555555555"
ARN = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/web"
HTTP = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 80}
NAMED = {"LoadBalancerName": "web"}


@pytest.fixture
def account() -> BalancedAccount:
    return BalancedAccount()


@pytest.fixture
def elb(account: BalancedAccount) -> Any:
    fake = ClassicElb(where=here, clock=lambda: NOW, certificate_refusal=account.refusal, registry=account.registry)
    return client(fake, validate=False)


def https(certificate: str, port: int = 443) -> dict[str, Any]:
    return {"Protocol": "HTTPS", "LoadBalancerPort": port, "InstancePort": 80, "SSLCertificateId": certificate}


def create(elb: Any, *listeners: dict[str, Any], **changes: Any) -> None:
    request = NAMED | {"Listeners": list(listeners), "AvailabilityZones": [f"{REGION}a"]} | changes
    elb.create_load_balancer(**{key: value for key, value in request.items() if value is not None})


def described(elb: Any) -> dict[int, dict[str, Any]]:
    """The listeners of the load balancer by port."""
    (found,) = elb.describe_load_balancers(LoadBalancerNames=["web"])["LoadBalancerDescriptions"]
    return {item["Listener"]["LoadBalancerPort"]: item for item in found["ListenerDescriptions"]}


def test_create(elb: Any, account: BalancedAccount) -> None:
    """A secure listener shows its certificate and the default security policy, and ACM shows the load balancer."""
    certificate = account.acm_certificate()
    create(elb, https(certificate), HTTP)
    found = described(elb)
    assert found[443]["Listener"] == https(certificate) | {"InstanceProtocol": "HTTP"}
    assert (found[443]["PolicyNames"], found[80]["PolicyNames"]) == (["ELBSecurityPolicy-2016-08"], [])
    assert account.users(certificate) == [ARN]


@pytest.mark.parametrize(
    ("listeners", "changes", "code"),
    [
        ([], {}, "ValidationError"),
        ([HTTP], {"LoadBalancerName": "-web"}, "ValidationError"),
        ([HTTP], {"LoadBalancerName": "w" * 33}, "ValidationError"),
        ([HTTP], {"AvailabilityZones": None}, "ValidationError"),
        ([HTTP], {"Subnets": ["subnet-a"]}, "ValidationError"),
        ([HTTP | {"Protocol": "UDP"}], {}, "UnsupportedProtocol"),
        ([HTTP | {"InstanceProtocol": "TCP"}], {}, "ValidationError"),
        ([HTTP | {"LoadBalancerPort": 70000}], {}, "ValidationError"),
        ([HTTP | {"Protocol": "HTTPS"}], {}, "ValidationError"),
        ([HTTP | {"Protocol": "SSL"}], {}, "ValidationError"),
        ([HTTP | {"SSLCertificateId": UNKNOWN}], {}, "InvalidConfigurationRequest"),
        ([https(UNKNOWN)], {}, "CertificateNotFound"),
        ([https(f"arn:aws:iam::{ACCOUNT}:server-certificate/none")], {}, "CertificateNotFound"),
        ([HTTP], {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, "DuplicateTagKeys"),
    ],
)
def test_create_refused(elb: Any, listeners: list[dict[str, Any]], changes: dict[str, Any], code: str) -> None:
    """A load balancer that breaks a rule is refused with the code that the service uses, and is not there."""
    assert refusal(create, elb, *listeners, **changes) == code
    assert elb.describe_load_balancers()["LoadBalancerDescriptions"] == []


def test_create_twice(elb: Any) -> None:
    """Creating is idempotent with the same settings and refused with others."""
    create(elb, HTTP)
    create(elb, HTTP)
    assert refusal(create, elb, HTTP, Scheme="internal") == "DuplicateLoadBalancerName"


def test_set_certificate(elb: Any, account: BalancedAccount) -> None:
    """Setting a listener's certificate replaces the one before, in ACM's and IAM's eyes too."""
    old, new = account.iam_certificate(), account.acm_certificate()
    create(elb, https(old))
    assert refusal(account.iam.delete_server_certificate, ServerCertificateName="www") == "DeleteConflict"
    elb.set_load_balancer_listener_ssl_certificate(**NAMED, LoadBalancerPort=443, SSLCertificateId=new)
    assert described(elb)[443]["Listener"]["SSLCertificateId"] == new
    assert account.users(new) == [ARN]
    account.iam.delete_server_certificate(ServerCertificateName="www")
    assert refusal(account.acm.delete_certificate, CertificateArn=new) == "ResourceInUseException"
    elb.delete_load_balancer(**NAMED)
    account.acm.delete_certificate(CertificateArn=new)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"LoadBalancerName": "none"}, "LoadBalancerNotFound"),
        ({"LoadBalancerPort": 8443}, "ListenerNotFound"),
        ({"LoadBalancerPort": 80}, "InvalidConfigurationRequest"),
        ({"SSLCertificateId": UNKNOWN}, "CertificateNotFound"),
    ],
)
def test_set_certificate_refused(elb: Any, account: BalancedAccount, changes: dict[str, Any], code: str) -> None:
    """A certificate is set on a secure listener that exists, and only if it exists itself."""
    certificate = account.acm_certificate()
    create(elb, https(certificate), HTTP)
    request = NAMED | {"LoadBalancerPort": 443, "SSLCertificateId": certificate} | changes
    assert refusal(elb.set_load_balancer_listener_ssl_certificate, **request) == code


def test_listeners(elb: Any, account: BalancedAccount) -> None:
    """A listener is added once, refused with other settings on its port, and removed."""
    create(elb, HTTP)
    first, second = account.acm_certificate(), account.acm_certificate()
    for _ in range(2):
        elb.create_load_balancer_listeners(**NAMED, Listeners=[https(first)])
    other = {"Listeners": [https(first, 8443), https(second)]}
    assert refusal(elb.create_load_balancer_listeners, **NAMED, **other) == "DuplicateListener"
    assert set(described(elb)) == {80, 443}
    elb.delete_load_balancer_listeners(**NAMED, LoadBalancerPorts=[443, 9999])
    assert set(described(elb)) == {80}
    assert account.users(first) == []


def test_policies(elb: Any, account: BalancedAccount) -> None:
    """A policy made from a predefined one takes over its protocols and ciphers, and replaces the listener's policy."""
    create(elb, https(account.acm_certificate()))
    reference = {
        "AttributeName": "Reference-Security-Policy",
        "AttributeValue": "ELBSecurityPolicy-TLS-1-2-2017-01",
    }
    request = NAMED | {"PolicyName": "strict", "PolicyTypeName": "SSLNegotiationPolicyType"}
    elb.create_load_balancer_policy(**request, PolicyAttributes=[reference])
    assert refusal(elb.create_load_balancer_policy, **request) == "DuplicatePolicyName"
    elb.set_load_balancer_policies_of_listener(**NAMED, LoadBalancerPort=443, PolicyNames=["strict"])
    (found,) = elb.describe_load_balancer_policies(**NAMED, PolicyNames=["strict"])["PolicyDescriptions"]
    attributes = {item["AttributeName"]: item["AttributeValue"] for item in found["PolicyAttributeDescriptions"]}
    assert (attributes["Protocol-TLSv1.2"], attributes["Protocol-TLSv1.1"]) == ("true", "false")
    assert (attributes["AES128-GCM-SHA256"], attributes["AES128-SHA"]) == ("true", "false")
    assert described(elb)[443]["PolicyNames"] == ["strict"]
    strict = NAMED | {"PolicyName": "strict"}
    assert refusal(elb.delete_load_balancer_policy, **strict) == "InvalidConfigurationRequest"
    elb.delete_load_balancer_listeners(**NAMED, LoadBalancerPorts=[443])
    elb.delete_load_balancer_policy(**strict)


@pytest.mark.parametrize(
    ("port", "names", "code"),
    [
        (443, ["none"], "PolicyNotFound"),
        (8443, ["ELBSecurityPolicy-2016-08"], "ListenerNotFound"),
        (80, ["ELBSecurityPolicy-2016-08"], "InvalidConfigurationRequest"),
        (443, ["ELBSecurityPolicy-2016-08", "other"], "InvalidConfigurationRequest"),
    ],
)
def test_policy_assignment_refused(elb: Any, account: BalancedAccount, port: int, names: list[str], code: str) -> None:
    """A listener takes one security policy of its load balancer, and only if it terminates TLS."""
    create(elb, https(account.acm_certificate()), HTTP)
    elb.create_load_balancer_policy(**NAMED, PolicyName="other", PolicyTypeName="SSLNegotiationPolicyType")
    request = NAMED | {"LoadBalancerPort": port, "PolicyNames": names}
    assert refusal(elb.set_load_balancer_policies_of_listener, **request) == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"PolicyTypeName": "NoSuchType"}, "PolicyTypeNotFound"),
        ({"PolicyAttributes": [{"AttributeName": "Reference-Security-Policy", "AttributeValue": "none"}]},
         "InvalidConfigurationRequest"),
        ({"LoadBalancerName": "none"}, "LoadBalancerNotFound"),
    ],
)  # fmt: skip
def test_policy_refused(elb: Any, changes: dict[str, Any], code: str) -> None:
    """A policy of an unknown type, or that refers to an unknown predefined policy, is refused."""
    create(elb, HTTP)
    request = NAMED | {"PolicyName": "a", "PolicyTypeName": "SSLNegotiationPolicyType"} | changes
    assert refusal(elb.create_load_balancer_policy, **request) == code


def test_predefined_policies(elb: Any) -> None:
    """Without a load balancer the predefined policies are described, and an unknown name is refused."""
    names = {item["PolicyName"] for item in elb.describe_load_balancer_policies()["PolicyDescriptions"]}
    assert {"ELBSecurityPolicy-2016-08", "ELBSecurityPolicy-TLS-1-2-2017-01"} <= names
    assert refusal(elb.describe_load_balancer_policies, PolicyNames=["none"]) == "PolicyNotFound"


def test_describe(elb: Any) -> None:
    """Describing pages through all load balancers and refuses unknown names and pages of more than 400."""
    for number in range(5):
        create(elb, HTTP, LoadBalancerName=f"web-{number}")
    pages = list(elb.get_paginator("describe_load_balancers").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["LoadBalancerDescriptions"]) for page in pages] == [2, 2, 1]
    assert refusal(elb.describe_load_balancers, LoadBalancerNames=["none"]) == "LoadBalancerNotFound"
    assert refusal(elb.describe_load_balancers, PageSize=401) == "ValidationError"


def test_tags(elb: Any) -> None:
    """Tags are added and removed by name; at most 20 load balancers are described and 50 tags kept."""
    create(elb, HTTP, Tags=[{"Key": "owner", "Value": "shop"}])
    names = {"LoadBalancerNames": ["web"]}
    elb.add_tags(**names, Tags=[{"Key": "tier", "Value": "1"}])
    elb.remove_tags(**names, Tags=[{"Key": "owner"}])
    assert elb.describe_tags(**names)["TagDescriptions"][0]["Tags"] == [{"Key": "tier", "Value": "1"}]
    assert refusal(elb.describe_tags, LoadBalancerNames=["web"] * 21) == "ValidationError"
    assert refusal(elb.add_tags, LoadBalancerNames=["none"], Tags=[{"Key": "a"}]) == "LoadBalancerNotFound"
    many = [{"Key": f"k{number}", "Value": ""} for number in range(51)]
    assert refusal(elb.add_tags, **names, Tags=many) == "TooManyTags"
