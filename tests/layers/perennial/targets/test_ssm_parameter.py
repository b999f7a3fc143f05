"""A parameter without the key: written without a condition, and yet nothing of someone else is lost."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.ssm.exceptions import ValidationException
from moto.ssm.models import SimpleSystemManagerBackend, ssm_backends

from bundles import bundle
from certificates import build
from perennial import certificate_text
from perennial.certificate import ders, fingerprint
from perennial.errors import (
    AccessDenied,
    ChangedMeanwhile,
    NotFit,
    NotFound,
    PerennialError,
    ServiceRefused,
    Throttled,
)
from perennial.targets.interface import Bundle, Reach, TargetSettings
from scripted_aws import ScriptedAws, refuse
from target_conformance import Calls, Killed, Run, Served, Stand, TargetConformance, killed_after, refused, watched

ACCOUNT, REGION = "123456789012", "eu-west-1"
FOREIGN = bundle(9)
NUMBERS = count(1)
ORDER = (
    "name",
    "description",
    "value",
    "parameter_type",
    "allowed_pattern",
    "keyid",
    "overwrite",
    "tags",
    "data_type",
)
LIMITS = {"Standard": 4_096, "Advanced": 8_192, "Intelligent-Tiering": 8_192, None: 4_096}


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """moto, which refuses the sizes and the change of tier that Parameter Store refuses (API reference, PutParameter);
    its update without a key of KMS takes the account's own one, as there."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    put = SimpleSystemManagerBackend.put_parameter

    def strict(backend: Any, *given: Any, **more: Any) -> Any:
        named = {**dict(zip(ORDER, given, strict=False)), **more}
        before = backend._parameters.get(named["name"])
        if before and before[-1].tier == "Advanced" and named["tier"] == "Standard":
            raise ValidationException("an advanced parameter cannot be made a standard one")
        if len(named["value"].encode()) > LIMITS[named["tier"]]:
            raise ValidationException("the value is larger than its tier allows")
        if named["parameter_type"] == "SecureString" and not named["keyid"]:
            named["keyid"] = "alias/aws/ssm"
        return put(backend, **named)

    monkeypatch.setattr(SimpleSystemManagerBackend, "put_parameter", strict)
    with mock_aws():
        yield


def clients(service: str, region: str = REGION) -> Any:
    return boto3.client(service, region_name=region)


class ParameterStand(Stand):
    """A parameter with somebody's text."""

    kind = "ssm_parameter"
    gets_key = False

    def __init__(self, content: str = "fullchain", **more: Any) -> None:
        super().__init__()
        self.content = content
        self.name = f"/shop/tls/chain-{next(NUMBERS)}"
        self.aws = clients("ssm")
        text = {"Type": "String", "Value": certificate_text.text(content, self.earlier), **more}
        self.aws.put_parameter(Name=self.name, **text)

    @property
    def settings(self) -> TargetSettings:
        fields = {"parameter": self.name, "content": self.content}
        return TargetSettings(kind=self.kind, name="chain", fields=fields)

    @property
    def reach(self) -> Reach:
        return Reach(account=ACCOUNT, region=REGION, clients=clients)

    @property
    def versions(self) -> list[Any]:
        found: list[Any] = ssm_backends[ACCOUNT][REGION]._parameters[self.name]
        return found

    @property
    def text(self) -> str:
        last = self.versions[-1]
        return str(last.decrypt(last.value) if last.parameter_type == "SecureString" else last.value)

    def served(self) -> Served | None:
        return served(self.text, self.content)

    def expected(self, version: Bundle) -> Served:
        return served(certificate_text.text(self.content, version), self.content)

    def put(self, text: str) -> None:
        self.aws.put_parameter(Name=self.name, Value=text, Overwrite=True)

    def interfere(self) -> None:
        self.put(certificate_text.text(self.content, FOREIGN))

    def interfered(self) -> bool:
        return self.text == certificate_text.text(self.content, FOREIGN)

    def remove(self) -> None:
        self.aws.delete_parameter(Name=self.name)


def served(text: str, content: str) -> Served:
    """Read from the text itself; for a chain, the leaf is what its comment says."""
    found = [fingerprint(each) for each in ders(text)]
    if content == "chain":
        return Served(text.partition("\n")[0].rpartition(" ")[2], "", tuple(found))
    return Served(found[0], "", tuple(found[1:]))


