"""The loopback address that a browser is sent to after a person has signed in (RFC 8252 7.3).

Anything on this machine can connect, and any web page can let a browser do it. What does not know the state is
answered and changes nothing: each connection has a few seconds, a few kilobytes and one request, and there are only so
many at once. Nothing of a request is repeated in an answer.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

from perennial.cli.oauth import Query
from perennial.errors import InvalidInput, Unavailable
from perennial.sign_in import REDIRECT

ADDRESS = "127.0.0.1"
PORT = urlsplit(REDIRECT).port or 0
PATH = urlsplit(REDIRECT).path
SECONDS = 300.0  # for a person to sign in
TELL_EVERY = 60.0  # seconds
MAX_HEAD = 16_384  # bytes of a request's line and headers
MAX_CONNECTIONS = 32
REQUEST_SECONDS = 5.0
MAX_FIELDS = 20
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout"}
_REASONS |= {431: "Request Header Fields Too Large", 503: "Service Unavailable"}
_DONE = "<h1>Back to the terminal</h1><p>The command goes on there and says whether you are signed in. Close this page."
_NOT = "<h1>Not this</h1><p>Only the page that <code>perennial sign-in</code> opened leads here."
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>Perennial</title>{}</html>"
)
_HEADERS = (
    "Content-Type: text/html; charset=utf-8\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close"
)


def wait(is_answer: Callable[[Query], bool], listening: Callable[[], object], tell: Callable[[str], object]) -> Query:
    """The parameters with which the browser comes back. `listening` is called once when it can; `tell` with a line of
    progress.

    Raises: InvalidInput where the port is taken, Unavailable where nobody came.
    """
    return asyncio.run(_Waiting(is_answer, PORT).answer(listening, tell, SECONDS))


class _Waiting:
    def __init__(self, is_answer: Callable[[Query], bool], port: int) -> None:
        self._is_answer = is_answer
        self._port = port
        self._hosts = {f"{name}:{port}" for name in ("localhost", ADDRESS)}
        self._connections = 0

    async def answer(self, listening: Callable[[], object], tell: Callable[[str], object], seconds: float) -> Query:
        self._found: asyncio.Future[Query] = asyncio.get_running_loop().create_future()
        server = await self._bound()
        try:
            listening()
            return await self._came(tell, seconds)
        finally:
            server.close()  # and no waiting for connections that others hold open

    async def _bound(self) -> asyncio.Server:
        try:
            return await asyncio.start_server(self._connection, ADDRESS, self._port, limit=MAX_HEAD)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise InvalidInput(
                f"port {self._port} of {ADDRESS} is taken, and the issuer sends browsers to no other one: end what "
                f"listens there (ss -ltnp 'sport = :{self._port}', or lsof -i :{self._port}), perhaps another "
                "perennial sign-in"
            ) from error

    async def _came(self, tell: Callable[[str], object], seconds: float) -> Query:
        left = seconds
        while left > 0:
            pause = min(left, TELL_EVERY)
            with suppress(TimeoutError):
                return await asyncio.wait_for(asyncio.shield(self._found), pause)
            left -= pause
            if left > 0:
                tell(f"still waiting for the browser, at most {left / 60:.0f} more minutes")
        raise Unavailable(f"nobody signed in within {seconds / 60:.0f} minutes; run perennial sign-in again")

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            with suppress(OSError, TimeoutError):  # whoever it was, they left
                await asyncio.wait_for(self._exchange(reader, writer), REQUEST_SECONDS * 2)
        finally:
            self._connections -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        status, query = (503, None) if self._connections > MAX_CONNECTIONS else await self._read(reader)
        body = _PAGE.format(_NOT if query is None else _DONE).encode()
        head = f"HTTP/1.1 {status} {_REASONS[status]}\r\n{_HEADERS}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        if query is not None and not self._found.done():
            self._found.set_result(query)

    async def _read(self, reader: asyncio.StreamReader) -> tuple[int, Query | None]:
        """The status that a request gets, and its parameters where it is the answer that is waited for."""
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_SECONDS)
        except asyncio.LimitOverrunError:
            return 431, None
        except TimeoutError:
            return 408, None
        except asyncio.IncompleteReadError:
            return 400, None
        return self._judged(head)

    def _judged(self, head: bytes) -> tuple[int, Query | None]:
        lines = head.decode("ascii", "replace").split("\r\n")
        method, _, rest = lines[0].partition(" ")
        target, _, version = rest.partition(" ")
        hosts = [line.partition(":")[2].strip() for line in lines[1:] if line.lower().startswith("host:")]
        if not version.startswith("HTTP/1.") or len(hosts) != 1 or hosts[0] not in self._hosts:
            return 400, None  # another host name leads here where someone rebinds one (DNS)
        path, _, query = target.partition("?")
        if path != PATH:
            return 404, None
        if method != "GET":
            return 405, None
        return self._asked(query)

    def _asked(self, query: str) -> tuple[int, Query | None]:
        try:
            found = parse_qs(query, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
        except ValueError:
            return 400, None
        return (200, found) if self._is_answer(found) else (400, None)
