"""What scripts/bench issuance counts and judges, and that it goes on where clients or Pebble are missing."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dnslib import DNSRecord

from acme_server import AcmeServer, acme
from acme_servers import install
from benches import (
    issuance,
    issuance_client,
    issuance_lab,
    issuance_peers,
    issuance_rates,
    issuance_requests,
    issuance_step,
)
from benches.issuance_client import Place
from benches.issuance_names import Files
from perennial.issuers.acme_account import secret_name


@dataclass
class Shown:
    """What the CA sees: the files of the bench's name server."""

    records: Path

    def __contains__(self, shown: tuple[str, str]) -> bool:
        where, value = shown
        file = self.records / where
        return file.exists() and file.read_text() == value


@dataclass
class Desk:
    """A CA in memory, and the place from which the bench's clients reach it."""

    server: AcmeServer
    place: Place
    waits: list[int] = field(default_factory=list)

    def settle(self) -> None:
        self.waits.append(1)

    def left(self) -> list[str]:
        """The records that are still shown."""
        return [each.name for each in Path(self.place.records).iterdir()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A CA with a warm account."""
    (tmp_path / "records").mkdir()
    (tmp_path / "ca.pem").touch()
    with acme() as (server, _):
        server.shown = Shown(tmp_path / "records")  # type: ignore[assignment]
        place = Place(
            url=server.directory,
            roots=str(tmp_path / "ca.pem"),
            records=str(tmp_path / "records"),
            secrets=str(tmp_path),
        )
        made = Desk(server, place)
        issuance_client.issue(place, issuance_client.deployed(place), ("first.example.com",), made.settle)
        server.clear()
        yield made


@pytest.mark.parametrize("size", [1, 10])
def test_the_driver_issues_with_as_many_requests_as_are_asked_for(desk: Desk, size: int) -> None:
    """The bench's own driver adds no request, shows every challenge, and leaves none."""
    names = [f"n{number}.example.com" for number in range(size)]
    issuance_client.issue(desk.place, issuance_client.deployed(desk.place), names, desk.settle)
    assert len(desk.server.kinds) == issuance_requests.target(size)
    assert desk.left() == []
    assert desk.waits


def test_a_step_knows_only_its_file(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step begins with the file that the one before it wrote, and no step makes a request more."""
    started: list[str] = []

    def module(name: str, file: str, environment: Any) -> Any:
        started.append(name)
        issuance_step.step(Path(file))
        return SimpleNamespace(fine=lambda: None)

    monkeypatch.setattr(issuance_step.child, "module", module)
    processes = issuance_step.issue(desk.place, tmp_path / "order.json", ("a.example.com",), desk.settle)
    assert started == ["benches.issuance_step"] * processes
    assert processes >= 3
    assert len(desk.server.kinds) == issuance_requests.target(1)
    assert desk.left() == []
    assert "PRIVATE" not in (tmp_path / "order.json").read_text()


def test_the_account_is_kept_in_a_file(desk: Desk) -> None:
    """What stands for Secrets Manager holds the account across processes: none of the requests makes another."""
    kept = Path(desk.place.secrets) / f"{secret_name('bench').replace('/', '-')}.json"
    assert json.loads(json.loads(kept.read_text())["SecretString"])["url"]
    assert len(desk.server.accounts) == 1


def test_a_record_is_a_file(tmp_path: Path) -> None:
    """What a process shows is answered until it hides it; a name that is a path leads nowhere else."""
    place = Place(url="", roots="", records=str(tmp_path / "records"), secrets="")
    (tmp_path / "records").mkdir()
    (tmp_path / "secret").write_text("secret")
    zone = Files(tmp_path / "records")
    place.show("_acme-challenge.a.example.com", "one")
    place.show("_acme-challenge.a.example.com", "two")
    assert [each.data for each in zone.node("_acme-challenge.a.example.com").of("TXT")[0].data] == [[b"two"]]
    assert not zone.node("../secret").exists
    place.hide("_acme-challenge.a.example.com")
    assert not zone.node("_acme-challenge.a.example.com").exists
    assert list((tmp_path / "records").iterdir()) == []


def test_the_name_server_is_a_process_that_ends_with_its_input(tmp_path: Path) -> None:
    """It answers over TCP as Pebble asks, takes what lego's provider sends, and is gone after the block."""
    from urllib.request import Request, urlopen

    with issuance_lab.process("benches.issuance_names", str(tmp_path)) as running:
        ports = json.loads(running.answer())
        body = json.dumps({"fqdn": "_acme-challenge.a.example.com.", "value": "shown"}).encode()
        for path, found in (("present", ['"shown"']), ("cleanup", [])):
            urlopen(Request(f"http://127.0.0.1:{ports['hook']}/{path}", body)).close()
            reply = DNSRecord.question("_acme-challenge.a.example.com", "TXT").send("127.0.0.1", ports["dns"], tcp=True)
            assert [str(each.rdata) for each in DNSRecord.parse(reply).rr] == found
    assert running.popen.poll() is not None


def test_a_process_that_ends_early_ends_the_bench(tmp_path: Path) -> None:
    """Nobody waits for an answer that does not come."""
    with issuance_lab.process("benches.issuance_names") as running, pytest.raises(SystemExit, match="ended with 1"):
        running.answer()


def test_a_pebble_that_is_silent_is_replaced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A load is measured anew on another Pebble, which is said; what is measured is whole, and it ends some time."""
    pebbles: list[int] = []

    @contextmanager
    def another() -> Iterator[Any]:
        pebbles.append(len(pebbles))
        yield SimpleNamespace(place=None, settled=None)

    def in_turns(lab: Any, load: Any, turns: int) -> Any:
        if len(pebbles) < answering:
            raise issuance_lab.SilentError
        return {"pebble": pebbles[-1]}

    monkeypatch.setattr(issuance_lab, "lab", another)
    monkeypatch.setattr(issuance_client, "deployed", lambda place: None)
    monkeypatch.setattr(issuance_client, "issue", lambda *_: None)
    monkeypatch.setattr(issuance_rates, "_in_turns", in_turns)
    answering = 3
    assert issuance_rates._measured(issuance_rates.QUICK[0], 1) == {"pebble": 2}
    assert capsys.readouterr().err.count("does not answer any more") == 2
    answering = 1_000
    with pytest.raises(SystemExit, match="stopped to answer"):
        issuance_rates._measured(issuance_rates.QUICK[0], 1)


def test_a_worker_tells_that_nobody_answers(tmp_path: Path) -> None:
    """A CA that is gone ends the worker with a code of its own, which is told from any other end."""
    told = {"client": "perennial", "threads": 1, "certificates": 1, "prefix": "x"}
    place = {"url": "http://127.0.0.1:1/dir", "roots": os.devnull, "records": str(tmp_path), "secrets": str(tmp_path)}
    worker = issuance_lab.process("benches.issuance_worker", json.dumps({**told, "place": place}))
    with worker as running, pytest.raises(issuance_lab.SilentError):
        running.answer()


@pytest.mark.parametrize(
    ("ours", "lego", "met"), [(50.0, 4.0, [True, True]), (49.0, 5.0, [False, False]), (60.0, None, [True])]
)
def test_rates_are_judged_beside_the_others(ours: float, lego: float | None, met: list[bool]) -> None:
    """Half of the tight loop's rate and ten times lego's, where lego is installed."""
    assert [each.met for each in issuance_rates.judged(ours, 100.0, lego)] == met


def test_every_load_is_shared_evenly() -> None:
    """The threads of all processes are the orders at once, and every process has its part of the certificates."""
    for load in (*issuance_rates.FULL, *issuance_rates.QUICK):
        assert load.at_once % load.processes == load.certificates % load.processes == 0
        assert load.certificates >= load.at_once


@dataclass
class Busy:
    """A server that is busy for some looks."""

    looks: int
    log: str = "server.log"
    had: list[str] = field(default_factory=list)

    def busy(self) -> bool:
        self.looks -= 1
        return self.looks >= 0

    def requests(self) -> list[str]:
        return list(self.had)


def lab(server: Busy, tmp_path: Path) -> issuance_lab.Lab:
    place = Place(url="", roots="", records="", secrets="")
    return issuance_lab.Lab(server=server, place=place, directory=tmp_path, hook="")  # type: ignore[arg-type]


def test_requests_are_those_that_the_server_had_meanwhile(tmp_path: Path) -> None:
    """What came before is not counted."""
    server = Busy(0, had=["GET /dir"])
    assert lab(server, tmp_path).counted(lambda: server.had.extend(["POST /a", "POST /b"])) == 2


def test_the_lab_waits_until_the_server_has_done_what_it_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not longer than it takes, and not for ever."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    server = Busy(3)
    lab(server, tmp_path).settled()
    assert server.looks == -1
    times = iter(range(0, 1_000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    with pytest.raises(SystemExit, match=r"server\.log"):
        lab(Busy(1_000), tmp_path).settled()


def test_without_pebble_nothing_is_measured_against_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Requests and rates need a CA; what is missing is said with the command that installs it."""
    monkeypatch.setattr(install, "program", lambda _: None)
    options = argparse.Namespace(part=["requests", "rates"], quick=True)
    assert list(issuance.run(options)) == []
    assert "scripts/setup --with-pebble" in capsys.readouterr().err


def test_clients_that_are_not_installed_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is on PATH is run."""
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "lego" else f"/usr/bin/{name}")
    assert [peer.name for peer in issuance_peers.installed()] == ["certbot"]


@pytest.mark.parametrize("peer", issuance_peers.PEERS, ids=lambda peer: peer.name)
def test_a_peer_asks_the_same_of_the_same_server(peer: issuance_peers.Peer, tmp_path: Path) -> None:
    """Its command names the directory URL, every name, and a key on P-256 as ours has (lego's default)."""
    here = lab(Busy(0), tmp_path)
    command = peer.command(here, tmp_path, ("a.example.com", "b.example.com"))
    assert command[0] == peer.name
    assert {"--server", here.place.url, "a.example.com", "b.example.com"} <= set(command)
    assert "secp256r1" in command or peer.name == "lego"
