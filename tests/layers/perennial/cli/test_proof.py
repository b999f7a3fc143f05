"""`perennial proof`: what it shows, what it verifies with KMS and without, and how it ends."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto.kms.models import kms_backends

from certificates import build
from command import Run
from inventory_table import create_table
from perennial.cli import program as command
from perennial.clients import Clients
from perennial.inventory.store import Inventory
from perennial.proof import Observation, Proof, document
from perennial.proof_signing import sign

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
LEAF, CA, OTHER = "a" * 64, "b" * 64, "c" * 64
PROOF = Proof(
    id="0123456789abcdef0123456789abcdef",
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
    observations=(
        Observation(
            address="192.0.2.1", port=443, sni="shop.example.com", protocol="TLSv1.3", serial="3ea", chain=(LEAF, CA)
        ),
    ),
    notes=("These names were not asked for, as there are too many: b.example.com.",),
    began_at=NOW - timedelta(minutes=1),
    proven_at=NOW,
    asked_by="arn:aws:iam::123456789012:user/jo",
)
Kept = Callable[..., None]


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(command._COMMANDS, "proof", ("perennial.cli.proof", "proof"))


@pytest.fixture
def key(run: Run) -> str:
    """The ARN of the deployment's key that signs proofs. What it signs is a P-256 key's, made by moto."""
    made = str(boto3.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"])
    boto3.client("ssm").put_parameter(Name="/perennial/proof-key", Value=made, Type="String")
    return made


@pytest.fixture
def kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A deployment whose inventory has these proofs of `shop`, and none of others."""
    create_table(boto3.client("dynamodb"), "perennial-inventory")
    boto3.client("ssm").put_parameter(Name="/perennial/table", Value="perennial-inventory", Type="String")

    def keep(*proofs: Proof) -> None:
        def found(self: Inventory, managed: str, limit: int = 1_000) -> Sequence[Proof]:
            return list(proofs) if managed == "shop" else []

        monkeypatch.setattr(Inventory, "proofs", found, raising=False)

    return keep


class Kms:
    """Signs digests with moto's own key; moto's Sign takes every message for a whole one and hashes it again."""

    def sign(self, *, KeyId: str, Message: bytes, MessageType: str, SigningAlgorithm: str) -> dict[str, Any]:
        assert (MessageType, SigningAlgorithm) == ("DIGEST", "ECDSA_SHA_256")
        private = kms_backends["123456789012"]["eu-west-1"].keys[KeyId.rpartition("/")[2]].private_key.private_key
        return {"Signature": private.sign(Message, ec.ECDSA(Prehashed(hashes.SHA256())))}


def signed(key: str, proof: Proof = PROOF, **more: Any) -> Proof:
    return sign(Kms(), key, replace(proof, **more))


