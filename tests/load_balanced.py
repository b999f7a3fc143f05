"""An account whose load balancers serve certificates of ACM and IAM: fakes that know each other, on one clock.

aws = LoadBalanced()
arn = aws.imported(bundle(1), managed="shop")
aws.clients("elbv2").modify_listener(…)
aws.material(arn)                         # what ACM or IAM holds under an ARN, key included
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from bundles import bundle
from local_cloud.fakes.acm import Acm
from local_cloud.fakes.elb import ClassicElb
from local_cloud.fakes.elbv2 import Elbv2
from local_cloud.fakes.iam_server_certificates import IamServerCertificates
from local_cloud.fakes.load_balancer_certificates import refusal_by
from local_cloud.fakes.loopback import ACCOUNT, REGION, client, here
from local_cloud.fakes.references import References
from local_cloud.fakes.wire import HttpRequest, Response
from perennial.certificate import ders, parse
from perennial.targets.interface import Bundle, Reach
from target_conformance import Served, public

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OK = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]
ZONE = f"{REGION}a"


class _Current:
    """Hands requests to the fake of the account that was asked for a client last: clients are slow to make."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.fake: Any = None

    def handle(self, request: HttpRequest) -> Response:
        answer: Response = self.fake.handle(request)
        return answer


@cache
def _client(service: str) -> tuple[_Current, Any]:
    current = _Current(service)
    return current, client(current, validate=True)


