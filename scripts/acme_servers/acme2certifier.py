"""acme2certifier on loopback: an ACME server of other authors than Pebble, on plain HTTP, with a CA of its own."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from acme_servers.install import acme2certifier_python
from acme_servers.loopback_tls import make_authority, write_key
from acme_servers.pebble import Binding
from acme_servers.process import ServerError, running, stop
from local_cloud.cloud import free_port

MISSING = "acme2certifier is not installed: run scripts/setup --with-acme2certifier"
ISSUER_DOMAIN = "ca.example"

_REQUEST = re.compile(r"^received (GET|HEAD|POST) (\S+)$", re.MULTILINE)
_SERVER = Path(__file__).resolve().parent / "acme2certifier_server.py"
_KEY_ID = "kid-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acme2certifier:
    """A running acme2certifier. `roots` is the PEM of its root, which signs leaves itself; `issuer_domain` is what a
    dns-persist-01 record must name."""

    directory: str
    roots: tuple[str, ...]
    http_port: int
    eab: Binding | None
    issuer_domain: str
    log: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    def requests(self) -> list[str]:
        """The requests that it has had, as "POST /acme/neworders"."""
        return [f"{method} {path}" for method, path in _REQUEST.findall(self.log.read_text(errors="replace"))]

    def stop(self) -> None:
        """End the process before the block ends."""
        stop(self.process)


@contextmanager
def acme2certifier(
    directory: Path,
    *,
    dns: str,
    eab: bool = False,
    http_port: int = 0,
    validity_days: int = 90,
    profiles: Sequence[str] = (),
    dns_persist: bool = True,
    renewal_percent: int = 85,
) -> Iterator[Acme2certifier]:
    """Run acme2certifier on a free port of loopback until the end of the block, with its files in the directory.

    `dns` is the "127.0.0.1:port" of the name server that it asks, `http_port` where it fetches http-01 (0: a free one).
    `profiles` are names; asked for another, it refuses the order. `renewal_percent` is the part of a certificate's
    life after which it advises to renew.

    Raises: ServerError when it is not installed or does not start.
    """
    python = acme2certifier_python()
    if python is None:
        raise ServerError(MISSING)
    directory.mkdir(parents=True, exist_ok=True)
    root = make_authority("acme2certifier test root")
    (directory / "root.pem").write_text(root.pem)
    write_key(root.key, directory / "root-key.pem")
    binding = Binding(kid=_KEY_ID, hmac_key=secrets.token_urlsafe(48)) if eab else None
    host, _, dns_port = dns.rpartition(":")
    settings = {
        "DEFAULT": {"debug": "False"},
        "Account": {"contact_check_disable": "True", "tos_check_disable": "True"},
        "CAhandler": _authority(directory, validity_days),
        "DBhandler": {"handler": "wsgi", "dbfile": str(directory / "acme.db")},
        "Challenge": {"dns_server_list": json.dumps([host]), "dns_persist_01_support": str(dns_persist)},
        "Directory": {"caaidentities": json.dumps([ISSUER_DOMAIN])},
        "Order": {"identifier_limit": "100", "retry_after_timeout": "1", **_profiles(profiles)},
        "Renewalinfo": {"renewalthreshold_pctg": str(renewal_percent), "retry_after_timeout": "21600"},
        **_binding(directory, binding),
    }
    _write(directory / "acme_srv.cfg", settings)
    port, http = free_port(), http_port or free_port()
    command = _command(python, port=port, dns_port=dns_port, http_port=http)
    url = f"http://127.0.0.1:{port}/directory"
    with running(
        command, environment=_environment(directory), directory=directory, answers=partial(_answers, url)
    ) as process:
        log = directory / "server.log"
        os.truncate(log, 0)  # without the requests of the start
        yield Acme2certifier(
            directory=url,
            roots=(root.pem,),
            http_port=http,
            eab=binding,
            issuer_domain=ISSUER_DOMAIN,
            log=log,
            process=process,
        )


def _command(python: Path, **ports: int | str) -> tuple[str, ...]:
    options = (f"--{name.replace('_', '-')}={number}" for name, number in ports.items())
    return (str(python), "-I", str(_SERVER), *options)


def _environment(directory: Path) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONUNBUFFERED": "1",
        "ACME_SRV_CONFIGFILE": str(directory / "acme_srv.cfg"),
        "ACME2CERTIFIER_BASE_DIR": str(directory),
    }


def _authority(directory: Path, validity_days: int) -> dict[str, str]:
    """Its CA that signs with a key from a file."""
    issued = directory / "issued"
    issued.mkdir(exist_ok=True)
    return {
        "handler_module": "acme2certifier.cahandlers.openssl_ca_handler",
        "issuing_ca_key": str(directory / "root-key.pem"),
        "issuing_ca_cert": str(directory / "root.pem"),
        "issuing_ca_crl": str(directory / "root.crl"),
        "cert_save_path": str(issued),
        "cert_validity_days": str(validity_days),
        "cn_enforce": "True",  # its subjectAltName is never critical, so an empty subject would break RFC 5280 4.2.1.6
    }


def _profiles(names: Sequence[str]) -> dict[str, str]:
    described = {name: f"https://{ISSUER_DOMAIN}/{name}" for name in names}
    return {"profiles": json.dumps(described)} if names else {}


def _binding(directory: Path, binding: Binding | None) -> dict[str, dict[str, str]]:
    if binding is None:
        return {}
    keys = directory / "eab.json"
    keys.touch(mode=0o600)
    keys.write_text(json.dumps({binding.kid: binding.hmac_key}))
    module = "acme2certifier.eabhandlers.json_handler"
    return {"EABhandler": {"eab_handler_module": module, "key_file": str(keys)}}


def _write(path: Path, settings: Mapping[str, Mapping[str, str]]) -> None:
    parser = ConfigParser(interpolation=None)
    parser.read_dict(settings)
    with path.open("w") as file:
        parser.write(file)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return "newOrder" in json.load(reply)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
