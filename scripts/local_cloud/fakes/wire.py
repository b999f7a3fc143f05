"""Finds the operation of an HTTP request in a botocore service model, reads its input and writes its output.

Parsing and serializing are moto's model-driven ones; added are the matching of operations, errors, and fast plain JSON.
"""

import base64
import binascii
import functools
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import botocore.session
from botocore.utils import parse_timestamp
from moto.core.model import OperationModel, ServiceModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import SerializationContext, get_serializer_class
from werkzeug.datastructures import Headers, MultiDict

Response = tuple[int, dict[str, str], bytes]

_LABEL = re.compile(r"\{([^}]+)\}")


class Malformed(Exception):
    """The body is not what the protocol prescribes: the service answers SerializationException."""


@dataclass(frozen=True)
class HttpRequest:
    """One HTTP request as ministack hands it to a service: decoded path, lower-case header names."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, Any]

    @functools.cached_property
    def values(self) -> MultiDict[str, str]:
        """The query string and, for a form, the body: what the query protocol reads its parameters from."""
        pairs = [(key, item) for key, items in self.query.items() for item in _as_list(items)]
        if "json" not in self.headers.get("content-type", "") and self.method == "POST":
            pairs += parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        return MultiDict(pairs)


@dataclass(frozen=True)
class Match:
    """The operation that a request names, and the labels of its path."""

    operation: OperationModel
    labels: Mapping[str, str]


def _as_list(value: Any) -> list[str]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


@functools.cache
def service_model(name: str) -> ServiceModel:
    """botocore's model of a service, with moto's shape classes, which its serializers need."""
    loader = botocore.session.get_session().get_component("data_loader")
    return ServiceModel(loader.load_service_model(name, "service-2"), name)


@functools.cache
def _routes(name: str) -> list[tuple[str, re.Pattern[str], str]]:
    """(method, path pattern, operation) of a REST service, the most literal path first."""
    model = service_model(name)
    found = []
    for operation in model.operation_names:
        http = model.operation_model(operation).http
        path = http["requestUri"].split("?")[0].rstrip("/")
        literal = len(_LABEL.sub("", path))
        found.append((-literal, http["method"], re.compile(_path_pattern(path)), operation))
    return [route[1:] for route in sorted(found, key=lambda route: route[0])]


def _path_pattern(path: str) -> str:
    """The path as an expression; a last label takes slashes too, since ministack hands over decoded paths with ARNs."""
    parts = _LABEL.split(path)
    pattern = ""
    for index, part in enumerate(parts):
        last = index == len(parts) - 2 and not parts[-1]
        greedy = part.endswith("+") or last
        pattern += re.escape(part) if index % 2 == 0 else f"(?P<{_group(part)}>{'.+' if greedy else '[^/]+'})"
    return pattern + "/?"


def _group(label: str) -> str:
    return label.rstrip("+").replace("-", "_HYPHEN_")


def find(service: str, request: HttpRequest) -> Match | None:
    """The operation of the request, by the service's protocol; None if it names none of this service's."""
    model = service_model(service)
    if model.protocol.startswith("rest"):
        return _find_by_path(service, request)
    if model.protocol == "json":
        target = request.headers.get("x-amz-target", "")
        prefix, _, name = target.rpartition(".")
        matched = prefix == model.metadata["targetPrefix"]
    else:
        name = request.values.get("Action", "")
        matched = request.values.get("Version", model.api_version) == model.api_version
    known = matched and name in model.operation_names
    return Match(model.operation_model(name), {}) if known else None


def _find_by_path(service: str, request: HttpRequest) -> Match | None:
    for method, pattern, operation in _routes(service):
        found = pattern.fullmatch(request.path) if method == request.method else None
        if found:
            labels = {key.replace("_HYPHEN_", "-"): value for key, value in found.groupdict().items()}
            return Match(service_model(service).operation_model(operation), labels)
    return None


def _aware(value: Any) -> datetime:
    return parse_timestamp(value).astimezone(UTC)


def parse(match: Match, request: HttpRequest) -> dict[str, Any]:
    """The input of the operation. Raises Malformed if the body does not follow the protocol."""
    protocol = match.operation.service_model.protocol
    if "json" in protocol:
        _require_json(request.body)
    raw: Any = {
        "body": request.body,
        "headers": Headers(list(request.headers.items())),
        "method": request.method,
        "url_params": dict(match.labels),
        "url_path": request.path,
        "values": request.values,
    }
    try:
        parsed = PROTOCOL_PARSERS[protocol](match.operation, timestamp_parser=_aware).parse(raw)
    except (AttributeError, TypeError, ValueError, binascii.Error) as error:
        raise Malformed(str(error)) from error
    return {key: value for key, value in (parsed or {}).items() if value is not None}


def _require_json(body: bytes) -> None:
    try:
        content = json.loads(body or b"{}")
    except ValueError as error:
        raise Malformed(str(error)) from error
    if not isinstance(content, dict):
        raise Malformed("Start of structure or map found where not expected.")


def serialize(operation: OperationModel, result: dict[str, Any]) -> Response:
    """The output of the operation as an HTTP response."""
    model = operation.service_model
    if model.protocol == "json":
        plain = _plain(operation.output_shape, result) if operation.output_shape else {}
        return 200, {"Content-Type": f"application/x-amz-json-{model.metadata['jsonVersion']}"}, _encoded(plain)
    serializer = get_serializer_class(model.service_name, model.protocol)
    made = serializer(operation, context=SerializationContext(str(uuid.uuid4()))).serialize(result)
    body = made["body"]
    return made["status_code"], dict(made["headers"]), body.encode() if isinstance(body, str) else body


def _encoded(content: Any) -> bytes:
    return json.dumps(content).encode()


def _plain(shape: Any, value: Any) -> Any:
    """A value as JSON 1.1 carries it. Raises KeyError for a member that the model lacks.

    moto's serializer does the same at six times the cost, which counts at pages of 500 certificates.
    """
    kind = shape.type_name
    if kind == "structure":
        members = shape.members
        return {name: _plain(members[name], item) for name, item in value.items()}
    if kind == "list":
        return [_plain(shape.member, item) for item in value]
    if kind == "map":
        return {key: _plain(shape.value, item) for key, item in value.items()}
    if kind == "timestamp":
        return round(value.timestamp(), 3)
    return base64.b64encode(value).decode() if kind == "blob" else value


def _modelled(model: ServiceModel, code: str) -> tuple[str, int | None]:
    """(code on the wire, HTTP status) of an error that is named by its shape or by its code."""
    for shape in model.error_shapes:
        error = shape.metadata.get("error", {})
        if code in (shape.name, error.get("code")):
            named = error.get("code", shape.name) if "json" not in model.protocol else shape.name
            return named, error.get("httpStatusCode")
    return code, None


def serialize_error(model: ServiceModel, code: str, text: str, status: int, members: Mapping[str, Any]) -> Response:
    """An error as the service's protocol writes it; the model's HTTP status, where it states one, is the one used."""
    code, modelled = _modelled(model, code)
    if "json" in model.protocol:
        kind = f"application/x-amz-json-{model.metadata.get('jsonVersion', '1.1')}"
        headers = {"Content-Type": kind, "x-amzn-ErrorType": code}
        return modelled or status, headers, _encoded({"__type": code, "message": text, "Message": text, **members})
    inner = f"<Error><Type>Sender</Type><Code>{escape(code)}</Code><Message>{escape(text)}</Message></Error>"
    space = model.metadata.get("xmlNamespace", "")
    body = f'<ErrorResponse xmlns="{space}">{inner}<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>'
    return modelled or status, {"Content-Type": "text/xml"}, body.encode()
