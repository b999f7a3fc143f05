"""ACM as an issuer: requested once, validated by DNS, left to managed renewal; exported and revoked where it allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certificates import build
from local_cloud.fakes.acm import Acm as Fake
from local_cloud.fakes.loopback import ACCOUNT, REGION, client, here
from local_cloud.fakes.references import References
from perennial.certificate import parse
from perennial.clients import Clients
from perennial.deployment import Deployment
from perennial.errors import (
    AccessDenied,
    InvalidConfiguration,
    InvalidInput,
    InvalidReply,
    PerennialError,
    ServiceRefused,
    Throttled,
    ValidationFailed,
)
from perennial.issuers import acm as module
from perennial.issuers.acm import Acm
from perennial.issuers.interface import Ask, Issued, Later, Outcome, Present
from perennial.issuers.kept_order import KeptOrder as Order
from perennial.profiles import AcmIssuer, KeyHome, Profile
from perennial.solvers.interface import Challenge, Shown
from scripted_aws import ScriptedAws

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ID = "0123456789abcdef0123456789abcdef"
PAUSES = {
    "at once": timedelta(),
    "after 1 minute": timedelta(minutes=1),
    "after 10 minutes": timedelta(minutes=10),
    "after 2 days": timedelta(days=2),
}
PROFILE = Profile(name="public", issuer="amazon", key_home=KeyHome.ISSUER, validity_days=198)
EXPORTABLE = replace(PROFILE, exportable=True)


class Killed(BaseException):
    """The process is gone."""


class Wire:
    """Counts what leaves the process, and kills it before or after one of these calls took effect."""

    def __init__(self, *kills: tuple[int, bool]) -> None:
        self.calls: list[str] = []
        self._kills = dict(kills)

    def through(self, name: str, call: Callable[[], Any]) -> Any:
        number = len(self.calls)
        self.calls.append(name)
        acted = self._kills.pop(number, None)
        if acted is False:
            raise Killed
        answer = call()
        if acted is True:
            raise Killed
        return answer


class Fragile:
    """A client whose calls go through a wire."""

    def __init__(self, target: Any, wire: Wire) -> None:
        self._target, self._wire = target, wire

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        return lambda **request: self._wire.through(name, lambda: method(**request))


answering = ScriptedAws({}, region=REGION)


@cache
def tagging() -> Any:
    """The client of the tagging API, whose answers the latest hub gives."""
    return answering("resourcegroupstaggingapi")


class Hub:
    """ACM, DNS, the tagging API and a kept order, as the steps of a workflow have them."""

    def __init__(self, *kills: tuple[int, bool]) -> None:
        self.now = NOW
        self.zone: dict[str, str] = {}
        self.fake = Fake(where=here, clock=lambda: self.now, resolve=self._resolve, users=References(), record_delay=4)
        self.acm = client(self.fake)
        self.wire = Wire(*kills)
        self.order = ""
        self.presented: tuple[Challenge, ...] = ()
        answering.script["resourcegroupstaggingapi.GetResources"] = self._tagged

    def _resolve(self, name: str) -> str | None:
        return self.zone.get(name.rstrip("."))

    def _tagged(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        assert request["ResourceTypeFilters"] == ["acm:certificate"]
        (wanted,) = request["TagFilters"]
        found = [
            {"ResourceARN": arn}
            for arn, each in self.held().items()
            if each.tags.get(wanted["Key"]) in wanted["Values"]
        ]
        answer: Mapping[str, Any] = self.wire.through("get_resources", lambda: {"ResourceTagMappingList": found})
        return answer

    def held(self) -> Mapping[str, Any]:
        """The certificates in ACM by ARN."""
        return self.fake.state(ACCOUNT, REGION).certificates

    @property
    def issuer(self) -> Acm:
        """A new one each time: each step may run in a process of its own."""
        return Acm(
            AcmIssuer(name="amazon"),
            client=Fragile(self.acm, self.wire),
            tagging=tagging(),
        )

    def keep(self, order: str) -> None:
        def write() -> None:
            self.order = order

        self.wire.through("keep", write)

    def step(self, ask: Ask) -> Outcome:
        return self.issuer.advance(ask, self.order, presented=bool(self.presented), now=self.now, keep=self.keep)

    def show(self, outcome: Present) -> None:
        self.presented = outcome.challenges
        self.zone |= {each.where: each.value for each in outcome.challenges}

    def run(self, ask: Ask, pause: timedelta = timedelta()) -> Issued:
        """Steps until it is issued; after a kill the next one comes a pause later."""
        for _ in range(60):
            try:
                outcome = self.step(ask)
            except Killed:
                self.now += pause
                continue
            if isinstance(outcome, Issued):
                return outcome
            if isinstance(outcome, Present):
                self.show(outcome)
            else:
                self.now += timedelta(seconds=outcome.seconds)
        raise AssertionError("it does not end")


def ask(profile: Profile = PROFILE, **more: Any) -> Ask:
    """An ask for www.example.com."""
    settings: dict[str, Any] = {
        "id": ID,
        "names": ("www.example.com",),
        "csr": b"",
        "key": "EC-256",
        "profile": profile,
        "validity_days": 198,
    }
    return Ask(**{**settings, **more})


# --- a whole issuance ---


def test_a_certificate_is_issued() -> None:
    """The records are shown once and stay; the chain comes without root and key, the ARN is ACM's."""
    hub = Hub()
    made = hub.run(ask(names=("www.example.com", "*.www.example.com", "example.com")))
    chain = [parse(der) for der in made.chain]
    assert chain[0].dns_names == ("www.example.com", "*.www.example.com", "example.com")
    assert (len(chain), chain[0].key, made.arn, made.key_pem) == (2, "EC-256", *hub.held(), "")
    assert len(hub.presented) == 2 and all(each.stays and each.shown is Shown.CNAME for each in hub.presented)
    assert {each.name for each in hub.presented} == {"www.example.com", "example.com"}
    assert next(iter(hub.held().values())).tags == {"perennial:version": ID}


