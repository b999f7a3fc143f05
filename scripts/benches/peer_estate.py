"""The estate on which the peers were measured: N ACM certificates, 20 load balancers with one default and two SNI
certificates each, 10 API domains and 20 IAM certificates, in one region.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from benches import fleet
from certificates import build, pem
from local_cloud.cloud import Cloud

BALANCERS, DOMAINS, SERVER_CERTIFICATES = 20, 10, 20
EACH = 3  # certificates of a listener
POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


def build_in(cloud: Cloud, certificates: int) -> None:
    """Make it in an empty local cloud."""
    arns = fleet.seed(cloud, _entries(certificates))
    for number in range(BALANCERS):
        _balancer(cloud, f"web{number}", arns[EACH * number : EACH * (number + 1)])
    _domains(cloud, arns[EACH * BALANCERS :])
    _server_certificates(cloud)


def _entries(certificates: int) -> Iterator[Mapping[str, Any]]:
    """Issued by Amazon, so that every peer's check looks at them all."""
    now = datetime.now(UTC).replace(microsecond=0)
    for number in range(certificates):
        yield {"pem": fleet.pem_of(fleet.certificate(number, now)), "type": "AMAZON_ISSUED"}


def _balancer(cloud: Cloud, name: str, arns: Sequence[str]) -> None:
    client = cloud.client("elbv2")
    balancer = client.create_load_balancer(Name=name, Subnets=["subnet-11111111", "subnet-22222222"])
    group = client.create_target_group(Name=f"{name}-group", Protocol="HTTP", Port=80, VpcId="vpc-1")
    listener = client.create_listener(
        LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTPS",
        Port=443,
        SslPolicy=POLICY,
        Certificates=[{"CertificateArn": arns[0]}],
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroups"][0]["TargetGroupArn"]}],
    )["Listeners"][0]["ListenerArn"]
    for arn in arns[1:]:
        client.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": arn}])


def _domains(cloud: Cloud, arns: Sequence[str]) -> None:
    client = cloud.client("apigateway")
    for number in range(DOMAINS):
        client.create_domain_name(
            domainName=f"api{number}.example.com",
            regionalCertificateArn=arns[number],
            endpointConfiguration={"types": ["REGIONAL"]},
            securityPolicy="TLS_1_2",
        )


def _server_certificates(cloud: Cloud) -> None:
    client = cloud.client("iam")
    begin = datetime.now(UTC).replace(microsecond=0)
    for number in range(SERVER_CERTIFICATES):
        leaf = build(
            f"classic{number}.example.com", not_before=begin, not_after=begin + 90 * fleet.DAY, issuer=fleet.authority()
        )
        client.upload_server_certificate(
            ServerCertificateName=f"classic{number}",
            CertificateBody=leaf.pem,
            PrivateKey=leaf.key_pem,
            CertificateChain=pem(fleet.authority()),
        )
