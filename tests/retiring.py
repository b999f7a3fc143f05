"""A hub that deploys versions to real kinds of targets in two accounts, and retires them: fakes of ACM, IAM and load
balancers that know each other, moto for the rest.

with retiring_hub() as hub:
    hub.deploy(1); hub.deploy(2)
    assert hub.retire(1) == []
    hub.copies(hub.versions[1])      # where copies of it are still
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import pytest
from moto.core.config import default_user_config

from bundles import authorities, bundle
from estate import HUB, REGION
from load_balanced import OK
from local_cloud.fakes.acm import Acm
from local_cloud.fakes.elb import ClassicElb
from local_cloud.fakes.elbv2 import Elbv2
from local_cloud.fakes.iam_server_certificates import IamServerCertificates
from local_cloud.fakes.load_balancer_certificates import refusal_by
from local_cloud.fakes.loopback import client
from local_cloud.fakes.references import References
from local_cloud.fakes.wire import HttpRequest, Response
from perennial import retirement, rollout_request, targets
from perennial.certificate import ders
from perennial.deployment import Deployment
from perennial.target_settings import Declared
from perennial.targets.interface import Bundle, TargetSettings
from rolling import ASKED_BY, CONFIGURATION, MANAGED, RollingHub, rolling_hub
from strict_secrets import strict_secrets

MEMBER = "222222222222"
SECRET = f"perennial/certificates/{MANAGED}"
KINDS = ["elb", "elbv2", "iam"]
_NAMES, _KIND = targets.names, targets.kind  # as they are before a scripted kind takes their place
_FAKED = ("acm", "iam", "elb", "elbv2")


class _Current:
    """Hands requests to the fake of the latest hub: clients are slow to make."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.fake: Any = None

    def handle(self, request: HttpRequest) -> Response:
        answer: Response = self.fake.handle(request)
        return answer


@cache
def _client(service: str, account: str, region: str) -> tuple[_Current, Any]:
    current = _Current(service)
    return current, client(current, region)


