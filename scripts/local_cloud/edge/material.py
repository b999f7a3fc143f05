"""A certificate with its chain and private key, as ACM or IAM hold it now, and the TLS context that serves it."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography import x509

from local_cloud.edge.store import Store
from local_cloud.fakes import acm_x509
from local_cloud.fakes.acm_x509 import Facts
from local_cloud.fakes.service import LOCK, FakeService

CONTEXTS = 256
"""How many contexts are kept, those used last."""

_VERSIONS = {
    "SSLv3": ssl.TLSVersion.MINIMUM_SUPPORTED,
    "TLSv1": ssl.TLSVersion.MINIMUM_SUPPORTED,  # by its own name, Python warns that it is deprecated
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


@dataclass(frozen=True)
class Material:
    """What a handshake needs; `leaf` and `chain` are PEM, `chain` in the order in which it is sent."""

    arn: str
    leaf: str
    chain: str
    key: str = field(repr=False)
    facts: Facts = field(repr=False)


class Materials:
    """The certificates of a process's ACM and IAM by ARN, read anew at each call."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys = UploadedKeys(store.fake("iam"))

    def __call__(self, arn: str) -> Material | None:
        """What the certificate is now; None where it is gone, not issued, or without a private key."""
        return self._of_iam(arn) if ":iam:" in arn else self._of_acm(arn)

    def _of_acm(self, arn: str) -> Material | None:
        acm: Any = self._store.fake("acm")
        with LOCK:  # a re-import changes several fields, and one that is half done must not be seen
            held = acm.certificate(arn)
            if held is None or held.der is None or held.private_key is None or held.facts is None:
                return None
            chain = "".join(ssl.DER_cert_to_PEM_cert(each) for each in held.chain)
            key = held.private_key.decode()
            return Material(arn, ssl.DER_cert_to_PEM_cert(held.der), chain, key, held.facts)

    def _of_iam(self, arn: str) -> Material | None:
        where, name = (arn.split(":")[4], "us-east-1"), arn.rpartition("/")[2]
        answer = self._store.ask("iam", "GetServerCertificate", where, ServerCertificateName=name)
        if answer is None or answer["ServerCertificate"]["ServerCertificateMetadata"]["Arn"] != arn:
            return None
        held = answer["ServerCertificate"]
        key = self._keys.get(held["ServerCertificateMetadata"]["ServerCertificateId"])
        body = held["CertificateBody"]
        facts = _facts(body)
        return Material(arn, body, held.get("CertificateChain") or "", key, facts) if key else None


class UploadedKeys:
    """The private keys of IAM's server certificates, by id. The fake forgets a key as IAM never gives one out again,
    so that it is kept here, where it is served, from the upload on."""

    def __init__(self, iam: FakeService[Any]) -> None:
        self._keys: dict[str, str] = {}
        upload: Callable[[Any, Mapping[str, Any]], Any] = iam.upload_server_certificate  # type: ignore[attr-defined]

        def upload_and_keep(state: Any, request: Mapping[str, Any]) -> Any:
            answer = upload(state, request)
            self._keys[answer["ServerCertificateMetadata"]["ServerCertificateId"]] = request["PrivateKey"]
            return answer

        iam.upload_server_certificate = upload_and_keep  # type: ignore[attr-defined]

    def get(self, identifier: str) -> str | None:
        """The private key that was uploaded with the certificate of this id."""
        return self._keys.get(identifier)


@lru_cache(CONTEXTS)
def _facts(pem: str) -> Facts:
    return acm_x509.read(x509.load_pem_x509_certificate(pem.encode()))


@lru_cache(CONTEXTS)
def context(leaf: str, chain: str, key: str, protocols: tuple[str, ...]) -> ssl.SSLContext:
    """A server's context that shows this chain and speaks these protocols, old to new; no session is resumed.

    Any key that ACM takes is served, also RSA of 1024 bits, which OpenSSL by itself refuses as too small.
    Raises: ssl.SSLError where the key is not that of the certificate.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_ciphers("ALL:@SECLEVEL=0")
    made.minimum_version, made.maximum_version = (_VERSIONS[protocols[end]] for end in (0, -1))
    made.options |= ssl.OP_NO_TICKET
    made.num_tickets = 0
    _load(made, leaf.rstrip() + "\n" + chain, key)
    return made


def _load(context: ssl.SSLContext, chain: str, key: str) -> None:
    """`ssl` reads keys from files only: one in a private directory, gone before the context is used."""
    with tempfile.TemporaryDirectory(prefix="edge-") as private:
        path = Path(private, "certificate.pem")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key.rstrip() + "\n" + chain)
        context.load_cert_chain(path)
