"""Issuance as a whole, in memory: moto's AWS, a strict Route 53, a strict ACME server, and the workflow's interpreter.

with issuing_hub() as hub:
    record = hub.request("shop.example.com")
    hub.run(record.reference)          # the workflow, to one of its ends
    hub.settle(record.reference)       # what the tick does until the version has ended
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.core.models import botocore_stubber
from moto.s3.models import s3_backends
from moto.secretsmanager.exceptions import ResourceExistsException
from moto.secretsmanager.models import SecretsManagerBackend

from acme_server import AcmeServer
from certificates import build
from estate import HUB, REGION, Clock, Estate
from layers.perennial.conftest import in_memory_hub
from local_cloud.fakes.acm_pca import AcmPca as AcmPcaFake
from local_cloud.fakes.loopback import client
from perennial import issuance, issuance_failure
from perennial.certificate_request import CertificateRequest
from perennial.deployment import Deployment
from perennial.errors import RETRYABLE, PerennialError
from perennial.inventory.records import VersionRecord
from perennial.issuance_step import Step
from perennial.issuers import acm_pca
from perennial.issuers.acm_pca import AcmPca
from perennial.key_store import PREFIX
from perennial.profiles import PcaIssuer
from strict_route53 import StrictRoute53

CONFIGURATION = """
[issuers.ca]
kind = "acme"
directory = {directory}
roots = {roots}

[profiles.web]
issuer = "ca"
names = [".example.com", "*..example.com"]
wildcards = true
max_names = 100

[profiles.keeping]
issuer = "ca"
names = [".example.com"]
rotate_key = false

[profiles.own-key]
issuer = "ca"
names = [".example.com"]
key_home = "requester"

[profiles.in-kms]
issuer = "ca"
names = [".example.com"]
key_home = "kms"

[issuers.inside]
kind = "acm_pca"
authority = {authority}

[profiles.private]
issuer = "inside"
names = [".svc.internal"]
validity_days = 30

[policy.owners]
shop = [".example.com", "*..example.com", ".svc.internal"]
"""
RETRIES = 6  # that the state machine makes
ROUNDS = 12  # of the tick, until a version must have ended
ZONE = "example.com"


class _Clients:
    """The deployment's clients, with the strict Route 53 among them."""

    def __init__(self, clients: Any, route53: Any) -> None:
        self._clients = clients
        self._route53 = route53

    def __call__(self, service: str, region: str | None = None) -> Any:
        return self._route53 if service == "route53" else self._clients(service, region)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clients, name)


class _Visible:
    """What the CA sees: the values of TXT records."""

    def __init__(self, route53: StrictRoute53, zone: str) -> None:
        self._route53, self._zone = route53, zone

    def __contains__(self, shown: tuple[str, str]) -> bool:
        where, value = shown
        return f'"{value}"' in self._route53.values(self._zone, where)


class PrivateAuthority:
    """ACM PCA with one active root CA: the local cloud's fake, in this process, with the hub's clock."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.fake = AcmPcaFake(
            where=lambda: (HUB, REGION), clock=clock, put_object=_put_report, background=lambda work: work()
        )
        self.client = client(self.fake)
        self.client.meta.events.unregister("before-send", botocore_stubber)  # moto would answer too
        self.arn = root(self.client, clock)

    def issuer(self, settings: PcaIssuer, deployment: Deployment) -> AcmPca:
        """In place of the factory, whose clients are moto's."""
        return AcmPca(settings, client=self.client, s3=deployment.clients("s3"), bucket="manifests")

    def issued(self) -> list[str]:
        """ARNs of what it issued besides its own certificate."""
        authority = self.fake.state(HUB, REGION).authorities[self.arn]
        return [each.arn for each in authority.issued.values() if "RootCA" not in each.template_arn]


def _put_report(bucket: str, key: str, body: bytes, content_type: str) -> int:
    s3_backends[HUB]["aws"].put_object(bucket, key, body)
    return 200


