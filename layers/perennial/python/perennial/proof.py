"""A proof: the record of the handshakes that showed a version serving at a target, or what was there before serving
there again. Pure.

What is signed is one canonical text (`statement`), so that anybody who has the record and the public key can check it
without Perennial: the JSON of everything but the signature, with sorted members, no spaces, in UTF-8. What comes back
from storage or a file is not trusted: `of` takes what `document` writes and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from perennial.checks.wording import quoted
from perennial.errors import InvalidInput
from perennial.json_readers import Reader, choice, like, line, members, optional, parsed, several, sha256, whole
from perennial.targets.interface import HANDSHAKE, READ_BACK

SCHEMA = 1  # of the statement; another one is another text
DEPLOYED, RESTORED = "deployed", "restored"  # what is proven
MAX_OBSERVATIONS = 256
MAX_CHAIN = 20  # fingerprints of one chain
MAX_TEXT = 1_000
MAX_FILE = 8 * 1024 * 1024  # characters of a file of proofs
MAX_PROOFS = 10_000  # in one file
_TOLD = 5  # addresses in a verdict
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_SERIAL = re.compile(r"-?[0-9a-f]{0,80}")
_SIGNATURE = re.compile(r"[A-Za-z0-9+/]{0,200}={0,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one address answered. `sni` is the name that was asked for (None: an IP address, which is not sent),
    `serial` the leaf's in hexadecimal, `chain` the SHA-256 fingerprints of what was sent, the leaf first. Without a
    problem the handshake ended well: the server has the leaf's key."""

    address: str
    port: int
    sni: str | None = None
    protocol: str | None = None
    serial: str = ""
    chain: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """That a target serves a certificate. Times are UTC.

    `expected` is the leaf's fingerprint, "" where nothing was there before and nothing is again; `serial` is in
    hexadecimal; `chain` are the fingerprints above the leaf. A read-back has no observations: there AWS tells of the
    certificate. `notes` are what else has to be known, as names that were not asked for. `began_at`: when the change
    that is proven began.
    """

    id: str
    managed: str
    version: int
    rollout: int
    target: str
    kind: str
    place: str
    method: str  # HANDSHAKE, READ_BACK
    purpose: str  # DEPLOYED, RESTORED
    expected: str
    serial: str = ""
    chain: tuple[str, ...] = ()
    observations: tuple[Observation, ...] = ()
    notes: tuple[str, ...] = ()
    began_at: datetime
    proven_at: datetime
    asked_by: str
    key_id: str = ""  # ARN of the KMS key that signed it
    signature: str = ""  # base64 of the ECDSA signature (DER)


# --- what observations show ---


def verdict(observations: Sequence[Observation], expected: str, chain: Sequence[str] = ()) -> str:
    """Why handshakes do not prove a certificate; "" when every one of them ended well with exactly this leaf and, where
    the version has a chain, with the CA above it. One sentence with up to five addresses."""
    if not observations:
        return "no handshake was made"
    wrong: dict[str, None] = {}
    for each in observations:
        served = _served(each, expected, chain)
        if served:
            wrong[f"{_where(each)} {served}"] = None
    told = "; ".join(list(wrong)[:_TOLD])
    return f"{told}; and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else told


def _served(each: Observation, expected: str, chain: Sequence[str]) -> str:
    """What is wrong about one observation; "" for nothing."""
    if each.problem is not None:
        return f"gives no handshake ({quoted(each.problem, 160)})"
    if not each.chain:
        return "sends no certificate"
    if each.chain[0] != expected:
        return f"serves serial {quoted(each.serial, 40)}"
    if chain and len(each.chain) == 1:
        return "serves it without its chain"
    if chain and chain[0] not in each.chain:
        return "serves it with another chain"
    return ""


def _where(each: Observation) -> str:
    address = quoted(each.address, 100)
    return f"[{address}]:{each.port}" if ":" in address else f"{address}:{each.port}"


