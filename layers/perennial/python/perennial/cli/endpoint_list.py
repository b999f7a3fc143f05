"""The list of endpoints that a user hands to a scan. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from perennial.errors import InvalidInput
from perennial.settings import HOST_PORT

MAX_BYTES = 1_000_000
LAST_PORT = 65_535


def endpoints(data: bytes) -> tuple[str, ...]:
    """One host, host:port or [IPv6]:port a line; # begins a comment.

    Raises: InvalidInput with the number of the first line that is none, or when there is no endpoint at all.
    """
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"the endpoints' file is larger than the {MAX_BYTES} bytes that are read; split it")
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the endpoints' file is not text in UTF-8: byte {error.start}") from error
    found = tuple(dict.fromkeys(_each(lines)))
    if not found:
        raise InvalidInput("the endpoints' file names no endpoint; write one host:port a line")
    return found


def _each(lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = HOST_PORT.fullmatch(text)
        if match is None or not 1 <= int(match["port"] or 443) <= LAST_PORT:
            raise InvalidInput(
                f"line {number} of the endpoints' file: {text[:100]!r} is not host, host:port or [IPv6]:port"
            )
        yield text
