"""Where EventBridge carries alerts: which events, as what, with which secret, and by which role."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_events
from aws_cdk.assertions import Template
from cdk_nag import AwsSolutionsChecks
from infra.alert_destinations import AlertDestinations
from infra.dead_letters import DeadLetters

from perennial.settings import load

ACCOUNT, REGION = "111122223333", "eu-central-1"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:alerts/pages-AbCdEf"
CONFIGURATION = f"""
[alerts.destinations.chat]
kind = "slack"
channel = "#certs"
secret = "alerts/slack"

[alerts.destinations.pages]
kind = "pagerduty"
secret = "{SECRET}"

[alerts.destinations.operations]
kind = "servicenow"
url = "https://example.service-now.com"
secret = "alerts/now"

[alerts.destinations.incidents]
kind = "servicenow"
url = "https://example.service-now.com"
into = "incident"
secret = "alerts/now"

[alerts.destinations.issues]
kind = "jira"
url = "https://example.atlassian.net"
project = "CERT"
secret = "alerts/jira"
"""
PREFIX = "AWS::Events::"
Resources = Mapping[str, dict[str, Any]]


def synthesised(directory: Path, configuration: str) -> Template:
    """The template of a stack with nothing but destinations, checked by cdk-nag."""
    app = cdk.App(outdir=str(directory / "out"))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    stack = cdk.Stack(app, "Stack", env=cdk.Environment(account=ACCOUNT, region=REGION))
    bus = aws_events.EventBus(stack, "Bus", event_bus_name="perennial")
    queue = DeadLetters(stack, "DeadLetters").queue
    destinations = load(configuration).alerts.destinations
    AlertDestinations(stack, "To", destinations=destinations, bus=bus, dead_letters=queue)
    app.synth()
    return Template.from_stack(stack)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return synthesised(tmp_path_factory.mktemp("destinations"), CONFIGURATION)


def of(template: Template, kind: str) -> Resources:
    """The properties of all resources of a type, by the destination and what it is of it: `chatOpened`."""
    found = template.find_resources(kind)
    return {re.sub(r"^To|[0-9A-F]{8}$", "", name): each["Properties"] for name, each in found.items()}


def rules(template: Template) -> Resources:
    return of(template, f"{PREFIX}Rule")


def template_of(rule: Mapping[str, Any]) -> str:
    return str(rule["Targets"][0]["InputTransformer"]["InputTemplate"])


def sent(rule: Mapping[str, Any], detail: Mapping[str, Any]) -> Any:
    """What a target gets of an event: EventBridge inserts values as they are, with quotes only in a value's place."""
    transformer = rule["Targets"][0]["InputTransformer"]
    values = {name: detail[path.removeprefix("$.detail.")] for name, path in transformer["InputPathsMap"].items()}

    def inserted(match: re.Match[str]) -> str:
        if not match["quoted"]:
            value = values[match["name"]]
            return f'"{value}"' if isinstance(value, str) else str(value)
        return re.sub(r"<([a-z-]+)>", lambda each: str(values[each[1]]), match["quoted"])

    text = re.sub(r'(?P<quoted>"(?:\\.|[^"\\])*")|<(?P<name>[a-z-]+)>', inserted, transformer["InputTemplate"])
    return json.loads(text)


DETAIL = {
    "id": "0" * 32,
    "state": "open",
    "level": 3,
    "before": 2,
    "rank": 2,
    "severity": "error",
    "certificate": "shop",
    "names": "shop.example.com",
    "until": "2026-12-01 12:00 UTC",
    "owner": "shop-team",
    "whom": "shop-team, anna",
    "service": "",
    "environment": "production",
    "targets": "edge (elbv2)",
    "reason": "policy",
    "failed": "version shop/2 failed (policy): it is 'so'.",
    "next": "requests a new version, 2026-11-28 13:00 UTC",
    "you": "ask for what is accepted",
    "subject": "Not renewed: shop, until 2026-12-01 12:00 UTC",
}


def test_the_fields_are_those_of_the_event(template: Template) -> None:
    """Whatever a template inserts is a field of the alert's event, which are never null but for one."""
    from dataclasses import fields

    from perennial.alert_event import AlertEvent

    known = {each.name for each in fields(AlertEvent)} - {"not_after"}
    for rule in rules(template).values():
        for path in rule["Targets"][0]["InputTransformer"]["InputPathsMap"].values():
            assert path.removeprefix("$.detail.") in known
    assert set(DETAIL) <= known


