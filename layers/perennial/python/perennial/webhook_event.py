"""The event that a webhook's receiver gets, as JSON, version 1:

| field | what it is |
| --- | --- |
| `type` | `perennial.certificate.deploy`, or `.restore`: serve again what was there before |
| `schema` | 1 |
| `id` | of the event, the same at each attempt, and `webhook-id` of the event and of the report |
| `timestamp`, `deadline` | when it was asked for, and when the report must be there |
| `managed`, `target` | the managed certificate and the target |
| `version`, `fingerprint` | of what is to serve; null: nothing that Perennial put there |
| `serial`, `names`, `not_after`, `certificate`, `chain` | the same in detail; null where Perennial does not hold it |
| `secret` | `{"arn", "version"}` in Secrets Manager, of key, certificate and chain; null where Perennial has no key |
| `callback` | `{"url", "id"}`: where the report goes |
| `replaces` | the id of the event before, for which nothing is to be done any more; null where there was none |

The key is never in it. Times are ISO 8601, UTC; certificates are PEM.

Source: Standard Webhooks 1.0.0, "Payload structure".
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perennial.webhook_receiver import Event, Receiver, Wish

if TYPE_CHECKING:
    from perennial.targets.interface import Bundle

SCHEMA = 1
TYPES = {Wish.DEPLOY: "perennial.certificate.deploy", Wish.RESTORE: "perennial.certificate.restore"}


def body(receiver: Receiver, event: Event, material: Bundle | None, callback_url: str) -> bytes:
    """The latest event of a receiver, the same at each attempt. `callback_url` is where all reports go."""
    what, before = event.what, receiver.earlier[-1][0] if receiver.earlier else None
    document = {
        "type": TYPES[event.wish],
        "schema": SCHEMA,
        "id": event.id,
        "timestamp": event.asked_at,
        "deadline": event.deadline,
        "managed": receiver.managed,
        "target": receiver.target,
        "version": what.version or None,
        "fingerprint": what.fingerprint or None,
        **_facts(material),
        "secret": {"arn": what.secret, "version": what.secret_version} if what.secret_version else None,
        "callback": {"url": f"{callback_url.rstrip('/')}/{event.id}", "id": event.id},
        "replaces": before,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _facts(material: Bundle | None) -> dict[str, Any]:
    if material is None:
        return dict.fromkeys(("serial", "names", "not_after", "certificate", "chain"))
    leaf = material.certificate
    return {
        "serial": leaf.serial,
        "names": list(material.names),
        "not_after": _text(leaf.not_after),
        "certificate": material.certificate_pem,
        "chain": material.chain_pem,
    }


def _text(time: datetime | None) -> str | None:
    return time.astimezone(UTC).isoformat(timespec="seconds") if time else None
