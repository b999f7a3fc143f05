"""A request as API Gateway hands it on, bounded and decoded before anything of it is parsed.

What comes out is an event of a REST API with texts alone where texts belong, so that neither an emulator's nulls nor a
caller's bytes reach the router. JSON is read strictly: no member twice, no number that is none (RFC 8259 leaves both to
the reader), no text that UTF-8 cannot write.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from perennial import json_readers
from perennial.api.problems import Refused

MAX_BODY = 64 * 1024  # bytes
MAX_PATH = 2_048  # characters
MAX_PARAMETERS = 50
MAX_DEPTH = 32
JSON = "application/json"
_METHOD = re.compile(r"[A-Z]{1,20}")
_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


def request_id(event: Mapping[str, Any]) -> str:
    """The id that API Gateway gave a request; "" where it gave none."""
    found = _context(event).get("requestId")
    return found if isinstance(found, str) and _ID.fullmatch(found) else ""


def arrived(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event as the router takes it.

    Raises: Refused with 400, 413 or 415.
    """
    method, path = event.get("httpMethod"), event.get("path")
    if not isinstance(method, str) or not _METHOD.fullmatch(method):
        raise Refused(400, "the request has no method")
    if not isinstance(path, str) or not path.startswith("/") or len(path) > MAX_PATH:
        raise Refused(400, f"the path is not one of at most {MAX_PATH} characters")
    headers = _lists(event, "multiValueHeaders", "headers")
    body = _body(event)
    if body and not _is_json(headers):
        raise Refused(415, f"a body must be JSON in UTF-8, with Content-Type: {JSON}")
    return {
        "httpMethod": method,
        "path": path,
        "multiValueHeaders": headers,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueQueryStringParameters": _query(event),
        "body": body or None,
        "isBase64Encoded": False,
        "requestContext": dict(_context(event)),
    }


def _context(event: Mapping[str, Any]) -> Mapping[str, Any]:
    found = event.get("requestContext")
    return found if isinstance(found, Mapping) else {}


def _lists(event: Mapping[str, Any], several: str, single: str) -> dict[str, list[str]]:
    """Headers or parameters as lists of texts, headers by their names in lower case."""
    many, one = event.get(several), event.get(single)
    found: dict[str, list[str]] = {}
    for name, values in (many if isinstance(many, Mapping) and many else one or {}).items():
        texts = [each for each in (values if isinstance(values, list) else [values]) if isinstance(each, str)]
        found.setdefault(str(name).lower() if single == "headers" else str(name), []).extend(texts)
    return {name: values for name, values in found.items() if values}


def _query(event: Mapping[str, Any]) -> dict[str, list[str]]:
    found = _lists(event, "multiValueQueryStringParameters", "queryStringParameters")
    if sum(map(len, found.values())) > MAX_PARAMETERS:
        raise Refused(400, f"the query has more than {MAX_PARAMETERS} parameters")
    return found


def _is_json(headers: Mapping[str, list[str]]) -> bool:
    said = headers.get("content-type", [JSON])
    kind, _, parameters = said[-1].partition(";")
    charset = parameters.replace(" ", "").lower()
    return len(said) == 1 and kind.strip().lower() == JSON and charset in ("", "charset=utf-8", 'charset="utf-8"')


def _body(event: Mapping[str, Any]) -> str:
    body = event.get("body")
    if body is None or body == "":
        return ""
    if not isinstance(body, str):
        raise Refused(400, "the body is not one of HTTP")
    encoded = bool(event.get("isBase64Encoded"))
    if len(body) > (MAX_BODY * 4 // 3 + 4 if encoded else MAX_BODY):
        _too_large()
    try:
        data = base64.b64decode(body, validate=True) if encoded else body.encode()
        text = data.decode()
    except (binascii.Error, UnicodeError) as error:
        raise Refused(400, "the body is not a text in UTF-8") from error
    return text if len(data) <= MAX_BODY else _too_large()


def _too_large() -> NoReturn:
    raise Refused(413, f"the body has more than {MAX_BODY} bytes")


def read_json(text: str) -> Any:
    """A body's JSON.

    Raises: Refused with 400 for what is none.
    """
    try:
        found = json.loads(text, object_pairs_hook=json_readers.once, parse_constant=_no_number, parse_float=_number)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:  # of which UnicodeEncodeError is one, for half a surrogate pair
        raise Refused(400, "the body is not JSON with each member once, in UTF-8; send one object") from error
    if _depth(found) > MAX_DEPTH:
        raise Refused(400, f"the body is deeper than {MAX_DEPTH}")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _number(text: str) -> float | int:
    """A number with a point or an exponent. 1.0 and 1e2 are integers (JSON Schema Validation 2020-12, 6.1.1)."""
    found = float(text)
    return int(found) if found.is_integer() else found


def _depth(value: Any) -> int:
    """How deep a value is, as far as it matters."""
    level, depth = [value], 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [each for one in level if isinstance(one, dict | list) for each in _within(one)]
    return depth


def _within(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value
