"""TLS servers, and servers that are none, on loopback, for tests of what is seen in a handshake.

with tls_server(pem(leaf, intermediate), leaf.key_pem) as port: …
with raw_server(b"HTTP/1.0 400 Bad Request\\r\\n\\r\\n") as port: …
"""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

Handle = Callable[[socket.socket], None]


@contextmanager
def server(handle: Handle, host: str = "127.0.0.1") -> Iterator[int]:
    """A server that calls `handle` with each connection in a thread of its own; gives its port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, backlog=512) as listening:
        thread = threading.Thread(target=_accept, args=(listening, handle), daemon=True)
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _accept(listening: socket.socket, handle: Handle) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_serve, args=(connection, handle), daemon=True).start()


def _serve(connection: socket.socket, handle: Handle) -> None:
    with connection, suppress(OSError):  # the client hangs up as soon as it has seen the certificate
        handle(connection)


def tls_context(chain_pem: str, key_pem: str) -> ssl.SSLContext:
    """A server's context that sends this chain, leaf first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "server.pem")
        file.write_text(key_pem + chain_pem)
        context.load_cert_chain(file)
    return context


@contextmanager
def tls_server(
    chain_pem: str,
    key_pem: str,
    *,
    host: str = "127.0.0.1",
    configure: Callable[[ssl.SSLContext], None] = lambda context: None,
    by_name: Mapping[str, tuple[str, str]] | None = None,
) -> Iterator[int]:
    """A TLS server. `by_name` maps SNI names to another chain and key; `configure` may change the context."""
    context = tls_context(chain_pem, key_pem)
    named = {name: tls_context(*pair) for name, pair in (by_name or {}).items()}

    def choose(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        connection.context = named.get(name or "", context)

    context.sni_callback = choose
    configure(context)

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as served:
            served.recv(1)

    with server(handle, host) as port:
        yield port


@contextmanager
def raw_server(answer: bytes = b"", *, repeat: bool = False, wait: bool = True) -> Iterator[int]:
    """A server that reads a little, answers with these bytes (again and again if `repeat`), and then waits for the
    client to leave, or hangs up at once."""

    def handle(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)
        while repeat:
            connection.sendall(answer)
        if wait:
            while connection.recv(4096):
                pass

    with server(handle) as port:
        yield port


def closed_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
