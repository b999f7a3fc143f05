"""A small, strict ACME server in this process, on a free port of loopback, over plain http; and who asks it.

It checks every JWS (signature, url, a nonce that is used once, kid or jwk), finds the challenges in what is `shown`,
issues real certificates, and counts them. A test changes its replies with `alter`, refuses with `refuse`, and loses
replies with `lose`: the server has acted then, and closes the connection.

    with AcmeServer() as server:
        asker = Asker(server, secrets)
        asker.issue("shop.example.com")
        assert server.kinds == [...]
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import boto3
from acme.jws import JWS
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from moto import mock_aws

from certificates import NOW, Built, build
from perennial.certificate import Certificate
from perennial.issuers.acme import Acme
from perennial.issuers.interface import Ask, Issued, Later, Outcome, Present
from perennial.profiles import AcmeIssuer, Profile
from perennial.solvers.interface import Challenge

PREFIX = "urn:ietf:params:acme:error:"
JSON, PROBLEM, PEM = "application/json", "application/problem+json", "application/pem-certificate-chain"


@dataclass
class Reply:
    """What the server sends. `raw` replaces everything: it gets the handler and writes what it wants."""

    status: int = 200
    values: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = JSON
    body: bytes | None = None
    raw: Callable[[BaseHTTPRequestHandler], None] | None = None

    def bytes(self) -> bytes:
        if self.body is not None:
            return self.body
        return b"" if self.values is None else json.dumps(self.values).encode()


def problem(code: str, detail: str = "scripted", status: int = 400, **more: Any) -> Reply:
    """A refusal."""
    return Reply(status, {"type": PREFIX + code, "detail": detail, **more}, kind=PROBLEM)


class _Refused(Exception):
    def __init__(self, reply: Reply) -> None:
        self.reply = reply


@dataclass
class _Authorization:
    name: str
    token: str
    status: str = "pending"
    error: Mapping[str, Any] | None = None


@dataclass
class _Order:
    names: tuple[str, ...]
    account: str
    authorizations: list[str]
    status: str = "pending"
    looks: int = 0
    leaf: bytes = b""
    error: Mapping[str, Any] | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Request:
    kind: str
    name: str
    payload: Any
    account: str
    key: Any
    read_only: bool


class AcmeServer:
    """See the module. Public attributes are for tests to set and to look at."""

    def __init__(self) -> None:
        self.kinds: list[str] = []  # of the requests, in order
        self.issued = 0
        self.shown: set[tuple[str, str]] = set()  # where, value
        self.alter: dict[str, Callable[[Reply], Reply]] = {}
        self.refuse: dict[str, list[Reply]] = {}
        self.lose: Callable[[str], bool] = lambda kind: False
        self.looks = 1  # at a finalized order, before it is valid
        self.reused: set[str] = set()  # names that are authorized already
        self.offered = ("http-01", "dns-01", "dns-persist-01")
        self.profiles: dict[str, str] = {}
        self.bound: dict[str, bytes] | None = None  # kid -> HMAC key; None: no external account is required
        self.accounts: dict[str, Any] = {}  # URL -> public key
        self.contacts: dict[str, Any] = {}
        self.orders: dict[str, _Order] = {}
        self.authorizations: dict[str, _Authorization] = {}
        self.revoked: list[bytes] = []
        self.meta: dict[str, Any] = {}
        self._nonces: set[str] = set()
        self._numbers = itertools.count(1)
        self._accounts = itertools.count(1)
        self._lock = threading.Lock()

    def __enter__(self) -> AcmeServer:
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._httpd.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._httpd.server_address[1]}"
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()

    @property
    def directory(self) -> str:
        return f"{self.origin}/directory"

    def url(self, *parts: object) -> str:
        return "/".join((self.origin, *map(str, parts)))

    def clear(self) -> None:
        """Forget which requests came."""
        self.kinds.clear()

    # Requests

    def answer(self, method: str, path: str, body: bytes) -> tuple[str, Reply]:
        kind, _, name = path.lstrip("/").partition("/")
        with self._lock:
            self.kinds.append(kind)
            refusals = self.refuse.get(kind, [])
            try:
                reply = self._acted(method, kind, name, body, refusals)
            except _Refused as refused:
                reply = refused.reply
            if method != "GET":
                reply = replace(reply, headers={**reply.headers, "Replay-Nonce": self._nonce()})
            alter = self.alter.get(kind)
            return kind, alter(reply) if alter else reply

    def _acted(self, method: str, kind: str, name: str, body: bytes, refusals: list[Reply]) -> Reply:
        if method == "POST":
            request = self._read(kind, name, body)
            if refusals:
                raise _Refused(refusals.pop(0))
            handler: Callable[[_Request], Reply] = getattr(self, f"_{kind}")
            return handler(request)
        if refusals:
            raise _Refused(refusals.pop(0))
        return {"directory": self._directory, "newNonce": Reply, "renewalInfo": self._renewal}[kind]()

    def _nonce(self) -> str:
        nonce = base64.urlsafe_b64encode(b"nonce%08d" % next(self._numbers)).decode().rstrip("=")
        self._nonces.add(nonce)
        return nonce

    def _read(self, kind: str, name: str, body: bytes) -> _Request:
        """A JWS, checked as RFC 8555 6.2 says."""
        jws = JWS.json_loads(body.decode())
        head = jws.signature.combined
        protected = json.loads(jws.signature.protected)
        if protected.get("nonce") not in self._nonces:
            raise _Refused(problem("badNonce"))
        self._nonces.remove(protected["nonce"])
        assert protected["url"] == self.url(*(each for each in (kind, name) if each)), "signed for another URL"
        assert protected["alg"] == "ES256"
        assert ("kid" in protected) != ("jwk" in protected)
        assert ("jwk" in protected) == (kind == "newAccount")
        account = protected.get("kid", "")
        if account and account not in self.accounts:
            raise _Refused(problem("accountDoesNotExist"))
        key = self.accounts[account] if account else head.jwk
        if not jws.verify(key):
            raise _Refused(problem("unauthorized", "the account has another key", 403))
        return _Request(kind, name, json.loads(jws.payload or b"null"), account, key, not jws.payload)

    def _directory(self) -> Reply:
        names = ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo")
        meta = {"profiles": self.profiles, "externalAccountRequired": self.bound is not None, **self.meta}
        return Reply(200, {**{name: self.url(name) for name in names}, "meta": meta})

    # Accounts

    def _newAccount(self, request: _Request) -> Reply:
        for url, key in self.accounts.items():
            if key == request.key:
                return Reply(200, {"status": "valid"}, {"Location": url})
        if request.payload.get("onlyReturnExisting"):
            raise _Refused(problem("accountDoesNotExist"))
        self._check_binding(request)
        url = self.url("account", next(self._accounts))
        self.accounts[url], self.contacts[url] = request.key, request.payload["contact"]
        return Reply(201, {"status": "valid"}, {"Location": url})

    def _check_binding(self, request: _Request) -> None:
        if self.bound is None:
            return
        binding = request.payload.get("externalAccountBinding")
        if binding is None:
            raise _Refused(problem("externalAccountRequired", status=403))
        from josepy.jwk import JWKOct

        jws = JWS.from_json(binding)
        key = self.bound.get(json.loads(jws.signature.protected)["kid"], b"wrong")
        if not jws.verify(JWKOct(key=key)) or json.loads(jws.payload) != request.key.to_json():
            raise _Refused(problem("unauthorized", status=403))

    def _account(self, request: _Request) -> Reply:
        if request.payload.get("status") == "deactivated":
            del self.accounts[request.account]
            return Reply(200, {"status": "deactivated"})
        self.contacts[request.account] = request.payload["contact"]
        return Reply(200, {"status": "valid"})

    def _keyChange(self, request: _Request) -> Reply:
        inner = JWS.from_json(request.payload)
        protected = json.loads(inner.signature.protected)
        assert protected["url"] == self.url("keyChange")
        assert "nonce" not in protected
        new = inner.signature.combined.jwk
        assert inner.verify(new)
        told = json.loads(inner.payload)
        assert told == {"account": request.account, "oldKey": request.key.to_json()}
        self.accounts[request.account] = new
        return Reply(200, {"status": "valid"})

    # Orders

    def _newOrder(self, request: _Request) -> Reply:
        names = tuple(each["value"] for each in request.payload["identifiers"])
        urls = [self._authorize(name) for name in names]
        url = self.url("order", next(self._numbers))
        order = _Order(names, request.account, urls, asked=request.payload)
        self.orders[url] = order
        return Reply(201, self._told(url), {"Location": url})

    def _authorize(self, name: str) -> str:
        number = next(self._numbers)
        url = self.url("authorization", number)
        status = "valid" if name in self.reused else "pending"
        self.authorizations[url] = _Authorization(name, f"token-{number}", status)
        return url

    def _told(self, url: str) -> dict[str, Any]:
        order, number = self.orders[url], url.rpartition("/")[2]
        states = [self.authorizations[each].status for each in order.authorizations]
        if order.status == "pending" and "invalid" in states:
            order.status = "invalid"
        if order.status == "pending" and set(states) == {"valid"}:
            order.status = "ready"
        return {
            "status": order.status,
            "authorizations": order.authorizations,
            "finalize": self.url("finalize", number),
            "expires": (NOW + timedelta(days=7)).isoformat(),
            **({"certificate": self.url("certificate", number)} if order.status == "valid" else {}),
            **({"error": order.error} if order.error else {}),
        }

    def _authorization(self, request: _Request) -> Reply:
        assert request.read_only
        url = self.url("authorization", request.name)
        if url not in self.authorizations:
            raise _Refused(problem("malformed", status=404))
        found = self.authorizations[url]
        address = ":" in found.name or found.name.replace(".", "").isdigit()
        challenges = [
            {
                "type": kind,
                "url": self.url("challenge", request.name, kind),
                "status": found.status,
                **({} if kind == "dns-persist-01" else {"token": found.token}),
                **({"issuer-domain-names": ["ca.example"]} if kind == "dns-persist-01" else {}),
                **({"error": found.error} if found.error else {}),
            }
            for kind in self.offered
            if not (address and kind.startswith("dns"))
        ]
        return Reply(
            200,
            {
                "status": found.status,
                "identifier": {"type": "ip" if address else "dns", "value": found.name.removeprefix("*.")},
                "challenges": challenges,
                **({"wildcard": True} if found.name.startswith("*.") else {}),
            },
        )

    def _challenge(self, request: _Request) -> Reply:
        assert request.payload == {}
        number, _, kind = request.name.partition("/")
        found = self.authorizations[self.url("authorization", number)]
        if found.status != "pending":
            raise _Refused(problem("malformed", "the challenge is not pending"))
        if self._expected(found, kind, request) in self.shown:
            found.status = "valid"
        else:
            found.status = "invalid"
            found.error = {"type": PREFIX + "dns", "detail": f"nothing of {found.name} was seen"}
        return Reply(200, {"type": kind, "status": "processing", "url": self.url("challenge", request.name)})

    def _expected(self, found: _Authorization, kind: str, request: _Request) -> tuple[str, str]:
        """What has to be shown, from the account's key as the server knows it."""
        host = found.name.removeprefix("*.")
        if kind == "dns-persist-01":
            policy = "; policy=wildcard" if found.name.startswith("*.") else ""
            return f"_validation-persist.{host}", f"ca.example; accounturi={request.account}{policy}"
        proof = f"{found.token}.{_b64(request.key.thumbprint())}"
        if kind == "http-01":
            return found.token, proof
        return f"_acme-challenge.{host}", _b64(hashlib.sha256(proof.encode()).digest())

    def _order(self, request: _Request) -> Reply:
        assert request.read_only
        url = self.url("order", request.name)
        order = self._found(url)
        if order.status == "processing":
            order.looks += 1
            if order.looks >= self.looks:
                order.status = "valid"
        return Reply(200, self._told(url))

    def _found(self, url: str) -> _Order:
        if url not in self.orders:
            raise _Refused(problem("malformed", "no such order", 404))
        return self.orders[url]

    def _finalize(self, request: _Request) -> Reply:
        url = self.url("order", request.name)
        order = self._found(url)
        self._told(url)
        if order.status != "ready":
            raise _Refused(problem("orderNotReady", status=403))
        csr = base64.urlsafe_b64decode(request.payload["csr"] + "==")
        order.leaf = _issue(csr, order.names)
        self.issued += 1
        order.status = "processing" if self.looks else "valid"
        return Reply(200, self._told(url))

    def _certificate(self, request: _Request) -> Reply:
        assert request.read_only
        number, _, root = request.name.partition("/")
        order = self.orders[self.url("order", number)]
        ca = authorities()[int(root or 0)]
        pem = x509.load_der_x509_certificate(order.leaf).public_bytes(serialization.Encoding.PEM) + ca.pem.encode()
        links = ", ".join(
            f'<{self.url("certificate", number, each)}>;rel="alternate"' for each in range(1, len(authorities()))
        )
        index = f'<{self.directory}>;rel="index"'
        return Reply(200, body=pem, kind=PEM, headers={"Link": f"{index}, {links}"})

    def _revokeCert(self, request: _Request) -> Reply:
        der = base64.urlsafe_b64decode(request.payload["certificate"] + "==")
        if der in self.revoked:
            raise _Refused(problem("alreadyRevoked"))
        self.revoked.append(der)
        return Reply(200)

    def _renewal(self) -> Reply:
        window = {"start": "2026-11-20T00:00:00Z", "end": "2026-11-22T00:00:00.5+00:00"}
        values = {"suggestedWindow": window, "explanationURL": "https://ca.example/why"}
        return Reply(200, values, {"Retry-After": "21600"})