def root(pca: Any, clock: Any) -> str:
    """Make an active root CA; returns its ARN."""
    configuration = {
        "KeyAlgorithm": "EC_prime256v1",
        "SigningAlgorithm": "SHA256WITHECDSA",
        "Subject": {"CommonName": "Inside"},
    }
    arn = str(
        pca.create_certificate_authority(
            CertificateAuthorityConfiguration=configuration, CertificateAuthorityType="ROOT"
        )["CertificateAuthorityArn"]
    )
    own = pca.issue_certificate(
        CertificateAuthorityArn=arn,
        Csr=pca.get_certificate_authority_csr(CertificateAuthorityArn=arn)["Csr"].encode(),
        SigningAlgorithm="SHA256WITHECDSA",
        TemplateArn="arn:aws:acm-pca:::template/RootCACertificate/V1",
        Validity={"Type": "DAYS", "Value": 3_650},
    )["CertificateArn"]
    clock.now += timedelta(minutes=30)  # it is issued in the background
    body = pca.get_certificate(CertificateAuthorityArn=arn, CertificateArn=own)["Certificate"].encode()
    pca.import_certificate_authority_certificate(CertificateAuthorityArn=arn, Certificate=body)
    return arn


@dataclass
class IssuingHub:
    """An in-memory hub that issues. `steps` are the functions that were called, in order."""

    estate: Estate
    server: AcmeServer
    route53: StrictRoute53
    zone: str
    authority: PrivateAuthority
    steps: list[str] = field(default_factory=list)
    around: Callable[[str, Callable[[], Step]], Step] = lambda name, step: step()

    @property
    def deployment(self) -> Deployment:
        return self.estate.deployment

    @property
    def now(self) -> datetime:
        return self.estate.clock.now

    def request(self, *names: str, managed: str = "shop", profile: str = "web", **more: Any) -> VersionRecord:
        """Request a certificate for the owner of everything."""
        wanted = CertificateRequest(names=names, profile=profile, owner="shop", **more)
        return issuance.request(self.deployment, managed, wanted, "jo", self.now, source="cli")

    def version(self, reference: str) -> VersionRecord:
        return self.deployment.inventory.version(reference)

    def issued(self) -> int:
        """The certificates that both CAs issued: what is paid for."""
        return self.server.issued + len(self.authority.issued())

    # --- the workflow, as infra/issuance.py defines it ---

    def run(self, reference: str) -> str:
        """One execution; returns how it ended: issued, failed, postponed, or died where Give up or Clean up failed."""
        try:
            return self._run(reference)
        except PerennialError:
            return "died"

    def _run(self, reference: str) -> str:
        step = self._try("prepare", reference)
        while step.next in ("wait", "advance", "store"):
            if step.next == "wait":
                self.estate.clock.now += timedelta(seconds=step.seconds)
            step = self._try("store" if step.next == "store" else "advance", reference)
        return self._call("clean", lambda: issuance.clean(self.deployment, reference, self.now)).next

    def _try(self, name: str, reference: str) -> Step:
        """A step with its Catch."""
        act = getattr(issuance, name)
        try:
            return self._call(name, lambda: act(self.deployment, reference, self.now))
        except PerennialError as error:
            kind, cause = type(error).__name__, json.dumps({"errorMessage": str(error), "errorType": "x"})
        give_up = issuance_failure.give_up
        return self._call("give_up", lambda: give_up(self.deployment, reference, kind, cause, self.now))

    def _call(self, name: str, step: Callable[[], Step]) -> Step:
        """A step with its Retry."""
        for number in range(RETRIES + 1):
            self.steps.append(name)
            self.forget()
            try:
                return self.around(name, step)
            except RETRYABLE:
                if number == RETRIES:
                    raise
                self.estate.clock.now += timedelta(seconds=2**number)
        raise AssertionError

    def forget(self) -> None:
        """A new process: only what is stored remains."""
        for name in ("inventory", "settings", "issuers", "_assumed"):
            self.deployment.__dict__.pop(name, None)

    def settle(self, reference: str) -> VersionRecord:
        """What the tick does: run whatever is due when it is due, until nothing is."""
        for _ in range(ROUNDS):
            due = self.version(reference).due_at
            if due is None:
                return self.version(reference)
            self.estate.clock.now = max(self.now, due)
            self.run(reference)
        raise AssertionError(f"{reference} has not ended: {self.version(reference)}")

    # --- what is left ---

    def challenges_left(self) -> list[str]:
        """The names of TXT records."""
        return [key[0] for key in self.route53.zones[self.zone].records if key[1] == "TXT"]

    def secret(self, record: VersionRecord) -> dict[str, str]:
        """The content of a version's secret version."""
        client = self.deployment.clients("secretsmanager")
        value = client.get_secret_value(SecretId=record.secret, VersionId=record.secret_version)
        return dict(json.loads(value["SecretString"]))

    def private_keys(self) -> list[str]:
        """Every private key in Secrets Manager: of accounts and of certificates, as PEM."""
        client = self.deployment.clients("secretsmanager")
        found = []
        for secret in client.list_secrets()["SecretList"]:
            for version in client.list_secret_version_ids(SecretId=secret["Name"], IncludeDeprecated=True)["Versions"]:
                text = client.get_secret_value(SecretId=secret["Name"], VersionId=version["VersionId"])["SecretString"]
                found.append(json.loads(text).get("private_key", ""))
        return [each for each in found if each]

    def keys_of(self, managed: str) -> list[str]:
        """The private keys of one managed certificate."""
        client, name = self.deployment.clients("secretsmanager"), PREFIX + managed
        listed = client.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)["Versions"]
        texts = [client.get_secret_value(SecretId=name, VersionId=each["VersionId"])["SecretString"] for each in listed]
        return sorted({json.loads(each)["private_key"] for each in texts})

    def table(self) -> str:
        """Everything in the table, as text."""
        name = self.deployment.environment["PERENNIAL_TABLE"]
        return repr(self.deployment.clients("dynamodb").scan(TableName=name)["Items"])


