"""An audit event as OCSF has it, for Security Lake and any SIEM. Pure.

The class is Entity Management (3004) of OCSF 1.3.0: activity by a user or a service on a managed entity, with its state
before and after and a comment. API Activity (6003) would be a claim too much: it needs the API and the address of the
caller, and the tick and the workflows have neither.

Source: schema of OCSF 1.3.0, class entity_management, objects actor, managed_entity, metadata.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from perennial import __version__
from perennial.audit_chain import Link
from perennial.audit_event import ACTIONS, REFUSED, Event, Verb
from perennial.audit_json import written

VERSION = "1.3.0"
CATEGORY, CLASS = 3, 3004  # Identity & Access Management; Entity Management
_ACTIVITIES = {
    Verb.CREATE: (1, "Create"),
    Verb.READ: (2, "Read"),
    Verb.UPDATE: (3, "Update"),
    Verb.DELETE: (4, "Delete"),
}
_OTHER = 99
_INFORMATIONAL, _LOW = (1, "Informational"), (2, "Low")
_SUCCESS, _FAILURE = (1, "Success"), (2, "Failure")


def ocsf(link: Link) -> dict[str, Any]:
    """The OCSF event of a link. What OCSF has no attribute for is under `unmapped`."""
    event = link.event
    activity, named = _activity(event)
    severity, severity_name = _LOW if event.outcome == REFUSED else _INFORMATIONAL
    status, status_name = _FAILURE if event.outcome == REFUSED else _SUCCESS
    found = {
        "activity_id": activity,
        "activity_name": named,
        "actor": _actor(event),
        "category_name": "Identity & Access Management",
        "category_uid": CATEGORY,
        "class_name": "Entity Management",
        "class_uid": CLASS,
        "comment": event.why,
        "entity": _entity(event, event.before),
        "entity_result": _entity(event, event.after) if event.after is not None else None,
        "message": f"{event.action} {event.subject_kind}/{event.subject}: {event.outcome}",
        "metadata": _metadata(link),
        "severity": severity_name,
        "severity_id": severity,
        "status": status_name,
        "status_detail": event.reason,
        "status_id": status,
        "time": milliseconds(event.at),
        "timezone_offset": 0,
        "type_name": f"Entity Management: {named if activity != _OTHER else 'Other'}",
        "type_uid": CLASS * 100 + activity,
        "unmapped": {"action": event.action, "hash": link.hash, "owner": event.owner, "previous": link.previous},
    }
    return {name: value for name, value in found.items() if value not in ("", None)}


def milliseconds(time: datetime) -> int:
    """OCSF's timestamp_t: milliseconds since 1970."""
    return int(time.timestamp()) * 1000 + time.microsecond // 1000


def _activity(event: Event) -> tuple[int, str]:
    """An action of another release has no verb here; its own name is told, as OCSF wants for Other (99)."""
    verb = ACTIONS.get(event.action)
    return _ACTIVITIES[verb] if verb else (_OTHER, event.action)


def _actor(event: Event) -> dict[str, Any]:
    user = {"name": event.principal, "type": "User", "type_id": 1}
    if event.source in ("tick", "workflow"):
        user = {"name": event.principal, "type": "System", "type_id": 3}
    return {"app_name": f"perennial {event.source}", "user": user}


def _entity(event: Event, state: Any) -> dict[str, Any]:
    """OCSF's data is an object: another value stands in one."""
    data = {} if state is None else {"data": state if isinstance(state, dict) else {"value": state}}
    return {"name": event.subject, "type": event.subject_kind, "uid": f"{event.subject_kind}/{event.subject}", **data}


def _metadata(link: Link) -> dict[str, Any]:
    event = link.event
    own = {
        "correlation_uid": event.request,
        "event_code": event.action,
        "log_name": "audit",
        "log_provider": "perennial",
        "original_time": written(event.at),
        "product": {"name": "Perennial", "vendor_name": "Perennial", "version": __version__},
        "sequence": link.number,
        "uid": event.id,
        "version": VERSION,
    }
    return {name: value for name, value in own.items() if value != ""}