class KeepingIam(IamServerCertificates):
    """IAM that lets a test see the keys which it holds."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.private_keys: dict[str, str] = {}

    def upload_server_certificate(self, state: Any, request: dict[str, Any]) -> dict[str, Any]:
        answer = super().upload_server_certificate(state, request)
        self.private_keys[request["ServerCertificateName"]] = request["PrivateKey"]
        return answer


class LoadBalanced:
    """See the module's docstring. `seen_after`: seconds until anyone finds what was uploaded to IAM."""

    def __init__(self, *, seen_after: float = 0) -> None:
        self.now = NOW
        self.registry = References()
        self.unseen: set[str] = set()  # ARNs that load balancers do not find
        common: dict[str, Any] = {"where": here, "clock": lambda: self.now}
        self.acm = Acm(**common, users=self.registry)
        self.iam = KeepingIam(**common, users=self.registry.users, seen_after=seen_after)
        attaching = {"certificate_refusal": self._refusal, "registry": self.registry}
        self.elbv2 = Elbv2(**common, **attaching)
        self.elb = ClassicElb(**common, **attaching)
        self._found = refusal_by(self.fakes().__getitem__)

    def fakes(self) -> dict[str, Any]:
        return {"acm": self.acm, "iam": self.iam, "elbv2": self.elbv2, "elb": self.elb}

    def _refusal(self, account: str, region: str, arn: str) -> str | None:
        return "CertificateNotFound" if arn in self.unseen else self._found(account, region, arn)

    def clients(self, service: str, region: str | None = None) -> Any:
        """A client of this account."""
        assert region in (None, REGION)
        current, made = _client(service)
        current.fake = self.fakes()[service]
        return made

    @property
    def reach(self) -> Reach:
        return Reach(account=ACCOUNT, region=REGION, clients=self.clients)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # --- certificates ---

    def imported(self, version: Bundle, *, managed: str = "") -> str:
        """The ARN of a version newly imported into ACM, tagged for a managed certificate."""
        tags = {"Tags": [{"Key": "perennial:managed", "Value": managed}]} if managed else {}
        answer = self.clients("acm").import_certificate(
            Certificate=version.certificate_pem.encode(),
            PrivateKey=version.private_key.encode(),
            CertificateChain=version.chain_pem.encode(),
            **tags,
        )
        return str(answer["CertificateArn"])

    def uploaded(self, version: Bundle, name: str, path: str = "/") -> str:
        """The ARN of a version newly uploaded to IAM."""
        answer = self.clients("iam").upload_server_certificate(
            ServerCertificateName=name,
            Path=path,
            CertificateBody=version.certificate_pem,
            PrivateKey=version.private_key,
            CertificateChain=version.chain_pem,
        )
        return str(answer["ServerCertificateMetadata"]["Arn"])

    def material(self, arn: str) -> Served:
        """What ACM or IAM holds under an ARN."""
        if ":iam:" in arn:
            name = arn.rsplit("/", 1)[-1]
            held = self.iam.state(ACCOUNT, REGION).certificates[name]
            return _served(ders(held.body)[0], ders(held.chain or ""), self.iam.private_keys[name])
        found = self.acm.state(ACCOUNT, REGION).certificates[arn]
        assert found.der is not None
        assert found.private_key is not None
        return _served(found.der, found.chain, found.private_key.decode())

    def copies(self, version: Bundle) -> int:
        """How many copies of a version ACM and IAM hold."""
        in_acm = [each.der for each in self.acm.state(ACCOUNT, REGION).certificates.values()]
        in_iam = [ders(each.body)[0] for each in self.iam.state(ACCOUNT, REGION).certificates.values()]
        return [*in_acm, *in_iam].count(version.certificate.der)

    # --- load balancers ---

    def balancer(self, name: str = "web", kind: str = "application") -> str:
        """The ARN of a new Application or Network Load Balancer."""
        made = self.clients("elbv2").create_load_balancer(Name=name, Type=kind, Subnets=["subnet-a", "subnet-b"])
        return str(made["LoadBalancers"][0]["LoadBalancerArn"])

    def listener(self, balancer: str, certificate: str, **changes: Any) -> str:
        """The ARN of a new listener, by default HTTPS on port 443."""
        request = {"Protocol": "HTTPS", "Port": 443, "DefaultActions": OK} | changes
        if certificate:
            request["Certificates"] = [{"CertificateArn": certificate}]
        made = self.clients("elbv2").create_listener(LoadBalancerArn=balancer, **request)
        return str(made["Listeners"][0]["ListenerArn"])

    def tls_listener(self, balancer: str, certificate: str, port: int = 443) -> str:
        """The ARN of a new TLS listener of a Network Load Balancer."""
        group = self.clients("elbv2").create_target_group(Name=f"web-{port}", Protocol="TCP", Port=80)
        forward = [{"Type": "forward", "TargetGroupArn": group["TargetGroups"][0]["TargetGroupArn"]}]
        return self.listener(balancer, certificate, Protocol="TLS", Port=port, DefaultActions=forward)

    def add(self, listener: str, certificate: str) -> None:
        """Puts a certificate on a listener's list."""
        self.clients("elbv2").add_listener_certificates(
            ListenerArn=listener, Certificates=[{"CertificateArn": certificate}]
        )

    def take_off(self, listener: str, certificate: str) -> None:
        """Takes a certificate off a listener's list."""
        self.clients("elbv2").remove_listener_certificates(
            ListenerArn=listener, Certificates=[{"CertificateArn": certificate}]
        )

    def default(self, listener: str) -> str:
        """The ARN of a listener's default certificate."""
        return str(self.elbv2.state(ACCOUNT, REGION).listener(listener).default)

    def listed(self, listener: str) -> list[str]:
        """A listener's list, as its backend has it."""
        return list(self.elbv2.state(ACCOUNT, REGION).listener(listener).more)

    def classic(self, certificate: str, name: str = "web", **changes: Any) -> None:
        """A new Classic Load Balancer with an HTTPS listener."""
        listener = {"Protocol": "HTTPS", "LoadBalancerPort": 443, "InstancePort": 80, "SSLCertificateId": certificate}
        listener |= changes
        self.clients("elb").create_load_balancer(
            LoadBalancerName=name,
            Listeners=[{key: value for key, value in listener.items() if value is not None}],
            AvailabilityZones=[ZONE],
        )

    def classic_certificate(self, port: int = 443, name: str = "web") -> str:
        """The ARN that a listener of a Classic Load Balancer refers to."""
        return str(self.elb.state(ACCOUNT, REGION).load_balancers[name].listeners[port].certificate)


def _served(leaf: bytes, chain: Any, private_pem: str) -> Served:
    above = tuple(parse(der).fingerprint or "" for der in chain)
    return Served(parse(leaf).fingerprint or "", public(private_pem), above)


def stranger(number: int = 9, **more: Any) -> Bundle:
    """A certificate of somebody else."""
    return bundle(number, names=(f"other-{number}.example.com",), managed="other", **more)
