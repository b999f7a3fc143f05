"""`perennial adopt`: the declaration of a certificate that Discovery found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from perennial.cli import options
from perennial.cli.plain import plain
from perennial.errors import InvalidInput
from perennial.issuance import MANAGED

if TYPE_CHECKING:
    from perennial.adoption import Adoption

_NAME = options.Matching("name", MANAGED, "shop-window")


@click.command(
    epilog=options.example(
        "perennial adopt arn:aws:acm:eu-west-1:111111111111:certificate/1234",
        "perennial adopt 5a3d0c9e -o certificates.yaml && perennial apply -f certificates.yaml",
        "perennial adopt 5a3d0c9e --name shop --owner shop-team",
    )
)
@click.argument("which", metavar="ARN|FINGERPRINT")
@click.option("--name", type=_NAME, help="Name of the managed certificate.  [default: made of its first name]")
@click.option("--owner", help="Whose certificate it is.  [default: the owner that Discovery found]")
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Add it to this file, or make the file."
)
@options.session
def adopt(
    which: str,
    name: str | None,
    owner: str | None,
    out: Path | None,
    table_name: str | None,
    profile: str | None,
    region: str | None,
) -> None:
    """Write the declaration of a certificate that Discovery found, with a target for each place where it serves.

    It is renewed when its time comes, once the declaration is applied; until then nothing is changed anywhere. What
    cannot be told is left out, with a comment.
    """
    from datetime import UTC, datetime

    from perennial import adoption, declaration_writing
    from perennial.cli.deployed import deployment

    before = _before(out)
    found = adoption.adopted(
        deployment(table_name, profile, region),
        which,
        datetime.now(UTC),
        name=name or "",
        owner=owner or "",
        taken=_names(out, before),
    )
    if out is None:
        for line in f"certificates:\n{declaration_writing.text(found.declared, found.remarks)}".splitlines():
            print(plain(line))
        return
    text = declaration_writing.added(str(out), before, found.declared, found.remarks)
    with out.open("a", encoding="utf-8", newline="") as file:
        file.write(text[len(before) :])
    _tell(found, out)


def _before(out: Path | None) -> str:
    """What the file holds; "" where there is none."""
    if out is None or not out.exists():
        return ""
    try:
        return out.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{out} is not a text in UTF-8") from error


def _names(out: Path | None, before: str) -> set[str]:
    """The names that the file declares."""
    from perennial import declaration, declaration_writing

    if declaration_writing.empty(before):
        return set()
    return {each.name for each in declaration.read([(str(out), before)]).certificates}


def _tell(found: Adoption, out: Path) -> None:
    for each in found.remarks:
        click.echo(plain(f"{found.declared.name}: {each}"), err=True)
    click.echo(plain(f"Added {found.declared.name} to {out}. Next: perennial apply -f {out} --dry-run"), err=True)