class TestFullchain(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return ParameterStand


class TestCertificate(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return lambda: ParameterStand("certificate")


class TestChain(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return lambda: ParameterStand("chain")


class TestSecure(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return lambda: ParameterStand(Type="SecureString", KeyId="alias/own")


def run(place: ParameterStand) -> Run:
    found = Run(place)
    found.look()
    return found


def refusals(place: ParameterStand) -> list[str]:
    target = place.target()
    return target.refusals(target.look(), place.new, place.earlier)


def foreign_put_before(place: ParameterStand, operation: str = "PutParameter", times: int = 1) -> Calls:
    """Someone else puts a text between our reading and our writing: right before the call is sent."""
    calls = Calls()
    told = calls.call
    left = [times]

    def call(name: str, send: Callable[[], Any]) -> Any:
        if name == operation and left[0]:
            left[0] -= 1
            place.interfere_directly()  # type: ignore[attr-defined]
        return told(name, send)

    calls.call = call  # type: ignore[method-assign]
    return calls


class RacedStand(ParameterStand):
    """Someone else writes past boto3, so that it can happen amid a call."""

    puts = 0

    def interfere_directly(self) -> None:
        self.puts += 1
        backend = ssm_backends[ACCOUNT][REGION]
        last = self.versions[-1]
        backend.put_parameter(
            name=self.name,
            description="",
            value=self.foreign(self.puts),
            parameter_type=last.parameter_type,
            allowed_pattern="",
            keyid=last.keyid,
            overwrite=True,
            tags=[],
            data_type="text",
            tier=last.tier,
            policies=None,
        )

    def foreign(self, number: int) -> str:
        return f"# {number}\n" + certificate_text.text(self.content, FOREIGN)


# --- no condition, and yet nothing lost ---


def test_what_was_put_in_between_is_put_back() -> None:
    """Someone writes between our read and our write: theirs is the text in the end, and the rollout says so."""
    place = RacedStand()
    steps = run(place)
    with watched(foreign_put_before(place)), pytest.raises(ChangedMeanwhile, match="version 2"):
        steps.activate()
    assert place.text == place.foreign(1)
    assert [each.version for each in place.versions] == [1, 2, 3, 4]
    with pytest.raises(ChangedMeanwhile):
        steps.activate()
    with pytest.raises(ChangedMeanwhile):
        steps.restore()
    assert place.text == place.foreign(1)


def test_the_same_on_the_way_back() -> None:
    """Also restoring overwrites nobody."""
    place = RacedStand()
    steps = run(place)
    steps.activate()
    with watched(foreign_put_before(place)), pytest.raises(ChangedMeanwhile):
        steps.restore()
    assert place.text == place.foreign(1)


@pytest.mark.parametrize("step", ["activate", "restore"])
def test_killed_before_it_was_put_back(step: str) -> None:
    """Killed right after the write that landed on someone's: the next step, whichever it is, puts theirs back."""
    place = RacedStand()
    steps = run(place)
    calls = foreign_put_before(place)
    calls.at, calls.act = 5, killed_after
    with watched(calls), pytest.raises(Killed):
        steps.activate()
    assert calls.names[-1] == "PutParameter"
    assert place.text == certificate_text.text(place.content, place.new)
    with pytest.raises(ChangedMeanwhile):
        getattr(steps, step)()
    assert place.text == place.foreign(1)


def test_someone_writes_again_and_again() -> None:
    """Each of our writes lands on another text of someone: their last one stays."""
    place = RacedStand()
    steps = run(place)
    with watched(foreign_put_before(place, times=3)), pytest.raises(ChangedMeanwhile):
        steps.activate()
    assert place.text == place.foreign(3)


def test_what_is_newer_is_left_alone() -> None:
    """Someone wrote under ours and over it: the newest stays, nothing is put."""
    place = RacedStand()
    steps = run(place)
    place.interfere_directly()
    place.put(certificate_text.text(place.content, place.new))
    target: Any = place.target()
    value = target._value()
    place.interfere_directly()
    with watched(Calls()) as calls, pytest.raises(ChangedMeanwhile):
        target._mind_others(value.number, value.text, replace_state(steps))
    assert calls.writes() == []
    assert place.text == place.foreign(2)


def replace_state(steps: Run) -> Any:
    from perennial.targets.ssm_parameter import _state

    return _state(steps.found)


def test_the_sdk_repeats_a_put_whose_answer_was_lost() -> None:
    """Two versions of the same text are nobody's change."""
    place = ParameterStand()
    steps = run(place)

    def twice(name: str, send: Callable[[], Any]) -> Any:
        send()
        return send()

    with watched(Calls(at=5, act=twice)) as calls:
        steps.activate()
    assert calls.names[4] == "PutParameter"
    assert [each.version for each in place.versions] == [1, 2, 3]
    steps.activate()
    steps.restore()
    assert place.served() == place.expected(place.earlier)


def test_found_is_gone_from_the_history() -> None:
    """The history has 100 versions: then Perennial's own copy is taken where it is the same, else it says so."""
    place = ParameterStand()
    steps = run(place)
    steps.activate()
    del place.versions[0]
    target = place.target()
    with pytest.raises(NotFound, match="history of 100 versions"):
        target.restore(steps.found, place.new, "", None)
    with pytest.raises(NotFound, match="history of 100 versions"):
        target.restore(steps.found, place.new, "", FOREIGN)
    assert place.served() == place.expected(place.new)
    steps.restore()
    assert place.served() == place.expected(place.earlier)


# --- what stays ---


def test_attributes_stay() -> None:
    """Type, tier, key, description, pattern and policies are the consumer's."""
    more = {"Description": "of the shop", "AllowedPattern": ".*", "Tier": "Advanced", "Policies": "[]"}
    place = ParameterStand(Type="SecureString", KeyId="alias/own", **more)
    steps = run(place)
    steps.activate()
    steps.restore()
    first, *others = place.versions
    assert len(others) == 2
    for name in ("parameter_type", "keyid", "description", "allowed_pattern", "tier", "policies", "data_type"):
        assert {getattr(each, name) for each in others} == {getattr(first, name)}, name


def test_a_text_that_is_there_is_not_put_again() -> None:
    """What is found is the new version's text: no call writes."""
    place = ParameterStand()
    place.put(certificate_text.text(place.content, place.new))
    steps = run(place)
    with watched(Calls()) as calls:
        steps.activate()
        steps.restore()
    assert calls.writes() == []


def test_the_version_is_looked_for_on_every_page() -> None:
    """The history comes in pages of 50, the oldest first."""
    place = ParameterStand()
    for number in range(60):
        place.put(f"text {number}")
    place.put(certificate_text.text(place.content, place.earlier))
    run(place).activate()
    assert place.served() == place.expected(place.new)


# --- refusals ---


@pytest.mark.parametrize(
    ("tier", "key", "told"),
    [
        ("Standard", "EC-256", ""),
        ("Standard", "ML-DSA-87", "more than the 4096 of the tier Standard; make it an Advanced parameter, take"),
        ("Advanced", "ML-DSA-87", ""),
        ("Intelligent-Tiering", "ML-DSA-87", ""),
        ("Standard", "big", "more than the 4096 of the tier Standard; take the content"),
        ("Advanced", "big", "more than the 8192 of the tier Advanced; take the content"),
    ],
)
def test_the_size_is_limited_by_the_tier(tier: str, key: str, told: str) -> None:
    """What does not fit is refused with what to do; a larger tier is named only where it helps."""
    place = ParameterStand(Tier=tier)
    place.new = large() if key == "big" else bundle(2, key=key)
    found = refusals(place)
    assert (found == []) if not told else any(told in each for each in found)
    if told:
        with watched(Calls()) as calls, pytest.raises(NotFit, match="more than the"):
            run(place).activate()
        assert calls.writes() == []
    else:
        run(place).activate()
        assert place.served() == place.expected(place.new)


def large() -> Bundle:
    """A version with many names."""
    return bundle(2, names=tuple(f"host-{number:04}.shop.example.com" for number in range(250)))


def test_a_list_is_refused() -> None:
    """A StringList's items are separated by commas."""
    assert any("make it a String" in each for each in refusals(ParameterStand(Type="StringList")))


def test_another_data_type_is_refused() -> None:
    """Its values are checked by AWS afterwards, as images."""
    place = ParameterStand(DataType="aws:ec2:image")
    assert any("aws:ec2:image" in each for each in refusals(place))


def test_a_version_without_chain_has_no_chain() -> None:
    """Of a self-signed certificate, there is nothing to put."""
    place = ParameterStand("chain")
    place.new = replace(place.new, chain=())
    assert any("use the content certificate" in each for each in refusals(place))
    with pytest.raises(NotFit, match="use the content certificate"):
        run(place).activate()


@pytest.mark.parametrize(
    ("code", "meaning", "told"),
    [
        ("TooManyUpdates", Throttled, "PutParameter of /shop"),
        ("ParameterMaxVersionLimitExceeded", ServiceRefused, "oldest version has a label"),
        ("ParameterPatternMismatchException", ServiceRefused, "change the pattern"),
        ("InvalidKeyId", ServiceRefused, "key policy"),
        ("AccessDeniedException", AccessDenied, "the tag perennial:target"),
        ("ParameterNotFound", NotFound, "make a parameter of this name first"),
    ],
)
def test_what_parameter_store_answers(code: str, meaning: type[PerennialError], told: str) -> None:
    """Its own error codes mean what they say, with what to do."""
    place = ParameterStand()
    steps = run(place)
    with watched(Calls(at=5, act=refused(code, 400))), pytest.raises(meaning, match=told):
        steps.activate()


def test_a_name_that_is_nowhere() -> None:
    """With the action and what to do."""
    target = ParameterStand().target()
    aws = ScriptedAws({"ssm.GetParameter": refuse("ParameterNotFound")})
    target._ssm = aws("ssm")  # type: ignore[attr-defined]
    with pytest.raises(NotFound, match=r"ssm:GetParameter of /shop.*make a parameter"):
        target.look()


# --- looking ---


@pytest.mark.parametrize("text", ["none yet", "-----BEGIN CERTIFICATE-----", "# Issuers of\n", "\U0001f4a9" * 1_000])
@pytest.mark.parametrize("content", certificate_text.CONTENTS)
def test_any_text_is_looked_at(content: str, text: str) -> None:
    """What strangers put there has no fingerprint; it can be replaced, and comes back as it was."""
    place = ParameterStand(content, Value=text)
    steps = run(place)
    assert steps.found.fingerprint == ""
    steps.activate()
    assert place.served() == place.expected(place.new)
    steps.restore()
    assert place.text == text


def test_a_chain_without_its_comment_says_nothing() -> None:
    """A chain alone does not say whose it is."""
    place = ParameterStand("chain", Value=bundle(1).chain_pem)
    assert place.target().look().fingerprint == ""


def test_the_state_has_no_text() -> None:
    """A SecureString may be anybody's secret."""
    place = ParameterStand(Type="SecureString", Value="of somebody")
    assert set(json.loads(run(place).found.state)) == {"version", "sha256"}


def test_answers_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """DEBUG logs of the SDK have whole answers."""
    place = ParameterStand(Type="SecureString", Value="of somebody")
    caplog.set_level(logging.DEBUG)
    for name in ("botocore.endpoint", "botocore.parsers"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    run(place)
    assert "of somebody" not in caplog.text


# --- the text itself ---


def test_openssl_reads_a_chain_with_its_comment(tmp_path: Any) -> None:
    """The comment is outside of the blocks: OpenSSL verifies with the bundle."""
    import subprocess

    version = bundle(2)
    root = build("Example Root", ca=True)
    (tmp_path / "leaf.pem").write_text(certificate_text.text("certificate", version))
    (tmp_path / "chain.pem").write_text(certificate_text.text("chain", version))
    (tmp_path / "root.pem").write_text(root.pem)
    files = ["-CAfile", "root.pem", "-untrusted", "chain.pem", "leaf.pem"]
    done = subprocess.run(
        ["openssl", "verify", "-no_check_time", *files], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "leaf.pem: OK\n", done.stderr


@pytest.mark.parametrize(
    ("text", "public"),
    [
        (bundle(1).certificate_pem, True),
        ("# a comment\n\n" + bundle(1).chain_pem, True),
        (bundle(1).certificate_pem + bundle(1).private_key, False),
        (bundle(1).certificate_pem + "password", False),
        ("# PRIVATE KEY\n" + bundle(1).certificate_pem, False),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n" + bundle(1).certificate_pem, False),
        ("", False),
    ],
)
def test_what_is_public(text: str, public: bool) -> None:
    """Certificates and comments alone."""
    assert certificate_text.public(text) is public


def test_no_text_has_the_key() -> None:
    """Whatever the content."""
    for content in certificate_text.CONTENTS:
        assert "PRIVATE" not in certificate_text.text(content, bundle(2))
