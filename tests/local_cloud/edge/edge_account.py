"""An account whose load balancers, domains and distributions have an edge, all in this process; and clients of it."""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from ministack import app
from ministack.core.responses import request_scope

from certificates import Built, build
from local_cloud import in_process
from local_cloud.edge.paths import Edge, Row
from local_cloud.edge.store import Store
from local_cloud.fakes.acm import Acm
from local_cloud.fakes.elb import ClassicElb
from local_cloud.fakes.elbv2 import Elbv2
from local_cloud.fakes.iam_server_certificates import IamServerCertificates
from local_cloud.fakes.load_balancer_certificates import refusal_by
from local_cloud.fakes.loopback import here
from local_cloud.fakes.references import References
from perennial.handshake import chain_as_sent

REGION = "us-east-1"  # that of CloudFront's certificates
POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
OK = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]
DAY = timedelta(days=1)
_numbers = itertools.count(1)


@cache
def now() -> datetime:
    """When the tests began."""
    return datetime.now(UTC).replace(microsecond=0)


@cache
def root() -> Built:
    """The CA of most certificates here."""
    return build("Edge Test Root", ca=True, not_before=now() - 100 * DAY, not_after=now() + 1000 * DAY)


def leaf(name: str, days: float = 60, **options: Any) -> Built:
    """A certificate of `root` that ends in `days` and began 90 days before that, or at `not_before`."""
    end = now() + days * DAY
    return build(name, **{"not_before": end - 90 * DAY, "not_after": end, "issuer": root()} | options)


class Account:
    """Fakes of ACM, IAM and both kinds of load balancers; API Gateway, CloudFront and Route 53 are ministack's.

    Every account has a number of its own, as ministack's services are shared by all tests of the process.
    """

    def __init__(self) -> None:
        self.where = (f"{next(_numbers):012}", REGION)
        registry = References()
        own: dict[str, Any] = {"where": here}
        acm, iam = Acm(users=registry, **own), IamServerCertificates(users=registry.users, **own)
        refusal = refusal_by({"acm": acm, "iam": iam}.__getitem__)
        balancers = [kind(certificate_refusal=refusal, registry=registry, **own) for kind in (Elbv2, ClassicElb)]
        self.store = Store((acm, iam, *balancers), app.SERVICE_HANDLERS, request_scope)
        self.edge = Edge(self.store)

    def ask(self, service: str, operation: str, **request: Any) -> Any:
        """The answer of an operation, in this account."""
        answer = self.store.ask(service, operation, self.where, **request)
        assert answer is not None, f"{operation} does not find {request}"
        return answer

    # --- certificates ---

    def imported(self, built: Built, chain: str | None = None, arn: str | None = None) -> str:
        """The ARN of a certificate in ACM, imported over the one of `arn` where that is given."""
        request = {"Certificate": built.pem.encode(), "PrivateKey": built.key_pem.encode()}
        request["CertificateChain"] = (root().pem if chain is None else chain).encode()
        if not request["CertificateChain"]:
            del request["CertificateChain"]
        return str(self.ask("acm", "ImportCertificate", **request, **({"CertificateArn": arn} if arn else {}))[
            "CertificateArn"
        ])  # fmt: skip

    def uploaded(self, built: Built, name: str) -> str:
        """The ARN of a server certificate in IAM."""
        request = {"ServerCertificateName": name, "CertificateBody": built.pem, "PrivateKey": built.key_pem}
        answer = self.ask("iam", "UploadServerCertificate", **request, CertificateChain=root().pem)
        return str(answer["ServerCertificateMetadata"]["Arn"])

    # --- places ---

    def balancer(self, name: str = "web", kind: str = "application") -> dict[str, Any]:
        """A new load balancer."""
        request = {"Name": name, "Type": kind, "Subnets": ["subnet-a", "subnet-b"]}
        return dict(self.ask("elbv2", "CreateLoadBalancer", **request)["LoadBalancers"][0])

    def listener(self, certificate: str, **changes: Any) -> str:
        """The ARN of an HTTPS listener, on port 443 of a new load balancer if nothing else is said."""
        owner = changes.pop("owner", None) or self.balancer()["LoadBalancerArn"]
        request = {"LoadBalancerArn": owner, "Protocol": "HTTPS", "Port": 443, "SslPolicy": POLICY} | changes
        certificates = [{"CertificateArn": certificate}]
        actions = OK if request["Protocol"] == "HTTPS" else self._forward()
        made = self.ask("elbv2", "CreateListener", **request, Certificates=certificates, DefaultActions=actions)
        return str(made["Listeners"][0]["ListenerArn"])

    def _forward(self) -> list[dict[str, str]]:
        """The only action that a Network Load Balancer takes."""
        group = self.ask("elbv2", "CreateTargetGroup", Name="net", Protocol="TCP", Port=80, VpcId="vpc-1")
        return [{"Type": "forward", "TargetGroupArn": group["TargetGroups"][0]["TargetGroupArn"]}]

    def classic(self, certificate: str, name: str = "old", port: int = 443) -> str:
        """The DNS name of a new Classic Load Balancer with one TLS listener."""
        listener = {"Protocol": "SSL", "LoadBalancerPort": port, "InstancePort": 80, "SSLCertificateId": certificate}
        request = {"LoadBalancerName": name, "Listeners": [listener], "AvailabilityZones": ["us-east-1a"]}
        return str(self.ask("elb", "CreateLoadBalancer", **request)["DNSName"])

    def domain(self, name: str, certificate: str) -> dict[str, Any]:
        """A new regional custom domain of API Gateway."""
        request = {"regionalCertificateArn": certificate, "endpointConfiguration": {"types": ["REGIONAL"]}}
        return dict(self.ask("apigateway", "CreateDomainName", domainName=name, **request))

    def move_domain(self, name: str, certificate: str) -> None:
        """Let a custom domain show another certificate."""
        client = in_process.client("apigatewayv2", app.SERVICE_HANDLERS["apigateway"], account="1", region=REGION)
        shown = [{"CertificateArn": certificate, "EndpointType": "REGIONAL"}]
        with request_scope(*self.where):
            client.update_domain_name(DomainName=name, DomainNameConfigurations=shown)

    def distribution(self, certificate: str, *aliases: str) -> dict[str, Any]:
        """A new distribution; `certificate` is an ARN of ACM or an id of IAM."""
        answer = self.ask("cloudfront", "CreateDistribution", DistributionConfig=distribution(certificate, *aliases))
        return dict(answer["Distribution"])

    def move_distribution(self, identifier: str, **changes: Any) -> None:
        """Change a distribution's configuration."""
        told = self.ask("cloudfront", "GetDistributionConfig", Id=identifier)
        config = told["DistributionConfig"] | changes
        self.ask("cloudfront", "UpdateDistribution", Id=identifier, IfMatch=told["ETag"], DistributionConfig=config)

    # --- names ---

    def zone(self, name: str) -> str:
        """The id of a new hosted zone."""
        answer = self.ask("route53", "CreateHostedZone", Name=name, CallerReference=f"{self.where[0]} {name}")
        return str(answer["HostedZone"]["Id"])

    def record(self, zone: str, name: str, kind: str, target: str, *, alias: bool = False) -> None:
        """A record in a hosted zone."""
        value: dict[str, Any] = {"TTL": 60, "ResourceRecords": [{"Value": target}]}
        if alias:
            value = {"AliasTarget": {"HostedZoneId": "Z1", "DNSName": target, "EvaluateTargetHealth": False}}
        change = {"Action": "UPSERT", "ResourceRecordSet": {"Name": name, "Type": kind, **value}}
        self.ask("route53", "ChangeResourceRecordSets", HostedZoneId=zone, ChangeBatch={"Changes": [change]})

    # --- what the edge shows ---

    def servers(self, host: str, port: int = 443) -> list[tuple[str, int]]:
        """The servers of a host that the edge knows."""
        found = self.edge.resolve(host, port)
        assert found is not None, f"the edge does not know {host}"
        return found

    def shown(self, host: str, port: int = 443, name: str | None = None, index: int = 0) -> bytes:
        """The leaf, in DER, that one server of a host shows for a name."""
        return shake(*self.servers(host, port)[index], name or host)[0]

    def misbehave(self, place: str, kind: str, **order: Any) -> list[Row]:
        """Tell the edge to let a place behave in another way."""
        return self.edge.misbehave({"place": place, "behaviour": kind, **order})

    def rows(self) -> list[Row]:
        """What the edge lists of this account."""
        return [row for row in self.edge.rows() if row["account"] == self.where[0]]


