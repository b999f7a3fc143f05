"""The rules of REST APIs that need no running cloud: replies, policies, paths and names."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import pytest
import urllib3
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.api_calls import Credentials, signed
from local_cloud.edge import trust
from local_cloud.edge.aws_hosts import AwsHosts, _bound, is_served
from local_cloud.integration_hooks import throttle_methods
from local_cloud.object_lock_hooks import is_locked, lock_of
from local_cloud.patching import part
from local_cloud.rest_apis.events import IDENTITY, Arrival, complete, parameters, sent_path
from local_cloud.rest_apis.replies import MAX_INVOCATION, is_authorizer_result, is_proxy_reply, permits_invoking
from local_cloud.rest_apis.requests import REST

API_HOST = "abcd1234.execute-api.eu-west-1.amazonaws.com"
SEGMENT = st.text(max_size=12).map(lambda text: quote(text, safe=""))


@pytest.mark.parametrize(
    ("reply", "fits"),
    [
        ({"statusCode": 200}, True),
        ({"statusCode": "404", "body": None, "headers": None}, True),
        ({"statusCode": 200, "body": "x", "isBase64Encoded": False, "multiValueHeaders": {"A": ["1"]}}, True),
        ({"statusCode": 200, "headers": {"Retry-After": 5, "X": True}}, True),
        ({}, False),
        ({"body": "x"}, False),
        (None, False),
        ("text", False),
        ([], False),
        ({"statusCode": 200, "body": {"a": 1}}, False),
        ({"statusCode": 200, "headers": {"A": ["1"]}}, False),
        ({"statusCode": 200, "headers": []}, False),
        ({"statusCode": 200, "multiValueHeaders": {"A": "1"}}, False),
        ({"statusCode": 200, "isBase64Encoded": "false"}, False),
        ({"statusCode": 99}, False),
        ({"statusCode": 600}, False),
        ({"statusCode": True}, False),
        ({"statusCode": 200.5}, False),
        ({"statusCode": "OK"}, False),
        ({"statusCode": 200, "cookies": []}, False),
        ({"statusCode": 200, "body": "x" * MAX_INVOCATION}, False),
    ],
)
def test_proxy_reply(reply: Any, fits: bool) -> None:
    """A reply has a status, and no member of another kind than API Gateway reads."""
    assert is_proxy_reply(reply) is fits


@pytest.mark.parametrize(
    ("result", "fits"),
    [
        ({"principalId": "ada"}, True),
        ({"context": None}, True),
        ({"context": {"a": "1", "b": 2, "c": True, "d": None}}, True),
        ({"context": {"a": []}}, False),
        ({"context": {"a": {"b": 1}}}, False),
        ({"context": []}, True),
        ({"context": ["a"]}, False),
        (None, False),
        ("Allow", False),
    ],
)
def test_authorizer_result(result: Any, fits: bool) -> None:
    """The context of an authorizer is flat."""
    assert is_authorizer_result(result) is fits


@pytest.mark.parametrize(
    ("action", "permits"),
    [
        ("execute-api:Invoke", True),
        ("execute-api:invoke", True),
        ("execute-api:*", True),
        (["s3:GetObject", "execute-api:Invoke"], True),
        ("*", True),
        ("s3:*", False),
        ("execute-api:ManageConnections", False),
        ([], False),
        (None, False),
    ],
)
def test_action_of_an_authorizers_policy(action: Any, permits: bool) -> None:
    """A statement about anything else than invoking allows nothing."""
    assert permits_invoking(action) is permits


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/v1/managed/%2A", "/managed/%2A"),
        ("/v1/", "/"),
        ("/v1", "/"),
        ("/v1/v1/a", "/v1/a"),
        ("/_aws/execute-api/abcd1234/v1/a%2Fb/", "/a%2Fb/"),
        ("/restapis/abcd1234/v1/_user_request_/a", "/a"),
        ("/of-a-custom-domain/v1/a", None),
        ("/v10/a", None),
    ],
)
def test_path_below_the_stage(raw: str, path: str | None) -> None:
    """The stage is taken off wherever the request came in, and nothing is decoded."""
    assert sent_path(raw, "abcd1234", "v1") == path


@pytest.mark.parametrize(
    ("resource", "path", "found"),
    [
        ("/", "/", None),
        ("/me", "/me", None),
        ("/{proxy+}", "/a/b%2Fc", {"proxy": "a/b%2Fc"}),
        ("/managed/{name}", "/managed/%2A.example.com", {"name": "%2A.example.com"}),
        ("/managed/{name}/{rest+}", "/managed/a/versions/3", {"name": "a", "rest": "versions/3"}),
    ],
)
def test_path_parameters(resource: str, path: str, found: dict[str, str] | None) -> None:
    """Parameters are pieces of the path as it was sent."""
    assert parameters(resource, path) == found


@given(st.lists(SEGMENT, min_size=1, max_size=5))
def test_proxy_parameter_is_the_whole_path(segments: list[str]) -> None:
    """Whatever is below the stage is one parameter of {proxy+}, letter by letter."""
    path = "/" + "/".join(segments)
    assert sent_path(f"/v1{path}", "abcd1234", "v1") == path
    assert parameters("/{proxy+}", path) == {"proxy": path[1:]}


def test_client_does_not_choose_its_address() -> None:
    """X-Forwarded-For of the client is told, and not believed; its signature is not told."""
    headers = {"x-forwarded-for": ["192.0.2.1"], "authorization": ["AWS4-HMAC-SHA256 …"], "x-forwarded-proto": ["http"]}
    event = {
        "path": "/a",
        "resource": "/{proxy+}",
        "multiValueHeaders": headers,
        "requestContext": {"stage": "v1", "identity": {"sourceIp": "192.0.2.1", "userAgent": ""}},
    }
    arrival = Arrival(host=API_HOST, path="/a", address="127.0.0.1", request_id="r")
    made = complete(event, arrival, {"deploymentId": "d"}, is_signed=True)
    identity = made["requestContext"]["identity"]
    assert (identity["sourceIp"], identity["userAgent"]) == ("127.0.0.1", None)
    assert set(identity) == set(IDENTITY)
    assert made["headers"]["X-Forwarded-For"] == "192.0.2.1, 127.0.0.1"
    assert made["headers"]["X-Forwarded-Proto"] == "https"
    assert "authorization" not in made["headers"]


def test_signature_is_for_the_region_of_the_api() -> None:
    """A request is signed for API Gateway in the region that the host name tells, with the session's token."""
    keys = Credentials(arn="", access_key="ASIAEXAMPLE", secret_key="secret", token="token")
    made = signed(keys, "GET", f"https://{API_HOST}/v1/me")
    assert "/eu-west-1/execute-api/aws4_request" in made["Authorization"]
    assert made["X-Amz-Security-Token"] == "token"


