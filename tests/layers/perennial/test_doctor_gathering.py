"""What the doctor gathers: of a deployment on in-memory AWS, of one that is broken, and where nothing answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from api_server import Answer, answer, api_server
from inventory_table import create_table
from perennial import audit, doctor_gathering, doctor_gathering_aws
from perennial.audit_event import happened
from perennial.clients import Clients
from perennial.doctor import Diagnosis, Unknown, Verdict
from perennial.doctor_deployment import PARAMETERS
from perennial.doctor_gathering import ACTIONS, Asked, examine, gathered
from perennial.doctor_gathering_aws import Resource, Stack
from perennial.doctor_permissions import MeFacts
from perennial.errors import AccessDenied, Unavailable
from perennial.inventory.records import RunRecord, ScopeRecord, ScopeStatus
from perennial.inventory.store import Inventory
from perennial.manifest import Scope

NOW = datetime.now(UTC).replace(microsecond=0)
REGION, HUB = "eu-west-1", "123456789012"
SETTINGS = """
[issuers.amazon]
kind = "acm"

[issuers.internal]
kind = "acm_pca"
authority = "{authority}"

[issuers.ca]
kind = "acme"
directory = "{directory}"

[profiles.web]
issuer = "ca"
names = ["shop.example.com"]

[profiles.acm]
issuer = "amazon"
key_home = "issuer"
names = [".nowhere.example.org"]
"""
TEMPLATE = {
    "Resources": {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "dead-letters"}},
        "SchedulesTick": {
            "Type": "AWS::Events::Rule",
            "Properties": {"Name": "tick", "ScheduleExpression": "rate(1 minute)", "State": "ENABLED"},
        },
        "SchedulesDiscovery": {
            "Type": "AWS::Events::Rule",
            "Properties": {"Name": "discovery", "ScheduleExpression": "rate(12 hours)", "State": "ENABLED"},
        },
        "OnEvents": {
            "Type": "AWS::Events::Rule",
            "Properties": {"Name": "on-events", "EventPattern": {"source": ["aws.acm"]}, "State": "ENABLED"},
        },
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "lambda.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ],
                }
            },
        },
        "DispatchTick": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": "tick",
                "Handler": "tick.handler",
                "Runtime": "python3.13",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Code": {"ZipFile": "def handler(event, context): pass"},
            },
        },
    }
}


class Hub:
    """A deployment that is well, unless a test breaks it."""

    def __init__(self, directory: str) -> None:
        self.clients = Clients(boto3.Session(region_name=REGION), attempts=1)
        self.me: Any = MeFacts(name="ada", grants=("requester@shop-team",))
        create_table(self.clients("dynamodb"), "inventory")
        self.clients("dynamodb").update_table(TableName="inventory", DeletionProtectionEnabled=True)
        self.clients("dynamodb").update_continuous_backups(
            TableName="inventory", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        self._settings(directory)
        self.machines = {
            name: self._machine(name)
            for name in ("discovery", "assessment", "issuance", "rollout", "renewal", "approval")
        }
        key = self.clients("kms").create_key()["KeyMetadata"]["Arn"]
        values = dict.fromkeys(PARAMETERS, "x") | self.machines
        values |= {"table": "inventory", "settings": "settings/perennial.toml", "key": key}
        for name, value in values.items():
            self.clients("ssm").put_parameter(Name=f"/perennial/{name}", Value=value, Type="String")
        self.clients("cloudformation").create_stack(StackName="PerennialHub", TemplateBody=json.dumps(TEMPLATE))
        self.measured("Invocations", NOW - timedelta(minutes=2), 1)
        self.inventory = Inventory("inventory", region=REGION)
        self._ran()

    def _settings(self, directory: str) -> None:
        self.clients("s3").create_bucket(Bucket="settings", CreateBucketConfiguration={"LocationConstraint": REGION})
        authority = self.clients("acm-pca").create_certificate_authority(
            CertificateAuthorityConfiguration={
                "KeyAlgorithm": "EC_prime256v1",
                "SigningAlgorithm": "SHA256WITHECDSA",
                "Subject": {"CommonName": "Internal"},
            },
            CertificateAuthorityType="ROOT",
        )["CertificateAuthorityArn"]
        self.configure(SETTINGS.format(authority=authority, directory=directory))

    def configure(self, text: str) -> None:
        self.clients("s3").put_object(Bucket="settings", Key="perennial.toml", Body=text.encode())

    def _machine(self, name: str) -> str:
        definition = json.dumps({"StartAt": "a", "States": {"a": {"Type": "Pass", "End": True}}})
        role = f"arn:aws:iam::{HUB}:role/x"
        made = self.clients("stepfunctions").create_state_machine(name=name, definition=definition, roleArn=role)
        return str(made["stateMachineArn"])

    def measured(self, metric: str, at: datetime, value: float) -> None:
        """CloudWatch counted this of the tick's function."""
        datum = {"MetricName": metric, "Dimensions": [{"Name": "FunctionName", "Value": "tick"}], "Timestamp": at}
        self.clients("cloudwatch").put_metric_data(Namespace="AWS/Lambda", MetricData=[{**datum, "Value": value}])

    def _ran(self) -> None:
        """Discovery ran an hour ago, and read everything."""
        ended = NOW - timedelta(hours=1)
        self.inventory.ran(RunRecord(run="r", started_at=ended, completed_at=ended, scopes=1, incomplete=0))
        self.scanned(HUB, ScopeStatus.COMPLETE)

    def scanned(self, account: str, status: ScopeStatus, reason: str | None = None) -> None:
        self.inventory.scanned(
            ScopeRecord(
                scope=Scope(account, REGION, "acm"),
                status=status,
                reason=reason,
                message=None,
                attempted_at=NOW,
                completed_at=NOW if status is ScopeStatus.COMPLETE else None,
                sightings=1,
                run=None,
            )
        )

    def examined(self, resolver: Any = None) -> dict[tuple[str, str], Diagnosis]:
        """What the doctor says, by topic and subject."""
        me = self.me

        def asked() -> MeFacts:
            if isinstance(me, Exception):
                raise me
            found: MeFacts = me
            return found

        found = examine(Asked(clients=self.clients, me=asked, resolver=resolver or Dns(), seconds=60.0), NOW)
        named = {(each.topic, each.subject): each for each in found}
        assert len(named) == len(found)
        return named


