"""`perennial proof`: the proofs of a managed certificate, and whether their signatures and contents hold."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from perennial.cli import options
from perennial.cli.options import JSON, TABLE
from perennial.cli.plain import plain
from perennial.errors import InvalidInput, NotFound, PerennialError

if TYPE_CHECKING:
    from perennial.proof import Observation, Proof

FAILED, NOT_CHECKED = 1, 2  # exit codes: it does not hold; nobody knows
_PublicKey = Callable[[str], bytes]  # from the ARN of a KMS key to its public half (DER)


@click.group()
def proof() -> None:
    """Proofs that a version serves at its targets, each signed by a key in KMS."""


@proof.command(
    epilog=options.example(
        "perennial proof show shop",
        "perennial proof show shop --id 0f3a",
        "perennial proof show shop --json > proofs.json",
    )
)
@click.argument("name")
@click.option("--id", "wanted", default="", help="One proof in full, by its id or how that begins.")
@options.output(TABLE, JSON)
@options.session
def show(name: str, wanted: str, output: str, table_name: str | None, profile: str | None, region: str | None) -> None:
    """The proofs of the managed certificate NAME, the newest first."""
    from perennial.cli.deployed import inventory

    proofs = _wanted(inventory(table_name, profile, region).proofs(name), name, wanted)
    if output == JSON:
        _print_json(proofs)
    elif wanted:
        for line in (line for each in proofs for line in _text(each)):
            print(line)
    else:
        _print_list(proofs, name)


def _wanted(proofs: Sequence[Proof], name: str, wanted: str) -> Sequence[Proof]:
    """Those whose id begins so.

    Raises: NotFound.
    """
    if not proofs:
        raise NotFound(f"{name[:100]!r} has no proofs; perennial managed list shows what there is")
    found = [each for each in proofs if each.id.startswith(wanted)]
    if not found:
        raise NotFound(f"{name[:100]!r} has no proof {wanted[:100]!r}; perennial proof show {name[:100]} lists them")
    return found


def _print_json(proofs: Sequence[Proof]) -> None:
    from perennial.cli import documents
    from perennial.proof import document

    for line in documents.json_array(map(document, proofs)):
        print(line)


def _print_list(proofs: Sequence[Proof], name: str) -> None:
    from perennial.cli.tables import listing

    rows = [(_minute(each), each.version, each.target, each.purpose, _how(each), each.id[:12]) for each in proofs]
    listing(("Proven", "Version", "Target", "What", "How", "Id"), rows, sys.stdout)
    click.echo(f"One of them in full: perennial proof show {plain(name)} --id ID", err=True)


def _minute(each: Proof) -> str:
    return f"{each.proven_at:%Y-%m-%d %H:%M}"


def _how(each: Proof) -> str:
    count = len(each.observations)
    return f"{count} handshake{'' if count == 1 else 's'}" if count else each.method


def _text(each: Proof) -> Iterator[str]:
    yield f"{plain(each.managed)}, version {each.version}: {each.purpose} at {plain(each.target)}"
    facts = {
        "Id": each.id,
        "Rollout": str(each.rollout),
        "Kind": each.kind,
        "Place": each.place,
        "How": each.method,
        "Certificate": each.expected,
        "Serial": each.serial,
        "Chain": ", ".join(each.chain),
        "Begun": f"{each.began_at:%Y-%m-%d %H:%M:%S} UTC",
        "Proven": f"{each.proven_at:%Y-%m-%d %H:%M:%S} UTC",
        "Asked by": each.asked_by,
        "Signed by": each.key_id,
    }
    for label, value in facts.items():
        if value:
            yield f"  {label:<12} {plain(value)}"
    for number, line in enumerate(map(_observed, each.observations)):
        yield f"  {'' if number else 'Handshakes':<12} {plain(line)}"
    for number, note in enumerate(each.notes):
        yield f"  {'' if number else 'Notes':<12} {plain(note)}"
    yield ""


def _observed(each: Observation) -> str:
    asked = f" for {each.sni}" if each.sni else ""
    told = each.problem or f"{each.protocol or 'TLS'}, serial {each.serial}, {len(each.chain)} certificates"
    return f"{each.address} port {each.port}{asked}: {told}"


# --- verify ---


@proof.command(
    epilog=options.example(
        "perennial proof verify shop",
        "perennial proof verify --file proofs.json --public-key proofs.pem",
    )
    + "\n\n\b\nExit codes: 0 every one holds; 1 a signature or content does not; 2 it could not be checked."
)
@click.argument("name", required=False)
@click.option("--file", "stored", type=click.File("rb"), help="Proofs in JSON, as `proof show --json` writes them.")
@click.option("--public-key", "pem", type=click.File("rb"), help="The public key in PEM.  [default: KMS is asked]")
@options.session
def verify(
    name: str | None, stored: Any, pem: Any, table_name: str | None, profile: str | None, region: str | None
) -> int:
    """Check the signature of each proof of NAME or of a file, and that its content shows what it says.

    The key is the deployment's, of which KMS is asked: anybody can sign with a key of theirs. With --public-key nothing
    of AWS is needed for a file.
    """
    if (name is None) == (stored is None):
        raise click.UsageError("name a managed certificate, or give a --file")
    proofs = _stored(stored) if stored else _wanted(_inventory(table_name, profile, region).proofs(name), str(name), "")
    keys = _given(pem) if pem else _from_kms(profile, region)
    worst = 0
    for each in proofs:
        code, told = _checked(each, keys)
        print(plain(told))
        worst = FAILED if FAILED in (worst, code) else max(worst, code)
    return worst


def _inventory(table_name: str | None, profile: str | None, region: str | None) -> Any:
    from perennial.cli.deployed import inventory

    return inventory(table_name, profile, region)


def _stored(file: Any) -> Sequence[Proof]:
    from perennial.proof import MAX_FILE, load

    try:
        proofs = load(file.read(MAX_FILE + 1).decode())
    except UnicodeDecodeError as error:
        raise InvalidInput("the file of proofs is not text in UTF-8") from error
    if not proofs:
        raise InvalidInput("the file holds no proof")
    return proofs


def _checked(each: Proof, public_key: _PublicKey) -> tuple[int, str]:
    """The exit code of one proof, and its line."""
    from perennial.proof_signing import verify as verified

    where = f"{each.id[:12]}  {_minute(each)}  {each.managed}/{each.version} {each.purpose} at {each.target}"
    try:
        key = public_key(each.key_id)
    except PerennialError as error:
        return NOT_CHECKED, f"not checked    {where}: {error}"
    try:
        verified(each, key)
    except InvalidInput as error:
        return FAILED, f"DOES NOT HOLD  {where}: {error}"
    return 0, f"holds          {where}"


def _given(pem: Any) -> _PublicKey:
    from perennial.statement_signing import MAX_PEM, public_key_of

    der = public_key_of(pem.read(MAX_PEM + 1))
    return lambda _: der


def _from_kms(profile: str | None, region: str | None) -> _PublicKey:
    """The key of the deployment, asked for once. Anybody can sign with a key of theirs: no other key is asked for."""
    from perennial.cli.deployed import proof_key
    from perennial.statement_signing import ARN, public_key

    clients, own = proof_key(profile, region)
    arn = ARN.fullmatch(own)
    if arn is None:
        raise InvalidInput(f"the deployment names {own[:100]!r} as the key of its proofs, which is no KMS key")
    known: list[bytes] = []

    def public(key_id: str) -> bytes:
        if key_id != own:
            raise InvalidInput(f"it is signed by {key_id[:200]}, not by the deployment's key; give --public-key")
        if not known:
            known.append(public_key(clients("kms", arn["region"]), own))
        return known[0]

    return public
