"""Checks a request against the constraints of its botocore shape, as the service itself does.

botocore's client checks types and required members only; enumerations, patterns, lengths and ranges are checked by the
service, which answers "N validation errors detected: Value '…' at '…' failed to satisfy constraint: …".
"""

import functools
import re
from collections.abc import Iterator
from typing import Any

from botocore.validate import ParamValidator

# The Unicode classes of Java's patterns, as Python character class members; a pattern with any other is not checked.
_UNICODE_CLASSES = {
    "L": r"\w",
    "N": r"\d",
    "Z": r"\s",
    "M": "\u0300-\u036f",
    "Alnum": "A-Za-z0-9",
    "Alpha": "A-Za-z",
    "ASCII": r"\x00-\x7f",
    "Digit": "0-9",
    "Space": r"\s",
    "Print": r"\x20-\x7e",
    "Graph": r"\x21-\x7e",
}


@functools.cache
def compiled(pattern: str) -> re.Pattern[str] | None:
    """The pattern as Python's `re` reads it, or None where it uses something that `re` lacks."""
    for name, members in _UNICODE_CLASSES.items():
        pattern = re.sub(rf"\\p\{{(Is)?{name}[a-z]?\}}", members.replace("\\", r"\\"), pattern)
    if r"\p{" in pattern or r"\P{" in pattern:
        return None
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error:
        return None


def violations(shape: Any, request: dict[str, Any]) -> list[str]:
    """What the service would complain about, one sentence each; empty if the request is well formed."""
    if shape is None:
        return []
    found = list(_walk(shape, request, ""))
    report = ParamValidator().validate(request, shape)
    return found or ([report.generate_report()] if report.has_errors() else [])


def _walk(shape: Any, value: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure" and isinstance(value, dict):
        yield from _members(shape, value, path)
    elif shape.type_name == "list" and isinstance(value, list):
        yield from _range(shape, len(value), value, path, "length")
        for index, item in enumerate(value, 1):
            yield from _walk(shape.member, item, f"{path}.{index}.member")
    elif shape.type_name == "map" and isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(shape.key, key, f"{path}.key")
            yield from _walk(shape.value, item, f"{path}.{key}.member")
    else:
        yield from _scalar(shape, value, path)


def _members(shape: Any, value: dict[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"Value null at '{_join(path, name)}' failed to satisfy constraint: Member must not be null"
    for name, member in shape.members.items():
        if value.get(name) is not None:
            yield from _walk(member, value[name], _join(path, name))


def _join(path: str, name: str) -> str:
    """The path of a member as AWS writes it: lower camel case, dotted."""
    member = name[:1].lower() + name[1:]
    return f"{path}.{member}" if path else member


def _scalar(shape: Any, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, bytes):
        yield from _range(shape, len(value), "java.nio.HeapByteBuffer", path, "length")
    elif isinstance(value, str) and shape.type_name == "string":
        yield from _string(shape, value, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _range(shape, value, value, path, "value")


def _string(shape: Any, value: str, path: str) -> Iterator[str]:
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        yield _sentence(value, path, f"Member must satisfy enum value set: [{', '.join(allowed)}]")
    yield from _range(shape, len(value), value, path, "length")
    pattern = shape.metadata.get("pattern")
    expression = compiled(pattern) if pattern else None
    if expression and not expression.fullmatch(value):
        yield _sentence(value, path, f"Member must satisfy regular expression pattern: {pattern}")


def _range(shape: Any, size: float, value: Any, path: str, what: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield _sentence(value, path, f"Member must have {what} greater than or equal to {low}")
    if high is not None and size > high:
        yield _sentence(value, path, f"Member must have {what} less than or equal to {high}")


def _sentence(value: Any, path: str, constraint: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"


def message(found: list[str]) -> str:
    """The violations as one AWS error message."""
    plural = "" if len(found) == 1 else "s"
    return f"{len(found)} validation error{plural} detected: {'; '.join(found)}"
