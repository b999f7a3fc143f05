"""A TLS handshake on the wire: which certificates a server sends, and with what protocol.

It looks and does not trust: nothing is verified, and protocol versions and ciphers that no client should accept any
more are offered, because a server that still speaks them is a fact to be found. The handshake runs in memory
(`ssl.MemoryBIO`) over plain asyncio streams: so every byte is counted, the chain is there also when the handshake fails
behind it (a server that asks for a client certificate), and a server that does not speak TLS at all is told apart.

The chain as sent is public in the `ssl` module from Python 3.13 on (`SSLObject.get_unverified_chain`). Python 3.10 to
3.12 have the same function one layer below, on the private `_sslobj`; what is private is looked for only there.

Sources: RFC 8446 section 4.4.2, RFC 5246 section 7.4.2 (Certificate), RFC 6066 section 3 (SNI).
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

CONNECT_SECONDS = 5.0
HANDSHAKE_SECONDS = 5.0
MAX_RECEIVED = 256 * 1024  # bytes before a handshake is given up; OpenSSL takes chains of 100 KB
_READ = 16 * 1024
_DER = 2  # X509_FILETYPE_ASN1, as `_ssl.ENCODING_DER`
_ALERT, _HANDSHAKE = 21, 22  # TLS record types (RFC 8446 section 5.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What one address answered. Without a problem the handshake ended well: the server holds the leaf's key.

    `chain` holds DER as sent, leaf first; it may be there although the handshake failed. `sni` is the name asked for.
    """

    address: str
    port: int
    sni: str | None
    chain: tuple[bytes, ...] = field(default=(), repr=False)
    protocol: str | None = None
    problem: str | None = None


async def addresses(host: str, port: int, most: int = 8) -> tuple[str, ...]:
    """The addresses of a host, sorted, IPv6 only where this machine has it.

    Raises: OSError or TimeoutError when the name does not resolve; ValueError when it is no name.
    """
    import socket

    if name_to_send(host) is None:
        return (host.strip("[]"),)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_SECONDS):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return tuple(sorted({str(each[4][0]) for each in found})[:most])


async def shake(address: str, port: int, server_name: str) -> Handshake:
    """One handshake with one address, asking for a name (for no name where it is an IP address). Never raises for what
    the server does, and ends within CONNECT_SECONDS + HANDSHAKE_SECONDS."""
    sni = name_to_send(server_name)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(address, port)
    except TimeoutError:
        return Handshake(address=address, port=port, sni=sni, problem=f"no connection within {CONNECT_SECONDS:g} s")
    except (OSError, OverflowError) as error:
        return Handshake(address=address, port=port, sni=sni, problem=f"no connection: {_reason(error)}")
    try:
        tls, problem = await _in_time(reader, writer, sni)
    except (TypeError, ValueError) as error:  # a name that cannot be an SNI; Python 3.11 has TypeError for a zero byte
        return Handshake(address=address, port=port, sni=sni, problem=f"the name cannot be asked for: {error}")
    finally:
        writer.transport.abort()
    chain = chain_as_sent(tls)
    if not chain and problem is None:
        problem = "the server sent no certificate"
    return Handshake(address=address, port=port, sni=sni, chain=chain, protocol=tls.version(), problem=problem)


def name_to_send(host: str) -> str | None:
    """The server name indication for a host: no IP address and no final dot (RFC 6066 section 3)."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.rstrip(".").lower()
    return None


async def _in_time(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sni: str | None
) -> tuple[ssl.SSLObject, str | None]:
    """The TLS side after the handshake, and why it did not end well."""
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = _context().wrap_bio(received, to_send, server_hostname=sni)
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            return tls, await _exchange(_Wire(reader, writer, received, to_send), tls)
    except TimeoutError:
        return tls, f"no end of the handshake within {HANDSHAKE_SECONDS:g} s"
    except OSError as error:
        return tls, f"the connection broke: {_reason(error)}"


@dataclass(frozen=True, slots=True)
class _Wire:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    received: ssl.MemoryBIO
    to_send: ssl.MemoryBIO

    async def send(self) -> None:
        data = self.to_send.read()
        if data:
            self.writer.write(data)
            await self.writer.drain()


async def _exchange(wire: _Wire, tls: ssl.SSLObject) -> str | None:
    """Move bytes until OpenSSL is content; None, or a sentence that says why it is not."""
    total = 0
    spoke_tls = True
    while True:
        try:
            tls.do_handshake()
            await wire.send()  # the server does not count it as done before the last message
            return None
        except ssl.SSLWantReadError:
            await wire.send()
        except ssl.SSLError as error:
            return _failure(error) if spoke_tls else "the server answered, but not with TLS"
        data = await wire.reader.read(_READ)
        if not data:
            return "the server closed the connection during the handshake"
        if total == 0:
            spoke_tls = data[0] in (_ALERT, _HANDSHAKE)
        total += len(data)
        if total > MAX_RECEIVED:
            return f"more than {MAX_RECEIVED} bytes without an end of the handshake"
        wire.received.write(data)


def _failure(error: ssl.SSLError) -> str:
    reason = (error.reason or "unknown reason").lower().replace("_", " ")
    return f"the handshake failed: {reason}"


def _reason(error: Exception) -> str:
    """The system's own words; asyncio's name addresses."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else (str(error) or type(error).__name__)[:160]


def chain_as_sent(tls: Any) -> tuple[bytes, ...]:
    """The DER of every certificate that the peer sent, leaf first; () when it sent none."""
    if hasattr(tls, "get_unverified_chain"):  # Python 3.13
        return tuple(tls.get_unverified_chain())
    certificates: Sequence[Any] = tls._sslobj.get_unverified_chain() or ()
    return tuple(each.public_bytes(_DER) for each in certificates)


@lru_cache(maxsize=1)
def _context() -> ssl.SSLContext:
    """The one context for all handshakes: making one costs more than the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:!aNULL:!eNULL:@SECLEVEL=0")
    context.options |= 0x4  # OP_LEGACY_SERVER_CONNECT, in the ssl module from 3.12: servers without RFC 5746
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context
