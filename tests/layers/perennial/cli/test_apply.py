"""`perennial apply`, `diff`, `adopt` and `schema`: what they do, show and refuse, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certificates import build
from command import Run
from declaring import DeclaringHub, declaring_hub
from estate import HUB, REGION
from perennial import declaration, declaration_schema
from perennial.cli import declared as showing
from perennial.manifest import Difference, Role, Scope, Sighting

SHOP = "certificates:\n  shop:\n    names: [shop.example.com]\n    profile: web\n    owner: shop\n"
BLOG = SHOP.replace("shop:\n", "blog:\n", 1).replace("shop.example", "blog.example")
ARN = f"arn:aws:acm:{REGION}:{HUB}:certificate/11111111-2222-3333-4444-555555555555"


@pytest.fixture
def hub(run: Run) -> Iterator[DeclaringHub]:
    """A deployment, as its parameters name it."""
    with declaring_hub() as made:
        environment = made.deployment.environment
        settings = f"{environment['PERENNIAL_SETTINGS_BUCKET']}/{environment['PERENNIAL_SETTINGS_KEY']}"
        ssm = made.deployment.clients("ssm")
        for name, value in {"table": environment["PERENNIAL_TABLE"], "settings": settings}.items():
            ssm.put_parameter(Name=f"/perennial/{name}", Value=value, Type="String", Overwrite=True)
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "certificates.yaml"
    path.write_text(SHOP)
    return path


def test_apply(run: Run, hub: DeclaringHub, file: Path) -> None:
    """What is declared is kept, due at once, with who asked; a second time nothing is written."""
    result = run("apply", "-f", str(file))
    assert result.stdout == "1 added, 0 changed, 0 removed, 0 unchanged\n"
    assert "perennial managed list" in result.stderr
    found = hub.record()
    assert found.due_at and found.declared_by.startswith("arn:aws:")
    before = hub.table()
    assert run("apply", "-f", str(file)).stdout == "0 added, 0 changed, 0 removed, 1 unchanged\n"
    assert hub.table() == before


def test_several_files_and_stdin(run: Run, hub: DeclaringHub, file: Path) -> None:
    """Files add up, one of them from stdin."""
    run("apply", "-f", str(file), "-f", "-", stdin=BLOG.encode())
    assert [each.name for each in hub.deployment.inventory.declared()] == ["blog", "shop"]


def test_diff_and_dry_run(run: Run, hub: DeclaringHub, file: Path) -> None:
    """Both show the same and write nothing; diff's exit code tells whether there is a difference."""
    before = hub.table()
    said = run("diff", "-f", str(file), expect=1).stdout
    assert said == run("apply", "-f", str(file), "--dry-run").stdout
    assert said.splitlines() == [
        "+ shop",
        "    names: shop.example.com",
        "    profile: web",
        "    owner: shop",
        "1 to add, 0 to change, 0 to remove, 0 unchanged",
    ]
    assert hub.table() == before
    run("apply", "-f", str(file))
    assert run("diff", "-f", str(file)).stdout == "0 to add, 0 to change, 0 to remove, 1 unchanged\n"
    file.write_text(SHOP.replace("shop.example", "www.example") + "    service: checkout\n")
    assert run("diff", "-f", str(file), expect=1).stdout.splitlines()[:3] == [
        "~ shop",
        "    names: shop.example.com → www.example.com",
        "    service: (none) → checkout",
    ]


def test_prune(run: Run, hub: DeclaringHub, file: Path) -> None:
    """What no file declares is told and kept, and is a difference with --prune alone, which retires it."""
    run("apply", "-f", str(file), "-f", "-", stdin=BLOG.encode())
    kept = "0 to add, 0 to change, 1 no longer declared, and kept (--prune retires them), 1 unchanged\n"
    assert run("diff", "-f", str(file)).stdout == kept
    run("apply", "-f", str(file))
    assert hub.record("blog").removed_at is None
    assert run("diff", "-f", str(file), "--prune", expect=1).stdout.splitlines()[0] == "- blog"
    assert run("apply", "-f", str(file), "--prune").stdout == "0 added, 0 changed, 1 removed, 1 unchanged\n"
    assert hub.record("blog").removed_at is not None
    assert run("diff", "-f", str(file), "--prune").stdout == "0 to add, 0 to change, 0 to remove, 1 unchanged\n"