def test_what_slack_gets(template: Template) -> None:
    """One plain text with the whole message, in which nothing is a link or a mention."""
    found = sent(rules(template)["chatOpened"], DETAIL)
    assert (found["channel"], found["mrkdwn"], found["unfurl_links"]) == ("#certs", False, False)
    lines = found["text"].split("\n")
    assert lines[0] == DETAIL["subject"]
    assert "What happened: version shop/2 failed (policy): it is 'so'." in lines
    assert "Perennial: requests a new version, 2026-11-28 13:00 UTC" in lines
    assert "You: ask for what is accepted" in lines
    assert "Told: shop-team, anna (level 3)" in lines


def test_what_pagerduty_gets(template: Template) -> None:
    """An incident for each certificate, with a severity, which is resolved under the same key."""
    opened, resolved = (sent(rules(template)[f"pages{each}"], DETAIL) for each in ("Opened", "Resolved"))
    assert (opened["event_action"], opened["payload"]["severity"]) == ("trigger", "error")
    assert opened["payload"]["summary"] == DETAIL["subject"]
    assert resolved == {"event_action": "resolve", "dedup_key": opened["dedup_key"]}


def test_what_servicenow_gets(template: Template) -> None:
    """An event with its severity from 4 to 1, and 0 when it is over; or an incident, once."""
    opened = sent(rules(template)["operationsOpened"], DETAIL)
    resolved = sent(rules(template)["operationsResolved"], {**DETAIL, "rank": 0})
    assert (opened["severity"], resolved["severity"]) == (2, 0)
    assert opened["message_key"] == resolved["message_key"] == DETAIL["id"]
    incident = sent(rules(template)["incidentsOpened"], DETAIL)
    assert (incident["urgency"], incident["correlation_id"]) == ("2", DETAIL["id"])
    assert "incidentsResolved" not in rules(template)


def test_what_jira_gets(template: Template) -> None:
    """An issue with the message and a label by which it is found again."""
    found = sent(rules(template)["issuesOpened"], DETAIL)["fields"]
    assert (found["project"], found["issuetype"]) == ({"key": "CERT"}, {"name": "Task"})
    assert found["labels"] == ["perennial", f"perennial-{DETAIL['id']}"]
    assert found["summary"] == DETAIL["subject"]


@pytest.mark.parametrize(
    ("name", "detail_type", "detail"),
    [
        ("chatOpened", "Certificate Alert", {"level": [{"numeric": [">=", 1]}]}),
        ("chatResolved", "Certificate Alert Resolved", {"level": [{"numeric": [">=", 1]}]}),
        ("pagesOpened", "Certificate Alert", {"level": [{"numeric": [">=", 3]}]}),
        ("operationsResolved", "Certificate Alert Resolved", {"level": [{"numeric": [">=", 2]}]}),
        ("issuesOpened", "Certificate Alert", {"level": [{"numeric": [">=", 2]}], "before": [{"numeric": ["<", 2]}]}),
        (
            "incidentsOpened",
            "Certificate Alert",
            {"level": [{"numeric": [">=", 2]}], "before": [{"numeric": ["<", 2]}]},
        ),
    ],
)
def test_which_events(template: Template, name: str, detail_type: str, detail: dict[str, Any]) -> None:
    """From the destination's level on; a ticket when that level is new. Only the hub's own account may say so."""
    assert rules(template)[name]["EventPattern"] == {
        "account": [ACCOUNT],
        "source": ["perennial"],
        "detail-type": [detail_type],
        "detail": detail,
    }


def test_no_secret_is_in_the_template(template: Template) -> None:
    """Every credential is a dynamic reference to the secret that the configuration names."""
    found = of(template, f"{PREFIX}Connection")
    chat, pages = (found[f"{each}Connection"]["AuthParameters"] for each in ("chat", "pages"))
    assert chat["ApiKeyAuthParameters"] == {
        "ApiKeyName": "Authorization",
        "ApiKeyValue": "Bearer {{resolve:secretsmanager:alerts/slack:SecretString:token::}}",
    }
    key = f"{{{{resolve:secretsmanager:{SECRET}:SecretString:routing_key::}}}}"
    (body,) = pages["InvocationHttpParameters"]["BodyParameters"]
    assert body == {"Key": "routing_key", "Value": key, "IsValueSecret": True}
    for name, secret in {"operations": "alerts/now", "issues": "alerts/jira"}.items():
        assert found[f"{name}Connection"]["AuthParameters"]["BasicAuthParameters"] == {
            "Username": f"{{{{resolve:secretsmanager:{secret}:SecretString:username::}}}}",
            "Password": f"{{{{resolve:secretsmanager:{secret}:SecretString:password::}}}}",
        }


