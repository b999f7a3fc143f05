"""A hub where people ask for changes and decide on them, in memory, and the people.

    with requesting_hub() as hub:
        asked = hub.ask("ada", hub.create("shop"))       # waits for an approver of the team
        hub.approve("bob", asked)
        hub.apply(asked)                                 # as the workflow does

`ada` and `abel` are requesters of the team `shop`, `bob` and `ben` its approvers, `otto` its operator, `sue` and `sid`
are security; `eve` is requester and approver of `bank`. `ada-at-work` is Ada with another identity, which the
configuration links.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from declaring import CONFIGURATION, NOW, DeclaringHub, declared, declaring_hub, serving
from dict_aws import ACCOUNT, Calls, DictClients, refused
from dict_table import DictTable
from estate import Clock, Estate
from estate import Source as Scanned
from perennial import change_requests, dispatch, revocation
from perennial.audit_event import Event
from perennial.change_request import ChangeRequest, Kind, Wish
from perennial.deployment import Deployment
from perennial.managed_certificate import ManagedCertificate
from perennial.roles import Grant, Person, Role, Source

APPROVALS = """
[policy.owners]
shop = [".example.com", "*..example.com"]
bank = [".example.com", "*..example.com"]
"""
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:PerennialApproval"
RENEWAL = MACHINE.replace("Approval", "Renewal")
WORK = "arn:aws:iam::123456789012:role/ada"
PEOPLE = f"""
[api.people]
"{WORK}" = "ada@example.com"
"""


def person(name: str, *grants: str, email: str = "", principal: str = "") -> Person:
    """Someone who signed in, with grants as `role@team` or `role`."""
    made = (each.partition("@") for each in grants)
    return Person(
        principal=principal or f"https://login.example.com#{name}",
        name=name,
        source=Source.OIDC,
        grants=tuple(Grant(role=Role(role), team=team or "*") for role, _, team in made),
        email=email,
    )


TWO = "[approvals.rules.two]\nneeds = { owner = 1, security = 1 }\n"
NOBODY = "[approvals.rules.nobody]\nneeds = {}\n"
ALL = {
    each.name: each
    for each in (
        person("ada", "requester@shop", "approver@shop", email="ada@example.com"),
        person("ada-at-work", "approver@shop", "security", principal=WORK, email="ada@example.com"),
        person("abel", "requester@shop"),
        person("bob", "approver@shop"),
        person("ben", "approver@shop"),
        person("both", "approver@shop", "security"),
        person("otto", "operator@shop"),
        person("sue", "security"),
        person("sid", "security"),
        person("eve", "requester@bank", "approver@bank"),
        person("max", "requester@shop", "requester@bank"),
        person("vic", "viewer@shop"),
    )
}


@dataclass
class States:
    """Step Functions, which keeps what it was told. `gone` are tokens of tasks that are over."""

    started: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> input
    woken: list[tuple[str, str]] = field(default_factory=list)  # token and output
    gone: set[str] = field(default_factory=set)

    def start_execution(self, *, stateMachineArn: str, name: str, **given: str) -> dict[str, Any]:
        assert stateMachineArn == (MACHINE if name.startswith("request-") else RENEWAL)
        if name in self.started:
            raise refused("ExecutionAlreadyExists", "StartExecution")
        self.started[name] = json.loads(given["input"])
        return {"executionArn": name}

    def send_task_success(self, *, taskToken: str, output: str) -> dict[str, Any]:
        if taskToken in self.gone:
            raise refused("TaskTimedOut", "SendTaskSuccess", f"the task {taskToken} is over")
        self.woken.append((taskToken, output))
        return {}


@dataclass
class Beside:
    """The hub's clients, with Step Functions in dictionaries."""

    inner: Any
    states: States

    def __call__(self, service: str, region: str | None = None) -> Any:
        return self.states if service == "stepfunctions" else self.inner(service, region)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass
class Topic:
    """SNS and EventBridge, which take everything."""

    sent: list[str] = field(default_factory=list)

    def publish(self, *, Message: str, **_: Any) -> dict[str, Any]:
        self.sent.append(Message)
        return {"MessageId": str(len(self.sent))}

    def put_events(self, *, Entries: list[Any]) -> dict[str, Any]:
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in Entries]}


