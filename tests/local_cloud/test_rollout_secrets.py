"""Nothing secret is in anything that deploying writes: not after rollouts to places that hold keys, through a webhook,
and back again as AWS refuses with an error that quotes the key."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from subprocess import Popen
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from deployed import until
from deploying_hub import DeployingHub, Json, old, old_root, toml
from written_texts import Search, held

from key_search import Known
from perennial.inventory.records import RolloutState
from webhook_agent import Agent, agents

pytest_plugins = ["deploying_plugin"]
pytestmark = [pytest.mark.local_cloud, pytest.mark.xdist_group("deploying")]

KEY = base64.b64encode(b"a webhook's key of 36 bytes, exactly").decode()
PAUSE = 0.1  # seconds between two looks of the agent


@dataclass(frozen=True)
class Deployed:
    """A version that was deployed to places that hold keys, and one that came back from them."""

    agent: Agent
    texts: tuple[str, ...]  # secrets that are no private keys
    versions: tuple[str, ...]  # private keys (PEM)
    container: Json  # what the secret of a container holds
    before: Json  # what the consumer's secret held before


@pytest.fixture(scope="module")
def deployed(deploying: DeployingHub, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """Both rollouts, asked for with the command."""
    secrets, site = deploying.client("secretsmanager"), deploying.site("keys")
    secrets.create_secret(Name="perennial/webhooks/agent", SecretString=json.dumps({"key": f"whsec_{KEY}"}))
    before = old("keys-mail.example.com")
    content = {"private_key": before.key_pem, "certificate": before.pem, "chain": old_root().pem}
    for name, text in (("keys/mail", json.dumps(content)), ("keys/box", "{}")):
        secrets.create_secret(Name=name, SecretString=text, Tags=[{"Key": "perennial:target", "Value": "yes"}])
    with agents() as serve:
        agent = serve(secrets=secrets, key=base64.b64decode(KEY), report=_report(deploying), clock=_seconds)
        hook = {"kind": "webhook", "name": "hook", "url": agent.url, "secret": "perennial/webhooks/agent"}
        targets = (
            {"kind": "secretsmanager", "name": "mail", "secret": "keys/mail"},
            {"kind": "secretsmanager", "name": "box", "secret": "keys/box", "format": "pkcs12"},
            {**hook, "proof": "read-back"},
            site.target(),
        )
        file = tmp_path_factory.mktemp("keys") / "targets.toml"
        file.write_text(toml(*targets))
        first = deploying.issue("keys", 1, site.host)
        _deploy(deploying, agent, 0, "--targets", str(file))
        container = json.loads(secrets.get_secret_value(SecretId="keys/box")["SecretString"])
        second = deploying.issue("keys", 2, site.host)
        _quote(deploying, second.private_key)
        _deploy(deploying, agent, 2)
    versions = (first.private_key, second.private_key)
    return Deployed(agent, (KEY, str(container["password"])), versions, container, content)


def _seconds() -> int:
    return int(time.time())


def _report(deploying: DeployingHub) -> Any:
    """Reports go to the deployed HTTP API."""
    (api,) = deploying.client("apigatewayv2").get_apis()["Items"]

    def report(event_id: str, headers: Mapping[str, str], body: bytes) -> int:
        url = f"{deploying.cloud.url}/_aws/execute-api/{api['ApiId']}/$default/callbacks/{event_id}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, dict(headers)), timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return int(error.code)

    return report


def _deploy(deploying: DeployingHub, agent: Agent, code: int, *arguments: str) -> None:
    """The command, while the tick and the agent do what is theirs."""
    number = len(deploying.deployment.inventory.rollouts("keys")) + 1
    running = deploying.begin("deploy", "keys", "--wait", *arguments)
    deploying.asked("keys", number)
    deploying.tick()
    until(lambda: _worked(agent, running), "the end of the command", pause=PAUSE)
    deploying.end(running, code)


def _worked(agent: Agent, running: Popen[str]) -> bool:
    agent.work()
    return running.poll() is not None


def _quote(deploying: DeployingHub, key: str) -> None:
    """ACM refuses the next import with an error that quotes the key, as its parser of requests does."""
    body = "".join(key.splitlines()[1:-1])
    message = f"1 validation error detected: Value at 'privateKey' failed: {key} is no key, nor is {body}"
    fault = {"service": "acm", "operation": "ImportCertificate", "error_code": "ValidationException"}
    deploying.cloud.open("/_fakes/inject", {**fault, "message": message}).close()


def test_it_was_deployed_and_came_back(deploying: DeployingHub, deployed: Deployed) -> None:
    """The places had the key of the first version, each in its form, and have it again after the second one failed."""
    inventory = deploying.deployment.inventory
    second, first = inventory.rollouts("keys")
    assert (first.state, second.state, second.reason) == (RolloutState.DEPLOYED, RolloutState.RETURNED, "refused")
    assert "acm:ImportCertificate" in second.message
    secrets = deploying.client("secretsmanager")
    held_now = {
        name: json.loads(secrets.get_secret_value(SecretId=f"keys/{name}")["SecretString"]) for name in ("mail", "box")
    }
    assert held_now["mail"]["private_key"] == deployed.versions[0]
    assert held_now["box"] == deployed.container
    assert deployed.agent.serves is not None
    assert deployed.agent.serves[1] == deployed.versions[0]
    assert set(deployed.agent.statuses) == {200}


def test_no_key_is_in_anything_that_was_written(deploying: DeployingHub, deployed: Deployed, search: Search) -> None:
    """No log, workflow history, event, table item, object or output of the command shows a private key of any version,
    the webhook's key or a container's password; and each was searched, not empty."""
    for arguments in (
        ("rollouts", "keys", "--all"),
        ("rollouts", "keys", "--json"),
        ("proof", "show", "keys", "--json"),
    ):
        deploying.command(*arguments)
    keys = [load_pem_private_key(each.encode(), None) for each in (*deployed.versions, deployed.before["private_key"])]
    written = search.written()
    print({where: f"{len(texts)} texts, {sum(map(len, texts))} characters" for where, texts in written.items()})
    assert all(written[where] for where in ("logs", "table", "executions", "command", "records", "queue keys-default"))
    assert search.places(Known.of(keys, deployed.texts), written) == {}
    assert search.places(held(deploying.hub), written) == {}


def test_no_key_is_in_an_event_to_the_webhook(deployed: Deployed) -> None:
    """What the receiver was sent names a secret's version, and shows neither its key nor the one of the webhook."""
    known = Known.of([load_pem_private_key(each.encode(), None) for each in deployed.versions], [KEY])
    assert len(deployed.agent.came) >= 3
    assert not any(known.shown_in(repr(each)) for each in deployed.agent.came)


def test_a_planted_key_is_found(deploying: DeployingHub, search: Search) -> None:
    """A key that is put into each place that is searched is found in each of them."""
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    hub, known = deploying.hub, Known.of([key])
    hub.client("s3").put_object(Bucket=hub.outputs["BucketName"], Key="planted", Body=text.encode())
    hub.client("dynamodb").put_item(
        TableName=hub.outputs["TableName"],
        Item={"pk": {"S": "PLANTED"}, "sk": {"S": "PLANTED"}, "content": {"B": text.encode()}},
    )
    event = {"Source": "planted", "DetailType": "planted", "Detail": json.dumps({"key": text})}
    hub.client("events").put_events(Entries=[event, {**event, "EventBusName": "perennial"}])
    hub.client("sns").publish(TopicArn=hub.outputs["TopicArn"], Message=text)
    hub.finish(deploying.start(text, "planted"))
    deploying.said.append(text)

    def everywhere() -> bool:
        written = search.written()
        return set(search.places(known, written)) >= set(written) - {"records"}

    until(everywhere, "the key in every place", seconds=20, pause=0.5)