def test_secrets_are_not_shown() -> None:
    """What is printed of credentials tells neither secret nor token."""
    keys = Credentials(arn="arn", access_key="AKIA", secret_key="hidden", token="covert")
    assert not {"hidden", "covert"} & set(repr(keys).replace("'", " ").split())
    assert "hidden" not in repr(keys) and "covert" not in repr(keys)
    assert keys.env["AWS_SESSION_TOKEN"] == "covert"


@pytest.mark.parametrize(
    ("properties", "locked", "retention"),
    [
        ({}, False, None),
        ({"ObjectLockEnabled": False}, False, None),
        ({"ObjectLockEnabled": "true"}, True, None),
        (
            {
                "ObjectLockEnabled": True,
                "ObjectLockConfiguration": {"Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": "30"}}},
            },
            True,
            {"Mode": "COMPLIANCE", "Days": 30},
        ),
    ],
)
def test_object_lock_of_a_template(properties: dict[str, Any], locked: bool, retention: Any) -> None:
    """Numbers and booleans of a template may be texts."""
    assert is_locked(properties) is locked
    assert lock_of(properties)["default_retention"] == retention


@pytest.mark.parametrize(
    ("path", "method", "burst"),
    [("/slow", "GET", 2), ("/slow", "POST", 9), ("/{proxy+}", "GET", 5), ("/", "GET", 9)],
)
def test_limits_of_a_method(monkeypatch: pytest.MonkeyPatch, path: str, method: str, burst: int) -> None:
    """A method has its own limits, else those of ANY on its path, else those of the stage."""
    name = "_method_throttle_settings"
    monkeypatch.setattr(f"{REST}.{name}", part("tests", REST, name))  # so that what the hook puts there goes again
    throttle_methods()
    bursts = {"*/*": 9, "/~1slow/GET": 2, "/~1{proxy+}/ANY": 5}
    stage = {"methodSettings": {key: {"throttlingBurstLimit": value} for key, value in bursts.items()}}
    assert part("tests", REST, name)(stage, path, method) == {"throttlingBurstLimit": burst}


# --- AWS's names at the edge ---


