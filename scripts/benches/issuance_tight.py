"""A tight client loop: as few requests, and as little work for each, as an ACME certificate can take in Python.

The directory and the account are known, each thread keeps one connection and goes on with the nonce of its last reply.
Nothing is checked, judged, kept or resumed, and no reply is bounded. It is the ceiling, not a client.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
import time
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from benches.issuance_client import PAUSE_SECONDS, Place

_SECONDS = 10.0  # without an answer
_ES256 = ec.ECDSA(hashes.SHA256())


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _number(value: int) -> bytes:
    return value.to_bytes(32, "big")


class Account:
    """An account, and what its key proves."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.key = ec.generate_private_key(ec.SECP256R1())
        point = self.key.public_key().public_numbers()
        self.jwk = {"crv": "P-256", "kty": "EC", "x": _b64(_number(point.x)), "y": _b64(_number(point.y))}
        canonical = json.dumps(self.jwk, separators=(",", ":"), sort_keys=True).encode()
        self.thumbprint = _b64(hashlib.sha256(canonical).digest())
        self.tls = ssl.create_default_context(cafile=place.roots)
        first = Connection(self)
        self.urls = json.loads(first.send("GET", place.url)[1])
        first.send("HEAD", self.urls["newNonce"])
        self.url = ""
        self.url = first.post(self.urls["newAccount"], {"termsOfServiceAgreed": True})[0]["Location"]


class Connection:
    """One connection of an account: one thread's."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.nonce = ""
        self._http = http.client.HTTPSConnection(
            urlsplit(account.place.url).netloc, timeout=_SECONDS, context=account.tls
        )

    def send(self, method: str, url: str, body: bytes | None = None) -> tuple[Any, bytes]:
        """One request: the reply's headers and body."""
        headers = {"User-Agent": "tight", "Content-Type": "application/jose+json"}
        self._http.request(method, urlsplit(url).path, body, headers)
        with self._http.getresponse() as reply:
            content = reply.read()
            if reply.status >= 400:
                raise SystemExit(f"bench: {method} {url}: {content.decode()[:500]}")
            self.nonce = reply.headers.get("Replay-Nonce", self.nonce)
            return reply.headers, content

    def post(self, url: str, payload: dict[str, Any] | None = None) -> tuple[Any, bytes]:
        """One signed request; without a payload it only reads."""
        who = {"kid": self.account.url} if self.account.url else {"jwk": self.account.jwk}
        protected = _b64(json.dumps({"alg": "ES256", "nonce": self.nonce, "url": url, **who}).encode())
        content = "" if payload is None else _b64(json.dumps(payload).encode())
        r, s = decode_dss_signature(self.account.key.sign(f"{protected}.{content}".encode(), _ES256))
        signed = {"protected": protected, "payload": content, "signature": _b64(_number(r) + _number(s))}
        return self.send("POST", url, json.dumps(signed).encode())

    def read(self, url: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON of one signed request's reply."""
        found: dict[str, Any] = json.loads(self.post(url, payload)[1])
        return found

    def issue(self, name: str) -> bytes:
        """One certificate for one name: its PEM."""
        if not self.nonce:
            self.send("HEAD", self.account.urls["newNonce"])
        csr = _signing_request(name)
        wished = {"identifiers": [{"type": "dns", "value": name}]}
        headers, content = self.post(self.account.urls["newOrder"], wished)
        order = json.loads(content)
        found = self.read(order["authorizations"][0])["challenges"]
        challenge = next(each for each in found if each["type"] == "dns-01")
        proof = f"{challenge['token']}.{self.account.thumbprint}".encode()
        where = f"_acme-challenge.{name}"
        self.account.place.show(where, _b64(hashlib.sha256(proof).digest()))
        self.read(challenge["url"], {})
        self._await(headers["Location"], "ready")
        self.read(order["finalize"], {"csr": _b64(csr)})
        chain = self.post(self._await(headers["Location"], "valid")["certificate"])[1]
        self.account.place.hide(where)
        return chain

    def _await(self, order: str, status: str) -> dict[str, Any]:
        while True:
            time.sleep(PAUSE_SECONDS)
            found = self.read(order)
            if found["status"] == status:
                return found
            if found["status"] == "invalid":
                raise SystemExit(f"bench: {order} is invalid: {self.read(found['authorizations'][0])}")


def _signing_request(name: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
