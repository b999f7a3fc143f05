"""`[alerts]` of perennial.toml: each kind of destination, its defaults, and what is refused without quoting it."""

from __future__ import annotations

import pytest

from perennial.alert_settings import FROM, KINDS, Alerts, Destination
from perennial.errors import InvalidConfiguration
from perennial.settings import load

ARN = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:alerts/pages-AbCdEf"
SLACK = 'kind = "slack"\nchannel = "#certs"\nsecret = "alerts/slack"'
PAGES = f'kind = "pagerduty"\nsecret = "{ARN}"'
EVENTS = 'kind = "servicenow"\nurl = "https://example.service-now.com/"\nsecret = "alerts/now"'
ISSUES = 'kind = "jira"\nurl = "https://example.atlassian.net"\nproject = "CERT"\nsecret = "alerts/jira"'


def destination(text: str) -> Destination:
    return load(f"[alerts.destinations.one]\n{text}").alerts.destinations["one"]


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        load(text)
    return str(caught.value).split("\n")


def test_nothing_needs_to_be_configured() -> None:
    """Without the table, people are told of every level, Security Hub too, and nobody else."""
    assert load("").alerts == Alerts(security_hub=True, from_level=1, destinations={})


def test_what_stands_there() -> None:
    """The fields of the table are taken, and destinations by their names."""
    found = load(f"[alerts]\nsecurity_hub = false\nfrom_level = 2\n[alerts.destinations.chat]\n{SLACK}").alerts
    assert (found.security_hub, found.from_level, list(found.destinations)) == (False, 2, ["chat"])


@pytest.mark.parametrize(
    ("text", "made"),
    [
        (
            SLACK,
            Destination(
                name="one",
                kind="slack",
                from_level=1,
                url="https://slack.com/api/chat.postMessage",
                secret="alerts/slack",
                channel="#certs",
            ),
        ),
        (
            PAGES,
            Destination(
                name="one", kind="pagerduty", from_level=3, url="https://events.pagerduty.com/v2/enqueue", secret=ARN
            ),
        ),
        (
            EVENTS,
            Destination(
                name="one",
                kind="servicenow",
                from_level=2,
                url="https://example.service-now.com/api/now/table/em_event",
                secret="alerts/now",
            ),
        ),
        (
            ISSUES,
            Destination(
                name="one",
                kind="jira",
                from_level=2,
                url="https://example.atlassian.net/rest/api/2/issue",
                secret="alerts/jira",
                project="CERT",
            ),
        ),
    ],
)
def test_each_kind(text: str, made: Destination) -> None:
    """Each kind has its URL, and the level from which it is told unless another one is said."""
    assert destination(text) == made
    assert destination(f"{text}\nfrom_level = 4").from_level == 4


def test_what_differs() -> None:
    """PagerDuty has two regions, ServiceNow two tables, Jira's issues a type; only tickets are opened once."""
    assert destination(f'{PAGES}\nregion = "eu"').url == "https://events.eu.pagerduty.com/v2/enqueue"
    incident = destination(f'{EVENTS}\ninto = "incident"')
    assert incident.url == "https://example.service-now.com/api/now/table/incident"
    assert destination(f'{ISSUES}\nissue_type = "Service Request"').issue_type == "Service Request"
    once = [destination(each).once for each in (SLACK, PAGES, EVENTS, ISSUES)]
    assert (once, incident.once) == ([False, False, False, True], True)
    assert set(FROM) == set(KINDS)


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ('kind = "teams"', "kind", "teams is not one of slack, pagerduty, servicenow, jira"),
        ('secret = "x"', "kind", "missing"),
        ('kind = "slack"\nsecret = "x"', "channel", "missing"),
        (SLACK.replace("#certs", "a b"), "channel", "is not a channel"),
        ('kind = "pagerduty"', "secret", "is not the name or ARN of a secret"),
        (f'{PAGES}\nregion = "ap"', "region", "ap is not one of us, eu"),
        (f'{PAGES}\nchannel = "x"', "channel", "not known; there are kind, from_level, secret, region, url"),
        (f"{PAGES}\nfrom_level = 0", "from_level", "'0' is not a whole number from 1 to 4"),
        (f"{PAGES}\nfrom_level = 5", "from_level", "'5' is not a whole number from 1 to 4"),
        ('kind = "servicenow"\nsecret = "x"', "url", "is not an https URL"),
        (f'{EVENTS}\ninto = "problem"', "into", "problem is not one of event, incident"),
        (ISSUES.replace("CERT", "cert 1"), "project", "is not a project's key"),
    ],
)
def test_what_is_refused(text: str, field: str, said: str) -> None:
    """Each problem has the field and what is accepted."""
    found = problems(f"[alerts.destinations.one]\n{text}")
    assert any(each.startswith(f"alerts.destinations.one.{field}: ") and said in each for each in found), found


@pytest.mark.parametrize(
    "url",
    [
        "http://example.service-now.com",
        "https://anna:hunter2@example.service-now.com",
        "https://hunter2@example.service-now.com",
        "https://example.service-now.com?key=hunter2",
        "https://example.service-now.com#hunter2",
        "https://example.service-now.com?",
        "https://example.service-now.com:99999",
        "https://hooks.slack.com/services/T0/B0/hunter2",
        "https://",
        "https:///path",
        "https://exa mple.com",
        "https://exämple.com",
        "https://example.com/{{resolve:secretsmanager:x}}",
        "https://example.com/a//b",
        "file:///etc/passwd",
        "example.service-now.com",
        "https://example.com/" + "a" * 600,
    ],
)
def test_no_url_carries_a_secret(url: str) -> None:
    """Only plain https URLs are taken; what is refused is not quoted, as it may hold a password."""
    text = f'kind = "servicenow"\nsecret = "x"\nurl = "{url}"'
    (found,) = problems(f"[alerts.destinations.one]\n{text}")
    assert found.startswith("alerts.destinations.one.url: this value is not an https URL")
    assert "hunter2" not in found


@pytest.mark.parametrize("value", ["xoxb-1-hunter2", "ATATT3hunter2", "two words hunter2", "{{hunter2}}", "x" * 600])
def test_no_secret_stands_there(value: str) -> None:
    """What looks like a token, or cannot be a secret's name, is refused and not quoted."""
    (found,) = problems(f'[alerts.destinations.one]\nkind = "pagerduty"\nsecret = "{value}"')
    assert "the name or ARN of a secret" in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alerts = 1", "alerts: '1' is not a table"),
        ("[alerts]\nfrom_level = 5", "alerts.from_level: '5' is not a whole number from 1 to 4"),
        ("[alerts]\ntopic = 1", "alerts.topic: not known; there are security_hub, from_level, destinations"),
        ("[alerts]\ndestinations = 1", "alerts.destinations: '1' is not a table of at most 20 tables"),
        ("[alerts.destinations]\nx = 1", "alerts.destinations.x: '1' is not a table"),
        (f'[alerts.destinations."A b"]\n{PAGES}', "alerts.destinations.'A b': not a name like"),
        ("\n".join(f"[alerts.destinations.d{n}]\n{PAGES}" for n in range(21)), "is not a table of at most 20 tables"),
    ],
)
def test_tables_that_are_none(text: str, said: str) -> None:
    """Whatever stands in the place of a table is told."""
    assert any(said in each for each in problems(text))