def test_it_is_bounded(template: Template) -> None:
    """Destinations are called at a rate; what cannot be delivered in twelve hours goes to the dead letters."""
    called = of(template, f"{PREFIX}ApiDestination")
    assert all(1 <= each["InvocationRateLimitPerSecond"] <= 5 for each in called.values())
    assert all(each["InvocationEndpoint"].startswith("https://") for each in called.values())
    (queue,) = template.find_resources("AWS::SQS::Queue")
    for rule in rules(template).values():
        (target,) = rule["Targets"]
        assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 43_200, "MaximumRetryAttempts": 185}
        assert target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"] == [queue, "Arn"]
        assert len(target["InputTransformer"]["InputTemplate"]) <= 8_192


def test_what_each_rule_may_do(template: Template) -> None:
    """A role for each rule, which EventBridge alone assumes for this account, and which calls one destination."""
    roles, policies = template.find_resources("AWS::IAM::Role"), template.find_resources("AWS::IAM::Policy")
    assert len(roles) == len(rules(template)) == len(policies)
    for role in roles.values():
        (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "events.amazonaws.com"}
        assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    for policy in policies.values():
        (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
        assert statement["Action"] == "events:InvokeApiDestination"
        assert statement["Resource"]["Fn::GetAtt"][1] == "Arn"
    used = [rule["Targets"][0]["RoleArn"]["Fn::GetAtt"][0] for rule in rules(template).values()]
    assert sorted(used) == sorted(roles)


def test_the_dead_letters_take_twenty_destinations(tmp_path: Path) -> None:
    """One statement lets the rules of the bus write there, for any number of them: a policy holds twenty."""
    many = "".join(f'[alerts.destinations.d{n}]\nkind = "slack"\nchannel = "c"\nsecret = "s"\n' for n in range(20))
    (policy,) = synthesised(tmp_path, many).find_resources("AWS::SQS::QueuePolicy").values()
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    (allowed,) = [each for each in statements if each["Effect"] == "Allow"]
    assert allowed["Action"] == "sqs:SendMessage"
    rules_of_the_bus = json.dumps(allowed["Condition"]["ArnLike"]["aws:SourceArn"])
    assert f":events:{REGION}:{ACCOUNT}:rule/" in rules_of_the_bus
    assert len(statements) <= 3


def test_the_hub_has_those_that_it_is_told(tmp_path: Path, directory: Path) -> None:
    """The hub of a perennial.toml with destinations has them on its own bus, and passes cdk-nag and cfn-lint."""
    import subprocess
    import sys

    from app import build

    (tmp_path / "perennial.toml").write_text(CONFIGURATION)
    context = {"config": str(tmp_path / "perennial.toml"), "deps": str(directory / "deps")}
    app = cdk.App(outdir=str(tmp_path / "out"), context={**context, "account": ACCOUNT, "region": REGION})
    stack = build(app)
    app.synth()
    template = Template.from_stack(stack)
    assert len(template.find_resources(f"{PREFIX}Connection")) == 5
    (bus,) = template.find_resources(f"{PREFIX}EventBus")
    alerts = [each for each in rules(template).values() if each.get("EventPattern", {}).get("source") == ["perennial"]]
    assert len(alerts) == 8
    assert all(each["EventBusName"] == {"Ref": bus} for each in alerts)
    file = tmp_path / "out" / f"{stack.stack_name}.template.json"
    linter = [Path(sys.executable).with_name("cfn-lint"), "-i", "W3005", "--", file]
    result = subprocess.run(linter, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_hub_has_none_unless_it_is_told(hub: Any) -> None:
    """Without destinations in perennial.toml there is nothing of them in the hub."""
    assert not hub.of(f"{PREFIX}Connection")
    assert not hub.of(f"{PREFIX}ApiDestination")