class Dns:
    """A resolver without a network: the world asks AWS for example.com, and nobody for anything else."""

    def name_servers(self, zone: str) -> tuple[str, ...]:
        return ("ns-1.elsewhere.example",) if zone == "example.com" else ()

    def caa(self, name: str) -> tuple[str, tuple[Any, ...]]:
        if name.startswith("nowhere"):
            raise Unavailable("the resolver answered with code 2")
        return "", ()


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A deployment on in-memory AWS, whose ACME directory is on loopback."""
    urls = dict.fromkeys(("newNonce", "newAccount", "newOrder"), "")
    with mock_aws(), pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_DEFAULT_REGION", REGION)
        with api_server({("GET", "/directory"): lambda asked: answer(urls)}) as server:
            patched.setattr("api_server._unsigned", lambda *_: "")
            origin = server.url.removesuffix("/v1")
            urls.update({name: f"{origin}/{name}" for name in urls})
            made = Hub(f"{origin}/directory")
            made.server = server  # type: ignore[attr-defined]
            yield made


def verdicts(found: dict[tuple[str, str], Diagnosis], *wanted: Verdict) -> set[tuple[str, str]]:
    return {name for name, each in found.items() if each.verdict in wanted}


def test_a_deployment_that_is_well(hub: Hub) -> None:
    """All that can be well on in-memory AWS is fine; the rest is what the test made so."""
    found = hub.examined()
    assert verdicts(found, Verdict.WRONG, Verdict.UNKNOWN) == {
        ("deployment", "alarms"),  # moto's CloudFormation makes none
        ("issuers", "internal"),  # the CA has no certificate yet
        ("dns", "shop.example.com"),  # there is no zone
        ("dns", "nowhere.example.org"),
        ("dns", "nowhere.example.org CAA for amazon"),  # and no answer
    }
    assert found["issuers", "internal"].words == "the CA is PENDING_CERTIFICATE"
    assert found["issuers", "ca"].verdict is found["issuers", "amazon"].verdict is Verdict.FINE
    assert found["dns", "nowhere.example.org CAA for amazon"].verdict is Verdict.UNKNOWN


def test_a_deployment_in_trouble(hub: Hub) -> None:
    """Each trouble is found where it is."""
    hub.clients("events").disable_rule(Name="tick")
    hub.clients("sqs").send_message(
        QueueUrl=hub.clients("sqs").get_queue_url(QueueName="dead-letters")["QueueUrl"], MessageBody="x"
    )
    hub.measured("Errors", NOW - timedelta(hours=2), 3)
    hub.scanned("222222222222", ScopeStatus.INCOMPLETE, "access-denied")
    hub.inventory.scan_soon(Scope(HUB, REGION, "acm"), NOW - timedelta(hours=2))
    hub.clients("ssm").delete_parameter(Name="/perennial/api")
    hub.me = AccessDenied("you may not call the API")
    found = hub.examined()
    assert found["schedules", "rule tick"].verdict is Verdict.WRONG
    assert found["deployment", "dead letters"].words == "1 events failed for good and wait"
    assert found["deployment", "function tick"].words == "3 of 1 calls failed in the last 24 hours"
    assert found["permissions", "account 222222222222"].verdict is Verdict.WRONG
    assert found["schedules", "due: scan"].verdict is Verdict.WRONG
    assert found["deployment", "parameters"].words == "/perennial/api is not there"
    assert found["permissions", "API"].words == "could not be checked: you may not call the API"


def test_what_it_asks_is_declared(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call is one of its actions, and each of them reads."""
    calls: set[str] = set()
    call = BaseClient._make_api_call

    def noted(self: Any, name: str, arguments: Any) -> Any:
        service = {"monitoring": "cloudwatch"}.get(
            self.meta.service_model.signing_name, self.meta.service_model.signing_name
        )
        calls.add(f"{service}:{name}")
        return call(self, name, arguments)

    hub.clients("route53").create_hosted_zone(Name="example.com.", CallerReference="x")
    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", noted)
    hub.examined()
    found = calls - {"sts:GetCallerIdentity"}  # which needs no permission
    assert found - set(ACTIONS) == set()
    assert set(ACTIONS) - found <= {  # what only happens elsewhere
        "cloudwatch:DescribeAlarms",
        "execute-api:Invoke",
        "kms:Decrypt",
        "route53:ListHostedZonesByName",
        "ssm:GetParameter",
        "sts:AssumeRole",
    }
    reads = ("Describe", "Get", "List", "Query", "Invoke", "Decrypt", "AssumeRole")
    assert all(each.partition(":")[2].startswith(reads) for each in ACTIONS)