@pytest.mark.parametrize("key", module.KEYS)
def test_keys(key: str) -> None:
    """Each kind of key that ACM has is requested."""
    assert parse(Hub().run(ask(key=key)).chain[0]).key == key


def test_a_long_name_is_not_the_domain_name() -> None:
    """ACM's first name has 64 characters at most; a longer one comes as an alternative name."""
    long = f"{'a' * 60}.example.com"
    assert set(parse(Hub().run(ask(names=(long, "www.example.com"))).chain[0]).names) == {long, "www.example.com"}
    with pytest.raises(InvalidInput, match="64"):
        Hub().run(ask(names=(long,)))


def test_waiting_for_records_that_nobody_shows() -> None:
    """The pauses grow, few questions are asked in 72 hours, and then it fails with a next step."""
    hub = Hub()
    hub.presented = (Challenge(shown=Shown.CNAME, where="x", value="y", name="z"),)
    steps = 0
    with pytest.raises(ValidationFailed, match=r"72 hours \(www\.example\.com\)"):
        while True:
            outcome = hub.step(ask())
            assert isinstance(outcome, Later)
            hub.now += timedelta(seconds=outcome.seconds)
            steps += 1
    assert steps < 400


FAILURES = {"CAA_ERROR": "CAA records", "INVALID_PUBLIC_DOMAIN": "private issuer", "OTHER": "troubleshooting"}


@pytest.mark.parametrize("reason", FAILURES)
def test_a_validation_that_fails(reason: str) -> None:
    """ACM's reason is told with what to do."""
    hub = Hub()
    hub.step(ask())
    hub.fake.admin_validate({"arn": next(iter(hub.held())), "failure_reason": reason})
    with pytest.raises(ValidationFailed, match=f"{reason}.*{FAILURES[reason]}"):
        hub.step(ask())


