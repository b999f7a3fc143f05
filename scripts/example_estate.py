"""A realistic estate in the local cloud: two accounts, two regions, every source, every check violated at least once.

Certificates are made now and end in the coming weeks, so that nothing about time is faked. What AWS's own API cannot
make (expired imports, Amazon-issued certificates whose renewal failed) is planted through the fakes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from certificates import Built, build, pem
from local_cloud.cloud import HUB_ACCOUNT, MEMBER_ACCOUNT, REGION, Cloud
from tls_servers import tls_server

ACCOUNTS = (HUB_ACCOUNT, MEMBER_ACCOUNT)
REGIONS = (REGION, "us-east-1")
DAY = timedelta(days=1)
TEAMS = ("shop", "payments", "platform", "data", "mobile")
LISTENERS = 8  # TLS listeners in each account and region
PLAIN = 42  # healthy imported certificates in each account and region
STRONG, WEAK = "ELBSecurityPolicy-TLS13-1-2-2021-06", "ELBSecurityPolicy-TLS-1-0-2015-04"


@dataclass
class ExampleEstate:
    """The estate, as it was built: what of it tests and the demo refer to later."""

    cloud: Cloud
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    endpoints: list[str] = field(default_factory=list)
    attached_arn: str = ""  # an imported certificate behind a listener, re-imported by `change`
    attached_name: str = ""
    removed_arn: str = ""  # an unused certificate that `change` deletes
    certificates: int = 0
    _open: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Stop the TLS servers."""
        self._open.close()

    @property
    def root(self) -> Built:
        return self._authority("Example Corp Root CA")

    @property
    def issuing(self) -> Built:
        return self._authority("Example Corp Issuing CA", issuer=self.root)

    def _authority(self, name: str, **options: Any) -> Built:
        begin, end = self.now - 700 * DAY, self.now + 2_900 * DAY
        return build(name, ca=True, key="EC-384", not_before=begin, not_after=end, **options)

    def leaf(self, name: str, days: float = 60, lifetime: float = 90, **options: Any) -> Built:
        """A certificate that ends in `days`, counted."""
        self.certificates += 1
        end = self.now + days * DAY
        options.setdefault("issuer", self.issuing)
        return build(name, not_before=end - lifetime * DAY, not_after=end, **options)

    def build(self) -> Iterator[str]:
        """Build it all, telling what is being built."""
        for account in ACCOUNTS:
            for region in REGIONS:
                yield f"{account} {region}: ACM and load balancers"
                arns = self._healthy(account, region)
                self._load_balancers(account, region, arns)
        yield "certificates with something wrong"
        self._wrong_in_acm(*ACCOUNTS[:1], REGION)
        self._wrong_behind_listeners(MEMBER_ACCOUNT, REGION)
        yield "IAM, classic load balancers, CloudFront, API Gateway"
        self._iam_and_classic(HUB_ACCOUNT)
        self._cloudfront(HUB_ACCOUNT)
        self._api_gateway(MEMBER_ACCOUNT)
        yield "secrets, private CAs, trust stores, endpoints"
        self._secrets(HUB_ACCOUNT)
        self._authorities(MEMBER_ACCOUNT)
        self._trust_stores(HUB_ACCOUNT)
        self._serve()

    # --- ACM ---

    def _import(self, account: str, region: str, leaf: Built, chain: Sequence[Built] = (), **tags: str) -> str:
        request = {"Certificate": leaf.pem.encode(), "PrivateKey": leaf.key_pem.encode()}
        if chain:
            request["CertificateChain"] = pem(*chain).encode()
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        client = self.cloud.client("acm", account, region)
        return str(client.import_certificate(**request, **({"Tags": listed} if listed else {}))["CertificateArn"])

    def _plant(self, account: str, region: str, leaf: Built | None = None, **entry: Any) -> str:
        """Plant what the API cannot make; returns the ARN."""
        if leaf is not None:
            entry |= {"pem": leaf.pem, "private_key": leaf.key_pem}
        reply = self.cloud.open("/_fakes/acm/seed", [{"account": account, "region": region, **entry}])
        return str(json.load(reply)["arns"][0])

    def _healthy(self, account: str, region: str) -> list[str]:
        chain = (self.issuing, self.root)
        names = [f"app{number}.{region}.acct{account[0]}.example.com" for number in range(PLAIN)]
        return [
            self._import(account, region, self.leaf(name, 40 + number), chain, owner=TEAMS[number % len(TEAMS)])
            for number, name in enumerate(names)
        ]

    def _wrong_in_acm(self, account: str, region: str) -> None:
        chain = (self.issuing, self.root)
        old = self.now - 400 * DAY
        plant = [
            (self.leaf("expired.example.com", -3), {}),
            (self.leaf("imminent.example.com", 2, 200), {}),
            (self.leaf("soon.example.com", 10, 200), {}),
            (self.leaf("approaching.example.com", 25, 200), {}),
            (self.leaf("future.example.com", 95), {}),
            (self.leaf("weak-key.example.com", key="RSA-1024"), {}),
            (self.leaf("sha1.example.com", key="RSA-2048", signature_hash="sha1", issuer=self._weak_root()), {}),
            (self.leaf("no-names.example.com", names=None), {}),
            (self.leaf("stranger.example.org", issuer=self._authority("Someone Else's CA")), {}),
            (self.leaf("public-too-long.example.com", 300, 500), {"type": "AMAZON_ISSUED"}),
            (self.leaf("client-auth.example.com", eku=("serverAuth", "clientAuth")), {"type": "AMAZON_ISSUED"}),
            (
                self.leaf("stuck.example.com", 30, 198),
                {"type": "AMAZON_ISSUED", "renewal_status": "PENDING_VALIDATION"},
            ),
        ]
        for leaf, entry in plant:
            listener = f"arn:aws:elasticloadbalancing:{region}:{account}:listener/app/legacy/1/2"
            entry = {"tags": {"owner": "platform"}, "chain": pem(*chain), "in_use_by": [listener], **entry}
            self._plant(account, region, leaf, **entry)
        self._plant(
            account, region, domain_name="never-validated.example.com", type="AMAZON_ISSUED", created_at=str(old)
        )
        self._plant(account, region, self.leaf("nobody.example.com"), chain=pem(*chain), in_use_by=["arn:aws:x"])
        self.removed_arn = self._plant(account, region, self.leaf("forgotten.example.com"), chain=pem(*chain))
        self._import(account, region, self.leaf("*.wild.example.com"), chain, owner="platform")
        first = self.leaf("one-key.example.com")
        self._import(account, region, first, chain, owner="shop")
        self._import(account, "us-east-1", self.leaf("same-key.example.com", key=first.key), chain, owner="shop")

    def _weak_root(self) -> Built:
        begin, end = self.now - 700 * DAY, self.now + 700 * DAY
        return build("Example Old Root", ca=True, key="RSA-2048", not_before=begin, not_after=end)

    # --- load balancers ---

    def _load_balancers(self, account: str, region: str, arns: Sequence[str]) -> None:
        for number in range(0, LISTENERS, 2):
            kind = "network" if number == LISTENERS - 2 else "application"
            self._listener(account, region, f"web{number}", arns[3 * number : 3 * number + 3], kind=kind)

    def _listener(
        self,
        account: str,
        region: str,
        name: str,
        arns: Sequence[str],
        *,
        kind: str = "application",
        policy: str = STRONG,
    ) -> str:
        client = self.cloud.client("elbv2", account, region)
        made = client.create_load_balancer(Name=name, Type=kind, Subnets=self._subnets())
        protocol = "TLS" if kind == "network" else "HTTPS"
        group = client.create_target_group(
            Name=f"{name}-group", Protocol="TCP" if kind == "network" else "HTTP", Port=80, VpcId="vpc-1"
        )
        listener = client.create_listener(
            LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"],
            Protocol=protocol,
            Port=443,
            SslPolicy=policy,
            Certificates=[{"CertificateArn": arns[0]}],
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroups"][0]["TargetGroupArn"]}],
        )["Listeners"][0]["ListenerArn"]
        for arn in arns[1:]:
            client.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": arn}])
        return str(listener)

    @staticmethod
    def _subnets() -> list[str]:
        return ["subnet-11111111", "subnet-22222222"]

    def _wrong_behind_listeners(self, account: str, region: str) -> None:
        legacy = self._import(account, region, self.leaf("legacy.example.com"), (self.issuing, self.root), owner="data")
        self._listener(account, region, "legacy", [legacy], policy=WEAK)
        alone = self._import(account, region, self.leaf("no-chain.example.com"), owner="data")
        self._listener(account, region, "no-chain", [alone])
        itself = self._import(account, region, self.leaf("self-signed.example.com", issuer=None), owner="data")
        self._listener(account, region, "self-signed", [itself])
        self.attached_name = "reimported.example.com"
        self.attached_arn = self._import(
            account, region, self.leaf(self.attached_name, 20), (self.issuing, self.root), owner="shop"
        )
        self._listener(account, region, "reimported", [self.attached_arn])

    # --- the other places ---

    def _iam_and_classic(self, account: str) -> None:
        iam = self.cloud.client("iam", account)
        arns = []
        for number in range(6):
            leaf = self.leaf(f"classic{number}.example.com", 30 + 5 * number)
            reply = iam.upload_server_certificate(
                ServerCertificateName=f"classic{number}",
                CertificateBody=leaf.pem,
                PrivateKey=leaf.key_pem,
                CertificateChain=pem(self.issuing, self.root),
            )
            arns.append(reply["ServerCertificateMetadata"]["Arn"])
        self.cloud.client("elb", account, REGION).create_load_balancer(
            LoadBalancerName="classic",
            AvailabilityZones=[f"{REGION}a"],
            Listeners=[
                {
                    "Protocol": "HTTPS",
                    "LoadBalancerPort": 443,
                    "InstanceProtocol": "HTTP",
                    "InstancePort": 80,
                    "SSLCertificateId": arns[0],
                }
            ],
        )

    def _cloudfront(self, account: str) -> None:
        leaf = self.leaf("www.example.com", names=("www.example.com", "example.com"))
        arn = self._import(account, "us-east-1", leaf, (self.issuing, self.root), owner="shop")
        origin = {"Id": "o", "DomainName": "origin.example.com", "CustomOriginConfig": _ORIGIN}
        configuration = {
            "CallerReference": "example",
            "Comment": "the shop",
            "Enabled": True,
            "Aliases": {"Quantity": 2, "Items": ["www.example.com", "forgotten-alias.example.net"]},
            "Origins": {"Quantity": 1, "Items": [origin]},
            "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "redirect-to-https"},
            "ViewerCertificate": {
                "ACMCertificateArn": arn,
                "SSLSupportMethod": "sni-only",
                "MinimumProtocolVersion": "TLSv1.2_2021",
            },
        }
        self.cloud.client("cloudfront", account).create_distribution(DistributionConfig=configuration)

    def _api_gateway(self, account: str) -> None:
        for number in range(4):
            name = f"api{number}.example.com"
            arn = self._import(account, REGION, self.leaf(name, 50), (self.issuing, self.root), owner="mobile")
            if number % 2:
                configuration = {"CertificateArn": arn, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}
                client = self.cloud.client("apigatewayv2", account, REGION)
                client.create_domain_name(DomainName=name, DomainNameConfigurations=[configuration])
            else:
                self.cloud.client("apigateway", account, REGION).create_domain_name(
                    domainName=name,
                    regionalCertificateArn=arn,
                    endpointConfiguration={"types": ["REGIONAL"]},
                    securityPolicy="TLS_1_2",
                )

    def _secrets(self, account: str) -> None:
        client = self.cloud.client("secretsmanager", account, REGION)
        tag = [{"Key": "perennial:certificate", "Value": "yes"}, {"Key": "owner", "Value": "payments"}]
        for number in range(4):
            leaf = self.leaf(f"consumer{number}.example.com", 45)
            value = {"certificate": leaf.pem + self.issuing.pem, "private_key": leaf.key_pem}
            client.create_secret(Name=f"tls/consumer{number}", SecretString=json.dumps(value), Tags=tag)
        leaf = self.leaf("misordered.example.com", 45)
        value = {"certificate": pem(leaf, self.root, self.issuing), "private_key": leaf.key_pem}
        client.create_secret(Name="tls/misordered", SecretString=json.dumps(value), Tags=tag)
        client.create_secret(
            Name="tls/broken",
            SecretString="-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n",
            Tags=tag,
        )
        odd = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"not the ASN.1 of a list of names")
        leaf = self.leaf("odd.example.com", 45, names=None, extensions=((odd, False),))
        value = {"certificate": pem(leaf, self.issuing), "private_key": leaf.key_pem}
        client.create_secret(Name="tls/odd", SecretString=json.dumps(value), Tags=tag)
        client.create_secret(Name="database/password", SecretString="not selected and so never read")

    def _authorities(self, account: str) -> None:
        self.private_authority(account)

    def private_authority(self, account: str) -> str:
        """Make an active root CA in ACM PCA; returns its ARN."""
        client = self.cloud.client("acm-pca", account, REGION)
        configuration = {
            "KeyAlgorithm": "EC_prime256v1",
            "SigningAlgorithm": "SHA256WITHECDSA",
            "Subject": {"CommonName": "Example Private Root"},
        }
        arn = client.create_certificate_authority(
            CertificateAuthorityConfiguration=configuration, CertificateAuthorityType="ROOT"
        )["CertificateAuthorityArn"]
        csr = client.get_certificate_authority_csr(CertificateAuthorityArn=arn)["Csr"]
        issued = client.issue_certificate(
            CertificateAuthorityArn=arn,
            Csr=csr.encode(),
            SigningAlgorithm="SHA256WITHECDSA",
            TemplateArn="arn:aws:acm-pca:::template/RootCACertificate/V1",
            Validity={"Type": "YEARS", "Value": 10},
        )["CertificateArn"]
        client.get_waiter("certificate_issued").wait(
            CertificateAuthorityArn=arn, CertificateArn=issued, WaiterConfig={"Delay": 1}
        )
        root = client.get_certificate(CertificateAuthorityArn=arn, CertificateArn=issued)["Certificate"]
        client.import_certificate_authority_certificate(CertificateAuthorityArn=arn, Certificate=root.encode())
        self.certificates += 1
        return str(arn)

    def _trust_stores(self, account: str) -> None:
        s3 = self.cloud.client("s3", account, REGION)
        s3.create_bucket(Bucket="example-trust", CreateBucketConfiguration={"LocationConstraint": REGION})
        partner = self._authority("Partner Root CA")
        s3.put_object(Bucket="example-trust", Key="partners.pem", Body=pem(partner, self.root).encode())
        self.cloud.client("elbv2", account, REGION).create_trust_store(
            Name="partners",
            CaCertificatesBundleS3Bucket="example-trust",
            CaCertificatesBundleS3Key="partners.pem",
        )
        self.cloud.client("rolesanywhere", account, REGION).create_trust_anchor(
            name="data-centre",
            enabled=True,
            source={"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": self.root.pem}},
        )
        self.certificates += 2

    def _serve(self) -> None:
        """Real TLS servers on loopback, for the endpoints source."""
        expiring = build(
            "Example Short Intermediate",
            ca=True,
            issuer=self.root,
            not_before=self.now - 400 * DAY,
            not_after=self.now - DAY,
        )
        impostor = build(
            "Example Corp Issuing CA",
            ca=True,
            key="EC-384#impostor",
            not_before=self.now - DAY,
            not_after=self.now + 90 * DAY,
        )
        served = [
            (self.leaf("localhost", 50), (self.issuing,)),
            (self.leaf("localhost", 51, issuer=expiring), (expiring,)),
            (self.leaf("localhost", 52), (impostor,)),
        ]
        for leaf, chain in served:
            port = self._open.enter_context(tls_server(pem(leaf, *chain), leaf.key_pem))
            self.endpoints.append(f"localhost:{port}")

    # --- what happens later ---

    def change(self) -> None:
        """A certificate is re-imported, one is deleted, one appears."""
        renewed = self.leaf(self.attached_name, 90)
        chain = pem(self.issuing, self.root).encode()
        self.cloud.client("acm", MEMBER_ACCOUNT, REGION).import_certificate(
            CertificateArn=self.attached_arn,
            Certificate=renewed.pem.encode(),
            PrivateKey=renewed.key_pem.encode(),
            CertificateChain=chain,
        )
        self.cloud.client("acm", HUB_ACCOUNT, REGION).delete_certificate(CertificateArn=self.removed_arn)
        self._import(HUB_ACCOUNT, REGION, self.leaf("new.example.com", 80), (self.issuing, self.root), owner="data")


_ORIGIN = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}