@dataclass
class RequestingHub:
    """A hub and its time."""

    inner: DeclaringHub
    states: States
    now: datetime = NOW
    table: DictTable | None = None
    calls: Calls | None = None
    topic: Topic = field(default_factory=Topic)

    @property
    def hub(self) -> Any:
        return self.inner.deployment

    @property
    def inventory(self) -> Any:
        return self.hub.inventory

    def create(self, name: str = "shop", **more: Any) -> Wish:
        return Wish(kind=Kind.CREATE, managed=name, declared=declared(name, **more))

    def change(self, name: str = "shop", **more: Any) -> Wish:
        return Wish(kind=Kind.CHANGE, managed=name, declared=declared(name, **more))

    def ask(self, who: str, wish: Wish, reason: str = "we need it") -> ChangeRequest:
        return change_requests.ask(self.hub, ALL[who], wish, reason=reason, source="api", now=self.now)

    def approve(self, who: str, asked: ChangeRequest, **more: Any) -> ChangeRequest:
        own = {"digest": asked.digest, "reason": "", "source": "api", "now": self.now, **more}
        return change_requests.approve(self.hub, ALL[who], asked, **own)

    def reject(self, who: str, asked: ChangeRequest, reason: str = "not now") -> ChangeRequest:
        return change_requests.reject(self.hub, ALL[who], asked, reason=reason, source="api", now=self.now)

    def withdraw(self, who: str, asked: ChangeRequest) -> ChangeRequest:
        return change_requests.withdraw(self.hub, ALL[who], asked, reason="", source="api", now=self.now)

    def apply(self, asked: ChangeRequest) -> ChangeRequest:
        return change_requests.apply(self.hub, asked.id, self.now)

    def expire(self, asked: ChangeRequest) -> ChangeRequest:
        return change_requests.expire(self.hub, asked.id, self.now)

    def tell(self, asked: ChangeRequest, token: str = "token-1") -> None:
        change_requests.tell(self.hub, asked.id, token, self.now)

    def tick(self) -> list[str]:
        """The workflows of requests that the tick starts."""
        return [each for each in dispatch.tick(self.hub, self.now)["started"] if each.startswith("request-")]

    def request(self, asked: ChangeRequest) -> ChangeRequest:
        return self.inventory.change_request(asked.id)  # type: ignore[no-any-return]

    def declared(self, wanted: ManagedCertificate) -> None:
        """Declare past all requests."""
        self.inner.apply(wanted, now=self.now)

    def pass_time(self, span: timedelta) -> None:
        self.now += span

    def settings(self, text: str) -> None:
        """Another perennial.toml."""
        from perennial.settings import load

        self.hub.__dict__["settings"] = load(
            CONFIGURATION.decode().partition("[policy.owners]")[0] + _REST + PEOPLE + text
        )

    def events(self) -> list[Event]:
        """What the audit trail has of requests, in order; what applying them changes is there besides."""
        found = self.inventory.audit_between(NOW - timedelta(hours=1), self.now + timedelta(hours=1))
        return [each.event for each in found if not each.event.action.startswith("managed.")][::-1]

    def messages(self) -> list[dict[str, Any]]:
        """What came to the topic's queue since the last time."""
        if self.table:
            return [{"Message": each} for each in self.topic.sent]
        sqs, queue = self.hub.clients("sqs"), self.inner.estate.alerts
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(each["Body"]) for each in found]

    def told(self) -> list[tuple[str, str]]:
        """Actions and outcomes in the audit trail, in order."""
        return [(each.action, each.outcome) for each in self.events()]


_REST = APPROVALS + "[targets]" + CONFIGURATION.decode().partition("[targets]")[2]


@contextmanager
def requesting_hub(text: str = "") -> Iterator[RequestingHub]:
    """A hub where nothing is asked yet; `text` is added to perennial.toml."""
    with declaring_hub() as inner:
        states = States()
        environment: Any = inner.deployment.environment
        environment.update(PERENNIAL_APPROVAL_ARN=MACHINE, PERENNIAL_RENEWAL_ARN=RENEWAL)
        inner.deployment.__dict__["clients"] = Beside(inner.deployment.clients, states)
        hub = RequestingHub(inner, states)
        hub.settings(text)
        yield hub


@contextmanager
def quick_hub(text: str = "") -> Iterator[RequestingHub]:
    """The same in dictionaries, for tests that take many steps. `table.around` and `calls.around` see every call."""
    table, calls, states, topic = DictTable(), Calls(), States(), Topic()
    environment = {
        "PERENNIAL_TABLE": "inventory",
        "PERENNIAL_TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:findings",
        "PERENNIAL_BUS_NAME": "perennial",
        "PERENNIAL_APPROVAL_ARN": MACHINE,
        "PERENNIAL_RENEWAL_ARN": RENEWAL,
    }
    deployment = Deployment(environment, Clock())
    clients = DictClients(calls, stepfunctions=states, sns=topic, events=topic)
    deployment.__dict__.update(clients=clients, account=ACCOUNT)
    hub = RequestingHub(DeclaringHub(Estate(deployment, Clock(), Scanned("acm"), Scanned("elbv2"))), states)
    hub.table, hub.calls, hub.topic = table, calls, topic
    hub.settings(text)
    with table.in_place():
        yield hub


__all__ = ["ALL", "NOW", "PEOPLE", "RequestingHub", "person", "quick_hub", "requesting_hub"]


def revoking(hub: RequestingHub, monkeypatch: pytest.MonkeyPatch, found: Any = None) -> list[tuple[Any, ...]]:
    """Version 3 serves; what is revoked is noted, or `found` raised."""
    hub.declared(declared())
    hub.inventory.save_managed(replace(hub.inner.record(), serving=serving(3)))
    version = hub.inner.version(3)
    hub.inventory.save_version(replace(version, chain=(b"der",)), None)
    revoked: list[tuple[Any, ...]] = []

    def revoke(deployment: Any, name: str, reason: str, by: str, now: Any, version: int, **_: Any) -> None:
        revoked.append((name, reason, by, version))
        if found:
            raise found

    monkeypatch.setattr(revocation, "revoke", revoke)
    return revoked
