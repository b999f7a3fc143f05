"""`perennial audit`: what it lists, shows and exports, what it verifies offline, and how it ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from moto.kms.models import kms_backends

from certificates import build
from command import Run
from inventory_table import create_table
from perennial.audit_chain import Link
from perennial.audit_checkpoint import Checkpoint, document, next_checkpoint, sign
from perennial.audit_event import Event
from perennial.cli import program as command
from perennial.inventory.store import Inventory

NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
DAY = f"{NOW:%Y-%m-%d}"
JO = "arn:aws:iam::123456789012:user/jo"
FOREIGN = build("other", key="EC-256").key


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(command._COMMANDS, "audit", ("perennial.cli.audit", "audit"))


def event(number: int, **more: Any) -> Event:
    facts: dict[str, Any] = {"principal": JO, "source": "cli", "action": "managed.change", "subject_kind": "managed"}
    at = NOW + timedelta(minutes=number)
    return Event(**{"id": f"{number:032x}", "at": at, "subject": "shop", **facts, **more})


class Kms:
    """Signs digests with moto's own key; moto's Sign takes every message for a whole one and hashes it again."""

    def sign(self, *, KeyId: str, Message: bytes, MessageType: str, SigningAlgorithm: str) -> dict[str, Any]:
        assert (MessageType, SigningAlgorithm) == ("DIGEST", "ECDSA_SHA_256")
        private = kms_backends["123456789012"]["eu-west-1"].keys[KeyId.rpartition("/")[2]].private_key.private_key
        return {"Signature": private.sign(Message, ec.ECDSA(Prehashed(hashes.SHA256())))}


Trail = tuple[Inventory, list[Link]]


@pytest.fixture
def trail(run: Run) -> Trail:
    """A deployment whose audit trail has four events, of which a checkpoint covers three."""
    create_table(boto3.client("dynamodb"), "perennial-inventory")
    boto3.client("ssm").put_parameter(Name="/perennial/table", Value="perennial-inventory", Type="String")
    made = str(boto3.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"])
    inventory = Inventory("perennial-inventory", region="eu-west-1")
    links = [
        inventory.append_audit(event(1, before={"days": 90}, after={"days": 47}, why="too long", owner="web")),
        inventory.append_audit(event(2, principal="al", outcome="refused", reason="not of your team")),
        inventory.append_audit(event(3, subject="mail", after={"text": "\x1b[2J\u202e"})),
    ]
    planned = next_checkpoint(None, inventory.audit_heads(DAY), DAY, NOW + timedelta(hours=1))
    inventory.keep_checkpoint(sign(Kms(), made, planned))
    links.append(inventory.append_audit(event(4)))
    return inventory, links


@pytest.fixture
def exported(run: Run, trail: Trail, tmp_path: Path) -> Path:
    """An export of the trail in a file."""
    file = tmp_path / "audit.jsonl"
    run("audit", "export", "--last", "2d", "--out", str(file))
    return file


def pem(file: Path, key: Any = None) -> str:
    """A file with the key of the export, or with another one."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    (own,) = [each["pem"] for each in lines if each["type"] == "key"]
    other = key and key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    path = file.with_suffix(f".{'other' if key else 'own'}.pem")
    path.write_text(other or own)
    return str(path)


# --- list and show ---


def test_the_list(run: Run, trail: Trail) -> None:
    """A line for each event, the newest first, with what names it."""
    _, links = trail
    result = run("audit", "list", "--limit", "3")
    header, *rows = (each.split() for each in result.stdout.splitlines())
    assert header == ["Event", "UTC", "Who", "What", "Subject"]
    assert rows == [
        [links[3].reference, "12:04", "user/jo", "managed.change", "managed/shop"],
        [links[2].reference, "12:03", "user/jo", "managed.change", "managed/mail"],
        [links[1].reference, "12:02", "al", "managed.change", "refused", "managed/shop"],
    ]
    assert "perennial audit show EVENT" in result.stderr


