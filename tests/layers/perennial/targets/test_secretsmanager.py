"""A consumer's secret: one version with its key, moved to AWSCURRENT in one call, and nothing else of it lost."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ParamValidationError
from cryptography.hazmat.primitives.serialization import pkcs12
from moto.secretsmanager.models import ReplicaSecret, secretsmanager_backends

from bundles import bundle
from perennial import jks, key_formats, keys
from perennial.certificate import ders
from perennial.errors import (
    AccessDenied,
    ChangedMeanwhile,
    InvalidInput,
    NotFit,
    NotFound,
    PerennialError,
    ServiceRefused,
)
from perennial.targets import secretsmanager
from perennial.targets.interface import Bundle, Found, Later, Reach, TargetSettings
from perennial.targets.secretsmanager import Secret
from strict_secrets import strict_secrets
from target_conformance import Calls, Killed, Run, Served, Stand, TargetConformance, killed_after, refused, watched

ACCOUNT, REGION, REPLICA = "123456789012", "eu-west-1", "eu-central-1"
FOREIGN = bundle(9)
NUMBERS = count(1)
FIELDS = ("key_field", "certificate_field", "chain_field", "password_field")


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with strict_secrets():
        yield


def clients(service: str, region: str = REGION) -> Any:
    return boto3.client(service, region_name=region)


class SecretStand(Stand):
    """A secret with one version of somebody's, in a format."""

    kind = "secretsmanager"

    def __init__(self, format_name: str = "pem", content: dict[str, Any] | str | None = None, **more: Any) -> None:
        super().__init__()
        self.format, self.fields = format_name, dict.fromkeys(FIELDS, "")
        self.name = f"consumer/shop-{next(NUMBERS)}"
        self.aws = clients("secretsmanager")
        if content is None:
            content = {"username": "shop", **key_formats.named(format_name).written(material(self.earlier), "shop")}
        text = content if isinstance(content, str) else json.dumps(content)
        self.arn = self.aws.create_secret(Name=self.name, SecretString=text, **more)["ARN"]

    @property
    def settings(self) -> TargetSettings:
        fields = {"secret": self.arn, "format": self.format, **self.fields}
        return TargetSettings(kind=self.kind, name="consumer", fields=fields)

    @property
    def reach(self) -> Reach:
        return Reach(account=ACCOUNT, region=REGION, clients=clients)

    @property
    def secret(self) -> Any:
        return secretsmanager_backends[ACCOUNT][REGION].secrets[self.name]

    def labelled(self, stage: str) -> list[str]:
        return [each for each, held in self.secret.versions.items() if stage in held["version_stages"]]

    @property
    def document(self) -> dict[str, Any]:
        (current,) = self.labelled("AWSCURRENT")
        found: dict[str, Any] = json.loads(self.secret.versions[current]["secret_string"])
        return found

    def served(self) -> Served | None:
        return READERS[self.format](self.document)

    def put(self, content: dict[str, Any]) -> None:
        """As anybody puts a value: AWSCURRENT moves at once."""
        (current,) = self.labelled("AWSCURRENT")
        self.secret.set_default_version_id(current)  # moto forgets it when a label moves
        self.aws.put_secret_value(SecretId=self.name, SecretString=json.dumps(content))

    def interfere(self) -> None:
        self.put(key_formats.named(self.format).written(material(FOREIGN), "other"))

    def interfered(self) -> bool:
        served = self.served()
        return served is not None and served.leaf == FOREIGN.fingerprint

    def remove(self) -> None:
        if self.secret.replicas:
            self.aws.remove_regions_from_replication(SecretId=self.name, RemoveReplicaRegions=[REPLICA])
        self.aws.delete_secret(SecretId=self.name)

    def copies(self) -> int:
        held = [each for each in self.secret.versions.values() if self.reads_as_new(json.loads(each["secret_string"]))]
        return len(held)

    def reads_as_new(self, document: dict[str, Any]) -> bool:
        served = READERS[self.format](document)
        return served is not None and served.leaf == self.new.fingerprint


def material(version: Bundle) -> key_formats.Material:
    chain = (version.certificate.der, *(each.der for each in version.chain))
    return key_formats.Material(private_key=version.private_key, chain=chain)