def test_alarms_that_sound(hub: Hub) -> None:
    """Those of the stack, with what they say."""
    alarm = {"ComparisonOperator": "LessThanThreshold", "EvaluationPeriods": 1, "Threshold": 1, "Period": 300}
    alarm |= {"MetricName": "Invocations", "Namespace": "AWS/Lambda", "Statistic": "Sum"}
    stack = Stack(hub.clients, "inventory")
    stack._listed = ()
    for name, state in (("quiet", "OK"), ("loud", "ALARM"), ("other", "ALARM")):
        hub.clients("cloudwatch").put_metric_alarm(AlarmName=name, AlarmDescription=f"Perennial: {name}.", **alarm)
        hub.clients("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="x")
        if name != "other":
            stack._listed += (Resource(name, "AWS::CloudWatch::Alarm", name),)
    assert doctor_gathering_aws._alarms(hub.clients, stack) == {"loud": "Perennial: loud."}


def test_roles_of_other_accounts(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the settings name are tried; one that keeps the caller out is unknown, and so are its zones."""
    hub.configure(
        '[discovery]\naccounts = ["444444444444"]\n'
        '[solvers]\nzone_accounts = ["222222222222"]\n'
        '[targets]\naccounts = ["333333333333"]\n'
        '[issuers.amazon]\nkind = "acm"\n'
        '[profiles.acm]\nissuer = "amazon"\nkey_home = "issuer"\nnames = ["shop.example.com"]\n'
    )
    assume = Clients.assume

    def some(clients: Clients, account: str, role_name: str, external_id: str = "") -> Clients:
        if account == "222222222222":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")
        return assume(clients, account, role_name, external_id)

    monkeypatch.setattr(Clients, "assume", some)
    found = hub.examined()
    assert found["permissions", "role PerennialSolver in 222222222222"].verdict is Verdict.UNKNOWN
    assert found["permissions", "role PerennialTargetLook in 333333333333"].verdict is Verdict.FINE
    assert "has not scanned it yet" in found["permissions", "account 444444444444"].words
    assert "PerennialSolver of account 222222222222" in found["dns", "shop.example.com"].words


def test_zones_and_delegations(hub: Hub) -> None:
    """A hosted zone that the world does not ask is found out; one without a delegation too."""
    for name in ("example.com.", "example.org."):
        hub.clients("route53").create_hosted_zone(Name=name, CallerReference=name)
    found = hub.examined()
    assert "the world is told to ask ns-1.elsewhere.example, not the zone" in found["dns", "shop.example.com"].words
    assert "nothing delegates to the zone example.org" in found["dns", "nowhere.example.org"].words
    without = hub.examined(Unknown("/etc/resolv.conf names no resolver"))
    assert without["dns", "shop.example.com"].verdict is Verdict.UNKNOWN
    assert without["dns", "shop.example.com CAA for ca"].verdict is Verdict.UNKNOWN


def test_checkpoints_of_the_audit_trail(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that no checkpoint covers, since the first of them, however busy their chain is."""
    monkeypatch.setattr("perennial.inventory.audit.SHARDS", 1)
    for hours in (3, 1):
        at = NOW - timedelta(hours=hours)
        event = happened(
            at, principal="p", source="cli", action="managed.renew", subject_kind="managed", subject="shop"
        )
        audit.append(hub.inventory, event, at)
    if (NOW - timedelta(hours=3)).date() == NOW.date():
        assert "events since" in hub.examined()["audit", "checkpoints"].words


@pytest.mark.parametrize("text", ["[issuers]\nx = 1\n", "\x00", "[nothing]\n"])
def test_settings_that_cannot_be_used(hub: Hub, text: str) -> None:
    """Said once; issuers and DNS, which they would name, are left out."""
    hub.configure(text)
    found = hub.examined()
    assert found["settings", "perennial.toml"].verdict is Verdict.WRONG
    assert not {topic for topic, _ in found} & {"issuers", "dns"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Answer(200, b"<html>", content_type="text/html"), "text/html"),
        (Answer(200, b"{}"), "newNonce"),
        (Answer(200, b"[]"), "not a JSON object"),
    ],
)
def test_an_acme_server_that_is_none(hub: Hub, given: Answer, said: str) -> None:
    """It answers, and not as an ACME directory does: that is wrong, not unknown."""
    hub.server.answers[("GET", "/directory")] = given  # type: ignore[attr-defined]
    found = hub.examined()["issuers", "ca"]
    assert (found.verdict, said in found.words) == (Verdict.WRONG, True)