@pytest.mark.parametrize(
    ("host", "served"),
    [
        (API_HOST, True),
        (API_HOST.upper(), True),
        ("cognito-idp.eu-central-1.amazonaws.com", True),
        ("cognito-idp.eu-central-1.amazonaws.com.", True),
        ("sts.eu-west-1.amazonaws.com", False),
        ("execute-api.eu-west-1.amazonaws.com", False),
        (f"{API_HOST}.example.com", False),
        (f"www.{API_HOST}", False),
        ("www.example.com", False),
    ],
)
def test_names_that_are_served(host: str, served: bool) -> None:
    """REST APIs and user pools alone are served; every other name of AWS is left to whoever answers for it."""
    assert is_served(host) is served


class Endpoint(BaseHTTPRequestHandler):
    """A local cloud that answers with the host and the path that it was asked for."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        told = f"{self.headers['Host']} {self.path} {len(body)}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def hosts() -> Iterator[AwsHosts]:
    """AWS's names before an endpoint of the test's own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield AwsHosts(("127.0.0.1", server.server_port))
    server.shutdown()
    server.server_close()


def asked(hosts: AwsHosts, name: str, body: bytes = b"") -> str:
    """What the endpoint answers under a name, over verified TLS."""
    address, port = hosts.address()
    with urllib3.HTTPSConnectionPool(
        address, port, server_hostname=name, assert_hostname=name, ca_cert_data=hosts.root(), retries=False, timeout=10
    ) as pool:
        return pool.request("POST", "/v1/%2A", body=body, headers={"Host": name}).data.decode()


def test_request_is_handed_on_as_it_is(hosts: AwsHosts) -> None:
    """The endpoint gets the host, the encoded path and a large body."""
    assert asked(hosts, API_HOST, b"x" * 3_000_000) == f"{API_HOST} /v1/%2A 3000000"
    assert asked(hosts, "cognito-idp.eu-west-1.amazonaws.com").startswith("cognito-idp.eu-west-1.amazonaws.com ")


@pytest.mark.parametrize("name", ["sts.eu-west-1.amazonaws.com", "www.example.com"])
def test_other_names_end_the_handshake(hosts: AwsHosts, name: str) -> None:
    """For a name that is not served there is no certificate."""
    with pytest.raises(urllib3.exceptions.SSLError):
        asked(hosts, name)


def test_root_is_for_names_of_aws(hosts: AwsHosts) -> None:
    """The root could certify nothing else, and no further CA."""
    root = x509.load_pem_x509_certificate(hosts.root().encode())
    constraints = root.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees == [x509.DNSName("amazonaws.com")]
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_address_is_of_loopback(hosts: AwsHosts) -> None:
    """The server is bound to loopback, and stays where it is."""
    assert hosts.address()[0].startswith("127.")
    assert hosts.address() == hosts.address()


def test_trust_ends_and_is_for_public_roots_alone(monkeypatch: pytest.MonkeyPatch, hosts: AwsHosts) -> None:
    """A context with the public roots trusts the cloud too; one with roots of its own, or made later, does not."""
    import certifi

    monkeypatch.setattr(trust, "_asked", lambda url: hosts.root())
    undo = trust.install(lambda: "http://127.0.0.1:1")
    try:
        public = [ssl.create_default_context(), ssl.create_default_context(cafile=certifi.where())]
        own = ssl.create_default_context(cadata=hosts.root())
        serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    finally:
        undo()
    later = ssl.create_default_context(cafile=certifi.where())
    assert [_trusts(each) for each in (*public, later, serving)] == [True, True, False, False]
    assert len(own.get_ca_certs()) == 1


def _trusts(context: ssl.SSLContext) -> bool:
    return "Local cloud" in str(context.get_ca_certs())


def test_cloud_that_is_down_adds_no_trust() -> None:
    """Where no cloud answers, the public roots are all there is."""
    undo = trust.install(lambda: "http://127.0.0.1:1")
    try:
        assert not _trusts(ssl.create_default_context())
    finally:
        undo()


def test_edge_sends_at_once() -> None:
    """Nagle's algorithm is off on a connection to it: a reply in two pieces would wait for the client's ACK."""

    async def option() -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            told.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        bound = _bound("127.0.0.1")
        async with await asyncio.start_server(connected, sock=bound):
            _, writer = await asyncio.open_connection(*bound.getsockname())
            found = await asyncio.wait_for(told, 30)
            writer.close()
        return found

    assert asyncio.run(option())