def _served(key: Any, certificates: list[bytes]) -> Served:
    leaf, *above = (hashlib.sha256(each).hexdigest() for each in certificates)
    return Served(leaf, keys.public_sha256(key.public_key()), tuple(above))


def _pem(document: dict[str, Any]) -> Served | None:
    if "certificate" not in document:
        return None
    found = ders(document["certificate"]) + ders(document["chain"])
    return _served(keys.from_pem(document["private_key"]), found)


def _fullchain(document: dict[str, Any]) -> Served | None:
    return _served(keys.from_pem(document["private_key"]), ders(document["fullchain"]))


def _pkcs12(document: dict[str, Any]) -> Served | None:
    """Opened by the library, not by the code under test."""
    from cryptography.hazmat.primitives.serialization import Encoding

    opened = pkcs12.load_pkcs12(base64.b64decode(document["pkcs12"]), document["password"].encode())
    assert opened.cert is not None
    all_of_it = [opened.cert.certificate, *(each.certificate for each in opened.additional_certs)]
    return _served(opened.key, [each.public_bytes(Encoding.DER) for each in all_of_it])


def _jks(document: dict[str, Any]) -> Served | None:
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    opened = jks.opened(base64.b64decode(document["jks"]), document["password"])
    assert opened is not None
    return _served(load_der_private_key(opened.key, None), list(opened.certificates))


READERS: dict[str, Callable[[dict[str, Any]], Served | None]] = {
    "pem": _pem,
    "fullchain": _fullchain,
    "pkcs12": _pkcs12,
    "jks": _jks,
}