def _handler(server: AcmeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            self._do()

        do_POST = do_HEAD = do_GET  # noqa: N815 - the names are http.server's

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kind, reply = server.answer(self.command, self.path, body)
            if server.lose(kind):
                self.close_connection = True
                return
            if reply.raw is not None:
                self.close_connection = True
                reply.raw(self)
                return
            content = reply.bytes()
            self.send_response(reply.status)
            headers = {"Content-Type": reply.kind, "Content-Length": str(len(content)), **reply.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def acme() -> Iterator[tuple[AcmeServer, Any]]:
    """A server, and a Secrets Manager in memory."""
    with mock_aws(), AcmeServer() as server:
        yield server, _secrets()


@cache
def _secrets() -> Any:
    """The same client for all tests: making one reads its service's model anew."""
    names = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "eu-west-1"}
    return boto3.client("secretsmanager", **names)


@cache
def authorities() -> tuple[Built, ...]:
    """The server's CAs: one key and name for the leaf's issuer, certified by two roots."""
    first = build("Root One", ca=True)
    middle = build("Issuing CA", ca=True, issuer=first)
    second = build("Issuing CA", ca=True, issuer=build("Root Two", ca=True), key=middle.key)
    return middle, second


def _issue(csr: bytes, names: Sequence[str]) -> bytes:
    ca, now = authorities()[0], datetime.now(UTC)
    key = x509.load_der_x509_csr(csr).public_key()
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ca.x509.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(_san(names), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
        .sign(ca.key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.DER)


def _san(names: Sequence[str]) -> x509.SubjectAlternativeName:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(found)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@cache
def csr(*names: str, kind: str = "EC-256") -> bytes:
    """The DER of a CSR."""
    key = build(names[0], key=kind).key
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(_san(names), False)
    return builder.sign(key, hashes.SHA256() if kind.startswith(("EC", "RSA")) else None).public_bytes(
        serialization.Encoding.DER
    )


class Asker:
    """Asks a server for certificates as the workflow does: it keeps the order, shows challenges, and never waits.

    Every step is made by a new `Acme`, as in a new process.
    """

    def __init__(self, server: AcmeServer, secrets: Any, **settings: Any) -> None:
        self.server = server
        self.secrets = secrets
        self.settings = AcmeIssuer(**{"name": "test", "directory": server.directory, **settings})
        self.order = ""
        self.texts: list[str] = []  # every kept order
        self.outcomes: list[Outcome] = []
        self.challenges: tuple[Challenge, ...] = ()
        self.presented = False
        self.sent = 0  # requests, as `Acme` counts them

    def acme(self) -> Acme:
        return Acme(self.settings, secrets=self.secrets, key_id="alias/perennial")

    def ask(self, *names: str, replaces: Certificate | None = None, key: str = "EC-256", **profile: Any) -> Ask:
        return Ask(
            id="0" * 32,
            names=names,
            csr=csr(*names, kind=key),
            key=key,
            profile=Profile(name="web", issuer="test", **profile),
            validity_days=90,
            replaces=replaces,
        )

    def step(self, ask: Ask, order: str | None = None) -> Outcome:
        """One step, from the order that was kept last or from another."""
        issuer = self.acme()
        text = self.order if order is None else order
        try:
            outcome = issuer.advance(ask, text, presented=self.presented, now=NOW, keep=self._keep)
        finally:
            self.sent += issuer.requests
        self.outcomes.append(outcome)
        if isinstance(outcome, Present):
            self.challenges = outcome.challenges
            self.server.shown |= {(each.where, each.value) for each in outcome.challenges}
            self.presented = True
        return outcome

    def _keep(self, text: str) -> None:
        self.order = text
        self.texts.append(text)

    def finish(self, ask: Ask, most: int = 200) -> Issued:
        """Steps until the certificate is there."""
        for _ in range(most):
            outcome = self.step(ask)
            if isinstance(outcome, Issued):
                return outcome
            assert not isinstance(outcome, Later) or outcome.seconds >= 1
        raise AssertionError(f"not issued after {most} steps")

    def issue(self, *names: str, **asked: Any) -> Issued:
        return self.finish(self.ask(*names, **asked))

    def warm(self) -> None:
        """Have an account, and forget the requests that it took."""
        issuer = self.acme()
        issuer._accounts.account(issuer._network(NOW))
        self.server.clear()
