"""NS and CAA records as the world sees them: asked of the resolver of this machine, by UDP and then TCP.

Python's own library asks for addresses only. The answer comes from whoever answers on the network: sizes, names and
counts are bounded, and one that does not fit its question is not used.

Sources: RFC 1035 4 (messages), 4.2.2 (TCP); RFC 8659 4.1 (CAA record data); RFC 9018 is left to the resolver.
"""

from __future__ import annotations

import re
import secrets
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from perennial.errors import InvalidInput, InvalidReply, Unavailable

NS, CAA = 2, 257
SECONDS = 3.0  # for one answer of one resolver
TRIES = 2  # of each resolver
MAX_RECORDS = 100  # of one answer
MAX_LABELS = 128  # of one name, pointers included
_RCODES = {0: "", 3: ""}  # an answer, or no such name: both say which records there are
_CONFIGURATION = Path("/etc/resolv.conf")
_LABEL = re.compile(r"[A-Za-z0-9_*]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
_HEADER = struct.Struct(">HHHHHH")


@dataclass(frozen=True, slots=True)
class Caa:
    """One CAA record."""

    tag: str  # in lower case
    value: str
    critical: bool = False


Server = tuple[str, int]


def resolvers(text: str | None = None) -> tuple[Server, ...]:
    """The resolvers of this machine, from resolv.conf(5).

    Raises: Unavailable where it names none.
    """
    try:
        lines = (_CONFIGURATION.read_text("utf-8", "replace") if text is None else text)[:100_000].splitlines()
    except OSError as error:
        raise Unavailable(f"{_CONFIGURATION} cannot be read: {error.strerror}") from error
    found = [line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1]
    if not found:
        raise Unavailable(f"{_CONFIGURATION} names no resolver")
    return tuple((each, 53) for each in found[:3])


class Resolver:
    """Asks some resolvers, one after the other."""

    def __init__(self, servers: tuple[Server, ...], seconds: float = SECONDS) -> None:
        self._servers = servers
        self._seconds = seconds

    def name_servers(self, zone: str) -> tuple[str, ...]:
        """The name servers of a zone; () where nothing delegates to it.

        Raises: Unavailable, InvalidReply.
        """
        found = (_name(message, start)[0] for message, start, _ in self._records(zone, NS))
        return tuple(sorted({each.lower() for each in found}))

    def caa(self, name: str) -> tuple[str, tuple[Caa, ...]]:
        """The CAA records that hold for a name, and where they are: the first record set towards the root.

        Raises: Unavailable, InvalidReply.
        """
        labels = name.split(".")
        for at in (".".join(labels[start:]) for start in range(len(labels))):
            records = tuple(_caa(message[start : start + length]) for message, start, length in self._records(at, CAA))
            if records:
                return at, records
        return "", ()

    def _records(self, name: str, kind: int) -> list[tuple[bytes, int, int]]:
        """The message, start and length of the data of each record of a kind at a name."""
        question = _question(name, kind)
        message = self._asked(question, name)
        return list(_answers(message, len(question), kind))

    def _asked(self, question: bytes, name: str) -> bytes:
        why = "no resolver is known"
        for server in self._servers * TRIES:
            number = struct.pack(">H", secrets.randbelow(1 << 16))
            try:
                message = _exchanged(server, number + question[2:], self._seconds)
            except (OSError, InvalidReply) as error:
                why = str(error) or type(error).__name__
                continue
            if message[3] & 15 in _RCODES:
                return message
            why = f"it answered with code {message[3] & 15}"  # 2 is SERVFAIL: also for a zone nobody answers for
        raise Unavailable(f"the resolver {self._servers[0][0] if self._servers else ''} on {name[:253]}: {why[:200]}")


def _question(name: str, kind: int) -> bytes:
    """A message with one question, recursion desired.

    Raises: InvalidInput.
    """
    labels = name.rstrip(".").split(".")
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise InvalidInput(f"{name[:80]!r} cannot be asked for in DNS")
    encoded = b"".join(bytes((len(each),)) + each.encode("ascii") for each in labels)
    return _HEADER.pack(0, 0x0100, 1, 0, 0, 0) + encoded + b"\0" + struct.pack(">HH", kind, 1)


def _exchanged(server: Server, question: bytes, seconds: float) -> bytes:
    """The answer; by TCP where it does not fit a datagram.

    Raises: OSError, InvalidReply.
    """
    message = _by(_datagram, server, question, seconds)
    return _by(_stream, server, question, seconds) if message[2] & 2 else message


def _by(way: Callable[[Server, bytes, float], bytes], server: Server, question: bytes, seconds: float) -> bytes:
    message = way(server, question, seconds)
    same = message[:2] == question[:2] and message[12 : len(question)].lower() == question[12:].lower()
    if len(message) < len(question) or not message[2] & 0x80 or not same:
        raise InvalidReply("the answer does not fit its question")
    return message


def _datagram(server: Server, question: bytes, seconds: float) -> bytes:
    with socket.socket(_family(server), socket.SOCK_DGRAM) as sock:
        sock.settimeout(seconds)
        sock.connect(server)
        sock.send(question)
        return sock.recv(65_535)


def _stream(server: Server, question: bytes, seconds: float) -> bytes:
    with socket.create_connection(server, seconds) as sock:
        sock.settimeout(seconds)
        sock.sendall(struct.pack(">H", len(question)) + question)
        with sock.makefile("rb") as file:
            length = file.read(2)
            return file.read(struct.unpack(">H", length)[0]) if len(length) == 2 else b""


def _family(server: Server) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in server[0] else socket.AF_INET


def _answers(message: bytes, start: int, kind: int) -> Iterator[tuple[bytes, int, int]]:
    """Records of the answer section. A CNAME that stands before them is passed over, as the resolver followed it.

    Raises: InvalidReply.
    """
    count = _HEADER.unpack_from(message)[3]
    if count > MAX_RECORDS:
        raise InvalidReply(f"the answer has {count} records")
    for _ in range(count):
        start = _name(message, start)[1]
        if start + 10 > len(message):
            raise InvalidReply("the answer is cut off")
        found, _, _, length = struct.unpack_from(">HHIH", message, start)
        start += 10
        if start + length > len(message):
            raise InvalidReply("the answer is cut off")
        if found == kind:
            yield message, start, length
        start += length


def _name(message: bytes, start: int) -> tuple[str, int]:
    """A name, and where what follows it begins (RFC 1035 4.1.4).

    Raises: InvalidReply.
    """
    labels: list[str] = []
    end = 0
    for _ in range(MAX_LABELS):
        length = _byte(message, start)
        if length == 0:
            return ".".join(labels), end or start + 1
        if length >= 0xC0:
            end = end or start + 2
            start = (length & 0x3F) << 8 | _byte(message, start + 1)
        elif length < 0x40:
            labels.append(message[start + 1 : start + 1 + length].decode("ascii", "replace"))
            start += 1 + length
        else:
            break
    raise InvalidReply("the answer has a name that is none")


def _byte(message: bytes, at: int) -> int:
    if at >= len(message):
        raise InvalidReply("the answer is cut off")
    return message[at]


def _caa(data: bytes) -> Caa:
    """Raises: InvalidReply."""
    length = data[1] if len(data) > 1 else 0
    if not length or 2 + length > len(data):
        raise InvalidReply("the answer has a CAA record that is none")
    tag = data[2 : 2 + length].decode("ascii", "replace").lower()
    return Caa(tag, data[2 + length :].decode("ascii", "replace"), critical=bool(data[0] & 0x80))
