"""The real ACME servers as processes: they start with what they were asked for, say why when they cannot, and end."""

from __future__ import annotations

import json
import os
import ssl
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from acme_servers import acme2certifier as other
from acme_servers import install, process
from acme_servers.acme2certifier import acme2certifier
from acme_servers.pebble import pebble
from acme_servers.process import ServerError, running
from local_cloud.dns_answers import Records
from local_cloud.dns_bridge import serve
from real_acme import need_acme2certifier, need_pebble


def directory(url: str, roots: str = "") -> dict[str, Any]:
    """The ACME directory at a URL, whose server must have a certificate of these roots."""
    context = ssl.create_default_context(cadata=roots) if roots else None
    with urllib.request.urlopen(url, timeout=5, context=context) as reply:
        found: dict[str, Any] = json.load(reply)
    return found


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def dns() -> Iterator[str]:
    """A name server that every name is known to."""
    with serve(Records()) as port:
        yield f"127.0.0.1:{port}"


def test_pebble_as_asked_for(tmp_path: Path, dns: str) -> None:
    """Pebble's TLS certificate chains to the given root; EAB, chains and the request count are there; it ends."""
    need_pebble()
    with pebble(tmp_path, dns=dns, eab=True, alternate_roots=2, chain_length=2) as server:
        assert directory(server.directory, server.directory_roots)["meta"]["externalAccountRequired"] is True
        assert server.requests() == ["GET /dir"]
        assert len({x509.load_pem_x509_certificate(each.encode()).subject for each in server.roots}) == 3
        assert server.eab is not None
        assert server.eab.hmac_key not in repr(server)
        assert not server.busy()
    assert not alive(server.process.pid)


def test_two_pebbles_side_by_side(tmp_path: Path, dns: str) -> None:
    """Two servers have ports, keys and logs of their own, and the first may end before the block does."""
    need_pebble()
    with pebble(tmp_path / "one", dns=dns) as one, pebble(tmp_path / "two", dns=dns) as two:
        assert one.directory != two.directory
        assert one.roots != two.roots
        one.stop()
        assert not alive(one.process.pid)
        assert directory(two.directory, two.directory_roots)["newOrder"]
        assert one.requests() == []


def test_acme2certifier_as_asked_for(tmp_path: Path, dns: str) -> None:
    """acme2certifier has the profiles, EAB, renewal information and issuer domain that it was asked for; it ends."""
    need_acme2certifier()
    with acme2certifier(tmp_path, dns=dns, eab=True, profiles=("short", "long")) as server:
        found = directory(server.directory)
        assert sorted(found["meta"]["profiles"]) == ["long", "short"]
        assert found["meta"]["externalAccountRequired"] is True
        assert found["meta"]["caaIdentities"] == [server.issuer_domain]
        assert found["renewalInfo"]
        assert server.requests() == ["GET /directory"]
        assert server.eab is not None
        assert server.eab.hmac_key not in repr(server)
    assert not alive(server.process.pid)


def test_servers_that_are_not_installed(tmp_path: Path, dns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed is an error that names the command."""
    monkeypatch.setattr(install, "PROGRAMS", tmp_path)
    monkeypatch.setattr(install, "ENVIRONMENT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match="scripts/setup --with-pebble"), pebble(tmp_path, dns=dns):
        pass
    with pytest.raises(ServerError, match=other.MISSING), acme2certifier(tmp_path, dns=dns):
        pass


def test_a_missing_server_is_a_failure_in_ci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of a server that is not installed are skipped with the command that installs it, and fail in CI."""
    monkeypatch.setattr(install, "PROGRAMS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="scripts/setup --with-pebble"):
        need_pebble()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="scripts/setup --with-pebble"):
        need_pebble()


def test_the_log_is_in_the_error(tmp_path: Path) -> None:
    """A server that ends at once is an error with what it printed."""
    command = (sys.executable, "-c", "print('no such port'); raise SystemExit(3)")
    started = running(command, environment={}, directory=tmp_path, answers=lambda: False)
    with pytest.raises(ServerError, match="no such port"), started:
        pass


def test_a_silent_server_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer in time is an error, and its process does not stay."""
    monkeypatch.setattr(process, "_START_SECONDS", 0.5)
    command = ("/bin/sh", "-c", "echo $$ > id; exec sleep 60")
    started = running(command, environment={}, directory=tmp_path, answers=lambda: False)
    with pytest.raises(ServerError, match="did not answer"), started:
        pass
    assert not alive(int((tmp_path / "id").read_text()))
