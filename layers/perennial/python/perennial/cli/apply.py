"""`perennial apply`, `perennial diff` and `perennial schema`: what a team declares, and how it differs from what is
kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from perennial.cli import options
from perennial.cli.options import JSON, TABLE, Command

if TYPE_CHECKING:
    from perennial.declared_changes import Change

DIFFERENT = 1  # exit code of diff


def _files(command: Command) -> Command:
    """-f and --prune."""
    files = click.option(
        "-f",
        "--file",
        "files",
        type=click.File("rb"),
        multiple=True,
        required=True,
        metavar="FILE",
        help="YAML or JSON with certificates; - is stdin. Give all files at once.",
    )
    prune = click.option("--prune", is_flag=True, help="Retire what no file declares any more.")
    return files(prune(command))


@click.command(
    epilog=options.example(
        "perennial apply -f certificates.yaml --dry-run",
        "perennial apply -f shop.yaml -f blog.yaml",
        "perennial apply -f certificates.yaml --prune    # and retire what is in none of the files",
    )
)
@_files
@click.option("--dry-run", is_flag=True, help="Show the difference, and write nothing.")
@options.output(TABLE, JSON)
@options.session
def apply(
    files: Sequence[Any],
    prune: bool,
    dry_run: bool,
    output: str,
    table_name: str | None,
    profile: str | None,
    region: str | None,
) -> None:
    """Declare certificates: they are issued, put at their targets, and renewed from then on.

    Everything is judged first, every problem is told with its line, and nothing is written when there is one. The tick
    takes what was declared up within a minute. What is not in the files stays as it is, unless --prune is given.
    """
    from datetime import UTC, datetime

    from perennial import applying
    from perennial.cli import declared
    from perennial.cli.deployed import deployment

    reading = declared.read(files)
    found, now = deployment(table_name, profile, region), datetime.now(UTC)
    if dry_run:
        _show(output, applying.planned(found, reading.certificates, now, reading.places, prune=prune), prune)
        return
    asked_by = str(found.clients("sts").get_caller_identity()["Arn"])
    with _progress(len(reading.certificates)) as watch:
        done = applying.apply(
            found,
            reading.certificates,
            prune=prune,
            asked_by=asked_by,
            now=now,
            source="cli",
            places=reading.places,
            watch=watch,
        )
    if output == JSON:
        _show(JSON, done, prune)
    else:
        click.echo(declared.summary(done, prune=prune, done=True))
        click.echo("How they go on: perennial managed list", err=True)


@click.command(
    epilog=options.example("perennial diff -f certificates.yaml", "perennial diff -f - --prune --json < all.yaml")
)
@_files
@options.output(TABLE, JSON)
@options.session
def diff(
    files: Sequence[Any], prune: bool, output: str, table_name: str | None, profile: str | None, region: str | None
) -> int:
    """Show what applying the files would change. Exit code 1 when it would change something, 0 when not.

    The files are judged as apply does. What they do not declare is a difference with --prune only.
    """
    from datetime import UTC, datetime

    from perennial import applying
    from perennial.cli import declared
    from perennial.cli.deployed import deployment

    reading = declared.read(files)
    found = deployment(table_name, profile, region)
    planned = applying.planned(found, reading.certificates, datetime.now(UTC), reading.places, prune=prune)
    _show(output, planned, prune)
    return DIFFERENT if declared.counts(planned, prune=prune) else 0


def _show(output: str, found: Sequence[Change], prune: bool) -> None:
    from perennial.cli import declared, documents

    if output == TABLE:
        declared.show(found, prune=prune)
        return
    for line in documents.json_array(declared.rows(found, prune=prune)):
        print(line)


@contextmanager
def _progress(count: int) -> Iterator[Callable[[Change], None]]:
    """A bar on a terminal, where there are many; nothing elsewhere."""
    if count < 20 or not sys.stderr.isatty():
        yield lambda change: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("applying", total=count)
        yield lambda change: bar.advance(task)


@click.command(epilog=options.example("perennial schema > certificates.schema.json"))
def schema() -> None:
    """Print the JSON Schema of certificates.yaml, for editors.

    The first line of a file that names it: # yaml-language-server: $schema=certificates.schema.json
    """
    import json

    from perennial import declaration_schema

    print(json.dumps(declaration_schema.schema(), indent=2))
