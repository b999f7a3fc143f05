"""Pebble on loopback: Let's Encrypt's test server, with what it can be asked to make hard."""

from __future__ import annotations

import json
import os
import re
import secrets
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from acme_servers.install import program
from acme_servers.loopback_tls import ServerFiles, write_server_files
from acme_servers.process import ServerError, running, stop
from local_cloud.cloud import free_port

MISSING = "Pebble is not installed: run scripts/setup --with-pebble"

_REQUEST = re.compile(r"(GET|HEAD|POST) (/\S+) -> calling handler\(\)")
_ENDED = re.compile(r"authz \S+ set (?:IN)?VALID by|Issued certificate serial|unable to issue order")
_KEY_ID = "kid-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Credentials of an external account binding (RFC 8555 7.3.4); `hmac_key` is base64url without padding."""

    kid: str
    hmac_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pebble:
    """A running Pebble.

    `directory_roots` is the PEM of the root of its TLS certificate; `roots` and `intermediates` are PEM texts of what
    it issues from, one per chain. `renewal_info` tells a version that knows ARI and profiles from Debian's.
    """

    directory: str
    directory_roots: str
    management: str
    roots: tuple[str, ...]
    intermediates: tuple[str, ...]
    http_port: int
    eab: Binding | None
    renewal_info: bool
    log: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    def requests(self) -> list[str]:
        """The requests that it has had, as "POST /order-plz", without those to the management interface."""
        found = [f"{method} {path}" for method, path in _REQUEST.findall(self.log.read_text(errors="replace"))]
        return [each for each in found if not each.split()[1].startswith(_MANAGEMENT_PATHS)]

    def busy(self) -> bool:
        """Whether a validation or an issuance that was asked for is not over yet. Of use without `nonce_reject` only,
        because a request that is rejected is never carried out."""
        text = self.log.read_text(errors="replace")
        asked = text.count("POST /chalZ/ -> calling") + text.count("POST /finalize-order/ -> calling")
        return asked > len(_ENDED.findall(text))

    def status(self, serial: int) -> str:
        """Its own record of a certificate: "Valid" or "Revoked". Raises: urllib.error.HTTPError where it has none."""
        reply = _get(f"{self.management}/cert-status-by-serial/{serial:x}", self.directory_roots)
        return str(json.loads(reply)["Status"])

    def set_renewal_info(self, certificate_pem: str, reply: str) -> None:
        """Let renewal information about one certificate be this text, which may be anything."""
        content = json.dumps({"certificate": certificate_pem, "ariResponse": reply}).encode()
        _get(f"{self.management}/set-renewal-info/", self.directory_roots, content)

    def stop(self) -> None:
        """End the process before the block ends."""
        stop(self.process)


_MANAGEMENT_PATHS = ("/roots/", "/root-keys/", "/intermediates/", "/intermediate-keys/", "/cert-status", "/set-renewal")


