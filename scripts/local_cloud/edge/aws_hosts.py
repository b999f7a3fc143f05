"""AWS's own host names at the edge: REST APIs and the keys of user pools, over TLS as a client asks for them.

    https://{api}.execute-api.{region}.amazonaws.com/{stage}/…
    https://cognito-idp.{region}.amazonaws.com/{pool}/.well-known/jwks.json

One server on loopback shows, for each name, a certificate of the cloud's own root, and hands what it hears on to the
local cloud's endpoint, byte by byte. The root is new in each process, and its key never leaves it; whoever trusts it
(see `trust`) trusts it for these names alone, by its name constraints (RFC 5280 4.2.1.10).
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from local_cloud.edge.server import address_of

PORT = 443
_NAME = re.compile(
    r"[a-z0-9]{8,10}\.execute-api\.[a-z0-9-]{6,20}\.amazonaws\.com|cognito-idp\.[a-z0-9-]{6,20}\.amazonaws\.com"
)
_PIECE = 64 * 1024
_BACKLOG = 128  # connections
_DAYS = timedelta(days=30)


def is_served(host: str) -> bool:
    """Whether the edge serves this host name as AWS does."""
    return _NAME.fullmatch(host.lower().rstrip(".")) is not None


class AwsHosts:
    """The server, bound when its address is first asked for; `endpoint` is (address, port) of the local cloud."""

    def __init__(self, endpoint: tuple[str, int]) -> None:
        self._endpoint = endpoint
        self._lock = Lock()
        self._listening: socket.socket | None = None
        self._root = cache(_root)
        self._context = cache(self._made_context)

    def root(self) -> str:
        """The root's certificate in PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding

        with self._lock:
            certificate, _ = self._root()
        return str(certificate.public_bytes(Encoding.PEM).decode())

    def address(self) -> tuple[str, int]:
        """(address, port) of the server."""
        with self._lock:
            if self._listening is None:
                self._listening = _bound(address_of("aws", 0))
                self._listening.listen(_BACKLOG)  # from now on a client waits for the thread, and is not refused
                Thread(target=self._serve, args=(self._listening,), name="aws-hosts", daemon=True).start()
            address, port = self._listening.getsockname()
        return str(address), int(port)

    def _serve(self, listening: socket.socket) -> None:
        asyncio.run(self._served(listening))

    async def _served(self, listening: socket.socket) -> None:
        shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        shown.sni_callback = self._show
        server = await asyncio.start_server(self._connection, sock=listening, ssl=shown)
        async with server:
            await server.serve_forever()

    def _show(self, session: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        """Choose the certificate of the name that a client asks for; a name that is not served ends the handshake."""
        if name is None or not is_served(name):
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        with self._lock:
            session.context = self._context(_pattern(name.lower()))
        return None

    def _made_context(self, pattern: str) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        with tempfile.TemporaryDirectory() as directory:  # `ssl` reads a key from a file alone
            file = Path(directory) / "shown.pem"
            file.touch(mode=0o600)
            file.write_bytes(_leaf(pattern, *self._root()))
            made.load_cert_chain(file)
        return made

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand on what both sides say until one of them ends."""
        try:
            inner, outer = await asyncio.open_connection(*self._endpoint)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(_pass(reader, outer), _pass(inner, writer))
        finally:
            outer.close()
            writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on one direction; at its end the other connection is closed, since TLS knows no half of one."""
    with suppress(ConnectionError, ssl.SSLError):  # either side may leave the hard way
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()
    writer.close()


def _bound(address: str) -> socket.socket:
    """A socket on a free port; on systems that have no loopback addresses but one, there. It is told to be one of TCP:
    of others asyncio does not turn off Nagle's algorithm, and every second reply would wait 40 ms for an ACK."""
    for each in (address, "127.0.0.1"):
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            made.bind((each, 0))
        except OSError:
            made.close()
        else:
            return made
    raise OSError("loopback has no free port")


def _pattern(name: str) -> str:
    """The name in the certificate that AWS shows for a host name: one for all APIs of a region."""
    first, _, rest = name.partition(".")
    return f"*.{rest}" if rest.startswith("execute-api.") else f"{first}.{rest}"


def _root() -> tuple[Any, Any]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Local cloud {os.getpid()}")])
    now = datetime.now(UTC)
    usage = {each: each == "key_cert_sign" for each in _USAGES}
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.NameConstraints([x509.DNSName("amazonaws.com")], None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256()), key


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _leaf(name: str, root: Any, root_key: Any) -> bytes:
    """The key and certificate of a server in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(root.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(root.not_valid_before_utc)
        .not_valid_after(root.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
    )
    certificate = builder.sign(root_key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return bytes(private + certificate.public_bytes(Encoding.PEM))