def distribution(certificate: str, *aliases: str) -> dict[str, Any]:
    """The configuration of a distribution."""
    origin = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}
    by = {"ACMCertificateArn" if certificate.startswith("arn:") else "IAMCertificateId": certificate}
    return {
        "CallerReference": f"edge {next(_numbers)}",
        "Comment": "",
        "Enabled": True,
        "Aliases": {"Quantity": len(aliases), "Items": list(aliases)},
        "Origins": {
            "Quantity": 1,
            "Items": [{"Id": "o", "DomainName": "o.example.com", "CustomOriginConfig": origin}],
        },
        "DefaultCacheBehavior": {
            "TargetOriginId": "o",
            "ViewerProtocolPolicy": "https-only",
            "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6",
        },
        "ViewerCertificate": {**by, "SSLSupportMethod": "sni-only", "MinimumProtocolVersion": "TLSv1.2_2021"},
    }


def client(**changes: Any) -> ssl.SSLContext:
    """The context of a client that looks and does not trust; `changes` are attributes, `ciphers` those before 1.3."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_ciphers(changes.pop("ciphers", "ALL:@SECLEVEL=0"))
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def shake(
    address: str, port: int, name: str | None, context: ssl.SSLContext | None = None, seconds: float = 10
) -> tuple[bytes, ...]:
    """The chain that a server shows for a name, in DER. Raises: OSError, as which `ssl` reports what goes wrong too."""
    with (
        socket.create_connection((address, port), seconds) as plain,
        (context or client()).wrap_socket(plain, server_hostname=name) as tls,
    ):
        return chain_as_sent(tls)


@dataclass
class Visitor:
    """Someone who connects to a place all the time, and what was shown and went wrong, in order."""

    visit: Callable[[], bytes]
    shown: list[bytes] = field(default_factory=list)
    failed: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Visitor:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._visit)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for(self, visits: int) -> None:
        """Wait for so many more visits."""
        end = len(self.shown) + len(self.failed) + visits
        while len(self.shown) + len(self.failed) < end:
            self._stop.wait(0.005)

    def _visit(self) -> None:
        while not self._stop.is_set():
            try:
                self.shown.append(self.visit())
            except OSError as error:
                self.failed.append(error)