def test_json_of_a_list(run: Run, trail: Trail) -> None:
    """Everything of each event, with its place and hashes."""
    _, links = trail
    found = json.loads(run("audit", "list", "--json").stdout)
    assert [each["reference"] for each in found] == [link.reference for link in reversed(links)]
    assert found[3]["before"] == {"days": 90}
    assert found[3]["hash"] == links[0].hash
    assert json.loads(run("audit", "list", "--json", "--since", "2020-01-01", "--until", "2020-01-02").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        (("--subject", "managed/shop"), [4, 2, 1]),
        (("--subject", "managed/mail"), [3]),
        (("--by", "al"), [2]),
        (("--outcome", "refused"), [2]),
        (("--action", "managed.renew"), []),
        (("--since", f"{NOW + timedelta(minutes=3):%Y-%m-%dT%H:%M:%S}"), [4, 3]),
        (("--since", f"{NOW:%Y-%m-%d}", "--until", f"{NOW + timedelta(minutes=2):%Y-%m-%dT%H:%M:%SZ}"), [1]),
    ],
)
def test_what_is_asked_for(run: Run, trail: Trail, arguments: tuple[str, ...], numbers: list[int]) -> None:
    """By subject, person, time, action and outcome."""
    found = json.loads(run("audit", "list", "--json", *arguments).stdout)
    assert [int(each["id"], 16) for each in found] == numbers


def test_one_in_full(run: Run, trail: Trail) -> None:
    """Everything that an event holds."""
    _, links = trail
    said = run("audit", "show", links[0].reference).stdout
    for part in ("managed.change managed/shop: done", JO, "(cli)", "too long", "web", '{"days":90}', links[0].hash):
        assert part in said
    assert "not of your team" in run("audit", "show", links[1].reference).stdout
    assert json.loads(run("audit", "show", links[0].reference, "--json").stdout)["id"] == f"{1:032x}"
    assert json.loads(run("audit", "show", links[0].reference, "--output", "ocsf").stdout)["class_uid"] == 3004


def test_hostile_texts_are_shown_as_themselves(run: Run, trail: Trail, exported: Path) -> None:
    """Nothing in an event commands the terminal, in no format."""
    reference = trail[1][2].reference
    said = [run("audit", "show", reference, "--output", each).stdout for each in ("table", "json", "ocsf")]
    said += [run("audit", "list", "--json").stdout, run("audit", "export", "--last", "2d").stdout]
    for each in said:
        assert not set(each) & {"\x1b", "\u202e"}


# --- export and verify ---


def test_an_export_verifies(run: Run, exported: Path) -> None:
    """With the deployment's key it holds, and what no checkpoint covers yet is said."""
    said = run("audit", "verify", str(exported), "--public-key", pem(exported)).stdout
    assert said.startswith("holds ")
    assert "4 events, 1 checkpoints" in said
    assert "Up to        checkpoint 1" in said
    assert "Not covered  the last 1 events: no checkpoint has seen them yet" in said
    assert "came with the export" not in said
    own = run("audit", "verify", str(exported)).stdout
    assert "came with the export" in own


