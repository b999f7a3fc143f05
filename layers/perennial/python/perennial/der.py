"""DER (ITU-T X.690), read strictly and without recursion: for containers that strangers may have written.

Lengths are definite and as short as they can be, tags have one byte. Whatever is not so is a ValueError, which the
callers take as "cannot be read".
"""

from __future__ import annotations

from dataclasses import dataclass

INTEGER, OCTETS, NULL, OID, SEQUENCE, SET = 0x02, 0x04, 0x05, 0x06, 0x30, 0x31
MAX_ELEMENTS = 1_000  # side by side


@dataclass(frozen=True, slots=True, repr=False)
class Element:
    """One element: its tag and its content. Its text does not show the content, which may be a key."""

    tag: int
    content: bytes


def elements(data: bytes) -> tuple[Element, ...]:
    """The elements that data consists of, side by side.

    Raises: ValueError.
    """
    found: list[Element] = []
    at = 0
    while at < len(data):
        begin, length = _length(data, at + 1)
        if data[at] & 0x1F == 0x1F or begin + length > len(data) or len(found) == MAX_ELEMENTS:
            raise ValueError("not DER")
        found.append(Element(data[at], data[begin : begin + length]))
        at = begin + length
    return tuple(found)


def only(data: bytes, tag: int) -> bytes:
    """The content of the one element of this tag that data consists of.

    Raises: ValueError.
    """
    (found,) = elements(data)
    return content(found, tag)


def content(element: Element, tag: int) -> bytes:
    """The content of an element that must have this tag.

    Raises: ValueError.
    """
    if element.tag != tag:
        raise ValueError("another tag")
    return element.content


def inside(element: Element, tag: int = SEQUENCE) -> tuple[Element, ...]:
    """The elements of one that must have this tag.

    Raises: ValueError.
    """
    return elements(content(element, tag))


def encoded(tag: int, *parts: bytes) -> bytes:
    """An element of these parts."""
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + body


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Where the content begins, and how long it is (X.690 8.1.3, 10.1)."""
    if at >= len(data):
        raise ValueError("cut off")
    if data[at] < 0x80:
        return at + 1, data[at]
    size = data[at] & 0x7F
    length = int.from_bytes(data[at + 1 : at + 1 + size])
    if not 1 <= size <= 4 or at + 1 + size > len(data) or length < 0x80 or not data[at + 1]:
        raise ValueError("not DER")
    return at + 1 + size, length
