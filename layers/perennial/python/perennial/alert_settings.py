"""What `[alerts]` of perennial.toml says: from which level on people are told, and by what besides the topic.

    [alerts]
    security_hub = true
    from_level = 1

    [alerts.destinations.pages]
    kind = "pagerduty"
    secret = "alerts/pagerduty"

Each destination is called by EventBridge with what its secret in the hub's Secrets Manager holds. The secret is named
here; its value is not, and no URL may carry one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from perennial.settings_table import Table

LEAST, MOST = 1, 4  # levels
MAX_DESTINATIONS = 20
KINDS = ("slack", "pagerduty", "servicenow", "jira")
FROM = {
    "slack": 1,
    "pagerduty": 3,
    "servicenow": 2,
    "jira": 2,
}  # the level from which a kind is told, unless it is said
SLACK = "https://slack.com/api/chat.postMessage"
REGIONS = {"us": "https://events.pagerduty.com/v2/enqueue", "eu": "https://events.eu.pagerduty.com/v2/enqueue"}
_SECRET = re.compile(
    r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,512}|[A-Za-z0-9/_+=.@-]{1,512}"
)
_NAMED = "the name or ARN of a secret in the hub's Secrets Manager, never its value"
_VALUES = ("xox", "xapp-", "ATATT")  # how tokens of Slack and Atlassian begin
_URL = "an https URL without user, password, query and fragment, of at most 512 characters"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """`[alerts.destinations.<name>]`: whom EventBridge calls. `url` is where it calls, as it is for its kind; `secret`
    the name or ARN of what it shows there."""

    name: str
    kind: str
    from_level: int
    url: str
    secret: str
    channel: str = ""  # slack
    into: str = "event"  # servicenow: event (Event Management) or incident
    project: str = ""  # jira, its key
    issue_type: str = "Task"  # jira

    @property
    def once(self) -> bool:
        """Whether it opens a ticket, which is opened once and closed by people."""
        return self.kind == "jira" or (self.kind == "servicenow" and self.into == "incident")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """`[alerts]`."""

    security_hub: bool = True
    from_level: int = LEAST
    destinations: Mapping[str, Destination] = field(default_factory=dict)  # by name


def alerts(table: Table) -> Alerts:
    """`[alerts]`: destinations without a problem, by name."""
    default = Alerts()
    accepted = f"a table of at most {MAX_DESTINATIONS} tables"
    return table.done(
        lambda: Alerts(
            security_hub=table.flag("security_hub", default.security_hub),
            from_level=table.number("from_level", default.from_level, LEAST, MOST),
            destinations=_destinations(table, table.take("destinations", {}, _few, accepted) or {}),
        )
    )


def _few(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) and len(value) <= MAX_DESTINATIONS else None


def _destinations(within: Table, document: Mapping[str, Any]) -> Mapping[str, Destination]:
    tables = Table({"destinations": document}, "destinations", within.problems, within.name).tables()
    found = {name: _destination(each, name) for name, each in tables}
    return {name: each for name, each in found.items() if each}


def _destination(table: Table, name: str) -> Destination | None:
    before = len(table.problems)
    kind = table.need("kind", lambda v: v if v in KINDS else None, f"one of {', '.join(KINDS)}")
    if kind is None:
        return None
    made = table.done(
        lambda: Destination(
            name=name,
            kind=kind,
            from_level=table.number("from_level", FROM[kind], LEAST, MOST),
            secret=table.take("secret", "", _secret, _NAMED, quote=False) or "",
            **_OF_KIND[kind](table),
        )
    )
    return made if len(table.problems) == before else None


def _slack(table: Table) -> dict[str, str]:
    channel = table.need("channel", _fitting(re.compile(r"#?[A-Za-z0-9_-]{1,80}")), "a channel's id or #name")
    return {"url": _url(table, SLACK), "channel": channel or ""}


def _pagerduty(table: Table) -> dict[str, str]:
    return {"url": _url(table, REGIONS[table.choice("region", "us", tuple(REGIONS))])}


def _servicenow(table: Table) -> dict[str, str]:
    into = table.choice("into", "event", ("event", "incident"))
    name = "em_event" if into == "event" else "incident"
    return {"url": f"{_url(table)}/api/now/table/{name}", "into": into}


def _jira(table: Table) -> dict[str, str]:
    project = table.need("project", _fitting(re.compile(r"[A-Z][A-Z0-9_]{1,29}")), "a project's key, as CERT")
    issue_type = table.text("issue_type", "Task", re.compile(r"[A-Za-z][A-Za-z -]{0,59}"))
    return {"url": f"{_url(table)}/rest/api/2/issue", "project": project or "", "issue_type": issue_type}


_OF_KIND = {"slack": _slack, "pagerduty": _pagerduty, "servicenow": _servicenow, "jira": _jira}


def _url(table: Table, default: str = "") -> str:
    """A URL without the slash at its end. One that is refused is not quoted: it may hold what it should not."""
    return (table.take("url", default, _https, _URL, quote=False) or "").rstrip("/")


def _https(value: Any) -> str | None:
    """A URL as it is, where it is plain https and none of Slack's webhooks, whose path is a secret."""
    if not isinstance(value, str) or len(value) > 512 or not value.isascii() or not value.isprintable():
        return None
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return None
    fits = parts.scheme == "https" and _HOST.fullmatch(parts.hostname or "") and _PATH.fullmatch(parts.path)
    hooks = (parts.hostname or "").startswith("hooks.")
    plain = not (parts.query or parts.fragment or "@" in parts.netloc or "?" in value or "#" in value)
    return value if fits and plain and not hooks and port != 0 else None


def _secret(value: Any) -> str | None:
    """The name or ARN of a secret. What looks like a token is none, and is not quoted either."""
    fits = isinstance(value, str) and _SECRET.fullmatch(value) and not value.startswith(_VALUES)
    return value if fits else None


def _fitting(pattern: re.Pattern[str]) -> Callable[[Any], str | None]:
    return lambda value: value if isinstance(value, str) and pattern.fullmatch(value) else None