def test_a_certificate_that_is_in_no_usable_state() -> None:
    """A request whose certificate was revoked or has expired is not waited for."""
    hub = Hub()
    hub.run(ask())
    hub.now += timedelta(days=300)
    with pytest.raises(ServiceRefused, match="EXPIRED"):
        hub.step(ask())


# --- exactly one ---


@pytest.mark.parametrize("pause", PAUSES)
def test_killed_at_every_call(pause: str) -> None:
    """Killed before any call left or after its reply was lost, and resumed, it ends with one certificate."""
    hub = Hub()
    hub.run(ask())
    points = [(number, acted) for number in range(len(hub.wire.calls)) for acted in (False, True)]
    assert len(points) >= 12
    for point in points:
        hub = Hub(point)
        made = hub.run(ask(), PAUSES[pause])
        assert [made.arn] == list(hub.held()), point


@pytest.mark.parametrize("acted", [False, True])
def test_killed_again_while_it_recovers(acted: bool) -> None:
    """Two days after RequestCertificate was interrupted, a second kill at any later call changes nothing either."""
    lost = 1
    recovered = Hub((lost, acted))
    recovered.run(ask(), PAUSES["after 2 days"])
    assert recovered.wire.calls[lost] == "request_certificate" and "get_resources" in recovered.wire.calls
    for number in range(lost + 1, len(recovered.wire.calls)):
        for also in (False, True):
            hub = Hub((lost, acted), (number, also))
            made = hub.run(ask(), timedelta(hours=30))
            assert [made.arn] == list(hub.held()), (number, also)


@pytest.mark.parametrize("minutes", [0, 30, 70])
def test_duplicate_invocations(minutes: int) -> None:
    """Two steps that start from the same order, neither seeing the other's, make one certificate."""
    hub = Hub((1, False))
    with pytest.raises(Killed):
        hub.step(ask())
    hub.now += timedelta(minutes=minutes)
    for _ in range(20):
        before = hub.order
        first = hub.step(ask())
        hub.order = before
        outcome = hub.step(ask())
        assert len(hub.held()) == 1
        if isinstance(outcome, Issued):
            assert isinstance(first, Issued) and first.arn == outcome.arn
            return
        if isinstance(outcome, Present):
            hub.show(outcome)
        hub.now += timedelta(seconds=30)
    raise AssertionError("it does not end")


def test_it_does_not_ask_for_ever() -> None:
    """Where ACM answers nothing and has nothing again and again, the order ends."""
    hub = Hub()
    hub.order = Order(round=4, asked_at=NOW - timedelta(days=1)).text()
    with pytest.raises(ServiceRefused, match="5 times"):
        hub.step(ask())


# --- what is refused ---