def test_an_acme_server_that_cannot_be_reached(hub: Hub) -> None:
    """From here: the functions ask from elsewhere."""
    hub.server.answers[("GET", "/directory")] = Answer(503, b"{}")  # type: ignore[attr-defined]
    assert hub.examined()["issuers", "ca"].verdict is Verdict.UNKNOWN


def test_where_nothing_is_deployed() -> None:
    """What is missing is wrong, everything else is unknown, and nothing is fine but who asks."""
    with mock_aws():
        clients = Clients(boto3.Session(region_name=REGION), attempts=1)

        def nobody() -> MeFacts:
            raise Unavailable("there is no API")

        found = examine(Asked(clients=clients, me=nobody, resolver=Unknown("none")), NOW)
    fine = {each.subject for each in found if each.verdict is Verdict.FINE}
    assert fine == {"caller"}
    assert any(each.verdict is Verdict.WRONG and "are not there" in each.words for each in found)


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not \x1b[31myou\nno"}}, "Anything"),
        EndpointConnectionError(endpoint_url="https://x"),
        ClientError({"Error": {"Code": "InternalFailure", "Message": "x" * 10_000}}, "Anything"),
        OSError(113, "No route to host"),
    ],
)
@pytest.mark.parametrize("parameters", [True, False])
def test_where_every_call_fails(hub: Hub, error: Exception, parameters: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the deployment is found: nothing raises, nothing is fine, and each reason is one bounded line."""

    call = BaseClient._make_api_call

    def fail(self: Any, name: str, arguments: Any) -> Any:
        if parameters and name == "GetParameters":
            return call(self, name, arguments)
        raise error

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", fail)
    hub.me = Unavailable("no API")
    found = hub.examined()
    assert verdicts(found, Verdict.FINE) == ({("deployment", "parameters")} if parameters else set())
    assert (len(found) > 20) == parameters
    for each in found.values():
        assert len(each.words) < 600
        assert len(each.words.splitlines()) == 1


def test_what_one_may_not(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A denial is told as one, with what it is needed for; the rest goes on."""
    call = BaseClient._make_api_call

    def deny(self: Any, name: str, arguments: Any) -> Any:
        if name == "GetObject":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, name)
        return call(self, name, arguments)

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", deny)
    found = hub.examined()
    assert found["permissions", "s3:GetObject"].verdict is Verdict.WARNING
    assert "apply" in found["permissions", "s3:GetObject"].advice
    assert found["settings", "perennial.toml"].verdict is Verdict.UNKNOWN
    assert "dynamodb:Query" in found["permissions", "your permissions"].words


# --- all at once, and no longer than a deadline ---


def test_answers_come_by_name() -> None:
    """Errors of others become unknown; more questions than threads are all answered."""

    def denied() -> None:
        raise AccessDenied("no")

    found = gathered({"no": denied, **{str(n): (lambda n=n: n) for n in range(100)}}, 60.0)
    assert found["no"] == Unknown("no")
    assert [found[str(n)] for n in range(100)] == list(range(100))
    assert gathered({}, 60.0) == {}


def test_a_question_without_answer_keeps_nobody() -> None:
    """It is unknown when the time is over; the others are answered."""
    end = threading.Event()
    try:
        found = gathered({"slow": lambda: end.wait(60), "quick": lambda: 1}, 0.5)
    finally:
        end.set()
    assert found == {"slow": Unknown("no answer within 0.5 s"), "quick": 1}


def test_a_fault_of_the_program_is_raised() -> None:
    """It is not taken for an unknown fact."""
    with pytest.raises(ZeroDivisionError):
        gathered({"fault": lambda: 1 // 0}, 60.0)


def test_the_whole_is_bounded() -> None:
    """Four rounds of questions: two minutes, as the command's help says."""
    assert 4 * doctor_gathering.SECONDS <= 120