@contextmanager
def pebble(
    directory: Path,
    *,
    dns: str,
    strict: bool = True,
    nonce_reject: int = 0,
    eab: bool = False,
    alternate_roots: int = 0,
    chain_length: int = 1,
    http_port: int = 0,
    validity_seconds: int = 90 * 86400,
    profiles: Mapping[str, int] | None = None,
    reuse: int = 0,
    sleep: int = 0,
    retry_after: int = 1,
    always_valid: bool = False,
    blocked: Sequence[str] = (),
) -> Iterator[Pebble]:
    """Run Pebble on free ports of loopback until the end of the block, with its files in the directory.

    `dns` is the "127.0.0.1:port" of the name server that it asks (over TCP), `http_port` where it fetches http-01
    (0: a free one). `nonce_reject` and `reuse` (of valid authorizations) are percentages. `profiles` are names and
    validities in seconds; without them there is one, "default". `sleep`: up to so many seconds before a validation.
    `retry_after` (seconds) is what it sends for orders and authorizations; 0: no such header. `always_valid` skips
    every validation. Names under `blocked` are refused.

    Raises: ServerError when it is not installed or does not start.
    """
    found = program("pebble")
    if found is None:
        raise ServerError(MISSING)
    directory.mkdir(parents=True, exist_ok=True)
    files = write_server_files(directory)
    binding = Binding(kid=_KEY_ID, hmac_key=secrets.token_urlsafe(48)) if eab else None
    ports = _Ports(acme=free_port(), management=free_port(), http=http_port or free_port(), tls=free_port())
    settings = {
        **_listening(files, ports),
        **_external_accounts(binding),
        "domainBlocklist": list(blocked),
        "retryAfter": {"authz": retry_after, "order": retry_after},
        "keyAlgorithm": "ecdsa",
        "profiles": _profiles(profiles or {"default": validity_seconds}),
        "certificateValidityPeriod": validity_seconds,  # what versions without profiles read
    }
    (directory / "pebble.json").write_text(json.dumps({"pebble": settings}))
    command = (str(found), "-config", "pebble.json", f"-strict={str(strict).lower()}", "-dnsserver", dns)
    environment = _environment(nonce_reject, alternate_roots, chain_length, reuse, sleep, always_valid)
    ready = partial(_answers, ports, files.root)
    with running(command, environment=environment, directory=directory, answers=ready) as process:
        yield _described(ports, files.root, alternate_roots + 1, binding, directory / "server.log", process)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ports:
    acme: int
    management: int
    http: int
    tls: int

    @property
    def directory(self) -> str:
        return f"https://127.0.0.1:{self.acme}/dir"

    @property
    def managed(self) -> str:
        return f"https://127.0.0.1:{self.management}"


def _listening(files: ServerFiles, ports: _Ports) -> dict[str, Any]:
    return {
        "listenAddress": f"127.0.0.1:{ports.acme}",
        "managementListenAddress": f"127.0.0.1:{ports.management}",
        "certificate": str(files.certificate),
        "privateKey": str(files.key),
        "httpPort": ports.http,
        "tlsPort": ports.tls,
        "ocspResponderURL": "",
    }


def _external_accounts(binding: Binding | None) -> dict[str, Any]:
    return {
        "externalAccountBindingRequired": binding is not None,
        "externalAccountMACKeys": {binding.kid: binding.hmac_key} if binding else {},
    }


def _described(
    ports: _Ports, root: str, chains: int, binding: Binding | None, log: Path, process: subprocess.Popen[bytes]
) -> Pebble:
    """What runs. The log loses the requests of the start; Pebble appends to it."""
    made = Pebble(
        directory=ports.directory,
        directory_roots=root,
        management=ports.managed,
        roots=tuple(_get(f"{ports.managed}/roots/{each}", root) for each in range(chains)),
        intermediates=tuple(_get(f"{ports.managed}/intermediates/{each}", root) for each in range(chains)),
        http_port=ports.http,
        eab=binding,
        renewal_info="renewalInfo" in json.loads(_get(ports.directory, root)),
        log=log,
        process=process,
    )
    os.truncate(log, 0)
    return made


def _profiles(validities: Mapping[str, int]) -> dict[str, Any]:
    return {name: {"description": f"{name} profile", "validityPeriod": each} for name, each in validities.items()}


def _environment(
    nonce_reject: int, alternate_roots: int, chain_length: int, reuse: int, sleep: int, always_valid: bool
) -> dict[str, str]:
    wait = {"PEBBLE_VA_SLEEPTIME": str(sleep)} if sleep else {"PEBBLE_VA_NOSLEEP": "1"}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PEBBLE_WFE_NONCEREJECT": str(nonce_reject),
        "PEBBLE_ALTERNATE_ROOTS": str(alternate_roots),
        "PEBBLE_CHAIN_LENGTH": str(chain_length),
        "PEBBLE_AUTHZREUSE": str(reuse),
        "PEBBLE_VA_ALWAYS_VALID": "1" if always_valid else "0",
        **wait,
    }


def _get(url: str, root: str, content: bytes | None = None) -> str:
    context = ssl.create_default_context(cadata=root)
    with urllib.request.urlopen(url, content, timeout=5, context=context) as reply:
        return str(reply.read().decode())


def _answers(ports: _Ports, root: str) -> bool:
    try:
        return all(_get(url, root) for url in (ports.directory, f"{ports.managed}/roots/0"))
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