def test_verify_needs_no_aws(run: Run, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even credentials."""

    def no_client(*_: Any, **__: Any) -> Any:
        raise AssertionError("a client was made")

    monkeypatch.setattr("botocore.session.Session.create_client", no_client)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert run("audit", "verify", str(exported)).stdout.startswith("holds")


def test_json_of_verify(run: Run, exported: Path) -> None:
    """The same for programs."""
    found = json.loads(run("audit", "verify", str(exported), "--json").stdout)
    assert (found["holds"], found["events"], found["not_covered"], found["keys"]) == (True, 4, 1, "export")
    assert found["first_broken"] is None
    assert [len(each) for each in found["key_sha256"]] == [64]


def without_an_event(lines: list[str]) -> list[str]:
    return lines[:3] + lines[4:]


def with_another_word(lines: list[str]) -> list[str]:
    return [each.replace("too long", "too short") for each in lines]


def without_the_end(lines: list[str]) -> list[str]:
    return lines[:-1]


TAMPERED: Sequence[Callable[[list[str]], list[str]]] = (without_an_event, with_another_word, without_the_end)


@pytest.mark.parametrize("tamper", TAMPERED)
def test_a_tampered_export(run: Run, exported: Path, tamper: Callable[[list[str]], list[str]]) -> None:
    """It does not hold, exit code 1, and the first broken link is named."""
    key = pem(exported)
    exported.write_text("\n".join(tamper(exported.read_text().splitlines())) + "\n")
    said = run("audit", "verify", str(exported), "--public-key", key, expect=1).stdout
    assert said.startswith("DOES NOT HOLD")
    assert re.search(rf"(dropped|changed|truncated): link {DAY}\.\d\d\.\d: ", said)
    found = json.loads(run("audit", "verify", str(exported), "--public-key", key, "--json", expect=1).stdout)
    assert found["first_broken"]["event"].startswith(DAY)
    assert found["first_broken"]["wrong"] in ("dropped", "changed", "truncated")


def test_another_key(run: Run, exported: Path) -> None:
    """A checkpoint that the trusted key did not sign does not hold; of several keys one must have signed."""
    other = pem(exported, FOREIGN)
    said = run("audit", "verify", str(exported), "--public-key", other, expect=1).stdout
    assert "checkpoint 1: it was changed" in said
    run("audit", "verify", str(exported), "--public-key", other, "--public-key", pem(exported))


def test_without_checkpoints_nothing_is_shown(run: Run, exported: Path) -> None:
    """Exit code 2: links that no checkpoint covers could have been written anew."""
    lines = [each for each in exported.read_text().splitlines() if json.loads(each)["type"] != "checkpoint"]
    exported.write_text("\n".join(lines))
    said = run("audit", "verify", str(exported), expect=2).stdout
    assert said.startswith("not checked")
    assert "the last 4 events: no checkpoint has seen them yet" in said


def test_a_locked_checkpoint_shows_an_older_state(run: Run, trail: Trail, exported: Path, tmp_path: Path) -> None:
    """A checkpoint from the bucket, made after the export, tells that it lacks something."""
    inventory, _ = trail
    last = inventory.last_checkpoint()
    assert last is not None
    for _ in range(20):
        inventory.append_audit(event(100 + _))
    later: Checkpoint = sign(
        Kms(), last.key_id, next_checkpoint(last, inventory.audit_heads(DAY), DAY, NOW + timedelta(hours=2))
    )
    file = tmp_path / "000000000002.json"
    file.write_text(json.dumps(document(later)))
    said = run("audit", "verify", str(exported), "--checkpoint", str(file), expect=1).stdout
    assert "truncated: link " in said


def test_ocsf_export(run: Run, trail: Trail) -> None:
    """A line for each event, without the rest."""
    lines = run("audit", "export", "--last", "2d", "--output", "ocsf").stdout.splitlines()
    assert [json.loads(each)["class_uid"] for each in lines] == [3004] * 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "x"), "names no audit event"),
        (("show", "2020-01-01.00.1"), "there is no audit event"),
        (("show",), "Missing argument 'EVENT'"),
        (("list", "--subject", "shop"), "is not KIND/NAME"),
        (("list", "--since", "yesterday"), "does not match"),
        (("list", "--since", "2020-01-01", "--until", "2026-01-01"), "ask about 1 to 366"),
        (("export", "--since", "2026-01-02", "--until", "2026-01-01"), "ask about 1 to 366"),
        (("list", "--table", "no"), "no table no"),
        (("verify", "/no.jsonl"), "/no.jsonl"),
        (("verify", __file__), "line 1 cannot be read as JSON"),
        (("verify", __file__, "--checkpoint", __file__), "cannot be read as JSON"),
        (("verify", __file__, "--public-key", __file__), "the public key cannot be read"),
    ],
)
def test_what_cannot_be_asked_for(run: Run, trail: Trail, arguments: tuple[str, ...], said: str) -> None:
    """One line says what is wrong, and the exit code is 2."""
    result = run("audit", *arguments, expect=2)
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


HOSTILE = {
    "a huge line": b"[" * 3_000_000,
    "zeros": bytes(1_000),
    "no text": b"\xff\xfe\xff",
    "deep": b'{"a":' * 100_000,
    "a lone surrogate": b'{"type":"\\ud800"}',
    "nothing": b"",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files(run: Run, tmp_path: Path, content: bytes) -> None:
    """One line in words, exit code 2."""
    file = tmp_path / "hostile.jsonl"
    file.write_bytes(content)
    result = run("audit", "verify", str(file), expect=2)
    assert result.stderr.startswith("perennial: line 1")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("path", ["list", "show", "export", "verify"])
def test_help_has_an_example(run: Run, path: str) -> None:
    """Whoever asks for help sees a command to copy."""
    assert f"  perennial audit {path}" in run("audit", path, "--help").stdout.partition("Examples:")[2]
