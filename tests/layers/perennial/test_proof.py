"""Proofs: what observations show, what is signed, and what a document must be to be one."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates import build
from perennial import proof as proofs
from perennial import proof_signing
from perennial.errors import (
    AccessDenied,
    InvalidConfiguration,
    InvalidInput,
    InvalidReply,
    NotFound,
    ServiceRefused,
    Throttled,
    Unavailable,
)
from perennial.proof import Observation, Proof, document, load, of, statement, unproven, verdict
from perennial.proof_signing import sign, verify
from perennial.statement_signing import public_key, public_key_of
from scripted import Error, Script

NOW = datetime(2026, 11, 1, 12, 0, 1, 250_000, tzinfo=UTC)
LEAF, CA, OTHER = "a" * 64, "b" * 64, "c" * 64
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PRIVATE = build("proofs", key="EC-256").key


def seen(last: int = 1, **more: Any) -> Observation:
    """A handshake in which the new certificate was served with its chain."""
    facts: dict[str, Any] = {
        "address": f"192.0.2.{last}",
        "port": 443,
        "sni": "shop.example.com",
        "protocol": "TLSv1.3",
        "serial": "3ea",
        "chain": (LEAF, CA),
    }
    return Observation(**{**facts, **more})


PROOF = Proof(
    id="0123456789abcdef",
    managed="shop",
    version=2,
    rollout=3,
    target="edge",
    kind="elbv2",
    place="listener=arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/edge/1/2",
    method="handshake",
    purpose="deployed",
    expected=LEAF,
    serial="3ea",
    chain=(CA,),
    observations=(seen(1), seen(2, sni=None, protocol=None)),
    notes=("These names were not asked for, as there are too many: b.example.com.",),
    began_at=NOW - timedelta(minutes=1),
    proven_at=NOW,
    asked_by="arn:aws:iam::123456789012:user/jo",
    key_id=KEY,
)
READ_BACK = replace(PROOF, method="read-back", observations=(), chain=(), notes=())


# --- verdicts ---

NOT_PROVEN: dict[str, tuple[tuple[Observation, ...], str]] = {
    "nothing": ((), "no handshake was made"),
    "the earlier one": ((seen(chain=(OTHER, CA), serial="3e9"),), "192.0.2.1:443 serves serial 3e9"),
    "one of two": ((seen(), seen(2, chain=(OTHER,), serial="3e9")), "192.0.2.2:443 serves serial 3e9"),
    "refused": (
        (seen(chain=(), problem="no connection: Connection refused"),),
        "192.0.2.1:443 gives no handshake (no connection: Connection refused)",
    ),
    "a handshake that failed with the right leaf": (
        (seen(problem="the handshake failed: bad signature"),),
        "192.0.2.1:443 gives no handshake (the handshake failed: bad signature)",
    ),
    "an empty problem": ((seen(problem=""),), "192.0.2.1:443 gives no handshake ()"),
    "no certificate": ((seen(chain=()),), "192.0.2.1:443 sends no certificate"),
    "the leaf alone": ((seen(chain=(LEAF,)),), "192.0.2.1:443 serves it without its chain"),
    "another chain": ((seen(chain=(LEAF, OTHER)),), "192.0.2.1:443 serves it with another chain"),
    "IPv6": ((seen(address="2001:db8::1", chain=(OTHER,), serial="1"),), "[2001:db8::1]:443 serves serial 1"),
}


@pytest.mark.parametrize(("observations", "said"), NOT_PROVEN.values(), ids=NOT_PROVEN)
def test_what_is_no_proof(observations: tuple[Observation, ...], said: str) -> None:
    """One handshake that shows something else is enough, and is told with its address."""
    assert verdict(observations, LEAF, (CA,)) == said


def test_what_is_a_proof() -> None:
    """Every handshake ended well with the expected leaf, and with the CA above it where the version has one."""
    assert verdict((seen(1), seen(2)), LEAF, (CA,)) == ""
    assert verdict((seen(chain=(LEAF,)),), LEAF) == ""
    assert verdict((seen(chain=(LEAF, CA, OTHER)),), LEAF, (CA, "d" * 64)) == ""


def test_five_addresses_are_told() -> None:
    """Each address is told once for all of its names, five of them, and how many more there are, in a bounded text."""
    wrong = [
        seen(last, sni=f"{name}.example.com", chain=(OTHER,), serial="9" * 80)
        for last in range(1, 9)
        for name in range(5)
    ]
    said = verdict(wrong, LEAF)
    assert said.count("serves serial") == 5
    assert "192.0.2.5:443" in said
    assert said.endswith("; and 3 more")
    assert len(verdict([seen(address="x" * 5_000, problem="y\x1b" * 5_000)], LEAF)) < 400


def test_a_proof_shows_what_it_says() -> None:
    """The content alone: handshakes that show it, or a read-back, which has none."""
    assert unproven(PROOF) == ""
    assert unproven(READ_BACK) == ""
    assert unproven(replace(READ_BACK, purpose="restored", expected="", serial="")) == ""


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (replace(PROOF, observations=()), "no handshake was made"),
        (replace(PROOF, expected=OTHER), "192.0.2.1:443 serves serial 3ea; 192.0.2.2:443 serves serial 3ea"),
        (replace(PROOF, chain=(OTHER,)), "with another chain"),
        (replace(PROOF, serial="3eb"), "its serial is not that of the certificate that was served"),
        (replace(PROOF, observations=(seen(), seen(2, serial="1"))), "its serial is not that"),
        (replace(READ_BACK, observations=(seen(),)), "it is read back, and yet has handshakes"),
        (replace(READ_BACK, expected=""), "it names no certificate"),
    ],
)
def test_a_proof_that_shows_something_else(changed: Proof, said: str) -> None:
    """What a record claims is compared with what it holds."""
    assert said in unproven(changed)


# --- the text that is signed ---


def test_the_statement_is_canonical() -> None:
    """Sorted members, no spaces, UTF-8, the schema in it and the signature not: the same text for the same proof."""
    text = statement(replace(PROOF, place="Köln", signature="AAAA"))
    assert text == statement(replace(PROOF, place="Köln"))
    assert text.startswith(
        b'{"asked_by":"arn:aws:iam::123456789012:user/jo","began_at":"2026-11-01T11:59:01.250000+00:00"'
    )
    assert '"place":"Köln"'.encode() in text
    assert b'"schema":1' in text
    assert b"signature" not in text
    assert json.loads(text) == {
        name: value for name, value in document(replace(PROOF, place="Köln")).items() if name != "signature"
    }


def test_the_statement_of_a_time_elsewhere() -> None:
    """A time counts, not the zone in which it is written."""
    there = replace(PROOF, proven_at=NOW.astimezone(timezone(timedelta(hours=5))))
    assert statement(there) == statement(PROOF)


OTHERS: dict[str, Any] = {
    "version": 4,
    "rollout": 4,
    "expected": OTHER,
    "chain": (OTHER,),
    "observations": (seen(3),),
    "notes": (),
    "began_at": NOW,
    "proven_at": NOW + timedelta(microseconds=1),
    "method": "read-back",
    "purpose": "restored",
    "serial": "1",
}


@pytest.mark.parametrize("name", [each.name for each in fields(Proof) if each.name != "signature"])
def test_everything_is_signed(name: str) -> None:
    """A change of any member but the signature is another statement."""
    assert statement(replace(PROOF, **{name: OTHERS.get(name, "other")})) != statement(PROOF)


@pytest.mark.parametrize("name", [each.name for each in fields(Observation)])
def test_everything_observed_is_signed(name: str) -> None:
    """A change of any member of an observation is another statement."""
    other = {"port": 1, "chain": (), "sni": None}.get(name, "1")
    assert statement(replace(PROOF, observations=(seen(**{name: other}), seen(2)))) != statement(PROOF)


# --- documents ---


@pytest.mark.parametrize(
    "made",
    [
        PROOF,
        READ_BACK,
        replace(PROOF, key_id="", signature=""),
        replace(PROOF, signature="MEUCIQ==", place=""),
        replace(PROOF, observations=(seen(chain=(), serial="", problem="no connection: Connection refused"),)),
        replace(PROOF, observations=(seen(serial="-1f"),)),
    ],
)
def test_a_document_is_read_again(made: Proof) -> None:
    """What is written, through JSON of any kind, is what is read."""
    assert of(document(made)) == made
    assert of(json.loads(json.dumps(document(made)))) == made
    assert load(json.dumps([document(made), document(PROOF)], indent=2)) == (made, PROOF)
    assert load(json.dumps(document(made))) == (made,)


def changed(**members: Any) -> dict[str, Any]:
    return {**document(PROOF), **members}


def observed(**members: Any) -> dict[str, Any]:
    first, *more = document(PROOF)["observations"]
    return changed(observations=[{**first, **members}, *more])


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in document(PROOF).items() if key != name}


HOSTILE: dict[str, tuple[Any, str]] = {
    "nothing": (None, "proof is not an object"),
    "a list": ([], "proof is not an object"),
    "a text": ("{}", "proof is not an object"),
    "empty": ({}, "has the schema None"),
    "another schema": (changed(schema=2), "has the schema 2, and 1 is read here"),
    "a schema that only looks the same": (changed(schema=True), "proof.schema is not a whole number"),
    "a float as schema": (changed(schema=1.0), "proof.schema is not a whole number"),
    "no id": (without("id"), "proof has no member id"),
    "more": (changed(more=1), "proof has the member more"),
    "more, endless": (changed(**{"m" * 90_000: 1}), "proof has the member mmm"),
    "an empty id": (changed(id=""), "proof.id is not a text"),
    "an endless id": (changed(id="a" * 101), "proof.id is not a text of 1 to 100"),
    "a number as text": (changed(managed=1), "proof.managed is not a text"),
    "an escape": (changed(target="\x1b[2J"), "proof.target is not a text"),
    "two lines": (changed(place="a\nb"), "proof.place is not a text"),
    "half a character": (changed(asked_by="\ud800"), "proof.asked_by is not a text"),
    "right to left": (changed(asked_by="\u202egro"), "proof.asked_by is not a text"),
    "version 0": (changed(version=0), "proof.version is not a whole number from 1"),
    "a truth as number": (changed(version=True), "proof.version is not a whole number"),
    "a text as number": (changed(version="1"), "proof.version is not a whole number"),
    "an endless number": (changed(rollout=10**400), "proof.rollout is not a whole number"),
    "a method": (changed(method="belief"), "proof.method is not one of handshake, read-back"),
    "a purpose": (changed(purpose=""), "proof.purpose is not one of deployed, restored"),
    "upper case": (changed(expected=LEAF.upper()), "proof.expected is not a SHA-256"),
    "a line break behind": (changed(expected=LEAF + "\n"), "proof.expected is not a SHA-256"),
    "a serial": (changed(serial="0x1"), "proof.serial is not a serial"),
    "a chain that is none": (changed(chain=CA), "proof.chain is not a list"),
    "an endless chain": (changed(chain=[CA] * 21), "proof.chain is not a list of at most 20"),
    "a chain of others": (changed(chain=[CA, 1]), "proof.chain[1] is not a SHA-256"),
    "no observation list": (changed(observations={}), "proof.observations is not a list"),
    "endless observations": (changed(observations=[{}] * 257), "is not a list of at most 256"),
    "an observation that is none": (changed(observations=[1]), "proof.observations[0] is not an object"),
    "an observation with more": (observed(more=1), "proof.observations[0] has the member more"),
    "an observation with less": (changed(observations=[{"address": "a"}]), "observations[0] has no member port"),
    "a port": (observed(port=65_536), "proof.observations[0].port is not a whole number"),
    "a name": (observed(sni=""), "proof.observations[0].sni is not a text"),
    "a problem": (observed(problem="a\nb"), "proof.observations[0].problem is not a text"),
    "notes": (changed(notes=["a"] * 21), "proof.notes is not a list of at most 20"),
    "a time without zone": (changed(proven_at="2026-11-01T12:00:00"), "proof.proven_at is not a time in UTC"),
    "a time elsewhere": (changed(proven_at="2026-11-01T12:00:00+01:00"), "proof.proven_at is not a time in UTC"),
    "a time in another spelling": (changed(proven_at="2026-11-01T12:00:00Z"), "proof.proven_at is not a time in UTC"),
    "no time": (changed(began_at="now"), "proof.began_at is not a time"),
    "a time out of time": (changed(began_at="0001-01-01T00:00:00+23:00"), "proof.began_at is not a time"),
    "a time that is a number": (changed(began_at=1), "proof.began_at is not a text"),
    "a signature": (changed(signature="a b"), "proof.signature is not base64"),
    "an endless signature": (changed(signature="A" * 300), "proof.signature is not base64"),
}


@pytest.mark.parametrize(("hostile", "said"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_document_is_refused(hostile: Any, said: str) -> None:
    """Every member is bounded and of one form; the error names it in few words."""
    with pytest.raises(InvalidInput) as error:
        of(hostile)
    assert said in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("9" * 10_000, "cannot be read as JSON"),
        (json.dumps(document(PROOF)).replace('"version": 2', '"version": 9, "version": 2'), "a member twice"),
        ("x" * (proofs.MAX_FILE + 1), "has more than"),
        (f"[{','.join(['{}'] * 10_001)}]", "there are 10001 proofs"),
        ("[[]]", "proof is not an object"),
        ("NaN", "cannot be read as JSON"),
    ],
)
def test_a_hostile_file_is_refused(text: str, said: str) -> None:
    """What is no JSON, or too much of it, or ambiguous, is no proof."""
    with pytest.raises(InvalidInput, match=said):
        load(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_document_raises_anything_else(data: st.DataObject) -> None:
    """Whatever stands in a member, at any depth, it is read as itself or refused."""
    hostile = copy.deepcopy(document(PROOF))
    name = data.draw(st.sampled_from(sorted(hostile)))
    at: Any = hostile["observations"][0] if data.draw(st.booleans()) else hostile
    at[name if at is hostile else data.draw(st.sampled_from(sorted(at)))] = data.draw(JSON)
    try:
        read = of(hostile)
    except InvalidInput:
        return
    assert document(read) == hostile
    statement(read)


# --- signatures ---


def der(key: Any = PRIVATE) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    found: bytes = key.public_key().public_bytes(serialization.Encoding.DER, form)
    return found


def in_pem(key: Any = PRIVATE) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    found: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    return found


class Kms:
    """KMS with one P-256 key that really signs, under the rules of its API reference."""

    def __init__(self, answer: Any = None) -> None:
        told = {"KeyId": KEY, "PublicKey": der(), "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": ["ECDSA_SHA_256"]}
        given = [answer] if answer else None
        self.script = Script({"kms.Sign": given or self.signed, "kms.GetPublicKey": given or [told]})
        self.client = self.script.client("kms")

    @staticmethod
    def signed(asked: Any) -> Any:
        if asked["MessageType"] != "DIGEST" or len(asked["Message"]) != 32 or asked["KeyId"] != KEY:
            return Error("ValidationException")
        signature = PRIVATE.sign(asked["Message"], ec.ECDSA(Prehashed(hashes.SHA256())))
        return {"KeyId": KEY, "Signature": signature, "SigningAlgorithm": asked["SigningAlgorithm"]}


def test_a_signature_holds() -> None:
    """KMS gets the hash of the statement, however long that is, and anybody with the public key can check it."""
    long = replace(PROOF, key_id="", observations=tuple(seen(1, port=port) for port in range(200)))
    kms = Kms()
    made = sign(kms.client, KEY, long)
    assert made == replace(long, key_id=KEY, signature=made.signature)
    assert kms.script.made("kms.Sign") == [
        {
            "KeyId": KEY,
            "Message": hashlib.sha256(statement(made)).digest(),
            "MessageType": "DIGEST",
            "SigningAlgorithm": "ECDSA_SHA_256",
        }
    ]
    verify(made, public_key(kms.client, KEY))
    verify(of(json.loads(json.dumps(document(made)))), public_key_of(in_pem()))


SIGNED = sign(Kms().client, KEY, PROOF)
WRONG: dict[str, tuple[Proof, str]] = {
    "a member": (replace(SIGNED, target="other"), "the signature is not this key's over what it says"),
    "an observation": (
        replace(SIGNED, observations=(seen(9), *SIGNED.observations[1:])),
        "the signature is not this key's",
    ),
    "another key named": (replace(SIGNED, key_id=KEY[:-1] + "0"), "the signature is not this key's"),
    "no signature": (replace(SIGNED, signature=""), "it is not signed"),
    "another signature": (replace(SIGNED, signature=base64.b64encode(b"\x30\x00").decode()), "not this key's"),
    "no base64": (replace(SIGNED, signature="AAA"), "the signature is not base64"),
}


@pytest.mark.parametrize(("wrong", "said"), WRONG.values(), ids=WRONG)
def test_a_signature_that_does_not_hold(wrong: Proof, said: str) -> None:
    """Anything that was changed after signing is found."""
    verify(SIGNED, der())
    with pytest.raises(InvalidInput, match=said):
        verify(wrong, der())


def test_a_signature_of_another_key() -> None:
    """A proof that someone else signed is not taken for ours."""
    with pytest.raises(InvalidInput, match="not this key's"):
        verify(SIGNED, der(build("other", key="EC-256").key))


def test_a_good_signature_over_something_that_shows_nothing() -> None:
    """What was signed must also hold what it says: a valid signature is not enough."""
    false = replace(PROOF, expected=OTHER)
    signature = PRIVATE.sign(statement(false), ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidInput, match="what it holds does not show what it says: 192"):
        verify(replace(false, signature=base64.b64encode(signature).decode()), der())


def test_what_shows_nothing_is_not_signed() -> None:
    """KMS is not even asked."""
    kms = Kms()
    with pytest.raises(InvalidInput, match="is not signed: no handshake was made"):
        sign(kms.client, KEY, replace(PROOF, observations=()))
    assert kms.script.calls == []


@pytest.mark.parametrize("key_id", ["", "alias/proofs", KEY.rpartition("/")[2], KEY.replace("kms", "sns"), KEY + "\n"])
def test_a_key_is_named_by_its_arn(key_id: str) -> None:
    """The name is in the statement, and must mean the same key wherever it is read."""
    kms = Kms()
    with pytest.raises(InvalidConfiguration, match="is not the ARN of a KMS key"):
        sign(kms.client, key_id, PROOF)
    with pytest.raises(InvalidInput, match="is not the ARN of a KMS key"):
        public_key(kms.client, key_id)
    assert kms.script.calls == []


ERRORS: list[tuple[str, type[Exception], str]] = [
    ("AccessDeniedException", AccessDenied, "kms:Sign of arn"),
    ("NotFoundException", NotFound, "deploy the stack"),
    ("DisabledException", ServiceRefused, "enable the key"),
    ("KMSInvalidStateException", ServiceRefused, "enable the key that signs proofs, or cancel its deletion"),
    ("InvalidKeyUsageException", ServiceRefused, "SIGN_VERIFY"),
    ("ThrottlingException", Throttled, "kms:Sign"),
    ("KMSInternalException", Unavailable, "kms:Sign"),
]


@pytest.mark.parametrize(("code", "kind", "said"), ERRORS)
def test_errors_of_kms(code: str, kind: type[Exception], said: str) -> None:
    """Each names the action, and what to do where that is known."""
    with pytest.raises(kind, match=said):
        sign(Kms(Error(code)).client, KEY, PROOF)


def test_errors_of_reading_the_public_key() -> None:
    """A denial names the action."""
    with pytest.raises(AccessDenied, match="kms:GetPublicKey of arn"):
        public_key(Kms(Error("AccessDeniedException")).client, KEY)


def test_kms_that_does_not_answer() -> None:
    """A network's failure is worth another try."""

    class Silent:
        def sign(self, **_: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    with pytest.raises(Unavailable, match="kms:Sign"):
        sign(Silent(), KEY, PROOF)


@pytest.mark.parametrize("answer", [{"KeyId": KEY}, {"KeyId": KEY, "Signature": b"x" * 81}])
def test_an_answer_that_is_no_signature(answer: Any) -> None:
    """Nothing of it is kept."""
    with pytest.raises(InvalidReply, match="no signature"):
        sign(Kms(answer).client, KEY, PROOF)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ({"KeyId": KEY + "0", "PublicKey": der()}, InvalidReply, "it answers for"),
        ({"KeyId": KEY}, InvalidInput, "cannot be read"),
        ({"KeyId": KEY, "PublicKey": b"\x30\x00"}, InvalidInput, "cannot be read"),
        ({"KeyId": KEY, "PublicKey": der(build("a", key="EC-384").key)}, InvalidInput, "not one of the type P-256"),
        ({"KeyId": KEY, "PublicKey": der(build("a", key="RSA-2048").key)}, InvalidInput, "not one of the type P-256"),
    ],
)
def test_public_keys_that_sign_no_proofs(answer: Any, kind: type[Exception], said: str) -> None:
    """A key of another type, or for another name, is refused before anything is verified with it."""
    with pytest.raises(kind, match=said):
        public_key(Kms(answer).client, KEY)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "cannot be read"),
        (b"\xff" * 100, "cannot be read"),
        (b"x" * 20_000, "more than"),
        (in_pem(build("a", key="RSA-2048").key), "not one of the type P-256"),
        (build("proofs").key_pem.encode(), "cannot be read"),
    ],
)
def test_public_keys_in_pem(text: bytes, said: str) -> None:
    """What is no public key of the type is refused; a private key is not read as one."""
    with pytest.raises(InvalidInput, match=said):
        public_key_of(text)


def test_the_actions() -> None:
    """What a role that signs needs, and what one that verifies does."""
    assert (proof_signing.ACTIONS, proof_signing.READS) == (("kms:Sign",), ("kms:GetPublicKey",))
