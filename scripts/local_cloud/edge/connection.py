"""One connection to the edge: the client's hello, a handshake in memory, and one small HTTP answer.

The event loop moves bytes. What takes time, reading the stores and signing, runs in a thread of a pool in one go, so
that one slow handshake holds up no other.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from local_cloud.edge import hello
from local_cloud.edge.hello import Hello

Result = TypeVar("Result")
Begin = Callable[[Hello], ssl.SSLContext | None]
"""The context for a client, found in a thread of the pool; None where there is nothing to show."""

SECONDS = 10.0
"""The longest that a connection lasts."""

_READ = 16 * 1024
_BODY = b"The local edge: a handshake is all that it does.\n"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
    len(_BODY),
    _BODY,
)
_AT_ONCE = struct.pack("ii", 1, 0)  # of SO_LINGER: closing resets the connection


@dataclass(frozen=True)
class Connection:
    """The two directions of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def shake(self, begin: Begin, pool: Executor) -> None:
        """Make the handshake, answer what the client then says, if anything, and close."""
        try:
            async with asyncio.timeout(SECONDS):
                await self._shake(begin, pool)
        except (ssl.SSLError, ConnectionError, TimeoutError):
            return  # what a client makes of it is the client's business
        finally:
            self.writer.close()

    async def hang(self) -> None:
        """Say nothing until the client leaves."""
        with suppress(ConnectionError):  # it may leave the hard way
            while await self.reader.read(_READ):
                continue
        self.writer.close()

    async def reset(self) -> None:
        """Break the connection as soon as the client has said something."""
        with suppress(OSError):  # it may have broken it first
            await self.reader.read(1)
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.writer.transport.abort()

    async def _shake(self, begin: Begin, pool: Executor) -> None:
        heard = await self._hello()
        if heard is None:
            return
        session = await asyncio.get_running_loop().run_in_executor(pool, self._begun, begin, *heard)
        if session is None:
            self.writer.transport.abort()
            return
        await session.run(session.tls.do_handshake)
        if await session.run(lambda: session.tls.read(_READ)):
            await session.run(lambda: session.tls.write(_ANSWER))
            await session.run(session.tls.unwrap)

    def _begun(self, begin: Begin, data: bytes, said: Hello) -> _Session | None:
        """The handshake up to the server's signature; what went wrong goes wrong again on the loop."""
        context = begin(said)
        if context is None:
            return None
        session = _Session(self, context)
        session.received.write(data)
        with suppress(ssl.SSLError):
            session.tls.do_handshake()
        return session

    async def _hello(self) -> tuple[bytes, Hello] | None:
        """The bytes of a hello and what they say; None for a client that leaves or does not speak TLS."""
        data = b""
        while chunk := await self.reader.read(_READ):
            data += chunk
            try:
                said = hello.read(data)
            except ValueError:
                return None
            if said is not None:
                return data, said
        return None


class _Session:
    """The TLS side of a connection."""

    def __init__(self, connection: Connection, context: ssl.SSLContext) -> None:
        self.received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.received, self._to_send, server_side=True)
        self._connection = connection

    async def run(self, step: Callable[[], Result]) -> Result:
        """The result of a step, for which as much is read and sent as it wants.

        Raises: ssl.SSLError, which the client has been told of; ConnectionError where it leaves.
        """
        while True:
            try:
                with suppress(ssl.SSLWantReadError):
                    return step()
            finally:
                await self._send()
            chunk = await self._connection.reader.read(_READ)
            if not chunk:
                raise ConnectionResetError("the client left")
            self.received.write(chunk)

    async def _send(self) -> None:
        if data := self._to_send.read():
            self._connection.writer.write(data)
            await self._connection.writer.drain()
