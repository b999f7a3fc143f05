"""Telling: an event on the bus `perennial`, a message on the SNS topic. Delivery is at least once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perennial.errors import Unavailable
from perennial.events import SOURCE

if TYPE_CHECKING:
    from perennial.deployment import Deployment

Attributes = dict[str, dict[str, str]]


def attributes(texts: Mapping[str, str]) -> Attributes:
    """What subscriptions filter by. SNS takes no empty text."""
    return {name: {"DataType": "String", "StringValue": text} for name, text in texts.items() if text}


def entry(detail_type: str, told: Any, bus: str, at: datetime) -> dict[str, Any]:
    """An event, a dataclass of plain values, as PutEvents takes it."""
    return {
        "Source": SOURCE,
        "DetailType": detail_type,
        "Detail": json.dumps(asdict(told), ensure_ascii=False),
        "Time": at,
        "EventBusName": bus,
    }


def put(hub: Deployment, made: Callable[[str], dict[str, Any]], what: str) -> None:
    """Put one event on the bus. `made` makes it for a bus; `what` it is, for people: "a request".

    Raises: ClientError; Unavailable where the bus does not take it.
    """
    bus = hub.named("PERENNIAL_BUS_NAME")
    reply = hub.clients("events").put_events(Entries=[made(bus)])
    if reply.get("FailedEntryCount"):
        codes = sorted({each["ErrorCode"] for each in reply["Entries"] if "ErrorCode" in each})
        raise Unavailable(f"the event bus {bus} refused {what}: {', '.join(codes)}")


def page(hub: Deployment) -> str:
    """Where people sign in to decide: what `[api]` names, else the page of the deployment; "" where there is none."""
    return hub.settings.api.page or hub.environment.get("PERENNIAL_PAGE", "")


def publish(hub: Deployment, subject: str, lines: Iterable[str], to: Attributes) -> None:
    """Send one message to the topic, with what subscriptions filter by.

    Raises: ClientError.
    """
    hub.clients("sns").publish(
        TopicArn=hub.named("PERENNIAL_TOPIC_ARN"),
        Subject=subject,
        Message="\n".join(lines),
        MessageAttributes=to,
    )