def false(key: str) -> Proof:
    """A proof that was changed after it was signed."""
    return replace(signed(key), id="f" * 32, target="other")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The services whose clients the command asks for."""
    made: list[str] = []
    get = Clients.__call__

    def noted(self: Clients, service: str, region: str | None = None) -> Any:
        made.append(service)
        return get(self, service, region)

    monkeypatch.setattr(Clients, "__call__", noted)
    return made


# --- show ---


def test_the_list(run: Run, key: str, kept: Kept) -> None:
    """A line for each proof, in the order in which the inventory has them."""
    read_back = replace(PROOF, method="read-back", observations=())
    kept(signed(key, id="f" * 32, rollout=4, purpose="restored"), signed(key, read_back))
    result = run("proof", "show", "shop")
    header, newest, oldest = result.stdout.splitlines()
    assert header.split() == ["Proven", "Version", "Target", "What", "How", "Id"]
    assert newest.split() == ["2026-11-01", "12:00", "2", "edge", "restored", "1", "handshake", "f" * 12]
    assert oldest.split() == ["2026-11-01", "12:00", "2", "edge", "deployed", "read-back", "0123456789ab"]
    assert "perennial proof show shop --id ID" in result.stderr


def test_one_in_full(run: Run, key: str, kept: Kept) -> None:
    """Everything that a proof holds is shown, and nothing of another one."""
    kept(signed(key, id="f" * 32, target="other"), signed(key))
    said = run("proof", "show", "shop", "--id", "0123").stdout
    for part in (
        "shop, version 2: deployed at edge",
        PROOF.id,
        PROOF.place,
        "192.0.2.1 port 443 for shop.example.com: TLSv1.3, serial 3ea, 2 certificates",
        "These names were not asked for",
        LEAF,
        CA,
        "2026-11-01 11:59:00 UTC",
        "2026-11-01 12:00:00 UTC",
        "user/jo",
        key,
    ):
        assert part in said
    assert "other" not in said


def test_json_is_what_verify_takes(run: Run, key: str, kept: Kept, tmp_path: Path) -> None:
    """`show --json` writes the signed documents, and a file of them verifies."""
    made = (signed(key), signed(key, id="f" * 32))
    kept(*made)
    output = run("proof", "show", "shop", "--json").stdout
    assert json.loads(output) == [document(each) for each in made]
    file = tmp_path / "proofs.json"
    file.write_text(output)
    assert run("proof", "verify", "--file", str(file)).stdout.count("holds  ") == 2
    assert json.loads(run("proof", "show", "shop", "--json", "--id", "ff").stdout) == [document(made[1])]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "none"), "'none' has no proofs; perennial managed list"),
        (("show", "shop", "--id", "9"), "'shop' has no proof '9'; perennial proof show shop lists them"),
        (("verify", "none"), "'none' has no proofs"),
        (("verify",), "name a managed certificate, or give a --file"),
        (("verify", "shop", "--file", __file__), "name a managed certificate, or give a --file"),
        (("verify", "--file", "/no.json"), "/no.json"),
        (("verify", "--file", __file__), "the file of proofs cannot be read as JSON"),
        (("verify", "shop", "--public-key", __file__), "the public key cannot be read"),
        (("show",), "Missing argument 'NAME'"),
        (("show", "shop", "--table", "no"), "no table no"),
    ],
)
def test_what_cannot_be_asked_for(run: Run, key: str, kept: Kept, arguments: tuple[str, ...], said: str) -> None:
    """One line says what is wrong, and the exit code is 2."""
    kept(signed(key))
    result = run("proof", *arguments, expect=2)
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_hostile_texts_are_shown_as_themselves(run: Run, key: str, kept: Kept) -> None:
    """Nothing that a proof holds commands the terminal, also where it came into the table by other ways."""
    kept(replace(PROOF, target="\x1b[2J", place="\x1b]0;x", asked_by="\u202e", notes=("\x07",)))
    for arguments in (("show", "shop"), ("show", "shop", "--id", "0"), ("show", "shop", "--json")):
        said = run("proof", *arguments).stdout
        assert not set(said) & {"\x1b", "\x07", "\u202e"}
    assert "\\x1b[2J" in run("proof", "verify", "shop", expect=2).stdout


# --- verify ---


def test_all_hold(run: Run, key: str, kept: Kept, calls: list[str]) -> None:
    """A line for each; KMS is asked once for a key, however many proofs it signed."""
    kept(*(signed(key, id=f"{number:032x}") for number in range(5)))
    lines = run("proof", "verify", "shop").stdout.splitlines()
    assert lines[1] == "holds          000000000000  2026-11-01 12:00  shop/2 deployed at edge"
    assert len(lines) == 5
    assert all(each.startswith("holds ") for each in lines)
    assert calls.count("kms") == 1


def test_one_does_not_hold(run: Run, key: str, kept: Kept) -> None:
    """The others are told too, and the exit code is 1."""
    kept(signed(key), false(key))
    good, bad = run("proof", "verify", "shop", expect=1).stdout.splitlines()
    assert good.startswith("holds ")
    assert bad.startswith("DOES NOT HOLD  ffffffffffff  2026-11-01 12:00  shop/2 deployed at other: the signature is")


def test_a_signature_over_what_shows_nothing(run: Run, key: str, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a valid signature does not help a record that holds something else than it says."""
    with monkeypatch.context() as careless:
        careless.setattr("perennial.proof_signing.unproven", lambda proof: "")
        kept(signed(key, expected=OTHER))
    said = run("proof", "verify", "shop", "--public-key", "-", stdin=_pem(key), expect=1).stdout
    assert "what it holds does not show what it says: 192.0.2.1:443 serves serial 3ea" in said