def _as_strict_as_aws(patched: pytest.MonkeyPatch) -> None:
    """Secrets Manager refuses other content under a ClientRequestToken that is there (API reference, PutSecretValue);
    moto replaces what is staged as AWSPENDING."""
    put = SecretsManagerBackend.put_secret_value

    def strict(backend: Any, **named: Any) -> Any:
        secret, token = named["secret_id"], named["client_request_token"]
        found = backend.secrets[secret].versions.get(token) if secret in backend.secrets else None
        if found and found.get("secret_string") != named["secret_string"]:
            raise ResourceExistsException("a version with this token exists with other content")
        return put(backend, **named)

    patched.setattr(SecretsManagerBackend, "put_secret_value", strict)


@contextmanager
def issuing_hub(text: str = CONFIGURATION) -> Iterator[IssuingHub]:
    """A hub with an ACME issuer and a private CA, and one zone, at the present time: certificates begin now."""
    route53 = StrictRoute53(HUB)
    zone = route53.zone(ZONE, HUB)
    clock = Clock(datetime.now(UTC).replace(microsecond=0))
    authority = PrivateAuthority(clock)
    with AcmeServer() as server, pytest.MonkeyPatch.context() as patched:
        _as_strict_as_aws(patched)
        patched.setattr(acm_pca, "issuer", authority.issuer)
        server.shown = _Visible(route53, zone)  # type: ignore[assignment]
        roots = "".join(each.pem for each in _roots())
        facts = {"directory": server.directory, "roots": roots, "authority": authority.arn}
        configuration = text.format(**{name: json.dumps(value) for name, value in facts.items()})
        with in_memory_hub(configuration.encode()) as estate:
            estate.clock = clock
            environment = {**estate.deployment.environment, "PERENNIAL_KEY_ID": "alias/aws/secretsmanager"}
            deployment = Deployment(environment, clock)
            clients = _Clients(estate.deployment.clients, route53.clients[HUB]())
            deployment.__dict__.update(clients=clients, account=HUB)
            estate.deployment = deployment
            yield IssuingHub(estate, server, route53, zone, authority)


def _roots() -> list[Any]:
    return [build("Root One", ca=True), build("Root Two", ca=True)]
