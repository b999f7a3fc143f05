"""Where EventBridge carries alerts outside AWS: Slack, PagerDuty, ServiceNow, Jira.

For each destination of perennial.toml a connection with what its secret holds, an API destination that is called at a
bounded rate, and rules on the bus. CloudFormation reads the secret when it deploys (a dynamic reference): neither the
template nor a function ever has it. EventBridge keeps a copy of its own in Secrets Manager; after the secret has
changed, touch the destination and deploy again.

Input transformers do not escape what they insert. Each placeholder stands within a JSON text, and no text of an alert
has a character that would end one (`perennial.alert_event`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aws_cdk import Duration, SecretValue, Stack, aws_events, aws_iam, aws_sqs
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from perennial.alert_event import OPENED, RESOLVED
from perennial.alert_settings import Destination
from perennial.events import SOURCE

PER_SECOND = {"slack": 1, "pagerduty": 5, "servicenow": 5, "jira": 2}  # calls; Slack takes one a second and channel
MAX_AGE, RETRIES = Duration.hours(12), 185  # then it goes to the dead letters, which an alarm watches
Template = Mapping[str, Any]


class AlertDestinations(Construct):
    """All destinations. Each rule has a role that may call its own destination, and nothing else."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        destinations: Mapping[str, Destination],
        bus: aws_events.IEventBus,
        dead_letters: aws_sqs.Queue,
    ) -> None:
        super().__init__(scope, construct_id)
        self._bus, self._dead_letters = bus, _open_to_rules(self, dead_letters, bus)
        for each in destinations.values():
            self._add(each)

    def _add(self, settings: Destination) -> None:
        within = Construct(self, settings.name)
        called = aws_events.ApiDestination(
            within,
            "Destination",
            connection=_connection(within, settings),
            endpoint=settings.url,
            http_method=aws_events.HttpMethod.POST,
            rate_limit_per_second=PER_SECOND[settings.kind],
            description=f"Perennial: alerts of certificates to {settings.kind}",
        )
        opened, resolved = TEMPLATES[settings.kind]
        self._rule(within, "Opened", settings, called, OPENED, opened(settings))
        if not settings.once:
            self._rule(within, "Resolved", settings, called, RESOLVED, resolved(settings))

    def _rule(
        self,
        within: Construct,
        name: str,
        settings: Destination,
        called: aws_events.ApiDestination,
        detail_type: str,
        body: Template,
    ) -> None:
        role = aws_iam.Role(within, f"{name}Role", assumed_by=_events(self))
        target = targets.ApiDestination(
            called,
            event=aws_events.RuleTargetInput.from_object(body),
            event_role=role,
            dead_letter_queue=self._dead_letters,
            max_event_age=MAX_AGE,
            retry_attempts=RETRIES,
        )
        pattern = aws_events.EventPattern(
            account=[Stack.of(self).account],  # members may send to the bus too, but not this
            source=[SOURCE],
            detail_type=[detail_type],
            detail=_levels(settings),
        )
        aws_events.Rule(within, name, event_bus=self._bus, event_pattern=pattern, targets=[target])


def _open_to_rules(scope: Construct, queue: aws_sqs.Queue, bus: aws_events.IEventBus) -> aws_sqs.IQueue:
    """The queue, which takes what the rules of the bus could not deliver: by one statement for all of them, as the
    policy of a queue holds twenty."""
    stack = Stack.of(scope)
    rules = f"arn:{stack.partition}:events:{stack.region}:{stack.account}:rule/{bus.event_bus_name}/*"
    queue.add_to_resource_policy(
        aws_iam.PolicyStatement(
            sid="UndeliveredAlerts",
            principals=[aws_iam.ServicePrincipal("events.amazonaws.com")],
            actions=["sqs:SendMessage"],
            resources=[queue.queue_arn],
            conditions={"ArnLike": {"aws:SourceArn": rules}},
        )
    )
    return aws_sqs.Queue.from_queue_arn(scope, "DeadLetters", queue.queue_arn)


def _events(scope: Construct) -> aws_iam.ServicePrincipal:
    """EventBridge, for this account's rules alone."""
    return aws_iam.ServicePrincipal(
        "events.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Stack.of(scope).account}}
    )


def _levels(settings: Destination) -> dict[str, Any]:
    """From its level on. A ticket is opened once: when the level was not reached before."""
    reached = {"level": aws_events.Match.greater_than_or_equal(settings.from_level)}
    return {**reached, "before": aws_events.Match.less_than(settings.from_level)} if settings.once else reached


# --- authorization ---