def _pem(key: str) -> bytes:
    found = serialization.load_der_public_key(boto3.client("kms").get_public_key(KeyId=key)["PublicKey"])
    return found.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_a_file_without_aws(
    run: Run, key: str, kept: Kept, tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the public key in a file nothing of AWS is asked, not even for credentials."""
    made = signed(key)
    file, public = tmp_path / "proof.json", tmp_path / "key.pem"
    file.write_text(json.dumps(document(made)))
    public.write_bytes(_pem(key))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    assert run("proof", "verify", "--file", str(file), "--public-key", str(public)).stdout.startswith("holds ")
    assert calls == []
    other = build("other", key="EC-256").key.public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(other.public_bytes(serialization.Encoding.PEM, form))
    said = run("proof", "verify", "--file", str(file), "--public-key", str(public), expect=1).stdout
    assert "the signature is not this key's" in said


@pytest.mark.parametrize(
    "other",
    [
        "",
        "alias/proofs",
        "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000",
        "arn:aws:kms:eu-west-1:999999999999:key/00000000-0000-0000-0000-000000000000",
    ],
)
def test_another_key(run: Run, key: str, kept: Kept, other: str) -> None:
    """Anybody may sign with a key of theirs: one that is not the deployment's is not asked for, and nothing holds by
    it. What nobody can check is told as that, and is no success."""
    kept(replace(signed(key), key_id=other), signed(key))
    lost, good = run("proof", "verify", "shop", expect=2).stdout.splitlines()
    assert lost.startswith("not checked    ")
    assert "not by the deployment's key; give --public-key" in lost
    assert good.startswith("holds ")


def test_a_key_that_is_gone(run: Run, key: str, kept: Kept) -> None:
    """Where KMS does not tell the deployment's key, nothing is checked."""
    gone = key[:-12] + "0" * 12
    boto3.client("ssm").put_parameter(Name="/perennial/proof-key", Value=gone, Type="String", Overwrite=True)
    kept(replace(signed(key), key_id=gone))
    assert "kms:GetPublicKey of arn" in run("proof", "verify", "shop", expect=2).stdout


def test_a_deployment_without_such_a_key(run: Run, key: str, kept: Kept) -> None:
    """What is configured must be a KMS key's ARN."""
    boto3.client("ssm").put_parameter(Name="/perennial/proof-key", Value="alias/x", Type="String", Overwrite=True)
    kept(signed(key))
    assert "which is no KMS key" in run("proof", "verify", "shop", expect=2).stderr


def test_what_does_not_hold_comes_before_what_is_not_checked(run: Run, key: str, kept: Kept) -> None:
    """In either order the exit code is 1."""
    unknown = replace(signed(key), key_id="")
    for proofs in ((false(key), unknown), (unknown, false(key))):
        kept(*proofs)
        run("proof", "verify", "shop", expect=1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read as JSON"),
        (b"\xff\xfe", "is not text in UTF-8"),
        (b"[]", "the file holds no proof"),
        (b"[" * 100_000, "cannot be read as JSON"),
        (b"{}", "has the schema None, and 1 is read here"),
        (json.dumps({**document(PROOF), "target": "\x1b[2J"}).encode(), "proof.target is not a text"),
        (b" " * 9_000_000, "has more than"),
    ],
)
def test_a_file_that_holds_none(run: Run, tmp_path: Path, content: bytes, said: str) -> None:
    """What is no proof is not checked: exit code 2, and one line."""
    file = tmp_path / "proofs.json"
    file.write_bytes(content)
    result = run("proof", "verify", "--file", str(file), expect=2)
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_stranger_can_check_one(run: Run, key: str, tmp_path: Path) -> None:
    """The signature is over the JSON of the document without its signature, sorted and without spaces: with that
    sentence and openssl alone a proof is verified."""
    made = document(signed(key))
    signature = made.pop("signature")
    text = json.dumps(made, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for name, content in (("text", text.encode()), ("sig", base64.b64decode(signature)), ("pem", _pem(key))):
        (tmp_path / name).write_bytes(content)
    command = ["openssl", "dgst", "-sha256", "-verify", "pem", "-signature", "sig", "text"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "Verified OK"


def test_help(run: Run) -> None:
    """Each command says what it does, with an example and the exit codes that are its own."""
    assert all(name in run("proof", "--help").stdout for name in ("show", "verify"))
    assert "perennial proof show shop" in run("proof", "show", "--help").stdout
    said = run("proof", "verify", "--help").stdout
    assert "perennial proof verify --file proofs.json --public-key proofs.pem" in said
    assert "1 a signature or content does not" in said
