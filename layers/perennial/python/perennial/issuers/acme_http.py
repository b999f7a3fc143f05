"""HTTP for ACME: one request, one bounded reply.

The server may be hostile, or someone between may be. A redirect is never followed, no body is decompressed, its size
and the whole time of a reply are bounded (a server that sends a byte now and then ends too), and nothing is taken from
the environment: no proxy, no .netrc. TLS is verified against the public roots or the configured ones.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3 import connectionpool
from urllib3.exceptions import HTTPError, ReadTimeoutError, SSLError

from perennial.errors import InvalidConfiguration, InvalidReply, Unavailable
from perennial.issuers.acme_reading import bounded

if TYPE_CHECKING:
    import ssl

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0  # between two pieces of a reply
REPLY_SECONDS = 30.0  # for a whole reply
CONNECTIONS = 32  # kept open, for as many threads


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answered: the header names are in lower case; several fields of one name are joined by a comma."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Http:
    """Connections to one ACME server. Threads may share it. `requests` counts what was sent."""

    def __init__(self, roots: str, *, field: str, reply_seconds: float = REPLY_SECONDS) -> None:
        """`roots` is PEM, "" for the public roots; `field` names the setting that it comes from.

        Raises: InvalidConfiguration.
        """
        self.requests = 0
        self._field = field
        self._reply_seconds = reply_seconds
        self._lock = threading.Lock()
        self._pool = urllib3.PoolManager(ssl_context=_context(roots, field), retries=False, maxsize=CONNECTIONS)
        bound = {"deadline_seconds": reply_seconds}
        self._pool.pool_classes_by_scheme = {
            "http": type("_Http", (_HttpPool,), bound),
            "https": type("_Https", (_HttpsPool,), bound),
        }

    def send(self, method: str, url: str, *, body: bytes | None, headers: Mapping[str, str], limit: int) -> Answer:
        """Send one request; `limit` is in bytes.

        Raises: Unavailable (nothing or no whole reply came), InvalidReply (larger than the limit, or encoded),
        InvalidConfiguration (the server's TLS certificate is not trusted).
        """
        with self._lock:
            self.requests += 1
        try:
            return self._exchange(method, url, body, headers, limit)
        except SSLError as error:
            raise self._untrusted(url, error) from error
        except (ReadTimeoutError, TimeoutError) as error:
            raise Unavailable(f"{bounded(url)} sent no whole reply within {self._reply_seconds:g} s") from error
        except (HTTPError, HTTPException, OSError) as error:
            raise Unavailable(f"{bounded(url)} could not be asked: {_cause(error)}") from error

    def _exchange(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], limit: int) -> Answer:
        response = self._pool.urlopen(
            method,
            url,
            body=body,
            headers={"User-Agent": "perennial", "Accept-Encoding": "identity", **headers},
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
        )
        whole = False
        try:
            answer = _answer(response, url, limit)
            whole = True
        finally:
            if whole:
                response.release_conn()
            else:
                response.close()
        return answer

    def _untrusted(self, url: str, error: SSLError) -> Exception:
        text = _cause(error)
        if "CERTIFICATE_VERIFY_FAILED" not in text:
            return Unavailable(f"{bounded(url)}: TLS failed: {text}")
        return InvalidConfiguration(
            f"{bounded(url)}: its TLS certificate is not trusted ({text}); put its root into {self._field}"
        )


def _answer(response: urllib3.BaseHTTPResponse, url: str, limit: int) -> Answer:
    body = response.read(limit + 1, decode_content=False)
    if len(body) > limit:
        raise InvalidReply(f"{bounded(url)} answered with more than {limit} bytes; none of it is used")
    headers = {name.lower(): value for name, value in response.headers.itermerged()}
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise InvalidReply(f"{bounded(url)} answered with an encoded body that was not asked for")
    return Answer(status=response.status, headers=headers, body=body)


@lru_cache(maxsize=8)
def _context(roots: str, field: str) -> ssl.SSLContext:
    """One context serves all issuers with these roots: reading the public ones takes 20 ms."""
    import ssl

    import certifi

    try:
        return ssl.create_default_context(cadata=roots or None, cafile=None if roots else certifi.where())
    except (ssl.SSLError, ValueError) as error:
        raise InvalidConfiguration(f"{field} does not hold PEM certificates: {bounded(str(error))}") from error


def _cause(error: BaseException) -> str:
    return bounded(f"{type(error).__name__}: {error}", 200)


class _Timed(io.RawIOBase):
    """A socket's input that ends at a deadline, however small the pieces are in which it comes."""

    def __init__(self, sock: Any, deadline: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)  # holds the socket open as long as the reply is read
        self._deadline = deadline
        self._clock = clock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError("the reply takes too long")
        self._sock.settimeout(min(left, READ_SECONDS))
        read: int | None = self._raw.readinto(buffer)
        return read

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Deadline:
    """Stands for a socket where http.client makes a file of it."""

    def __init__(self, sock: Any, seconds: float) -> None:
        self._sock = sock
        self._deadline = time.monotonic() + seconds

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Timed(self._sock, self._deadline))


def _reply_within(seconds: float) -> Callable[..., HTTPResponse]:
    """What http.client makes its response with."""

    def make(sock: Any, *arguments: Any, **named: Any) -> HTTPResponse:
        return HTTPResponse(_Deadline(sock, seconds), *arguments, **named)  # type: ignore[arg-type]

    return make


class _HttpPool(connectionpool.HTTPConnectionPool):
    deadline_seconds = REPLY_SECONDS

    def _new_conn(self) -> Any:
        made: Any = super()._new_conn()
        made.response_class = _reply_within(self.deadline_seconds)
        return made


class _HttpsPool(connectionpool.HTTPSConnectionPool):
    deadline_seconds = REPLY_SECONDS

    def _new_conn(self) -> Any:
        made: Any = super()._new_conn()
        made.response_class = _reply_within(self.deadline_seconds)
        return made
