"""An alert's event, through the rules as they are synthesised, to receivers on loopback: what each of them gets.

The local cloud has EventBridge's connections and API destinations, and fills in input templates by itself.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from deployed import until

from local_cloud.cloud import Cloud
from perennial.alert_event import alert_event, entry
from perennial.alert_message import Alert, clean

pytestmark = [pytest.mark.local_cloud, pytest.mark.xdist_group("cloud")]

BUS = "alerts-of-this-test"
TOML = """
[alerts.destinations.chat]
kind = "slack"
channel = "#certs"
secret = "s"
[alerts.destinations.pages]
kind = "pagerduty"
from_level = 3
secret = "s"
[alerts.destinations.operations]
kind = "servicenow"
url = "https://example.service-now.com"
secret = "s"
[alerts.destinations.issues]
kind = "jira"
url = "https://example.atlassian.net"
project = "CERT"
secret = "s"
"""
HELD = {"token": "secret-token", "routing_key": "secret-key", "username": "anna", "password": "secret-word"}
HOSTILE = 'it said "no"\\\n<!channel> & {"x": 1}'
Request = tuple[str, Mapping[str, str], Any]


@pytest.fixture(scope="module")
def received() -> Iterator[tuple[str, list[Request]]]:
    """A receiver's URL, and what it received: path, headers, body."""
    found: list[Request] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", found
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The resources of the destinations, as the hub's template has them."""
    import aws_cdk as cdk
    from aws_cdk import aws_events, aws_sqs
    from infra.alert_destinations import AlertDestinations

    from perennial.settings import load

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PATH", os.pathsep.join((str(Path(sys.prefix) / "bin"), os.environ["PATH"])))
        app = cdk.App(outdir=str(tmp_path_factory.mktemp("out")))
        stack = cdk.Stack(app, "Stack", env=cdk.Environment(account="111111111111", region="eu-west-1"))
        bus = aws_events.EventBus(stack, "Bus", event_bus_name=BUS)
        queue = aws_sqs.Queue(stack, "Queue")
        AlertDestinations(stack, "To", destinations=load(TOML).alerts.destinations, bus=bus, dead_letters=queue)
        return dict(app.synth().get_stack_by_name("Stack").template["Resources"])


@pytest.fixture(scope="module")
def deployed(
    tmp_path_factory: pytest.TempPathFactory, cloud: Cloud, resources: Mapping[str, Any], received: tuple[str, Any]
) -> Any:
    """A client of EventBridge, where connections, destinations and rules are as the template has them, but for the
    receiver's host. CloudFormation reads the secret; here its values stand in the references' place."""
    events, url = cloud.client("events"), received[0]
    events.create_event_bus(Name=BUS)
    arns: dict[str, str] = {}
    for name, properties in _of(resources, "Connection"):
        made = events.create_connection(
            Name=name,
            AuthorizationType=properties["AuthorizationType"],
            AuthParameters=json.loads(_filled(json.dumps(properties["AuthParameters"]))),
        )
        arns[name] = made["ConnectionArn"]
    for name, properties in _of(resources, "ApiDestination"):
        path = properties["InvocationEndpoint"].partition("//")[2]
        made = events.create_api_destination(
            Name=name,
            ConnectionArn=arns[properties["ConnectionArn"]["Fn::GetAtt"][0]],
            InvocationEndpoint=f"{url}/{path}",
            HttpMethod=properties["HttpMethod"],
        )
        arns[name] = made["ApiDestinationArn"]
    for name, properties in _of(resources, "Rule"):
        pattern = json.dumps(properties["EventPattern"])
        events.put_rule(Name=name, EventBusName=BUS, EventPattern=pattern)
        (target,) = properties["Targets"]
        called = arns[target["Arn"]["Fn::GetAtt"][0]]
        role = "arn:aws:iam::111111111111:role/alerts"
        sent = {"Id": "1", "Arn": called, "RoleArn": role, "InputTransformer": target["InputTransformer"]}
        events.put_targets(Rule=name, EventBusName=BUS, Targets=[sent])
    return events


def _of(resources: Mapping[str, Any], kind: str) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, each["Properties"]) for name, each in resources.items() if each["Type"] == f"AWS::Events::{kind}"]


def _filled(text: str) -> str:
    for name, value in HELD.items():
        text = text.replace(f"{{{{resolve:secretsmanager:s:SecretString:{name}::}}}}", value)
    assert "resolve" not in text
    return text


