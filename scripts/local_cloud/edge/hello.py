"""What a TLS client says first, read before the handshake: the name that it wants and what it can check.

Sources: RFC 8446 4.1.2 (ClientHello), 4.2.1 (supported_versions), 4.2.3 (signature_algorithms); RFC 6066 3
(server_name).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _SIGNATURE_ALGORITHMS, _SUPPORTED_VERSIONS = 0, 13, 43
_VERSIONS = {0x0301: "TLSv1", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}
MOST = 65_536  # bytes of a hello that is still read


@dataclass(frozen=True)
class Hello:
    """A client's hello: `ciphers` and `schemes` by their numbers, `versions` by OpenSSL's names."""

    server_name: str | None = None
    ciphers: frozenset[int] = frozenset()
    schemes: frozenset[int] = frozenset()
    versions: frozenset[str] = frozenset()


def read(data: bytes) -> Hello | None:
    """The hello at the beginning of a connection; None where more of it must come.

    Raises: ValueError for what is no hello.
    """
    body = _handshake(data)
    if body is None:
        return None
    try:
        return _parsed(_Bytes(body))
    except IndexError as error:
        raise ValueError("a hello that ends too soon") from error


def _handshake(data: bytes) -> bytes | None:
    """The body of the first handshake message, which may span several records (RFC 8446 5.1)."""
    message, rest = b"", data
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        if (rest and rest[0] != _HANDSHAKE) or len(data) > MOST:
            raise ValueError("no TLS handshake")
        if len(rest) < 5 or len(rest) < 5 + int.from_bytes(rest[3:5], "big"):
            return None
        end = 5 + int.from_bytes(rest[3:5], "big")
        message, rest = message + rest[5:end], rest[end:]
        if message and message[0] != _CLIENT_HELLO:
            raise ValueError("no ClientHello")
    return message[4 : 4 + int.from_bytes(message[1:4], "big")]


class _Bytes:
    """Bytes that are read from the front. Raises: IndexError where too few are left."""

    def __init__(self, data: bytes) -> None:
        self.left = data

    def take(self, count: int) -> bytes:
        if len(self.left) < count:
            raise IndexError
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> _Bytes:
        """What follows a length of `size` bytes."""
        return _Bytes(self.take(self.number(size)))

    def numbers(self) -> frozenset[int]:
        """All that is left, as numbers of two bytes."""
        return frozenset(int.from_bytes(self.left[at : at + 2], "big") for at in range(0, len(self.left) - 1, 2))


def _parsed(body: _Bytes) -> Hello:
    legacy = body.number(2)
    body.take(32)  # random
    body.vector(1)  # session id
    ciphers = body.vector(2).numbers()
    body.vector(1)  # compression methods
    extensions = dict(_extensions(body.vector(2))) if body.left else {}
    return Hello(
        server_name=_name(extensions[_SERVER_NAME]) if _SERVER_NAME in extensions else None,
        ciphers=ciphers,
        schemes=extensions[_SIGNATURE_ALGORITHMS].vector(2).numbers()
        if _SIGNATURE_ALGORITHMS in extensions
        else frozenset(),
        versions=_versions(extensions.get(_SUPPORTED_VERSIONS), legacy),
    )


def _extensions(body: _Bytes) -> Iterator[tuple[int, _Bytes]]:
    while body.left:
        yield body.number(2), body.vector(2)


def _name(extension: _Bytes) -> str | None:
    names = extension.vector(2)
    while names.left:
        kind, name = names.number(1), names.vector(2).left
        if kind == 0:
            return name.decode("ascii", "replace").lower().rstrip(".")
    return None


def _versions(extension: _Bytes | None, legacy: int) -> frozenset[str]:
    offered = extension.vector(1).numbers() if extension else {number for number in _VERSIONS if number <= legacy}
    return frozenset(_VERSIONS[number] for number in offered if number in _VERSIONS)