class TestPem(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return SecretStand


class TestFullchain(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return lambda: SecretStand("fullchain")


class TestPkcs12(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return lambda: SecretStand("pkcs12")


class TestJks(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return lambda: SecretStand("jks")


class TestReplicated(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return lambda: SecretStand(AddReplicaRegions=[{"Region": REPLICA}])


def run(place: SecretStand) -> Run:
    found = Run(place)
    found.look()
    return found


def refusals(place: SecretStand) -> list[str]:
    target = place.target()
    return target.refusals(target.look(), place.new, place.earlier)


# --- what of the secret stays ---


def test_other_fields_stay() -> None:
    """The consumer's own fields stay as they are, also numbers and texts of any script."""
    own = {"username": "shöp", "port": 5432, "rate": 1.10, "more": {"a": [None, True]}, "odd": "\ud800"}
    place = SecretStand(content=own)
    run(place).activate()
    assert {name: value for name, value in place.document.items() if name in own} == own
    assert place.served() == place.expected(place.new)


def test_fields_have_the_names_that_are_asked_for() -> None:
    """Names of fields are the consumer's."""
    place = SecretStand(content="{}")
    place.fields = {**place.fields, "key_field": "tls.key", "certificate_field": "tls.crt", "chain_field": "ca.crt"}
    run(place).activate()
    assert place.document == {
        "tls.key": place.new.private_key,
        "tls.crt": place.new.certificate_pem,
        "ca.crt": place.new.chain_pem,
    }
    assert place.target().look().fingerprint == place.new.fingerprint


def test_what_the_consumer_changed_after_a_restore_is_not_put_back() -> None:
    """A rollout of the same version again starts from the fields that the consumer has now."""
    place = SecretStand()
    first = run(place)
    first.activate()
    first.restore()
    place.put({**place.document, "username": "changed"})
    run(place).activate()
    assert place.document["username"] == "changed"
    assert place.served() == place.expected(place.new)


def test_again_after_a_restore_it_is_the_same_version() -> None:
    """Activated, restored, activated: one version of ours, although PKCS #12 is encrypted anew each time."""
    place = SecretStand("pkcs12")
    steps = run(place)
    steps.activate()
    once = place.document["password"]
    steps.restore()
    steps.activate()
    assert place.document["password"] == once
    assert place.copies() == 1


def test_labels_are_left_tidy() -> None:
    """AWSPREVIOUS is the way back; AWSPENDING stays nowhere, as RotateSecret would take it for a rotation."""
    place = SecretStand()
    (before,) = place.labelled("AWSCURRENT")
    steps = run(place)
    steps.activate()
    assert place.labelled("AWSPREVIOUS") == [before]
    assert place.labelled("AWSPENDING") == []
    steps.restore()
    assert place.labelled("AWSCURRENT") == [before]
    assert place.labelled("AWSPENDING") == []


@pytest.mark.parametrize("at", [1, 2, 4, 5, 6, 7])  # the third finds no version
def test_a_half_made_activation_that_is_restored_leaves_no_pending_version(at: int) -> None:
    """Wherever it was killed, restoring takes AWSPENDING away."""
    place = SecretStand()
    steps = run(place)
    with watched(Calls(at=at, act=killed_after)), pytest.raises(Killed):
        steps.activate()
    steps.restore()
    assert place.labelled("AWSPENDING") == []
    assert place.served() == place.expected(place.earlier)


# --- how it changes ---


def test_current_moves_from_what_was_found_only() -> None:
    """Someone's change in the very last moment makes the move fail, and stays."""
    place = SecretStand()
    steps = run(place)
    calls = Calls()

    def late() -> None:
        if calls.names and calls.names[-1] == "PutSecretValue" and not place.interfered():
            calls.names.append("someone else")
            place.interfere()

    calls.after = late
    with watched(calls), pytest.raises(ChangedMeanwhile, match="someone else put there"):
        steps.activate()
    assert place.interfered()


def test_the_sdk_repeats_a_move_whose_answer_was_lost() -> None:
    """The repetition is refused, as AWSCURRENT has moved: that is the success it is."""
    place = SecretStand()
    steps = run(place)

    def twice(name: str, send: Callable[[], Any]) -> Any:
        send()
        return send()

    with watched(Calls(at=6, act=twice)) as calls:
        steps.activate()
    assert calls.names[5] == "UpdateSecretVersionStage"
    assert place.served() == place.expected(place.new)


def test_two_steps_at_once_end_with_one_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that ran at the same time put its container first: that one is taken, whose password is stored."""
    place = SecretStand("pkcs12")
    steps = run(place)
    target: Any = place.target()
    put = target._put_now

    def behind(version: str, text: str) -> Any:
        other = {**json.loads(text), **key_formats.named("pkcs12").written(material(place.new), "shop")}
        place.aws.put_secret_value(
            SecretId=place.name,
            ClientRequestToken=version,
            SecretString=json.dumps(other),
            VersionStages=["AWSPENDING"],
        )
        return put(version, text)

    monkeypatch.setattr(target, "_put_now", behind)
    assert target.activate(steps.found, place.new, "", lambda _: None) is None
    assert place.served() == place.expected(place.new)


def test_other_content_under_the_id_is_refused() -> None:
    """A version that somebody put under the id of ours is not taken for ours."""
    place = SecretStand()
    steps = run(place)
    target: Any = place.target()
    ours = target._id(json.loads(steps.found.state)["version"], place.new)
    foreign = json.dumps(key_formats.named("pem").written(material(FOREIGN), "other"))
    place.aws.put_secret_value(
        SecretId=place.name, ClientRequestToken=ours, SecretString=foreign, VersionStages=["AWSPENDING"]
    )
    with pytest.raises(ServiceRefused, match="something else"):
        steps.activate()
    assert place.served() == place.expected(place.earlier)


def test_a_secret_that_has_it_already_is_left_alone() -> None:
    """What is found is the new version in another version of the secret: nothing is put."""
    place = SecretStand()
    place.put({**key_formats.named("pem").written(material(place.new), "shop"), "own": 1})
    steps = run(place)
    with watched(Calls()) as calls:
        steps.activate()
        steps.restore()
    assert calls.writes() == []


def test_what_is_not_shown_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DescribeSecret that is behind is nobody's change."""
    place = SecretStand()
    steps = run(place)
    target: Any = place.target()
    behind = target._facts()
    monkeypatch.setattr(target, "_facts", lambda: behind)
    later = target.activate(steps.found, place.new, "", lambda _: None)
    assert isinstance(later, Later)
    steps.activate()
    assert place.served() == place.expected(place.new)


# --- replicas ---


def test_replicas_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the replica's own AWSCURRENT is the version, it is not done; then it is."""
    place = SecretStand(AddReplicaRegions=[{"Region": REPLICA}])
    steps = run(place)
    told = ReplicaSecret.to_dict
    (before,) = place.labelled("AWSCURRENT")
    with monkeypatch.context() as lagging:
        old = {before: ["AWSCURRENT"]}
        lagging.setattr(ReplicaSecret, "to_dict", lambda self: {**told(self), "VersionIdsToStages": old})
        for _ in range(2):
            later = place.target().activate(steps.found, place.new, "", lambda _: None)
            assert isinstance(later, Later)
            assert later.seconds > 0
            assert REPLICA in later.doing
    assert place.target().activate(steps.found, place.new, "", lambda _: None) is None


def test_a_replica_that_fails_is_told() -> None:
    """Replication that failed is an error that names region and reason, not something to wait for."""
    place = SecretStand(AddReplicaRegions=[{"Region": REPLICA}])
    steps = run(place)
    place.secret.replicas[0].config = {
        "Region": REPLICA,
        "Status": "Failed",
        "StatusMessage": "the KMS key is disabled",
    }
    assert any("eu-central-1 has failed: the KMS key is disabled" in each for each in refusals(place))
    with pytest.raises(ServiceRefused, match="eu-central-1 has failed: the KMS key is disabled"):
        steps.activate()


def test_a_replica_itself_is_refused() -> None:
    """Only the primary can be written; the sentence names its region."""
    place = SecretStand(AddReplicaRegions=[{"Region": REPLICA}])
    arn = place.arn.replace(REGION, REPLICA)
    settings = replace(place.settings, fields={**place.settings.fields, "secret": arn})
    target = Secret(settings, place.reach)
    assert any(f"name the secret in {REGION}" in each for each in target.refusals(target.look(), place.new, None))


# --- refusals ---


@pytest.mark.parametrize(
    "content",
    ["-----BEGIN CERTIFICATE-----", '"text"', "[1]", "12", "{", "[" * 30_000],
)
def test_a_value_that_is_no_object_is_refused(content: str) -> None:
    """It would be lost; the sentence says what to put there. Activation refuses it too, and changes nothing."""
    place = SecretStand(content=content)
    assert any("no JSON object" in each for each in refusals(place))
    with watched(Calls()) as calls, pytest.raises(NotFit, match="no JSON object"):
        run(place).activate()
    assert calls.writes() == []


def test_a_binary_or_missing_value_is_refused() -> None:
    """A secret without a text has nothing to go back to."""
    place = SecretStand()
    place.aws.create_secret(Name="empty")
    place.aws.create_secret(Name="binary", SecretBinary=b"\x00")
    for name in ("empty", "binary"):
        settings = replace(place.settings, fields={**place.settings.fields, "secret": name})
        target = Secret(settings, place.reach)
        found = target.look()
        assert found.fingerprint == ""
        assert any("{} is enough" in each for each in target.refusals(found, place.new, None))
        with pytest.raises(NotFit):
            target.activate(found, place.new, "", lambda _: None)


def test_rotation_is_refused() -> None:
    """A rotation function and Perennial would replace each other's versions."""
    place = SecretStand()
    place.secret.rotation_requested = place.secret.rotation_enabled = True
    assert any("rotation switched on" in each for each in refusals(place))


def test_a_managed_secret_is_refused() -> None:
    """An AWS service that owns the secret replaces its versions."""
    place = SecretStand()
    place.secret.tags = [{"Key": "aws:secretsmanager:owningService", "Value": "rds"}]
    assert any("belongs to rds" in each for each in refusals(place))


def test_the_hubs_own_secret_is_refused() -> None:
    """Where the certificate's own key is kept is not a target."""
    place = SecretStand()
    place.new = replace(place.new, secret=place.arn)
    assert any("Perennial itself" in each for each in refusals(place))
    place.name = "perennial/certificates/shop"
    place.arn = place.aws.create_secret(Name=place.name, SecretString="{}")["ARN"]
    place.new = replace(place.new, secret="")
    assert any("Perennial itself" in each for each in refusals(place))


def test_no_key_is_refused() -> None:
    """A version whose key Perennial does not hold cannot go to a secret."""
    place = SecretStand()
    place.new = replace(place.new, private_key="")
    assert any("does not hold" in each for each in refusals(place))
    with pytest.raises(NotFit, match="does not hold"):
        run(place).activate()


@pytest.mark.parametrize("format_name", ["pkcs12", "jks"])
def test_containers_take_no_ml_dsa(format_name: str) -> None:
    """A sentence says so, and what to take; PEM takes it."""
    place = SecretStand(format_name, content="{}")
    place.new = bundle(2, key="ML-DSA-44")
    assert any(f"{format_name} takes no ML-DSA-44 key; use the format pem" in each for each in refusals(place))
    with pytest.raises(NotFit, match="ML-DSA-44"):
        run(place).activate()


@pytest.mark.parametrize("key", ["Ed25519", "ML-DSA-87", "RSA-4096"])
def test_pem_takes_every_key(key: str) -> None:
    """Also the keys that no container takes."""
    place = SecretStand()
    place.new = bundle(2, key=key)
    assert refusals(place) == []
    run(place).activate()
    assert place.served() == place.expected(place.new)


@pytest.mark.parametrize(("own", "fits"), [(60_000, True), (65_536, False)])
def test_the_size_is_limited(own: int, fits: bool) -> None:
    """What would be larger than a version may be is refused, with both numbers."""
    place = SecretStand(content={"own": "x" * (own - 20)})
    told = refusals(place)
    if fits:
        assert told == []
    else:
        assert any("more than the 65536" in each for each in told)
        with pytest.raises(NotFit):
            run(place).activate()


def test_a_password_for_something_else_is_not_lost() -> None:
    """A database's password in the field of the container's is not replaced."""
    place = SecretStand("pkcs12", content={"username": "shop", "password": "of the database"})
    assert any("set password_field" in each for each in refusals(place))
    place.fields = {**place.fields, "password_field": "keystore_password"}
    assert refusals(place) == []
    run(place).activate()
    assert place.document["password"] == "of the database"


def test_fields_of_the_same_name_are_refused() -> None:
    """One would replace the other."""
    place = SecretStand()
    place.fields = {**place.fields, "chain_field": "certificate"}
    assert any("the same name" in each for each in refusals(place))


def test_a_number_that_would_lose_digits_is_refused() -> None:
    """JSON's numbers may be longer than a float."""
    place = SecretStand(content='{"account": 0.12345678901234567890123}')
    assert any("more digits" in each for each in refusals(place))


# --- looking at what strangers wrote ---


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        '{"pkcs12": "****", "password": "x"}',
        '{"pkcs12": "MIAC", "password": 7}',
        '{"pkcs12": ["a"]}',
        '{"pkcs12": "\\ud800", "password": "\\ud800"}',
        '{"private_key": "\\ud800", "certificate": "no", "chain": {}}',
        json.dumps({"pkcs12": base64.b64encode(b"0" * 40_000).decode(), "password": ""}),
    ],
)
@pytest.mark.parametrize("format_name", ["pem", "fullchain", "pkcs12", "jks"])
def test_hostile_content_is_looked_at(format_name: str, content: str) -> None:
    """Whatever is in there, `look` tells that no certificate can be read; it can be replaced and comes back."""
    place = SecretStand(format_name, content=content)
    steps = run(place)
    assert steps.found.fingerprint == ""
    if not refusals(place):
        steps.activate()
        assert place.target().look().fingerprint == place.new.fingerprint
        steps.restore()
    assert place.document == json.loads(content)


def test_a_certificate_in_another_format_is_told() -> None:
    """The declared format is new: what serves now is found in PEM all the same."""
    place = SecretStand("fullchain")
    place.put(key_formats.named("pem").written(material(place.earlier), "shop"))
    assert place.target().look().fingerprint == place.earlier.fingerprint


def test_scheduled_for_deletion_is_not_found() -> None:
    """With what to do."""
    place = SecretStand()
    place.aws.delete_secret(SecretId=place.name)
    with pytest.raises(NotFound, match="RestoreSecret"):
        place.target().look()


def test_a_denial_says_what_to_do() -> None:
    """The roles of rollouts reach what has a tag."""
    place = SecretStand()
    denied = refused("AccessDeniedException", 400)
    with watched(Calls(at=1, act=denied)), pytest.raises(AccessDenied, match="the tag perennial:target"):
        place.target().look()


# --- nothing of a key is told ---


def test_no_error_and_no_log_holds_the_key(caplog: pytest.LogCaptureFixture) -> None:
    """An error quotes no request, whatever quoted it; DEBUG logs have neither requests nor answers."""
    caplog.set_level(logging.DEBUG)
    for name in ("botocore.endpoint", "botocore.parsers"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    place = SecretStand()
    body = place.new.private_key.splitlines()[1]
    steps = run(place)
    caplog.clear()  # what this test itself sent
    for act in (quoting, complaining):
        with watched(Calls(at=4, act=act)) as calls, pytest.raises(PerennialError) as told:
            steps.activate()
        assert calls.names[-1] == "PutSecretValue"
        assert body not in "".join(traceback.format_exception(told.value))
        assert "PutSecretValue" in str(told.value)
    steps.activate()
    assert body not in caplog.text
    assert place.earlier.private_key.splitlines()[1] not in caplog.text


def quoting(name: str, send: Callable[[], Any]) -> Any:
    """An answer that quotes what was sent."""
    answer: Any = {
        "Error": {"Code": "ValidationException", "Message": f"Value '{_sent(send)}' at 'secretString' failed"}
    }
    raise ClientError(answer, name)


def complaining(name: str, send: Callable[[], Any]) -> Any:
    """The SDK's own error, which quotes what was to be sent."""
    raise ParamValidationError(report=_sent(send))


def _sent(send: Callable[[], Any]) -> str:
    cells = [each.cell_contents for each in send.__closure__ or ()]
    (request,) = (each for each in cells if isinstance(each, dict))
    assert "PRIVATE KEY" in request["SecretString"]
    return str(request["SecretString"])


def test_the_state_is_the_id_of_a_version() -> None:
    """Nothing else is kept."""
    place = SecretStand()
    assert json.loads(run(place).found.state) == {"version": place.labelled("AWSCURRENT")[0]}


def test_an_unreadable_key_is_refused_in_words() -> None:
    """A bundle with something else for a key is an error that quotes nothing."""
    place = SecretStand("pkcs12", content="{}")
    place.new = replace(place.new, private_key="not a key")
    with pytest.raises(InvalidInput, match="cannot be read") as told:
        run(place).activate()
    assert "not a key" not in str(told.value)


def test_it_is_of_the_region_of_its_arn() -> None:
    """An ARN of another region than the target's is asked there; a name in the target's own."""
    asked: list[str] = []

    def noting(service: str, region: str = "") -> Any:
        asked.append(region)
        return clients(service, region)

    place = SecretStand()
    reach = Reach(account=ACCOUNT, region="us-east-1", clients=noting)
    Secret(place.settings, reach).look()
    settings = replace(place.settings, fields={**place.settings.fields, "secret": "nowhere"})
    with pytest.raises(NotFound, match=r"DescribeSecret of nowhere"):
        Secret(settings, reach).look()
    assert asked == [REGION, REGION, "us-east-1"]


def test_its_fields_are_checked_as_a_whole() -> None:
    """The pattern of `secret` takes names and ARNs, and neither spaces nor other services."""
    import re

    pattern = re.compile(secretsmanager.FIELDS[0].pattern)
    for good in ("shop/tls", "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:shop/tls-AbCdEf"):
        assert pattern.fullmatch(good)
    for bad in ("", "a b", "arn:aws:ssm:eu-west-1:123456789012:parameter/x", "x" * 513):
        assert not pattern.fullmatch(bad)


def test_restoring_needs_no_material() -> None:
    """The way back is a label: the earlier version's key is not needed."""
    place = SecretStand()
    found: Found = place.target().look()
    place.target().activate(found, place.new, "", lambda _: None)
    place.target().restore(found, place.new, "", None)
    assert place.served() == place.expected(place.earlier)