def _connection(within: Construct, settings: Destination) -> aws_events.Connection:
    authorization, body = AUTHORIZATIONS[settings.kind](settings)
    return aws_events.Connection(
        within,
        "Connection",
        authorization=authorization,
        body_parameters=body,
        description=f"Perennial: alerts of certificates to {settings.kind}",
    )


Authorized = tuple[aws_events.Authorization, Mapping[str, aws_events.HttpParameter] | None]


def _field(settings: Destination, name: str) -> SecretValue:
    """A field of the destination's secret, which is a JSON object, as a dynamic reference."""
    return SecretValue.secrets_manager(settings.secret, json_field=name)


def _bearer(settings: Destination) -> Authorized:
    """A token. The text around it is all that the template has besides the reference."""
    token = SecretValue.unsafe_plain_text(f"Bearer {_field(settings, 'token').unsafe_unwrap()}")
    return aws_events.Authorization.api_key("Authorization", token), None


def _routing_key(settings: Destination) -> Authorized:
    """PagerDuty takes its key in the body alone (Events API v2); a connection needs a header, too."""
    key = _field(settings, "routing_key")
    body = {"routing_key": aws_events.HttpParameter.from_secret(key)}
    return aws_events.Authorization.api_key("X-Routing-Key", key), body


def _user(settings: Destination) -> Authorized:
    return aws_events.Authorization.basic(
        _field(settings, "username").unsafe_unwrap(), _field(settings, "password")
    ), None


AUTHORIZATIONS: Mapping[str, Callable[[Destination], Authorized]] = {
    "slack": _bearer,
    "pagerduty": _routing_key,
    "servicenow": _user,
    "jira": _user,
}

# --- what is sent ---


def _of(name: str) -> str:
    """A field of the event, in its place in a text."""
    return aws_events.EventField.from_path(f"$.detail.{name}")


def _said(*, title: bool = True) -> str:
    """The whole message, line by line."""
    labels = {
        "Certificate": f"{_of('certificate')}: {_of('names')}",
        "Valid until": _of("until"),
        "Services": _of("targets"),
        "Business": _of("service"),
        "Environment": _of("environment"),
        "What happened": _of("failed"),
        "Perennial": _of("next"),
        "You": _of("you"),
        "Told": f"{_of('whom')} (level {_of('level')})",
    }
    lines = [f"{label}: {text}" for label, text in labels.items()]
    return "\n".join([_of("subject"), *lines] if title else lines)


def _slack(settings: Destination) -> Template:
    """chat.postMessage: a plain text, in which nothing is a link, a mention or a format."""
    return {"channel": settings.channel, "text": _said(), "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}


def _triggered(settings: Destination) -> Template:
    """PagerDuty's Events API v2: alerts with one `dedup_key` are one incident."""
    payload = {
        "summary": _of("subject"),
        "source": _of("certificate"),
        "severity": _of("severity"),
        "component": _of("targets"),
        "group": _of("service"),
        "class": _of("reason"),
        "custom_details": {"message": _said(title=False)},
    }
    return {"event_action": "trigger", "dedup_key": _of("id"), "payload": payload}


def _closed(settings: Destination) -> Template:
    return {"event_action": "resolve", "dedup_key": _of("id")}


def _servicenow(settings: Destination) -> Template:
    """Event Management's em_event: one `message_key` is one alert, `severity` 0 clears it. Or an incident."""
    if settings.into == "incident":
        urgency = {1: "3", 2: "2"}.get(settings.from_level, "1")
        told = {"short_description": _of("subject"), "description": _said(title=False)}
        return {**told, "urgency": urgency, "correlation_id": _of("id"), "correlation_display": "Perennial"}
    return {
        "source": "Perennial",
        "event_class": "Perennial",
        "node": _of("certificate"),
        "resource": _of("certificate"),
        "metric_name": "renewal",
        "type": "certificate",
        "message_key": _of("id"),
        "severity": f"{_of('rank')}",
        "description": _said(),
    }


def _jira(settings: Destination) -> Template:
    """An issue (REST API 2, whose descriptions are plain text). Its label finds it again."""
    return {
        "fields": {
            "project": {"key": settings.project},
            "issuetype": {"name": settings.issue_type},
            "summary": _of("subject"),
            "description": _said(title=False),
            "labels": ["perennial", f"perennial-{_of('id')}"],
        }
    }


TEMPLATES: Mapping[str, tuple[Callable[[Destination], Template], Callable[[Destination], Template]]] = {
    "slack": (_slack, _slack),
    "pagerduty": (_triggered, _closed),
    "servicenow": (_servicenow, _servicenow),
    "jira": (_jira, _jira),
}