def unproven(proof: Proof) -> str:
    """Why what a proof holds does not show what it says; "" when it does."""
    if proof.method == READ_BACK:
        if not proof.expected and proof.purpose != RESTORED:
            return "it names no certificate"
        return "it is read back, and yet has handshakes" if proof.observations else ""
    served = {each.serial for each in proof.observations}
    return verdict(proof.observations, proof.expected, proof.chain) or (
        "its serial is not that of the certificate that was served" if served != {proof.serial} else ""
    )


# --- as a text, a document and back ---


def statement(proof: Proof) -> bytes:
    """What is signed: everything but the signature."""
    content = document(proof)
    del content["signature"]
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def document(proof: Proof) -> dict[str, Any]:
    """As it is stored and exported: plain values, which `of` reads again."""
    times = {name: _iso(getattr(proof, name)) for name in ("began_at", "proven_at")}
    observed = [{**asdict(each), "chain": list(each.chain)} for each in proof.observations]
    lists = {"chain": list(proof.chain), "notes": list(proof.notes), "observations": observed}
    return {"schema": SCHEMA, **asdict(proof), **times, **lists}


def load(text: str) -> tuple[Proof, ...]:
    """The proofs of a JSON text: one document, or a list of them.

    Raises: InvalidInput, for the first that is not what `document` writes.
    """
    found = parsed(text, "the file of proofs", MAX_FILE)
    every = found if isinstance(found, list) else [found]
    if len(every) > MAX_PROOFS:
        raise InvalidInput(f"there are {len(every)} proofs; at most {MAX_PROOFS} are read")
    return tuple(map(of, every))


def of(document: object) -> Proof:
    """The proof that a document holds.

    Raises: InvalidInput with the member that is not as `document` writes it.
    """
    if isinstance(document, dict) and document.get("schema") != SCHEMA:
        raise InvalidInput(f"the proof has the schema {quoted(document.get('schema'), 20)}, and {SCHEMA} is read here")
    read = _read({"schema": whole(SCHEMA, SCHEMA), **_PROOF}, document, "proof")
    del read["schema"]
    return Proof(**read)


def _read(readers: Mapping[str, Reader], value: Any, where: str) -> dict[str, Any]:
    return members(readers, value, where, "perennial proof show --json")


def _text(least: int = 1, most: int = MAX_TEXT) -> Reader:
    return line(least, most)


def _time(value: Any, where: str) -> datetime:
    """A time as `_iso` writes it, in one spelling alone."""
    try:
        time = datetime.fromisoformat(_text(most=40)(value, where)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{where} is not a time") from error
    if _iso(time) != value:
        raise InvalidInput(f"{where} is not a time in UTC as 2026-11-01T12:00:00+00:00")
    return time


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()


def _observation(value: Any, where: str) -> Observation:
    return Observation(**_read(_OBSERVATION, value, where))


_OBSERVATION: dict[str, Reader] = {
    "address": _text(most=300),
    "port": whole(0, 65_535),
    "sni": optional(_text(most=300)),
    "protocol": optional(_text(most=20)),
    "serial": like(_SERIAL, "a serial in hexadecimal"),
    "chain": several(sha256, MAX_CHAIN),
    "problem": optional(_text(most=500)),
}
_PROOF: dict[str, Reader] = {
    "id": _text(most=100),
    "managed": _text(most=200),
    "version": whole(1, 10**9),
    "rollout": whole(0, 10**9),
    "target": _text(most=200),
    "kind": _text(most=100),
    "place": _text(0),
    "method": choice(HANDSHAKE, READ_BACK),
    "purpose": choice(DEPLOYED, RESTORED),
    "expected": like(re.compile(f"({_FINGERPRINT.pattern})?"), "a SHA-256 in lower-case hexadecimal, or empty"),
    "serial": like(_SERIAL, "a serial in hexadecimal"),
    "chain": several(sha256, MAX_CHAIN),
    "observations": several(_observation, MAX_OBSERVATIONS),
    "notes": several(_text(), 20),
    "began_at": _time,
    "proven_at": _time,
    "asked_by": _text(),
    "key_id": _text(0, 300),
    "signature": like(_SIGNATURE, "base64"),
}
assert set(_PROOF) == {each.name for each in fields(Proof)}, "a member of Proof that is not read"
