"""Port 80 of the local cloud's load balancers: rules in their order, and real requests answered by a function."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from local_cloud import http_bridge
from local_cloud.cloud import HUB_ACCOUNT, Cloud
from local_cloud.http_bridge import Reply, Request, from_function, matches, serve, serving

pytestmark = pytest.mark.local_cloud

HERE = "eu-west-3"  # where no other test has load balancers
KIND = "AWS::ElasticLoadBalancingV2::"
ECHO = """
import json
def handler(event, context):
    if event["path"].endswith("/fail"):
        raise ValueError("inside")
    if event["path"].endswith("/odd"):
        return {"body": "no status"}
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(event)}
"""
GROUP = f"arn:aws:elasticloadbalancing:{HERE}:{HUB_ACCOUNT}:targetgroup/"


def request(path: str = "/", method: str = "GET", host: str = "shop.example.com:80") -> Request:
    return Request(method, path, "", {"host": host}, b"", "127.0.0.1")


# --- which rule, and what answers ---


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"Field": "path-pattern", "Values": ["/a/*"]}, True),
        ({"Field": "path-pattern", "PathPatternConfig": {"Values": ["/x", "/a/?"]}}, True),
        ({"Field": "path-pattern", "Values": ["/A/*"]}, False),
        ({"Field": "path-pattern", "Values": ["/a/[b]"]}, False),
        ({"Field": "path-pattern", "Values": ["/a"]}, False),
        ({"Field": "host-header", "Values": ["*.EXAMPLE.com"]}, True),
        ({"Field": "host-header", "HostHeaderConfig": {"Values": ["example.com"]}}, False),
        ({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET"]}}, True),
        ({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["POST"]}}, False),
        ({"Field": "source-ip", "SourceIpConfig": {"Values": ["0.0.0.0/0"]}}, False),
    ],
)
def test_conditions(condition: Mapping[str, Any], expected: bool) -> None:
    """Each condition is compared as a load balancer compares it; one that is not known never holds."""
    assert matches([condition], request("/a/b")) is expected
    assert matches([condition, {"Field": "path-pattern", "Values": ["/other"]}], request("/a/b")) is False


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"statusCode": 200, "body": "x"}, Reply(200, b"x", ())),
        ({"statusCode": "404"}, Reply(404, b"", ())),
        ({"statusCode": 200, "body": "eA==", "isBase64Encoded": True}, Reply(200, b"x", ())),
        ({"statusCode": 200, "multiValueHeaders": {"a": ["1", "2"]}}, Reply(200, b"", (("a", "1"), ("a", "2")))),
    ],
)
def test_answers_of_functions(payload: Any, expected: Reply) -> None:
    """A function's answer becomes the reply."""
    assert from_function(json.dumps(payload).encode()) == expected


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b'"text"', b"{}", b'{"statusCode": 42}', b'{"statusCode": "x"}', b'{"statusCode": 200, '
     b'"body": "?", "isBase64Encoded": true}', b'{"statusCode": 200, "body": "' + b"x" * 1_000_001 + b'"}'],
    ids=lambda payload: payload[:40].decode(),
)  # fmt: skip
def test_no_answers(payload: bytes) -> None:
    """Whatever else a function returns is a 502."""
    assert from_function(payload).status == 502


def test_the_server() -> None:
    """Requests arrive with method, path, query, headers and body; HEAD is answered without a body."""
    seen: list[Request] = []

    def echo(received: Request) -> Reply:
        seen.append(received)
        return Reply(200, b"text", (("X-A", "1"), ("Content-Length", "9")))

    with serving(echo) as port:
        for method, data in (("POST", b"body"), ("HEAD", None)):
            made = urllib.request.Request(f"http://127.0.0.1:{port}/a%20b?c=d", data, {"X-B": "2"}, method=method)
            with urllib.request.urlopen(made, timeout=10) as answer:
                assert (answer.status, answer.headers["X-A"], answer.headers["Content-Length"]) == (200, "1", "4")
                assert answer.read() == (b"text" if method == "POST" else b"")
    assert [(each.method, each.path, each.query, each.headers["x-b"], each.body) for each in seen] == [
        ("POST", "/a%20b", "c=d", "2", b"body"),
        ("HEAD", "/a%20b", "c=d", "2", b""),
    ]
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1)


# --- in the local cloud ---


