"""The JSON Schema of certificates.yaml (draft 2020-12), for editors: made of the constants by which it is read.

It says less than the reader: no schema can say whether a text is a DNS name, or whether a name is there twice. What it
refuses, the reader refuses, but for one thing: an editor takes `owner: 123` for a number, and the reader for a text.
Where a field of a target may be spelled with digits, a number is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from perennial import declaration, target_settings, targets
from perennial.issuance import MANAGED
from perennial.issuance_settings import MAX_DAYS, MAX_NAMES
from perennial.names import MAX_TEXT
from perennial.profiles import KEYS
from perennial.settings import ACCOUNT, HOST_PORT, REGION
from perennial.settings_table import TABLE_NAME
from perennial.targets.interface import HANDSHAKE, READ_BACK, Field
from perennial.window_settings import MAX_WINDOWS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def schema() -> Schema:
    """The schema of a whole file."""
    kinds = targets.kinds()
    return {
        "$schema": DIALECT,
        "title": "Perennial: certificates.yaml",
        "description": "Managed certificates. perennial apply -f certificates.yaml keeps them valid.",
        **_table({declaration.TOP: _certificates()}, (declaration.TOP,)),
        "$defs": {
            "certificate": _certificate(),
            "target": {"oneOf": [{"$ref": f"#/$defs/target-{name}"} for name in kinds]},
            **{f"target-{name}": _target(name, kind) for name, kind in kinds.items()},
        },
    }


def _certificates() -> Schema:
    return {
        "type": "object",
        "description": "Managed certificates by name.",
        "maxProperties": declaration.MAX_CERTIFICATES,
        "propertyNames": {"pattern": _whole(MANAGED)},
        "additionalProperties": {"$ref": "#/$defs/certificate"},
    }


def _certificate() -> Schema:
    name, people = _text(_whole(TABLE_NAME)), _list(_words(""), 0, declaration.MAX_CONTACTS)
    optional = _text(f"^({TABLE_NAME.pattern})?$")
    members: dict[str, Schema] = {
        "names": _said(_list(_a_name(), 1, MAX_NAMES), "DNS names and IP addresses; the first is the one people read."),
        "profile": _said(name, "A profile of perennial.toml."),
        "issuer": _said(optional, "Left out: the profile's own; else one that the profile allows."),
        "key": {"enum": ["", *KEYS], "description": "Left out: the profile's first."},
        "validity_days": _said(_number(0, MAX_DAYS), "Left out: as many as the profile allows."),
        "owner": _words("Whose certificate it is: an owner of [policy.owners]."),
        "contacts": _said(_table(dict.fromkeys(declaration.CONTACTS, people)), "Who is told besides the owner."),
        "environment": _said(optional, "One of [environments] of perennial.toml: its windows and blackouts hold."),
        "windows": {
            **_list(name, 0, MAX_WINDOWS),
            "uniqueItems": True,
            "description": "Of [windows] of perennial.toml, instead of the environment's.",
        },
        "service": {"anyOf": [{"const": ""}, _words("")], "description": "The business service that depends on it."},
        "adopts": _said(
            _text(f"^({declaration.FINGERPRINT.pattern})?$"), "SHA-256 of the certificate that serves now."
        ),
        "on_failure": {
            "enum": [target_settings.RETURN, target_settings.STAY],
            "default": target_settings.RETURN,
            "description": "Where a target fails: those before it get back what they had, or keep the new version.",
        },
        "targets": _said(
            _list({"$ref": "#/$defs/target"}, 1, target_settings.MAX_TARGETS), "In their order, the canary first."
        ),
    }
    return _table(members, declaration.NEEDED)


def _target(name: str, kind: targets.Kind) -> Schema:
    proof = HANDSHAKE if kind.HANDSHAKES else READ_BACK
    members: dict[str, Schema] = {
        "kind": {"const": name, "description": f"{kind.TITLE}."},
        "name": _said(_text(_whole(TABLE_NAME)), "What you call it; unique among the targets of a certificate."),
        **{each.name: _field(each) for each in kind.FIELDS},
        "account": _said(_digits(f"^({ACCOUNT.pattern})?$"), "Left out: the hub's, or that of an ARN."),
        "region": _said(_text(f"^({REGION.pattern})?$"), "Left out: the hub's, or that of an ARN."),
        "names": _said(_list(_a_name(), 0, 100), "Host names that must serve it here; left out: all of its names."),
        "endpoints": _said(_list(_text(_whole(HOST_PORT)), 0, None), "host:port to connect to for the proof."),
        "proof": {"enum": [HANDSHAKE, READ_BACK], "default": proof},
        "deadline": {**_number(*target_settings.DEADLINES), "default": kind.DEADLINE, "description": "Seconds."},
    }
    return _table(members, ("kind", "name", *(each.name for each in kind.FIELDS if each.needed)))


def _field(wanted: Field) -> Schema:
    pattern = _whole(re.compile(wanted.pattern))
    if wanted.several:
        return _said(_list(_text(pattern), 0, target_settings.MAX_TEXTS), wanted.words)
    if not wanted.needed:
        pattern = f"^(?:(?:{wanted.pattern})?)$"
    spelled = _digits(pattern) if re.fullmatch(wanted.pattern, "443") else _text(pattern)
    default = {"default": wanted.default} if wanted.default else {}
    return {**_said(spelled, wanted.words), **default}


def _table(members: Mapping[str, Schema], needed: tuple[str, ...] = ()) -> Schema:
    required = {"required": list(needed)} if needed else {}
    return {"type": "object", "properties": dict(members), "additionalProperties": False, **required}


def _list(items: Schema, least: int, most: int | None) -> Schema:
    bounds = {"minItems": least or None, "maxItems": most}
    return {"type": "array", "items": items, **{name: each for name, each in bounds.items() if each is not None}}


def _text(pattern: str) -> Schema:
    return {"type": "string", "pattern": pattern}


def _digits(pattern: str) -> Schema:
    """A text that people may write without quotes, although it is made of digits."""
    return {"type": ["string", "integer"], "pattern": pattern, "minimum": 0, "maximum": 10**15 - 1}


def _number(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def _a_name() -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": r"^\S+$"}


def _words(meaning: str) -> Schema:
    found = _text(_whole(declaration.WORDS))
    return _said(found, meaning) if meaning else found


def _said(found: Schema, meaning: str) -> Schema:
    return {**found, "description": meaning}


def _whole(pattern: re.Pattern[str]) -> str:
    """A pattern that fits a whole text, with groups as every language has them: without names (ECMA-262 writes these
    in another way than Python)."""
    return f"^(?:{re.sub('[(][?]P<[a-z]+>', '(?:', pattern.pattern)})$"