def test_json(run: Run, hub: DeclaringHub, file: Path) -> None:
    """--json has every change with its fields, of a diff as of what was done."""
    run("apply", "-f", "-", stdin=BLOG.encode())
    planned = json.loads(run("diff", "-f", str(file), "--json", expect=1).stdout)
    done = json.loads(run("apply", "-f", str(file), "--json").stdout)
    assert planned == done
    shop, blog = done
    assert (shop["name"], shop["change"], shop["written"]) == ("shop", "added", True)
    assert shop["fields"][0] == {"field": "names", "before": None, "after": "shop.example.com"}
    assert (blog["name"], blog["change"], blog["written"]) == ("blog", "removed", False)


@pytest.mark.parametrize("command", [("apply",), ("apply", "--dry-run"), ("diff",), ("apply", "--json")], ids=" ".join)
def test_every_problem_has_its_line(run: Run, hub: DeclaringHub, file: Path, command: tuple[str, ...]) -> None:
    """What cannot be read, and what is not allowed, is told file and line by line; nothing is written but
    that it was refused; exit code 2."""
    before = hub.kept()
    file.write_text(SHOP + "    key: RSA-1024\n    colour: red\n")
    said = run(*command, "-f", str(file), "-f", "-", stdin=b"certificates: *x", expect=2).stderr.splitlines()
    assert said[0].startswith(f"perennial: {file}:6: certificates.shop.key: RSA-1024 is not one of")
    assert said[1].startswith(f"perennial: {file}:7: certificates.shop.colour: not known")
    assert said[2].startswith("perennial: stdin:1: the alias x is not read")
    file.write_text(SHOP.replace("shop.example.com", "shop.example.org").replace("owner: shop", "owner: x"))
    said = run(*command, "-f", str(file), expect=2).stderr.splitlines()
    assert [each.split(": ")[1].removeprefix(str(file)) for each in said] == [":3", ":3", ":5"]
    assert hub.kept() == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "is not a text in UTF-8"),
        (b"", ":1: certificates: there must be a table"),
        (b"\x1b[2J", ":1: this is"),
    ],
)
def test_what_is_no_file_of_certificates(run: Run, file: Path, content: bytes, said: str) -> None:
    """It is refused in words, before AWS is asked."""
    file.write_bytes(content)
    stderr = run("apply", "-f", str(file), expect=2).stderr
    assert said in stderr and "\x1b" not in stderr


def test_a_file_that_is_not_there(run: Run) -> None:
    """It is told, with how to get help; so is that one is needed."""
    assert "No such file" in run("apply", "-f", "/none.yaml", expect=2).stderr
    assert "Missing option '-f'" in run("diff", expect=2).stderr


def test_hostile_texts_are_shown_as_themselves(run: Run, hub: DeclaringHub, file: Path) -> None:
    """A text that could turn a line around is escaped."""
    file.write_text(SHOP + '    service: "a\\u202Eb"\n')
    said = run("diff", "-f", str(file), expect=1).stdout
    assert "service: a\\u202eb" in said