def alert(**more: Any) -> Alert:
    texts = {"reason": "policy", "failed": clean(HOSTILE, 500), "next": "requests a new version", "you": "nothing"}
    known: dict[str, Any] = {
        "id": "0" * 32,
        "name": "shop",
        "names": ("shop.example.com",),
        "fingerprint": "1" * 64,
        "not_after": datetime(2026, 12, 1, tzinfo=UTC),
        "level": 3,
        "before": 0,
        "resolved": False,
        "owner": "shop-team",
        "whom": ("shop-team",),
        "service": "",
        "environment": "",
        "targets": ("edge (elbv2)",),
        "told_at": datetime.now(UTC),
    }
    return Alert(**{**known, **texts, **more})


LAST = alert(id="9" * 32, name="the-last-one", resolved=True, level=4)  # goes to the three that close alerts


def delivered(events: Any, found: list[Request], made: Alert, count: int) -> dict[str, Request]:
    """Put an alert's event, and another one after it: once that has arrived, nothing more of the first is on its way.
    Returns what was received of the first, by the host that it was meant for."""
    found.clear()
    events.put_events(Entries=[entry(made, BUS)])
    until(lambda: len(found) >= count, f"{count} requests")
    events.put_events(Entries=[entry(LAST, BUS)])
    until(lambda: sum(map(_last, found)) == 3, "what was put last")
    return {each[0].split("/")[1]: each for each in found if not _last(each)}


def _last(request: Request) -> bool:
    body = json.dumps(request[2])
    return LAST.id in body or LAST.name in body


def test_each_receiver_gets_its_own(deployed: Any, received: tuple[str, list[Request]]) -> None:
    """Each has its path, its credentials and JSON that it can read, whatever a CA wrote."""
    got = delivered(deployed, received[1], alert(), 4)
    assert {host: path.partition(host)[2] for host, (path, _, _) in got.items()} == {
        "slack.com": "/api/chat.postMessage",
        "events.pagerduty.com": "/v2/enqueue",
        "example.service-now.com": "/api/now/table/em_event",
        "example.atlassian.net": "/rest/api/2/issue",
    }
    basic = "Basic " + b64encode(b"anna:secret-word").decode()
    assert got["slack.com"][1]["Authorization"] == "Bearer secret-token"
    assert got["events.pagerduty.com"][2]["routing_key"] == "secret-key"
    assert (
        got["example.service-now.com"][1]["Authorization"] == got["example.atlassian.net"][1]["Authorization"] == basic
    )
    said = "What happened: it said 'no'/ (!channel) & {'x': 1}"
    texts = (
        got["slack.com"][2]["text"],
        got["events.pagerduty.com"][2]["payload"]["custom_details"]["message"],
        got["example.service-now.com"][2]["description"],
        got["example.atlassian.net"][2]["fields"]["description"],
    )
    assert all(said in text.split("\n") for text in texts)
    assert got["example.service-now.com"][2]["severity"] == 2


@pytest.mark.parametrize(
    ("more", "hosts"),
    [
        ({"level": 1}, {"slack.com"}),
        ({"level": 2}, {"slack.com", "example.service-now.com", "example.atlassian.net"}),
        ({"level": 2, "before": 2}, {"slack.com", "example.service-now.com"}),
        ({"level": 3, "before": 2}, {"slack.com", "example.service-now.com", "events.pagerduty.com"}),
        ({"before": 3, "resolved": True}, {"slack.com", "example.service-now.com", "events.pagerduty.com"}),
    ],
)
def test_who_gets_what(
    deployed: Any, received: tuple[str, list[Request]], more: dict[str, Any], hosts: set[str]
) -> None:
    """From its level on; a ticket once; and that it is over, to all who can close it."""
    got = delivered(deployed, received[1], alert(**more), len(hosts))
    assert set(got) == hosts
    if more.get("resolved"):
        assert got["events.pagerduty.com"][2]["event_action"] == "resolve"
        assert got["example.service-now.com"][2]["severity"] == 0
        assert got["slack.com"][2]["text"].startswith("Resolved: shop")


def test_the_event_is_as_it_is_told(deployed: Any, received: tuple[str, list[Request]]) -> None:
    """The key under which receivers put alerts together is the event's id."""
    got = delivered(deployed, received[1], alert(), 4)
    known = asdict(alert_event(alert()))
    assert (
        got["events.pagerduty.com"][2]["dedup_key"] == got["example.service-now.com"][2]["message_key"] == known["id"]
    )
    assert got["example.atlassian.net"][2]["fields"]["labels"] == ["perennial", f"perennial-{known['id']}"]
