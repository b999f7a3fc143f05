"""An account with certificates in ACM and IAM, for the tests of what serves them."""

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from certificates import NOW, build
from local_cloud.fakes.acm import Acm
from local_cloud.fakes.elbv2 import Elbv2
from local_cloud.fakes.iam_server_certificates import IamServerCertificates
from local_cloud.fakes.load_balancer_certificates import Refusal, refusal_by
from local_cloud.fakes.loopback import ACCOUNT, REGION, client, here
from local_cloud.fakes.references import References
from local_cloud.fakes.service import LOCK

ROOT = build("Example Root", ca=True)
LEAF = build("www.example.com", issuer=ROOT)
OK = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]


def others_go_on() -> bool:
    """Whether another thread can take the lock of the fakes."""
    taken = threading.Event()

    def take() -> None:
        with LOCK:
            taken.set()

    threading.Thread(target=take, daemon=True).start()
    return taken.wait(5)


@dataclass
class MemoryBundles:
    """S3 for trust stores: objects by (bucket, key, version), and what was handed out by name. As that is in the same
    process, whose event loop may wait for the lock, nobody may ask it who has the lock."""

    objects: dict[tuple[str, str, str | None], bytes] = field(default_factory=dict)
    handed_out: dict[str, bytes] = field(default_factory=dict)

    def read(self, account: str, region: str, bucket: str, key: str, version: str | None) -> bytes | None:
        assert others_go_on()
        return self.objects.get((bucket, key, version))

    def location(self, name: str, bundle: bytes) -> str:
        assert others_go_on()
        self.handed_out[name] = bundle
        return f"https://s3.test/{name}"


class BalancedAccount:
    """The fakes of ACM and IAM, which share a registry of who uses a certificate, and clients of both."""

    def __init__(self) -> None:
        self.registry = References()
        self.bundles = MemoryBundles()
        self._fakes: dict[str, Any] = {
            "acm": Acm(where=here, clock=lambda: NOW, users=self.registry),
            "iam": IamServerCertificates(where=here, clock=lambda: NOW, users=self.registry.users),
        }
        self.acm = client(self._fakes["acm"])
        self.iam = client(self._fakes["iam"])

    def elbv2(self, region: str = REGION) -> Any:
        """A client of Application and Network Load Balancers, in this account and a region."""
        fake = Elbv2(
            where=lambda: (ACCOUNT, region),
            clock=lambda: NOW,
            certificate_refusal=self.refusal,
            bundles=self.bundles,
            registry=self.registry,
        )
        return client(fake, region, validate=False)

    @property
    def refusal(self) -> Refusal:
        return refusal_by(self._fakes.__getitem__)

    def acm_certificate(self) -> str:
        """The ARN of a certificate newly imported into ACM."""
        imported = self.acm.import_certificate(
            Certificate=LEAF.pem.encode(), PrivateKey=LEAF.key_pem.encode(), CertificateChain=ROOT.pem.encode()
        )
        return str(imported["CertificateArn"])

    def acme_certificate(self) -> str:
        """The ARN of a certificate that ACM issued to an ACME client."""
        endpoint = f"arn:aws:acm:{REGION}:{ACCOUNT}:acme-endpoint/a"
        seeded = {"pem": LEAF.pem, "type": "AMAZON_ISSUED", "acme_endpoint_arn": endpoint}
        return str(self._fakes["acm"].admin_seed([seeded])["arns"][0])

    def iam_certificate(self, name: str = "www") -> str:
        """The ARN of a server certificate newly uploaded to IAM."""
        uploaded = self.iam.upload_server_certificate(
            ServerCertificateName=name, CertificateBody=LEAF.pem, PrivateKey=LEAF.key_pem
        )
        return str(uploaded["ServerCertificateMetadata"]["Arn"])

    def users(self, acm_arn: str) -> list[str]:
        """What ACM says uses a certificate."""
        return list(self.acm.describe_certificate(CertificateArn=acm_arn)["Certificate"]["InUseBy"])


def load_balancer(elb: Any, name: str = "web", **changes: Any) -> Any:
    """The ARN of a new load balancer, by default an Application Load Balancer with two subnets."""
    made = elb.create_load_balancer(**{"Name": name, "Subnets": ["subnet-a", "subnet-b"]} | changes)
    return made["LoadBalancers"][0]["LoadBalancerArn"]


def listener(elb: Any, owner: str, certificate: str | None = None, **changes: Any) -> Any:
    """The ARN of a new listener of a load balancer, by default HTTPS on port 443."""
    request = {"LoadBalancerArn": owner, "Protocol": "HTTPS", "Port": 443, "DefaultActions": OK} | changes
    if certificate:
        request["Certificates"] = [{"CertificateArn": certificate}]
    return elb.create_listener(**request)["Listeners"][0]["ListenerArn"]


def refusal(call: Any, *arguments: Any, **request: Any) -> Any:
    """The code of the error that a call must end in."""
    with pytest.raises(ClientError) as error:
        call(*arguments, **request)
    return error.value.response["Error"]["Code"]