REFUSED: dict[str, tuple[dict[str, Any], type[PerennialError], str]] = {
    "a CSR": ({"csr": b"0"}, InvalidConfiguration, "key_home"),
    "a key that ACM lacks": ({"key": "ML-DSA-44"}, InvalidConfiguration, "RSA-2048"),
    "client certificates": (
        {"profile": replace(PROFILE, usages=("serverAuth", "clientAuth"))},
        InvalidConfiguration,
        "serverAuth only",
    ),
    "an address": ({"names": ("www.example.com", "192.0.2.1")}, InvalidInput, r"192\.0\.2\.1"),
    "too many names": ({"names": tuple(f"a{n}.example.com" for n in range(101))}, InvalidInput, "100"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_acm_cannot_issue(case: str) -> None:
    """What ACM would refuse, or make otherwise, is refused before anything is asked for."""
    changes, kind, text = REFUSED[case]
    hub = Hub()
    with pytest.raises(kind, match=text):
        hub.step(ask(**changes))
    assert hub.wire.calls == []


ERRORS: dict[str, tuple[str, type[PerennialError], str]] = {
    "a quota": ("LimitExceededException", ServiceRefused, "Service Quotas"),
    "throttling": ("ThrottlingException", Throttled, "Throttling"),
    "a denial": ("AccessDeniedException", AccessDenied, "RequestCertificate"),
    "a parameter": ("InvalidParameterException", ServiceRefused, "limits"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_of_requesting(case: str) -> None:
    """Each error says whether it passes, and what to do."""
    error, kind, text = ERRORS[case]
    hub = Hub()
    hub.fake.controls.inject("acm", "RequestCertificate", error)
    with pytest.raises(kind, match=text) as caught:
        hub.step(ask())
    assert type(caught.value) is kind
    if kind.retry:
        assert [hub.run(ask()).arn] == list(hub.held())


def test_more_names_than_the_quota() -> None:
    """Eleven names are one too many until the quota is raised, which is what the message says."""
    with pytest.raises(ServiceRefused, match="Service Quotas"):
        Hub().run(ask(names=tuple(f"a{n}.example.com" for n in range(11))))


RECORDS = {
    "of another name": {"Name": "_x.example.org.", "Type": "CNAME", "Value": "_y.acm-validations.aws."},
    "of another type": {"Name": "_x.www.example.com.", "Type": "TXT", "Value": "_y.acm-validations.aws."},
    "of the name itself": {"Name": "www.example.com.", "Type": "CNAME", "Value": "_y.acm-validations.aws."},
    "without a value": {"Name": "_x.www.example.com.", "Type": "CNAME", "Value": "."},
}


@pytest.mark.parametrize("case", RECORDS)
def test_hostile_validation_records(case: str) -> None:
    """A record that is not one below the name is never shown."""
    option = {"DomainName": "www.example.com", "ResourceRecord": RECORDS[case]}

    class Hostile:
        def describe_certificate(self, **_: Any) -> Any:
            return {"Certificate": {"Status": "PENDING_VALIDATION", "DomainValidationOptions": [option]}}

    issuer = Acm(AcmIssuer(name="amazon"), client=Hostile(), tagging=None)
    order = Order(asked_at=NOW, arn="arn:aws:acm:eu-west-1:1:certificate/x").text()
    with pytest.raises(InvalidReply, match="does not fit"):
        issuer.advance(ask(), order, presented=False, now=NOW, keep=lambda _: None)


@pytest.mark.parametrize("text", ["[]", "{", '{"asked_at":5}', '{"nonsense":1}', "null"])
def test_an_order_of_someone_else(text: str) -> None:
    """A text that is no order is refused."""
    with pytest.raises(InvalidInput):
        Order.read(text)


# --- exporting ---


def test_an_exportable_certificate_is_exported() -> None:
    """The key is the certificate's, unencrypted PKCS #8 in PEM; another time it is the same."""
    hub = Hub()
    made = hub.run(ask(EXPORTABLE))
    key_pem = hub.issuer.export(made.arn)
    assert key_pem.startswith("-----BEGIN PRIVATE KEY-----")
    key: Any = load_pem_private_key(key_pem.encode(), None)
    assert key.public_key() == build("x", key=key).key.public_key()
    leaf = parse(made.chain[0])
    assert parse(build("x", key=key).der).public_key_sha256 == leaf.public_key_sha256
    assert hub.issuer.export(made.arn) == key_pem


def test_one_that_is_not_exportable_is_not() -> None:
    """ACM refuses, and so does the issuer."""
    hub = Hub()
    made = hub.run(ask())
    with pytest.raises(ServiceRefused, match="not exportable"):
        hub.issuer.export(made.arn)


EXPORTS = {
    "garbage": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nSECRETSECRET\n-----END ENCRYPTED PRIVATE KEY-----\n",
    "of another certificate": "",
}


@pytest.mark.parametrize("case", EXPORTS)
def test_hostile_exports(case: str) -> None:
    """A key that cannot be read, or of another certificate, is refused without being quoted."""
    from cryptography.hazmat.primitives import serialization

    one, other = build("one"), build("other")

    class Hostile:
        def export_certificate(self, *, CertificateArn: str, Passphrase: bytes) -> Any:
            kind = serialization.PrivateFormat.PKCS8
            secret = serialization.BestAvailableEncryption(Passphrase)
            real = other.key.private_bytes(serialization.Encoding.PEM, kind, secret).decode()
            return {"Certificate": one.pem, "PrivateKey": EXPORTS[case] or real}

    issuer = Acm(AcmIssuer(name="amazon"), client=Hostile(), tagging=None)
    with pytest.raises(InvalidReply) as caught:
        issuer.export("arn:aws:acm:eu-west-1:1:certificate/x")
    assert "SECRET" not in f"{caught.value!r} {caught.value.__cause__!r}" and caught.value.__cause__ is None


# --- revoking ---


def test_revoking_an_exported_certificate() -> None:
    """What was exported is revoked; a second time is no error; an unknown reason is one."""
    hub = Hub()
    made = hub.run(ask(EXPORTABLE))
    hub.issuer.export(made.arn)
    certificate = parse(made.chain[0])
    for _ in range(2):
        hub.issuer.revoke(certificate, made.arn, 1)
    assert hub.held()[made.arn].revocation_reason == "KEY_COMPROMISE"
    for reason in (6, 7, 8):
        with pytest.raises(InvalidInput, match="reason"):
            hub.issuer.revoke(certificate, made.arn, reason)


def test_a_revocation_at_the_same_time() -> None:
    """A conflict is no error where the certificate is revoked then, and one where it is not."""
    hub = Hub()
    made = hub.run(ask(EXPORTABLE))
    hub.issuer.export(made.arn)
    hub.fake.controls.inject("acm", "RevokeCertificate", "ConflictException")
    with pytest.raises(ServiceRefused, match="Conflict"):
        hub.issuer.revoke(parse(made.chain[0]), made.arn, 4)
    hub.issuer.revoke(parse(made.chain[0]), made.arn, 4)


def test_what_acm_does_not_revoke() -> None:
    """Without export nothing is revoked, and never what an ARN holds after a renewal."""
    hub = Hub()
    made = hub.run(ask())
    with pytest.raises(ServiceRefused, match="delete it"):
        hub.issuer.revoke(parse(made.chain[0]), made.arn, 4)
    hub.fake.admin_renew({"arn": made.arn})
    with pytest.raises(ServiceRefused, match="another certificate"):
        hub.issuer.revoke(parse(made.chain[0]), made.arn, 4)
    assert hub.held()[made.arn].stored_status == "ISSUED"


@pytest.mark.parametrize(("region", "used"), [("", "eu-west-1"), ("us-east-1", "us-east-1")])
def test_the_region_of_an_issuer(region: str, used: str) -> None:
    """A deployment's issuer works in its own region, or in the hub's."""
    session: Any = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="eu-west-1")
    deployment = Deployment({})
    deployment.__dict__["clients"] = Clients(session)
    made = module.issuer(AcmIssuer(name="amazon", region=region), deployment)
    assert {made._client.meta.region_name, made._tagging.meta.region_name} == {used}


def test_every_call_has_its_permission() -> None:
    """Each step's declared actions are those of the calls that it makes, when it recovers too."""
    hub = Hub((1, False))
    made = hub.run(ask(EXPORTABLE), PAUSES["after 2 days"])
    assert used(hub) == {_lower(each) for each in module.ACTIONS} - {"addtagstocertificate"}
    hub.wire.calls.clear()
    hub.issuer.export(made.arn)
    hub.issuer.revoke(parse(made.chain[0]), made.arn, 4)
    assert used(hub) == {_lower(each) for each in module.OF_STORING}


def used(hub: Hub) -> set[str]:
    return {name.replace("_", "") for name in hub.wire.calls if name != "keep"}


def _lower(action: str) -> str:
    return action.partition(":")[2].lower()