def test_many_changes(run: Run, hub: DeclaringHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal is told how many more there are; JSON has all."""
    monkeypatch.setattr(showing, "SHOWN", 2)
    whole = {
        "certificates": {f"c{n}": {"names": [f"c{n}.example.com"], "profile": "web", "owner": "shop"} for n in range(5)}
    }
    text = json.dumps(whole).encode()
    assert "… and 3 more: --json shows all\n5 to add" in run("diff", "-f", "-", stdin=text, expect=1).stdout
    assert len(json.loads(run("diff", "-f", "-", "--json", stdin=text, expect=1).stdout)) == 5


# --- adopt ---


@pytest.fixture
def found(hub: DeclaringHub) -> Any:
    """A certificate in ACM that Discovery found."""
    there = build("Adopted", names=["adopted.example.com"])
    hub.known(there)
    sighting = Sighting(
        location=ARN, role=Role.STORED, resource=ARN, fingerprint=there.fingerprint, attributes={"type": "IMPORTED"}
    )
    none: Any = ()
    change = Difference(added=(sighting,), changed=none, gone=none)
    hub.deployment.inventory.apply(Scope(HUB, REGION, "acm"), change, hub.estate.clock.now)
    return there


def test_adopt_prints_what_can_be_applied(run: Run, hub: DeclaringHub, found: Any) -> None:
    """What is printed is a whole file; applied, the certificate is the one that serves. Nothing was written before."""
    before = hub.table()
    said = run("adopt", ARN, "--owner", "shop").stdout
    assert hub.table() == before
    assert declaration.load(said)[0].adopts == found.fingerprint
    run("apply", "-f", "-", stdin=said.encode())
    serves = hub.record("adopted-example-com").serving
    assert serves and serves.fingerprint == found.fingerprint
    assert "is managed already, as adopted-example-com" in run("adopt", ARN, expect=2).stderr


def test_adopt_adds_to_a_file(run: Run, hub: DeclaringHub, found: Any, file: Path) -> None:
    """The entry comes behind what is there, comments included; a name that is taken gets a number; remarks are told."""
    text = "# ours\n" + SHOP.replace("  shop:", "  adopted-example-com: # us")
    file.write_text(text)
    result = run("adopt", found.fingerprint[:16], "-o", str(file))
    assert "adopted-example-com-2: owner: nobody is known as its owner" in result.stderr
    assert f"Next: perennial apply -f {file} --dry-run" in result.stderr
    assert file.read_text().startswith(text)
    file.write_text(file.read_text().replace('owner: ""', "owner: shop"))
    assert [each.name for each in declaration.load(file.read_text())] == [
        "adopted-example-com",
        "adopted-example-com-2",
    ]


def test_adopt_makes_a_file(run: Run, hub: DeclaringHub, found: Any, tmp_path: Path) -> None:
    """Where there is none it is made."""
    path = tmp_path / "new.yaml"
    run("adopt", ARN, "-o", str(path), "--owner", "shop", "--name", "mine")
    assert [each.name for each in declaration.load(path.read_text())] == ["mine"]


def test_adopt_never_writes_over(run: Run, hub: DeclaringHub, found: Any, file: Path) -> None:
    """A name that the file has, a file that cannot be read, and a layout that takes no entry leave it as it is."""
    assert "declares shop already" in run("adopt", ARN, "-o", str(file), "--name", "shop", expect=2).stderr
    assert file.read_text() == SHOP
    for text, said in (("certificates: {}\n", "nothing can be added"), ("x: 1\n", f"{file}:1: x: not known")):
        file.write_text(text)
        assert said in run("adopt", ARN, "-o", str(file), expect=2).stderr
        assert file.read_text() == text
    file.write_bytes(b"\xff")
    assert "is not a text in UTF-8" in run("adopt", ARN, "-o", str(file), expect=2).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("shop",), "is not a fingerprint"),
        (("ab" * 32,), "is not in the inventory"),
        ((ARN[:-1] + "6",), "no certificate is known at"),
        ((ARN, "--name", "No Name"), "is not like shop-window"),
    ],
)
def test_what_adopt_refuses(run: Run, hub: DeclaringHub, found: Any, arguments: tuple[str, ...], said: str) -> None:
    """A line says what is wrong; the exit code is 2."""
    assert said in run("adopt", *arguments, expect=2).stderr


def test_schema(run: Run) -> None:
    """It prints the schema, without any deployment."""
    assert json.loads(run("schema").stdout) == declaration_schema.schema()