class Account:
    """The load balancers of an account in one region, and the certificates that they serve."""

    def __init__(self, number: str, hub: RollingHub) -> None:
        self.number = number
        self.registry = References()
        common: dict[str, Any] = {"where": lambda: (number, REGION), "clock": lambda: hub.now}
        users, attaching = self.registry.users, {"registry": self.registry}
        self.acm = Acm(**common, users=self.registry)
        self.iam = IamServerCertificates(**common, users=lambda *asked: [] if self.detached else users(*asked))
        self.detached = False  # Elastic Load Balancing tells IAM of nothing
        found = refusal_by(lambda name: self.fakes[name])
        self.elb = ClassicElb(**common, **attaching, certificate_refusal=found)
        self.elbv2 = Elbv2(**common, **attaching, certificate_refusal=found)
        self.fakes: dict[str, Any] = {"acm": self.acm, "iam": self.iam, "elb": self.elb, "elbv2": self.elbv2}

    def clients(self, service: str, region: str | None = None) -> Any:
        current, made = _client(service, self.number, region or REGION)
        current.fake = self.fakes[service]
        return made

    def imported(self, version: Bundle, **tags: str) -> str:
        """The ARN of a copy in ACM that somebody else makes."""
        more = {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]} if tags else {}
        made = self.clients("acm").import_certificate(
            Certificate=version.certificate_pem,
            PrivateKey=version.private_key,
            CertificateChain=version.chain_pem,
            **more,
        )
        return str(made["CertificateArn"])

    def uploaded(self, version: Bundle, name: str, **tags: str) -> str:
        """The ARN of a copy in IAM that somebody else makes."""
        made = self.clients("iam").upload_server_certificate(
            ServerCertificateName=name,
            CertificateBody=version.certificate_pem,
            PrivateKey=version.private_key,
            CertificateChain=version.chain_pem,
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
        return str(made["ServerCertificateMetadata"]["Arn"])

    def classic(self, name: str, certificate: str) -> None:
        """A Classic Load Balancer with an HTTPS listener."""
        listener = {"Protocol": "HTTPS", "LoadBalancerPort": 443, "InstancePort": 80, "SSLCertificateId": certificate}
        self.clients("elb").create_load_balancer(
            LoadBalancerName=name, Listeners=[listener], AvailabilityZones=[f"{REGION}a"]
        )

    def listener(self, name: str, certificate: str) -> str:
        """The ARN of an HTTPS listener of a new Application Load Balancer."""
        elbv2 = self.clients("elbv2")
        made = elbv2.create_load_balancer(Name=name, Type="application", Subnets=["subnet-a", "subnet-b"])
        arn = made["LoadBalancers"][0]["LoadBalancerArn"]
        found = elbv2.create_listener(
            LoadBalancerArn=arn,
            Protocol="HTTPS",
            Port=443,
            DefaultActions=OK,
            Certificates=[{"CertificateArn": certificate}],
        )
        return str(found["Listeners"][0]["ListenerArn"])

    def held(self) -> dict[str, bytes]:
        """ARN → DER of everything that ACM and IAM hold."""
        in_acm = {arn: each.der or b"" for arn, each in self.acm.state(self.number, REGION).certificates.items()}
        names = self.iam.state(self.number, REGION).certificates.values()
        return {**in_acm, **{each.arn: ders(each.body)[0] for each in names}}


@dataclass
class Reached:
    """Clients of an account, as `perennial.clients` has them; `rest` makes those of services that are not faked."""

    account: Account
    rest: Any = None
    region: str = REGION

    def __call__(self, service: str, region: str | None = None) -> Any:
        return self.account.clients(service, region) if service in _FAKED else self.rest(service, region)

    def at(self, region: str) -> Reached:
        return Reached(self.account, self.rest, region)

    def beside(self, *, once: bool = False) -> Reached:
        return self


class Reaching(Deployment):
    """A deployment whose other accounts are fakes too."""

    def clients_of(self, account: str, role_name: str) -> Any:
        found = self.__dict__["accounts"][account]
        return self.clients if account == HUB else Reached(found)


@dataclass
class RetiringHub:
    """See the module's docstring."""

    rolling: RollingHub
    accounts: dict[str, Account]
    declared: list[TargetSettings] = field(default_factory=list)

    @property
    def deployment(self) -> Deployment:
        return self.rolling.deployment

    @property
    def inventory(self) -> Any:
        return self.deployment.inventory

    @property
    def versions(self) -> dict[int, Bundle]:
        return self.rolling.versions

    @property
    def now(self) -> datetime:
        return self.rolling.now

    @property
    def here(self) -> Account:
        """The hub's own account."""
        return self.accounts[HUB]

    @property
    def member(self) -> Account:
        return self.accounts[MEMBER]

    def deploy(self, version: int) -> None:
        """Roll a version out to all declared targets."""
        declared = Declared(targets=tuple(self.declared))
        record = rollout_request.request(self.deployment, MANAGED, declared, ASKED_BY, self.now, version, source="cli")
        ended = self.rolling.run(record.reference)
        assert ended == "deployed", self.rolling.rollout(record.reference)

    def retire(self, version: int) -> list[str]:
        """As the function does, in a process of its own."""
        self.rolling.forget()
        return retirement.retire(self.deployment, MANAGED, version, self.now)

    def copies(self, version: Bundle) -> set[str]:
        """The ARNs of all copies, from the fakes' own state."""
        held = {arn: der for each in self.accounts.values() for arn, der in each.held().items()}
        return {arn for arn, der in held.items() if der == version.certificate.der}

    def labels(self) -> dict[str, list[str]]:
        """The labels of the secret's versions that have any."""
        told = self.deployment.clients("secretsmanager").describe_secret(SecretId=SECRET)
        return dict(told["VersionIdsToStages"])

    def declare(self, kind: str, name: str, account: str = "", **fields: str) -> None:
        self.declared.append(
            TargetSettings(kind=kind, name=name, managed=MANAGED, account=account, proof="read-back", fields=fields)
        )

    def everywhere(self) -> RetiringHub:
        """Declare a listener in each account, one of a Classic Load Balancer that is given copies in IAM, and IAM."""
        stranger = bundle(90, names=("other.example.com",), managed="other")
        for number, account in self.accounts.items():
            arn = account.listener("edge", account.imported(stranger))
            self.declare("elbv2", f"edge-{number}", "" if number == HUB else number, listener=arn, slot="default")
        self.here.classic("old", self.here.uploaded(stranger, "other"))
        self.declare("elb", "old", load_balancer="old", port="443", store="iam")
        self.declare("iam", "iam", name_prefix="shop", path="/perennial/")
        return self


@contextmanager
def retiring_hub(numbers: tuple[int, ...] = (3,)) -> Iterator[RetiringHub]:
    """A hub with issued versions 1, 2 and `numbers`, and nothing deployed."""
    with strict_secrets(), rolling_hub(earlier=False) as rolling, pytest.MonkeyPatch.context() as patched:
        patched.setitem(default_user_config["core"]["passthrough"], "services", list(_FAKED))  # moto lets them alone
        patched.setattr(targets, "names", _NAMES)
        patched.setattr(targets, "kind", _KIND)
        root, _ = authorities()
        text = CONFIGURATION.format(roots=json.dumps(root.pem), kinds=json.dumps(KINDS))
        before = rolling.deployment
        before.clients("s3").put_object(Bucket="manifests", Key="settings.toml", Body=text.encode())
        accounts = {each: Account(each, rolling) for each in (HUB, MEMBER)}
        deployment = Reaching(before.environment, rolling.estate.clock)
        reached: Any = Reached(accounts[HUB], before.clients)
        deployment.__dict__.update(clients=reached, account=HUB, accounts=accounts)
        rolling.estate.deployment = deployment
        for number in numbers:
            rolling.issue(number)
        yield RetiringHub(rolling, accounts)
