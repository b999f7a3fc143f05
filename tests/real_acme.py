"""Parts of tests against real ACME servers: is the server there, what shows challenges to it, and what drives orders.

A server that is not installed skips its tests with the command that installs it; where CI is set it fails them, because
there the command has been run.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from acme_servers import acme2certifier, pebble
from acme_servers.install import acme2certifier_python, program
from local_cloud.dns_answers import Records
from perennial.certificate import Certificate
from perennial.issuers.acme import Acme
from perennial.issuers.interface import Ask, Issued, Later, Present
from perennial.profiles import AcmeIssuer, Profile
from perennial.solvers.interface import Challenge, Shown, Solver

MOST_STEPS = 60
WAIT_SECONDS = 0.05  # between two steps, in place of what a CA's Retry-After says


def need_pebble() -> None:
    """Skip, or fail in CI, where there is no Pebble."""
    _need(program("pebble") is not None, pebble.MISSING)


def need_acme2certifier() -> None:
    """Skip, or fail in CI, where there is no acme2certifier."""
    _need(acme2certifier_python() is not None, acme2certifier.MISSING)


def _need(there: bool, missing: str) -> None:
    if there:
        return
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@dataclass(frozen=True)
class Web:
    """Files under /.well-known/acme-challenge/, by token."""

    port: int
    files: dict[str, str]


@contextmanager
def web() -> Iterator[Web]:
    """A web server on loopback that answers http-01 (RFC 8555 8.3)."""
    files: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path.rpartition("/")[2], "").encode()
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield Web(port=server.server_address[1], files=files)
        finally:
            server.shutdown()
            thread.join(5)


def signing_request(*names: str) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """A P-256 key and a CSR (DER) for these names."""
    key = ec.generate_private_key(ec.SECP256R1())
    general = [x509.IPAddress(ip_address(name)) if _is_address(name) else x509.DNSName(name) for name in names]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(general), False)
    return key, builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _is_address(name: str) -> bool:
    return name.replace(".", "").isdigit() or ":" in name


@dataclass(kw_only=True)
class Run:
    """One order from its first step to its end: what happened on the way."""

    outcome: Issued
    key: ec.EllipticCurvePrivateKey
    presented: tuple[Challenge, ...]
    steps: int
    order: str

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.outcome.chain[0])

    @property
    def names(self) -> set[str]:
        """The names in the certificate."""
        value = self.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return {str(each.value) for each in value}

    @property
    def top(self) -> str:
        """The common name of the issuer of the last certificate of the chain: of the root."""
        last = x509.load_der_x509_certificate(self.outcome.chain[-1])
        return str(last.issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


@dataclass(kw_only=True)
class Client:
    """What the workflow is to an issuer: it keeps the order, shows challenges and waits. Each step is made by an issuer
    of its own, as if it ran in a process of its own."""

    settings: AcmeIssuer
    secrets: Any
    records: Records
    files: dict[str, str] = field(default_factory=dict)
    key_id: str = "alias/aws/secretsmanager"
    settled: Callable[[], bool] = lambda: True  # whether the server has done what it was asked for
    show: bool = True
    hide: tuple[str, ...] = ()  # names whose challenges are not shown
    present_at: dict[str, str] = field(default_factory=dict)  # where a record is shown instead (CNAME delegation)
    twice: bool = False  # every step runs a second time from the order that the first one began with
    start: str = ""  # the order that is gone on with
    solver: Solver | None = None  # what shows challenges, in place of records in memory

    def issuer(self) -> Acme:
        """The issuer, with nothing in its memory."""
        return Acme(self.settings, secrets=self.secrets, key_id=self.key_id)

    def issue(self, *names: str, profile: Profile | None = None, replaces: Certificate | None = None) -> Run:
        """Ask for a certificate and go on until it is there. Raises what the issuer raises."""
        key, csr = signing_request(*names)
        ask = Ask(
            id=os.urandom(16).hex(),
            names=names,
            csr=csr,
            key="EC-256",
            profile=profile or Profile(name="web", issuer=self.settings.name),
            validity_days=90,
            replaces=replaces,
        )
        kept = [self.start]
        shown: list[Challenge] = []
        try:
            for step in range(1, MOST_STEPS + 1):
                begun = kept[-1]
                for _ in range(2 if self.twice else 1):
                    outcome = self.issuer().advance(
                        ask, begun, presented=bool(shown), now=datetime.now(UTC), keep=kept.append
                    )
                if isinstance(outcome, Issued):
                    return Run(outcome=outcome, key=key, presented=tuple(shown), steps=step, order=kept[-1])
                if isinstance(outcome, Present):
                    shown.extend(outcome.challenges)
                    self._present(outcome.challenges)
                elif isinstance(outcome, Later):
                    self._wait()
        finally:
            self._clean(shown)
        raise AssertionError(f"not issued after {MOST_STEPS} steps: {outcome}")

    def _wait(self) -> None:
        time.sleep(WAIT_SECONDS)
        end = time.monotonic() + 10
        while not self.settled() and time.monotonic() < end:
            time.sleep(WAIT_SECONDS)

    def _present(self, challenges: Sequence[Challenge]) -> None:
        if self.solver is not None:
            tokens = self.solver.present(challenges)
            while not self.solver.ready(tokens):
                time.sleep(WAIT_SECONDS)
            return
        for each in challenges if self.show else ():
            if each.name in self.hide:
                continue
            if each.shown is Shown.TXT:
                self.records.add(self.present_at.get(each.where, each.where), "TXT", each.value)
            else:
                self.files[each.where] = each.value

    def _clean(self, challenges: Sequence[Challenge]) -> None:
        if self.solver is not None:
            self.solver.clean(challenges)
            return
        for each in challenges:
            if each.shown is Shown.TXT and not each.stays:
                self.records.remove(self.present_at.get(each.where, each.where), "TXT", each.value)
            self.files.pop(each.where, None)


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A running server and a client of it."""

    server: Any
    client: Client

    def configured(self, **settings: Any) -> Client:
        """The same client with other settings."""
        return replace(self.client, settings=replace(self.client.settings, **settings))

    def requests_of(self, what: Callable[[], Any]) -> list[str]:
        """The requests that the server gets meanwhile."""
        before = len(self.server.requests())
        what()
        return list(self.server.requests()[before:])


Start = Callable[..., AbstractContextManager[Lab]]