def stack(*, permitted: str) -> dict[str, Any]:
    """A load balancer whose port 80 redirects, and a rule to a function, as infra/http01.py makes it."""
    assume = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "*"}]}
    redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    function, permission = {"Fn::GetAtt": ["Function", "Arn"]}, "elasticloadbalancing.amazonaws.com"
    fixed = {"StatusCode": "410", "ContentType": "text/plain", "MessageBody": "gone"}
    resources: dict[str, tuple[str, dict[str, Any]]] = {
        "Role": ("AWS::IAM::Role", {"AssumeRolePolicyDocument": assume}),
        "Function": (
            "AWS::Lambda::Function",
            {
                "Runtime": "python3.13",
                "Handler": "index.handler",
                "Code": {"ZipFile": ECHO},
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            },
        ),
        "Permission": (
            "AWS::Lambda::Permission",
            {
                "Action": "lambda:InvokeFunction",
                "FunctionName": function,
                "Principal": permission,
                "SourceAccount": HUB_ACCOUNT,
                "SourceArn": f"{GROUP}{permitted}/*",
            },
        ),
        "Group": (f"{KIND}TargetGroup", {"Name": "bridged", "TargetType": "lambda", "Targets": [{"Id": function}]}),
        "Balancer": (f"{KIND}LoadBalancer", {"Name": "bridged", "Subnets": ["subnet-1", "subnet-2"]}),
        "Listener": (
            f"{KIND}Listener",
            {
                "LoadBalancerArn": {"Ref": "Balancer"},
                "Port": 80,
                "Protocol": "HTTP",
                "DefaultActions": [{"Type": "redirect", "RedirectConfig": redirect}],
            },
        ),
        "Rule": (f"{KIND}ListenerRule", rule(50, "/.well-known/acme-challenge/*", {"Ref": "Group"})),
        "First": (
            f"{KIND}ListenerRule",
            {
                **rule(9, "/.well-known/acme-challenge/gone", None),
                "Actions": [{"Type": "fixed-response", "FixedResponseConfig": fixed}],
            },
        ),
    }
    made = {name: {"Type": kind, "Properties": properties} for name, (kind, properties) in resources.items()}
    made["Group"] |= {"DependsOn": "Permission"}  # type: ignore[operator]
    return {"Resources": made}


def rule(priority: int, path: str, group: Any) -> dict[str, Any]:
    condition = {"Field": "path-pattern", "PathPatternConfig": {"Values": [path]}}
    actions = [{"Type": "forward", "TargetGroupArn": group}]
    return {"ListenerArn": {"Ref": "Listener"}, "Priority": priority, "Conditions": [condition], "Actions": actions}


@pytest.fixture
def port(cloud: Cloud, permitted: str) -> Iterator[int]:
    """The port of a bridge to the stack, in a region of this file's own."""
    formation = cloud.client("cloudformation", region=HERE)
    formation.create_stack(StackName="bridged", TemplateBody=json.dumps(stack(permitted=permitted)))
    formation.get_waiter("stack_create_complete").wait(StackName="bridged", WaiterConfig={"Delay": 1})
    with serve(cloud, region=HERE) as port:
        yield port
    formation.delete_stack(StackName="bridged")
    formation.get_waiter("stack_delete_complete").wait(StackName="bridged", WaiterConfig={"Delay": 1})


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def get(port: int, path: str) -> tuple[int, Mapping[str, str], str]:
    """Status, headers and body; redirects are not followed."""
    made = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": "shop.example.com", "X-A": "1"})
    try:
        with urllib.request.build_opener(_Stay()).open(made, timeout=60) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


@pytest.mark.parametrize("permitted", ["bridged"])
def test_requests(port: int) -> None:
    """A request reaches the function of the first rule that matches, in a load balancer's event; others the default."""
    path = "/.well-known/acme-challenge"
    status, headers, body = get(port, f"{path}/token?a=b")
    event = json.loads(body)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert (event["httpMethod"], event["path"], event["queryStringParameters"]) == ("GET", f"{path}/token", {"a": "b"})
    assert event["requestContext"]["elb"]["targetGroupArn"].startswith(f"{GROUP}bridged/")
    assert (event["headers"]["host"], event["headers"]["x-a"]) == ("shop.example.com", "1")
    assert event["headers"]["x-forwarded-proto"] == "http"
    assert get(port, f"{path}/gone")[::2] == (410, "gone")
    assert [get(port, f"{path}/{name}")[0] for name in ("fail", "odd")] == [502, 502]
    assert "inside" not in get(port, f"{path}/fail")[2]
    status, headers, _ = get(port, "/shop?a=b")
    assert (status, headers["Location"]) == (301, "https://shop.example.com:443/shop?a=b")


@pytest.mark.parametrize("permitted", ["another-group"])
def test_no_permission(port: int) -> None:
    """A function that does not let the load balancer call it for this target group is not called."""
    status, _, body = get(port, "/.well-known/acme-challenge/token")
    assert (status, "has no permission to call" in body) == (502, True)


def test_no_listener(cloud: Cloud) -> None:
    """Without a listener on port 80 the answer says so."""
    with serve(cloud, region="eu-north-1") as port:
        assert get(port, "/")[0] == 503
    assert http_bridge.PORT == 80
