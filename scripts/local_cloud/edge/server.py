"""The servers of the edge: for each address of each place one, on loopback, in a thread with an event loop of its own.

A server is bound when its place is first asked for, and closed when the place is gone: seen at the next handshake, or
when places are next listed or resolved.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from local_cloud.edge.behaviour import Behaviour, Frozen, foreign_chain
from local_cloud.edge.connection import Connection
from local_cloud.edge.hello import Hello
from local_cloud.edge.listeners import Place
from local_cloud.edge.material import Material, context
from local_cloud.edge.selection import choose

Result = TypeVar("Result")
Key = tuple[str, str, str, int]

_LOOPBACK = "127.0.0.1"
_OPEN_TO_ALL = 1024  # ports below are for root only
_BACKLOG = 512
_THREADS = 8
_SECONDS = 30.0
_SECONDS_TO_END = 2.0
_PAUSE = 0.2  # seconds until a server without descriptors tries again

log = logging.getLogger(__name__)


@dataclass
class Door:
    """One address of a place. `listening` takes connections; while the port is closed on purpose, `held` keeps it from
    others."""

    place: Place
    address: str
    port: int
    behaviour: Behaviour = field(default_factory=Behaviour)
    listening: socket.socket | None = None
    held: socket.socket | None = None
    reopening: asyncio.Task[None] | None = None


class Servers:
    """All doors of a process. Every method may be called from any thread but the loop's own."""

    def __init__(
        self,
        again: Callable[[Place], Place | None],
        material: Callable[[str], Material | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`again` reads a place anew, None where it is gone; `material` a certificate by its ARN."""
        self._again = again
        self._material = material
        self._clock = clock
        self._lock = threading.Lock()
        self._doors: dict[Key, list[Door]] = {}
        self._closed: dict[str, socket.socket] = {}
        self._connections: dict[asyncio.Task[None], socket.socket] = {}
        self._thread: _Thread | None = None
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="edge")

    def doors(self, place: Place) -> list[Door]:
        """The doors of a place, opened at first use."""
        with self._lock:
            if place.key not in self._doors:
                self._doors[place.key] = self._run(self._opened(place))
            return list(self._doors[place.key])

    def closed_port(self, address: str) -> int:
        """A port of an address on which nothing listens, and nothing will."""
        with self._lock:
            if address not in self._closed:
                self._closed[address] = _bound(address, 0)
            return int(self._closed[address].getsockname()[1])

    def sweep(self, places: Collection[Place]) -> None:
        """Close the doors of all other places."""
        with self._lock:
            if gone := set(self._doors) - {place.key for place in places}:
                self._run(self._swept(gone))

    def behave(self, door: Door, kind: str, seconds: float | None = None) -> None:
        """Let a door behave in one of `behaviour.KINDS` from now on, or for some seconds."""
        until = None if seconds is None else self._clock() + seconds
        frozen = self._frozen(door) if kind == "old" else None
        with self._lock:
            self._run(self._changed(door, Behaviour(kind, until, frozen), seconds))

    def shown(self, door: Door) -> Material | None:
        """The default certificate that a door shows now."""
        frozen = door.behaviour.frozen if door.behaviour.now(self._clock()) == "old" else None
        if frozen:
            return frozen.materials[frozen.place.default]
        place = self._again(door.place)
        return self._material(place.default) if place else None

    def kind(self, door: Door) -> str:
        """How a door behaves now."""
        return door.behaviour.now(self._clock())

    def close(self) -> None:
        """Close everything. What is asked for later is opened anew."""
        with self._lock:
            if self._thread:
                self._thread.run(self._ended())
                self._thread.stop()
            self._thread = None
            for held in self._closed.values():
                held.close()
            self._closed.clear()

    def _frozen(self, door: Door) -> Frozen | None:
        """What a door shows now; nothing where its place is gone."""
        if self.kind(door) == "old":
            return door.behaviour.frozen
        place = self._again(door.place)
        arns = (place.default, *place.more) if place else ()
        return Frozen(place, {arn: self._material(arn) for arn in arns}) if place else None

    def _run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        self._thread = self._thread or _Thread()
        return self._thread.run(coroutine)

    # --- on the loop ---

    async def _opened(self, place: Place) -> list[Door]:
        return [self._door(place, index) for index in range(place.addresses)]

    def _door(self, place: Place, index: int) -> Door:
        bound = _bound(address_of(place.hosts[0], index), place.port)
        door = Door(place, *bound.getsockname()[:2])
        self._listen(door, bound)
        return door

    def _listen(self, door: Door, bound: socket.socket) -> None:
        bound.listen(_BACKLOG)
        bound.setblocking(False)
        door.listening = bound
        self._watch(door, bound)

    def _watch(self, door: Door, listening: socket.socket) -> None:
        """Take connections as they come, as long as the door listens there. asyncio's own server forgets those that are
        being accepted when it closes, and their clients would wait for nothing."""
        if door.listening is listening:
            asyncio.get_running_loop().add_reader(listening, self._accept, door, listening)

    def _accept(self, door: Door, listening: socket.socket) -> None:
        try:
            accepted, _ = listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # the client has left
        except OSError as error:  # no descriptor is left: others are given back sooner or later
            log.warning("%s:%d cannot take a connection: %s", door.address, door.port, error)
            loop = asyncio.get_running_loop()
            loop.remove_reader(listening)
            loop.call_later(_PAUSE, self._watch, door, listening)
            return
        task = asyncio.create_task(self._serve(door, accepted))
        self._connections[task] = accepted
        task.add_done_callback(self._connections.pop)

    def _stop_listening(self, door: Door) -> None:
        if door.listening:
            asyncio.get_running_loop().remove_reader(door.listening)
            door.listening.close()
            door.listening = None

    def _shut(self, key: Key) -> None:
        for door in self._doors.pop(key, []):
            self._stop_listening(door)
            if door.held:
                door.held.close()
            if door.reopening:
                door.reopening.cancel()
            door.held = door.reopening = None

    async def _swept(self, gone: Collection[Key]) -> None:
        for key in gone:
            self._shut(key)

    async def _ended(self) -> None:
        """Close every door and break every connection; one that waits for a store longer is left to itself."""
        await self._swept(list(self._doors))
        for accepted in self._connections.values():
            with suppress(OSError):  # the client may have left
                accepted.shutdown(socket.SHUT_RDWR)
        if self._connections:
            await asyncio.wait(list(self._connections), timeout=_SECONDS_TO_END)

    async def _changed(self, door: Door, behaviour: Behaviour, seconds: float | None) -> None:
        door.behaviour = behaviour
        if behaviour.kind == "refuse" and door.listening:
            self._stop_listening(door)
            door.held = _socket(door.address, door.port)
        elif behaviour.kind != "refuse":
            self._reopen(door)
        if behaviour.kind == "refuse" and seconds is not None:
            door.reopening = asyncio.create_task(self._reopened_after(door, behaviour, seconds))

    def _reopen(self, door: Door) -> None:
        if door.held:
            held, door.held = door.held, None
            self._listen(door, held)

    async def _reopened_after(self, door: Door, behaviour: Behaviour, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if door.behaviour is behaviour:
            self._reopen(door)

    async def _serve(self, door: Door, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        connection, kind = Connection(*await asyncio.open_connection(sock=accepted)), self.kind(door)
        if kind == "hang":
            await connection.hang()
        elif kind == "reset":
            await connection.reset()
        else:
            await connection.shake(partial(self._begin, asyncio.get_running_loop(), door), self._pool)

    # --- in the pool ---

    def _begin(self, loop: asyncio.AbstractEventLoop, door: Door, hello: Hello) -> ssl.SSLContext | None:
        """The context with which a door meets a client, from what the stores hold at this moment."""
        place = self._again(door.place)
        if place is None:
            loop.call_soon_threadsafe(self._shut, door.place.key)
            return None
        kind, frozen = self.kind(door), door.behaviour.frozen
        material = self._material
        if kind == "old" and frozen:
            place, material = frozen.place, frozen.materials.__getitem__
        shown = choose(hello, place.default, place.more, material, place.protocols, datetime.now(UTC))
        if shown is None:
            log.warning("%s has no certificate to show: %s is not there or has no key", place.place, place.default)
            return None
        if kind == "wrong-chain":
            shown = replace(shown, chain=foreign_chain())
        return context(shown.leaf, shown.chain, shown.key, place.protocols)


class _Thread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="edge", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """The result of a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_SECONDS)

    def stop(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()


def address_of(name: str, index: int) -> str:
    """The address of loopback that belongs to a name, always the same; 127.0.x.y is left to others."""
    digest = hashlib.sha256(f"{name} {index}".encode()).digest()
    return f"127.{1 + digest[0] % 254}.{digest[1]}.{1 + digest[2] % 254}"


def _bound(address: str, port: int) -> socket.socket:
    """A socket on the port where it is free and open to all, else on a free one; on systems that have no loopback
    addresses but one, there. Raises: OSError where loopback has no port left."""
    wanted = [(address, port)] if port >= _OPEN_TO_ALL else []
    for place in (*wanted, (address, 0)):
        try:
            return _socket(*place)
        except OSError:
            continue
    return _socket(_LOOPBACK, 0)


def _socket(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
    except OSError:
        made.close()
        raise
    return made
