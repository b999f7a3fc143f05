"""schemathesis against the deployed API: no error of ours, and no reply that the document does not have, for each role.

Requests go over TLS through the local cloud's API Gateway: signed by sessions of roles of IAM, each with one of our
roles in its tag, with the token of a person of the user pool, and by nobody. What there is of the document, its limits
and chance, tests/layers/perennial/api/test_schema.py asks of the handler itself; here are fewer cases, and the replies
of API Gateway itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import requests
from deployed import ACCOUNTS, HUB_ACCOUNT, REGION, SETTINGS, Hub, deployed_as
from requests.adapters import BaseAdapter
from urllib3 import HTTPSConnectionPool

from local_cloud.api_calls import Credentials, signed
from local_cloud.cloud import Cloud
from local_cloud.people import principal, token
from perennial.deployment import Deployment
from perennial.roles import Role
from schema_calls import answer
from schema_cases import LABELS, covering, drawn, judge, operation_of
from schema_known import ROLES, Known, allowed, configuration, grant

pytestmark = [pytest.mark.local_cloud, pytest.mark.xdist_group("api-schema")]
GROUP, PERSON, NOBODY, STRANGER = "organisation", "a person", "nobody", "a stranger"
DISCOVERY = """
[discovery]
accounts = {accounts}
regions = ["{region}"]

[api.groups]
{group} = ["{role}"]
"""
EVERY = 12  # of the cases of the limits
PATIENCE = 20  # seconds for which 429 is waited out
REFUSED = {NOBODY: 403, STRANGER: 401}  # by API Gateway: no signature; a token that is none


class Edge(BaseAdapter):
    """Sends to the local cloud's edge, where its host names are. Only what AWS needs is signed, as by many clients."""

    def __init__(self, cloud: Cloud, url: str, credentials: Credentials | None = None, bearer: str = "") -> None:
        super().__init__()
        self._credentials, self._bearer = credentials, bearer
        host = urlsplit(url).hostname or ""
        with cloud.open(f"/_local_cloud/edge/resolve?{urlencode({'host': host, 'port': 443})}") as answer:
            address, port = json.load(answer)[0]
        with cloud.open("/_local_cloud/edge/root") as answer:
            root = answer.read().decode()
        self._pool = HTTPSConnectionPool(
            address, port, server_hostname=host, assert_hostname=host, ca_cert_data=root, retries=False, timeout=60
        )

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        parts = urlsplit(str(request.url))
        query = parts.query.replace("+", "%20")  # `requests` has + for a space, what is signed has not
        target = parts.path + (f"?{query}" if query else "")
        own = self._own(str(request.method), f"https://{parts.hostname}{target}", body)
        got = self._got(str(request.method), target, body, {**request.headers, **own, "Host": str(parts.hostname)})
        return answer(request, got.status, got.headers.itermerged(), got.data)

    def _own(self, method: str, url: str, body: bytes) -> dict[str, str]:
        """The headers that say who asks."""
        if self._credentials:
            return signed(self._credentials, method, url, body)
        return {"Authorization": f"Bearer {self._bearer}"} if self._bearer else {}

    def _got(self, method: str, target: str, body: bytes, headers: dict[str, Any]) -> Any:
        """The reply; API Gateway's limits of rate are waited out."""
        end = time.monotonic() + PATIENCE
        while True:
            got = self._pool.request(method, target, body=body or None, headers=headers, redirect=False)
            if got.status != 429 or time.monotonic() > end:
                return got
            time.sleep(0.5)

    def close(self) -> None:
        self._pool.close()


@dataclass
class Asked:
    """The deployed API: where each asks, and with what."""

    known: Known
    urls: Mapping[str, str]
    sessions: Mapping[str, requests.Session]

    def send(self, case: Any, who: str) -> Any:
        """The reply, which is judged."""
        response = case.call(base_url=self.urls[who], session=self.sessions[who])
        judge(case, response, who)
        assert response.status_code == REFUSED.get(who, response.status_code)
        return response


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    cloud = Cloud(tmp_path_factory.mktemp("schema") / "cloud")
    cloud.start(settings=SETTINGS)
    try:
        more = {"accounts": json.dumps(list(ACCOUNTS)), "region": REGION, "group": GROUP, "role": Role.ADMIN}
        hub = deployed_as(cloud, configuration() + DISCOVERY.format(**more))
        _let_discovery_rest(hub)
        with reached(cloud, hub) as deployment:
            yield Asked(Known(deployment, lambda: datetime.now(UTC)).filled(), *_askers(cloud, hub))
    finally:
        cloud.stop()


def _let_discovery_rest(hub: Hub) -> None:
    """Only the API is asked here: what it starts ends at once."""
    rest = {"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}
    machine = hub.outputs["DiscoveryArn"]
    hub.client("stepfunctions").update_state_machine(stateMachineArn=machine, definition=json.dumps(rest))


@contextmanager
def reached(cloud: Cloud, hub: Hub) -> Iterator[Deployment]:
    """The deployment, as this process reaches it."""
    settings = hub.client("ssm").get_parameter(Name="/perennial/settings")["Parameter"]["Value"]
    bucket, _, key = settings.partition("/")
    with pytest.MonkeyPatch.context() as patched:
        for name, value in cloud.env(HUB_ACCOUNT, REGION).items():
            patched.setenv(name, value)
        yield Deployment(
            {
                "PERENNIAL_TABLE": hub.outputs["TableName"],
                "PERENNIAL_SETTINGS_BUCKET": bucket,
                "PERENNIAL_SETTINGS_KEY": key,
            }
        )


def _askers(cloud: Cloud, hub: Hub) -> tuple[dict[str, str], dict[str, requests.Session]]:
    """Where each asks, and with what: one for each role, a person, someone whose token is none, and nobody."""
    machines, people = hub.outputs["ApiUrl"], hub.outputs["PeopleApiUrl"]
    edges = {str(role): Edge(cloud, machines, _principal(cloud, role)) for role in ROLES}
    edges[NOBODY] = Edge(cloud, machines)
    edges[PERSON] = Edge(cloud, people, bearer=token(cloud, "grace@example.com", [GROUP], email="grace@example.com"))
    edges[STRANGER] = Edge(cloud, people, bearer="a.b.c")
    urls = {who: people if who in (PERSON, STRANGER) else machines for who in edges}
    return {who: url.rstrip("/") for who, url in urls.items()}, {who: _session(each) for who, each in edges.items()}


def _principal(cloud: Cloud, role: Role) -> Credentials:
    return principal(cloud, HUB_ACCOUNT, f"schema-{role}", {"perennial:roles": grant(role)}, session="schema")


def _session(edge: Edge) -> requests.Session:
    made = requests.Session()
    made.trust_env = False
    made.mount("https://", edge)
    return made


@pytest.mark.parametrize("label", LABELS)
def test_each_operation(asked: Asked, label: str) -> None:
    """Each operation succeeds for each role that may ask for it, and for no other; whatever else it is asked, its reply
    is one of the document's."""
    operation = operation_of(label)
    good, *others = [*drawn(operation, "positive", 2), *drawn(operation, "negative", 1)]
    who_may = {*allowed(label), *((PERSON,) if str(Role.ADMIN) in allowed(label) else ())}
    for who in asked.sessions:
        response = asked.send(asked.known.fit(label, good), who)
        assert (response.status_code < 300) is (who in who_may), f"{who}: {response.content}"
    for case in others:
        for who in asked.sessions:
            asked.send(case, who)
    for case in covering(operation)[::EVERY]:
        asked.send(case, allowed(label)[0])
