"""A TCP port in front of a server, that tests can close: to its clients the server is down, and is the same when it is
back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CHUNK = 65_536  # bytes


@dataclass
class Relay:
    """Hands on what comes to `port`, unless it is closed."""

    port: int
    to: int
    closed: bool = False
    _open: set[socket.socket] = field(default_factory=set, repr=False)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Until the end of the block, every connection ends at once, those that are open already too."""
        self.closed = True
        for each in list(self._open):
            _end(each)
        try:
            yield
        finally:
            self.closed = False

    def serve(self, listening: socket.socket) -> None:
        """Take connections until the socket is closed."""
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = None if self.closed else socket.create_connection(("127.0.0.1", self.to), timeout=5)
        except OSError:
            server = None
        if server is None:
            client.close()
            return
        server.settimeout(None)
        self._open |= {client, server}
        threading.Thread(target=_hand_on, args=(server, client), daemon=True).start()
        _hand_on(client, server)
        for each in (client, server):
            self._open.discard(each)


def _hand_on(source: socket.socket, sink: socket.socket) -> None:
    """Until one of them ends; then both are."""
    try:
        while data := source.recv(CHUNK):
            sink.sendall(data)
    except OSError:
        pass  # the other thread ended it
    for each in (source, sink):
        _end(each)


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended


@contextmanager
def relay(to: int) -> Iterator[Relay]:
    """Listen on a free port of loopback, and hand on to another, until the end of the block."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        made = Relay(port=listening.getsockname()[1], to=to)
        thread = threading.Thread(target=made.serve, args=(listening,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            with made.down():
                thread.join(5)
