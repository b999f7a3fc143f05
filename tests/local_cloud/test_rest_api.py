"""REST APIs in the local cloud refuse what API Gateway refuses, and give functions what it gives them."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import sys
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.api_calls import Credentials, Reply, call, root, send, signed
from local_cloud.cloud import HUB_ACCOUNT, MEMBER_ACCOUNT, REGION, SCRIPTS, Cloud, CloudError
from local_cloud.deploy import App, deploy
from local_cloud.edge import resolving, trusting
from local_cloud.people import SignIn, principal, sign_in, token
from perennial import jwks, tokens
from perennial.api_settings import user_pool
from perennial.identity import caller
from perennial.principal_tags import PrincipalTags

pytestmark = [pytest.mark.local_cloud, pytest.mark.xdist_group("rest-apis")]

REST = Path(__file__).parent / "rest_app"
STRANGER = "333333333333"  # an account that the API's resource policy does not name
INTERNAL = {"message": "Internal server error"}


@pytest.fixture(scope="session")
def rest(cloud: Cloud) -> dict[str, str]:
    """The outputs of the app with the REST APIs."""
    outputs = deploy(cloud, App(REST))["Rest"]
    return {name.removesuffix("Output"): value for name, value in outputs.items()}


@pytest.fixture(scope="session")
def ada(cloud: Cloud) -> Credentials:
    """A user who may invoke every API."""
    return principal(cloud, HUB_ACCOUNT, "rest-ada", {"perennial:roles": "viewer@shop-team"})


@pytest.fixture(scope="session")
def session(cloud: Cloud) -> Credentials:
    """A session of a role that may invoke every API."""
    return principal(cloud, HUB_ACCOUNT, "rest-pipeline", {"perennial:roles": "requester"}, session="build-17")


def event_of(reply: Reply) -> dict[str, Any]:
    """The event that the function was given."""
    assert reply.status == 200, reply.body
    return dict(reply.json()["event"])


def identity_of(reply: Reply) -> dict[str, Any]:
    """Who asked, as the function was told."""
    return dict(event_of(reply)["requestContext"]["identity"])


def refusal(reply: Reply) -> tuple[int, str, str]:
    """The status, the error type and the message of a refusal."""
    body = reply.json()
    return reply.status, reply.headers["x-amzn-errortype"], body.get("message") or body.get("Message") or ""


# --- AWS_IAM ---


def test_user_signs(cloud: Cloud, rest: dict[str, str], ada: Credentials) -> None:
    """A request signed with a user's access key reaches the function, which is told the user's ARN and key."""
    told = identity_of(call(cloud, "POST", rest["SignedUrl"] + "managed", credentials=ada, content={"a": 1}))
    assert (told["userArn"], told["accessKey"]) == (f"arn:aws:iam::{HUB_ACCOUNT}:user/rest-ada", ada.access_key)
    assert (told["accountId"], told["sourceIp"]) == (HUB_ACCOUNT, "127.0.0.1")
    assert told["caller"] == told["user"] and told["caller"].startswith("AIDA")


def test_session_of_a_role_signs(cloud: Cloud, rest: dict[str, str], session: Credentials) -> None:
    """A session is told by the ARN that STS gives it, and the library finds the role's tags by it."""
    reply = call(cloud, "GET", rest["SignedUrl"] + "me", credentials=session)
    told = identity_of(reply)
    assert told["userArn"] == f"arn:aws:sts::{HUB_ACCOUNT}:assumed-role/rest-pipeline/build-17" == session.arn
    assert told["caller"].startswith("AROA") and told["caller"].endswith(":build-17")
    found = caller(event_of(reply)["requestContext"])
    tags = PrincipalTags(cloud.client("iam"), HUB_ACCOUNT).of(found, datetime.now(UTC))
    assert tags == {"perennial:roles": "requester"}


def test_tags_of_a_user_are_exactly_those_given_last(cloud: Cloud) -> None:
    """A principal that is asked for again has the new tags and none of the old."""
    principal(cloud, HUB_ACCOUNT, "rest-tagged", {"old": "1", "kept": "1"})
    principal(cloud, HUB_ACCOUNT, "rest-tagged", {"kept": "2"})
    assert cloud.client("iam").list_user_tags(UserName="rest-tagged")["Tags"] == [{"Key": "kept", "Value": "2"}]


def test_root_signs(cloud: Cloud, rest: dict[str, str]) -> None:
    """Root of the API's account may invoke it, and is told by the ARN of the account's root."""
    told = identity_of(call(cloud, "GET", rest["SignedUrl"] + "me", credentials=root(HUB_ACCOUNT)))
    assert (told["userArn"], told["caller"]) == (f"arn:aws:iam::{HUB_ACCOUNT}:root", HUB_ACCOUNT)


@pytest.mark.parametrize("session_name", ["", "there"])
def test_principal_of_an_account_that_the_resource_policy_admits(
    cloud: Cloud, rest: dict[str, str], session_name: str
) -> None:
    """Another account's principal is told with its own account, where its policy and the API's both allow."""
    member = principal(cloud, MEMBER_ACCOUNT, f"rest-member{session_name}", session=session_name)
    told = identity_of(call(cloud, "GET", rest["SignedUrl"] + "me", credentials=member))
    assert (told["userArn"], told["accountId"]) == (member.arn, MEMBER_ACCOUNT)


@pytest.mark.parametrize("kind", ["user", "role", "root"])
def test_principal_of_an_account_that_no_resource_policy_admits(cloud: Cloud, rest: dict[str, str], kind: str) -> None:
    """What another account allows its own principals is not enough."""
    made = root(STRANGER) if kind == "root" else None
    stranger = made or principal(cloud, STRANGER, f"rest-{kind}", session="there" if kind == "role" else "")
    status, error, message = refusal(call(cloud, "GET", rest["SignedUrl"] + "me", credentials=stranger))
    assert (status, error) == (403, "AccessDeniedException")
    assert stranger.arn in message


def test_principal_without_permission(cloud: Cloud, rest: dict[str, str]) -> None:
    """Without a policy for execute-api:Invoke the answer names the principal and the method."""
    nobody = principal(cloud, HUB_ACCOUNT, "rest-nobody", invoke="")
    status, error, message = refusal(call(cloud, "GET", rest["SignedUrl"] + "managed/a", credentials=nobody))
    assert (status, error) == (403, "AccessDeniedException")
    assert message.startswith(f"User: arn:aws:iam::{HUB_ACCOUNT}:user/rest-nobody is not authorized to perform")
    assert "/v1/GET/managed/a" in message and HUB_ACCOUNT not in message.partition("on resource:")[2]


def test_permission_for_some_methods_is_for_no_others(cloud: Cloud, rest: dict[str, str]) -> None:
    """A policy that names a method of a stage allows it alone."""
    api = rest["SignedUrl"].split("/")[2].partition(".")[0]
    arn = f"arn:aws:execute-api:{REGION}:{HUB_ACCOUNT}:{api}/v1/GET/managed/*"
    reader = principal(cloud, HUB_ACCOUNT, "rest-reader", invoke=arn)
    url = rest["SignedUrl"] + "managed/a"
    assert call(cloud, "GET", url, credentials=reader).status == 200
    assert call(cloud, "PUT", url, credentials=reader, content={}).status == 403


def test_request_without_signature(cloud: Cloud, rest: dict[str, str]) -> None:
    """Who does not sign is told so."""
    expected = (403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    assert refusal(call(cloud, "GET", rest["SignedUrl"] + "me")) == expected


def test_bearer_token_is_no_signature(cloud: Cloud, rest: dict[str, str]) -> None:
    """A token is refused by the API for signatures, whatever it says."""
    status, error, message = refusal(call(cloud, "GET", rest["SignedUrl"] + "me", token="a.b.c"))
    assert (status, error) == (403, "IncompleteSignatureException")
    assert "Authorization header" in message


def broken(url: str, keys: Credentials, kind: str) -> tuple[str, bytes, dict[str, str]]:
    """A signed request with one thing wrong: its URL, body and headers."""
    body, at = b'{"force":true}', url
    headers = signed(keys, "POST", url, body)
    if kind == "body":
        body = b'{"force":false}'
    elif kind == "path":
        at = f"{url}x"
    elif kind == "query":
        at = f"{url}?force=1"
    elif kind == "hash of another body":
        headers = signed(keys, "POST", url, b"{}", {"X-Amz-Content-SHA256": "0" * 64})
    elif kind == "hash left out":
        headers = signed(keys, "POST", url, body, {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    elif kind == "host":
        headers["Authorization"] = headers["Authorization"].replace("SignedHeaders=host;", "SignedHeaders=")
    else:
        old, new = kind.split(" for ")
        assert old in headers["Authorization"]
        headers["Authorization"] = headers["Authorization"].replace(old, new)
    return at, body, headers


@pytest.mark.parametrize(
    "kind",
    [
        "body",
        "path",
        "query",
        "hash of another body",
        "hash left out",
        "host",
        "execute-api for s3",
        f"{REGION} for us-east-1",
        "Signature= for Signature=0",
    ],
)
@pytest.mark.parametrize("who", ["user", "root"])
def test_wrong_signature(cloud: Cloud, rest: dict[str, str], ada: Credentials, kind: str, who: str) -> None:
    """Nothing that a signature covers can be changed, and it is for this service and region."""
    keys = ada if who == "user" else root(HUB_ACCOUNT)
    url, body, headers = broken(rest["SignedUrl"] + "managed", keys, kind)
    status, error, _ = refusal(send(cloud, "POST", url, body, headers, seconds=30))
    assert (status, error) == (403, "InvalidSignatureException")


def test_unknown_key(cloud: Cloud, rest: dict[str, str], ada: Credentials) -> None:
    """A key that nobody has is refused, and so is one that was taken away."""
    expected = (403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    unknown = replace(ada, access_key="AKIAIOSFODNN7EXAMPLE")
    assert refusal(call(cloud, "GET", rest["SignedUrl"] + "me", credentials=unknown)) == expected
    before = principal(cloud, HUB_ACCOUNT, "rest-rotated")
    principal(cloud, HUB_ACCOUNT, "rest-rotated")
    assert refusal(call(cloud, "GET", rest["SignedUrl"] + "me", credentials=before)) == expected


def test_wrong_secret(cloud: Cloud, rest: dict[str, str], ada: Credentials) -> None:
    """Who knows a key's id alone signs nothing, not even as root."""
    for each in (ada, root(HUB_ACCOUNT)):
        wrong = replace(each, secret_key="guessed")
        status, error, _ = refusal(call(cloud, "GET", rest["SignedUrl"] + "me", credentials=wrong))
        assert (status, error) == (403, "InvalidSignatureException")


def test_session_without_its_token(cloud: Cloud, rest: dict[str, str], session: Credentials) -> None:
    """The keys of a session are worth nothing without its token, or with that of another."""
    for each in ("", "another"):
        status, _, _ = refusal(call(cloud, "GET", rest["SignedUrl"] + "me", credentials=replace(session, token=each)))
        assert status == 403


@pytest.mark.parametrize(("minutes", "allowed"), [(-6, False), (-4, True), (4, True), (6, False)])
@pytest.mark.parametrize("who", ["user", "root"])
def test_signature_is_valid_for_five_minutes(
    cloud: Cloud,
    rest: dict[str, str],
    ada: Credentials,
    monkeypatch: pytest.MonkeyPatch,
    minutes: int,
    allowed: bool,
    who: str,
) -> None:
    """A request that was signed more than five minutes ago, or from now, is refused."""
    then = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: then)
    keys = ada if who == "user" else root(HUB_ACCOUNT)
    reply = call(cloud, "GET", rest["SignedUrl"] + "me", credentials=keys)
    assert allowed or refusal(reply)[:2] == (403, "InvalidSignatureException")
    assert (reply.status == 200) == allowed


def test_access_key_of_a_user_acts_in_its_account(cloud: Cloud) -> None:
    """The key of a member's user is the member's for every service, as the role's session is."""
    import boto3

    member = principal(cloud, MEMBER_ACCOUNT, "rest-elsewhere")
    there = boto3.client(
        "sts",
        endpoint_url=cloud.url,
        region_name=REGION,
        aws_access_key_id=member.access_key,
        aws_secret_access_key=member.secret_key,
    )
    told = there.get_caller_identity()
    assert (told["Account"], told["Arn"]) == (MEMBER_ACCOUNT, member.arn)


# --- the event ---


def test_event_of_a_proxy_integration(cloud: Cloud, rest: dict[str, str], ada: Credentials) -> None:
    """Paths stay encoded, the last of several values is the single one, and no signature reaches the function."""
    url = rest["SignedUrl"] + "managed/%2A.example.com%2Fx?a=1&a=2&b="
    reply = call(
        cloud,
        "PUT",
        url,
        credentials=ada,
        content={"é": 1},
        headers={"If-Match": '"7"', "X-Forwarded-For": "192.0.2.1"},
    )
    event = event_of(reply)
    assert event["path"] == "/managed/%2A.example.com%2Fx"
    assert event["pathParameters"] == {"proxy": "managed/%2A.example.com%2Fx"}
    assert (event["resource"], event["httpMethod"]) == ("/{proxy+}", "PUT")
    assert event["queryStringParameters"] == {"a": "2", "b": ""}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": [""]}
    assert (json.loads(event["body"]), event["isBase64Encoded"]) == ({"é": 1}, False)
    assert event["headers"]["if-match"] == '"7"'
    assert event["multiValueHeaders"]["X-Forwarded-For"] == ["192.0.2.1, 127.0.0.1"]
    assert not {"authorization", "Authorization", "connection"} & set(event["headers"])
    assert "version" not in event


def test_request_context_of_a_proxy_integration(cloud: Cloud, rest: dict[str, str], ada: Credentials) -> None:
    """The context has the ids that the reply has, the stage, and the host name that was asked for."""
    reply = call(cloud, "GET", rest["SignedUrl"] + "managed/a", credentials=ada)
    context, host = event_of(reply)["requestContext"], rest["SignedUrl"].split("/")[2]
    assert context["requestId"] == reply.headers["x-amzn-requestid"]
    assert context["extendedRequestId"] == reply.headers["x-amz-apigw-id"]
    assert (context["domainName"], context["domainPrefix"]) == (host, host.partition(".")[0])
    assert (context["stage"], context["path"]) == ("v1", "/v1/managed/a")
    assert (context["accountId"], context["apiId"]) == (HUB_ACCOUNT, host.partition(".")[0])
    assert context["deploymentId"] and context["requestTime"] and context["requestTimeEpoch"] > 0
    assert context["identity"]["sourceIp"] == "127.0.0.1"


def test_path_of_the_local_cloud_gives_the_same_event(cloud: Cloud, rest: dict[str, str]) -> None:
    """Who asks by the endpoint's own path reaches the same method, under AWS's host name."""
    host = rest["PeopleUrl"].split("/")[2]
    url = f"{cloud.url}/_aws/execute-api/{host.partition('.')[0]}/v1/managed/%2A"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": "Bearer me.1"})) as answer:
        event = json.load(answer)["event"]
    assert (event["path"], event["requestContext"]["domainName"]) == ("/managed/%2A", host)


def test_alias_of_a_version_with_snapstart_answers(cloud: Cloud, rest: dict[str, str], ada: Credentials) -> None:
    """An API before an alias runs the version that the alias names."""
    configured = cloud.client("lambda").get_function_configuration(FunctionName=rest["Function"], Qualifier="live")
    assert configured["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}
    assert configured["Version"] == rest["Version"]
    assert rest["Alias"].endswith(":live")
    assert call(cloud, "GET", rest["SignedUrl"] + "me", credentials=ada).status == 200


# --- what API Gateway answers itself ---


def test_throttled_method(cloud: Cloud, rest: dict[str, str], ada: Credentials) -> None:
    """A method with a burst of two answers two requests and refuses the third; others are not held up."""
    url = rest["SignedUrl"]
    assert [call(cloud, "GET", url + "slow", credentials=ada).status for _ in range(2)] == [200, 200]
    third = refusal(call(cloud, "GET", url + "slow", credentials=ada))
    assert third == (429, "TooManyRequestsException", "Too Many Requests")
    assert call(cloud, "GET", url + "me", credentials=ada).status == 200


def test_late_function(cloud: Cloud, rest: dict[str, str], ada: Credentials) -> None:
    """An integration that waits 0.4 s answers 504 for a function that takes longer."""
    reply = call(cloud, "GET", rest["SignedUrl"] + "short/late", credentials=ada)
    assert (reply.status, reply.json()) == (504, {"message": "Endpoint request timed out"})


def test_large_body(cloud: Cloud, rest: dict[str, str], ada: Credentials) -> None:
    """A body of more than 10 MB does not reach the function."""
    reply = call(cloud, "POST", rest["SignedUrl"] + "managed", credentials=ada, content=b"x" * (10 * 1024 * 1024 + 1))
    assert (reply.status, reply.json()) == (413, {"message": "Request Too Long"})


def test_error_of_a_function_is_not_shown(cloud: Cloud, rest: dict[str, str], ada: Credentials) -> None:
    """What a function raises is a 502 without its message."""
    reply = call(cloud, "GET", rest["SignedUrl"] + "broken", credentials=ada)
    assert (reply.status, reply.json()) == (502, INTERNAL)
    assert b"nobody may see this" not in reply.body


@pytest.mark.parametrize("content", [{"foo": 1}, [], "text", {"statusCode": 200, "body": {"a": 1}}])
def test_malformed_reply(cloud: Cloud, rest: dict[str, str], ada: Credentials, content: Any) -> None:
    """What is no reply of a proxy integration is a 502."""
    reply = call(cloud, "POST", rest["SignedUrl"] + "malformed", credentials=ada, content=content)
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (502, "InternalServerErrorException")


def test_reply_of_a_function(cloud: Cloud, rest: dict[str, str], ada: Credentials) -> None:
    """Status, repeated headers and body are the function's; the request's id is not."""
    content = {
        "statusCode": 412,
        "headers": {"ETag": '"8"', "X-Amzn-RequestId": "mine"},
        "multiValueHeaders": {"Link": ["<a>", "<b>"]},
        "body": "changed",
    }
    reply = call(cloud, "POST", rest["SignedUrl"] + "malformed", credentials=ada, content=content)
    assert (reply.status, reply.body, reply.headers["etag"]) == (412, b"changed", '"8"')
    assert reply.headers["link"] == "<a>, <b>"
    assert reply.headers["x-amzn-requestid"] != "mine"


# --- the permission of a function ---


@pytest.fixture
def bare(cloud: Cloud, rest: dict[str, str]) -> dict[str, str]:
    """An API without authorization before the app's function, which was not asked: id, resource and URL."""
    gateway, method = cloud.client("apigateway"), {"httpMethod": "GET"}
    api = gateway.create_rest_api(name="bare")
    where = {"restApiId": api["id"], "resourceId": api["rootResourceId"], **method}
    gateway.put_method(**where, authorizationType="NONE")
    path = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{rest['Alias']}/invocations"
    gateway.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=path)
    gateway.create_deployment(restApiId=api["id"], stageName="v1")
    url = f"https://{api['id']}.execute-api.{REGION}.amazonaws.com/v1/"
    return {"restApiId": api["id"], "resourceId": api["rootResourceId"], "url": url, "path": path}


def permit(cloud: Cloud, rest: dict[str, str], source: str) -> None:
    """Let API Gateway invoke the alias for a source ARN."""
    cloud.client("lambda").add_permission(
        FunctionName=rest["Function"],
        Qualifier="live",
        StatementId=source.split(":")[5].replace("/", "-").replace("*", "any"),
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=source,
    )


def test_function_that_was_not_asked(cloud: Cloud, rest: dict[str, str], bare: dict[str, str]) -> None:
    """The permission that the alias gives other APIs is not this one's: 500, until it is given."""
    before = call(cloud, "GET", bare["url"])
    assert (before.status, before.headers["x-amzn-errortype"]) == (500, "InternalServerErrorException")
    permit(cloud, rest, f"arn:aws:execute-api:{REGION}:{HUB_ACCOUNT}:{bare['restApiId']}/*/GET/")
    assert event_of(call(cloud, "GET", bare["url"]))["path"] == "/"


def test_authorizer_that_was_not_asked(cloud: Cloud, rest: dict[str, str], bare: dict[str, str]) -> None:
    """An authorizer whose function does not let the API invoke it is a 500."""
    gateway, api = cloud.client("apigateway"), bare["restApiId"]
    source = "method.request.header.Authorization"
    made = gateway.create_authorizer(
        restApiId=api, name="unasked", type="REQUEST", authorizerUri=bare["path"], identitySource=source
    )
    patches = [("authorizationType", "CUSTOM"), ("authorizerId", made["id"])]
    gateway.update_method(
        restApiId=api,
        resourceId=bare["resourceId"],
        httpMethod="GET",
        patchOperations=[{"op": "replace", "path": f"/{name}", "value": value} for name, value in patches],
    )
    reply = call(cloud, "GET", bare["url"], token="in.1")
    assert refusal(reply)[:2] == (500, "AuthorizerConfigurationException")


# --- REQUEST authorizers ---


def test_authorizer_lets_in(cloud: Cloud, rest: dict[str, str]) -> None:
    """The context of an authorizer reaches the function as texts, with the principal that it named."""
    told = event_of(call(cloud, "GET", rest["PeopleUrl"] + "managed", token="in.1"))["requestContext"]["authorizer"]
    assert (told["principalId"], told["yes"]) == ("ada", "true")
    assert told["runs"].isdecimal() and "integrationLatency" in told


def test_authorizer_is_given_the_request(cloud: Cloud, rest: dict[str, str]) -> None:
    """The event of a REQUEST authorizer has the method's ARN, the headers and the whole context."""
    url = rest["PeopleUrl"] + "managed/%2A?a=1&a=2"
    told = event_of(call(cloud, "GET", url, token="seen.1"))["requestContext"]["authorizer"]
    seen, api = json.loads(told["seen"]), rest["PeopleUrl"].split("/")[2].partition(".")[0]
    assert seen["type"] == "REQUEST"
    assert seen["methodArn"].startswith(f"arn:aws:execute-api:{REGION}:{HUB_ACCOUNT}:{api}/v1/GET/managed/")
    assert seen["multiValueHeaders"]["authorization"] == ["Bearer seen.1"]
    assert (seen["path"], seen["queryStringParameters"]) == ("/managed/%2A", {"a": "2"})
    assert seen["requestContext"]["domainName"] and seen["requestContext"]["requestId"]
    assert seen["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"


def test_request_without_identity_source(cloud: Cloud, rest: dict[str, str]) -> None:
    """Without the header Authorization the authorizer is not asked."""
    expected = (401, "UnauthorizedException", "Unauthorized")
    assert refusal(call(cloud, "GET", rest["PeopleUrl"] + "managed")) == expected


@pytest.mark.parametrize(
    ("said", "status", "error"),
    [
        ("unauthorized", 401, "UnauthorizedException"),
        ("almost", 500, "AuthorizerConfigurationException"),
        ("other", 500, "AuthorizerConfigurationException"),
        ("config", 500, "AuthorizerConfigurationException"),
        ("nested", 500, "AuthorizerConfigurationException"),
        ("deny", 403, "AccessDeniedException"),
        ("action", 403, "AccessDeniedException"),
        ("narrow", 403, "AccessDeniedException"),
    ],
)
def test_authorizer_refuses(cloud: Cloud, rest: dict[str, str], said: str, status: int, error: str) -> None:
    """The error "Unauthorized", and no other, is a 401; a policy that denies, or does not allow this method, a 403."""
    reply = call(cloud, "GET", rest["PeopleUrl"] + "managed", token=f"{said}.1")
    assert refusal(reply)[:2] == (status, error)
    assert b"key server" not in reply.body


def test_answer_of_an_authorizer_is_kept(cloud: Cloud, rest: dict[str, str]) -> None:
    """A second request with the same token does not ask again, even for another path; one with another token does."""

    def runs(path: str, said: str) -> str:
        event = event_of(call(cloud, "GET", rest["PeopleUrl"] + path, token=said))
        return str(event["requestContext"]["authorizer"]["runs"])

    first = runs("managed", "kept.1")
    assert runs("requests/7", "kept.1") == first
    assert runs("managed", "kept.2") != first


def test_kept_answer_is_judged_for_each_method(cloud: Cloud, rest: dict[str, str]) -> None:
    """A kept policy that allows one path refuses another."""
    assert call(cloud, "GET", rest["PeopleUrl"] + "own/a", token="narrow.2").status == 200
    assert call(cloud, "GET", rest["PeopleUrl"] + "others/a", token="narrow.2").status == 403
    assert call(cloud, "POST", rest["PeopleUrl"] + "own/a", token="narrow.2").status == 403


# --- people ---


def issuer(pool: SignIn) -> str:
    """The URL that names a user pool in its tokens."""
    return f"https://cognito-idp.{REGION}.amazonaws.com/{pool.pool}"


@pytest.fixture
def pool(rest: dict[str, str]) -> SignIn:
    """The user pool of the app."""
    return SignIn(pool=rest["Pool"], client=rest["Client"])


def test_function_fetches_the_keys_of_the_user_pool(cloud: Cloud, rest: dict[str, str], pool: SignIn) -> None:
    """A function gets the keys from AWS's URL over verified TLS, and a person's token verifies with them."""
    assert rest["Issuer"] == issuer(pool)
    settings = user_pool(issuer(pool), pool.client)
    answer = cloud.client("lambda").invoke(FunctionName=rest["Keys"], Payload=json.dumps({"url": settings.keys}))
    keys = json.loads(answer["Payload"].read())["keys"]
    text = token(cloud, "rest-grace", ["shop-developers", "admins"], email="grace@example.com", at=pool)
    told = tokens.verify(text, keys, settings, datetime.now(UTC)).claims
    assert sorted(told["cognito:groups"]) == ["admins", "shop-developers"]
    assert (told["email"], told["email_verified"]) == ("grace@example.com", True)
    assert json.loads(base64.urlsafe_b64decode(text.split(".")[0] + "=="))["alg"] == "RS256"


def test_library_fetches_the_keys_with_the_public_roots(cloud: Cloud, pool: SignIn) -> None:
    """The library's own client, which names certifi's roots, verifies the edge in a process that trusts the cloud."""
    settings = user_pool(issuer(pool), pool.client)
    text, now = token(cloud, "rest-edsger", at=pool), datetime.now(UTC)
    jwks_client = jwks.Keys(settings.keys)
    from perennial.issuers.acme_http import _context

    _context.cache_clear()
    with resolving(cloud), trusting(cloud):
        keys = jwks_client.having(tokens.read_header(text, settings).kid, now)
    _context.cache_clear()
    assert tokens.verify(text, keys, settings, now).claims["cognito:username"] == "rest-edsger"


def test_person_is_in_exactly_the_groups_given_last(cloud: Cloud, pool: SignIn) -> None:
    """A person who left a group has a token without it."""
    token(cloud, "rest-barbara", ["one", "two"], at=pool)
    payload = token(cloud, "rest-barbara", ["two"], at=pool).split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["cognito:groups"] == ["two"]


def test_app_client_that_only_signs_in_by_browser(cloud: Cloud, pool: SignIn) -> None:
    """A token is had for a client without a password flow too; all else of the client stays as it was."""
    cognito = cloud.client("cognito-idp")
    made = cognito.create_user_pool_client(
        UserPoolId=pool.pool,
        ClientName="rest-browser",
        ExplicitAuthFlows=["ALLOW_USER_SRP_AUTH"],
        IdTokenValidity=60,
        TokenValidityUnits={"IdToken": "minutes"},
    )["UserPoolClient"]
    assert token(cloud, "rest-john", at=replace(pool, client=made["ClientId"])).count(".") == 2
    after = cognito.describe_user_pool_client(UserPoolId=pool.pool, ClientId=made["ClientId"])["UserPoolClient"]
    assert (after["ClientName"], after["IdTokenValidity"]) == ("rest-browser", 60)
    assert "ALLOW_USER_SRP_AUTH" in after["ExplicitAuthFlows"]


def test_stack_without_a_user_pool_is_said_so(cloud: Cloud, rest: dict[str, str]) -> None:
    """A stack that tells no user pool is named, rather than an index that is missing."""
    with pytest.raises(CloudError, match="The stack Rest has no outputs UserPoolId and AppClientId"):
        sign_in(cloud, "Rest")


# --- the edge ---


def test_edge_shows_names_of_aws_alone(cloud: Cloud, rest: dict[str, str]) -> None:
    """The root is trusted for names of AWS, and no process trusts it that was not told to."""
    url = rest["PeopleUrl"] + "managed"
    request = urllib.request.Request(url, headers={"Authorization": "Bearer edge.1"})
    with resolving(cloud), trusting(cloud), urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    with resolving(cloud), pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(request, timeout=10)
    context = ssl.create_default_context()
    assert not [each for each in context.get_ca_certs() if "Local cloud" in str(each)]


def test_command_runs_inside_the_cloud(cloud: Cloud) -> None:
    """A command that is run inside is the real one, with its arguments and exit code."""
    program = [sys.executable, "-m", "local_cloud.inside", str(cloud.directory), "perennial"]
    shown = subprocess.run([*program, "--help"], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert "certs" in shown.stdout
    assert subprocess.run([*program, "--nothing"], cwd=SCRIPTS, capture_output=True, check=False).returncode == 2


# --- Object Lock ---


def test_bucket_of_a_stack_has_object_lock(cloud: Cloud, rest: dict[str, str]) -> None:
    """CloudFormation gives a bucket the lock and the default retention of its template."""
    told = cloud.client("s3").get_object_lock_configuration(Bucket=rest["Bucket"])["ObjectLockConfiguration"]
    assert told["ObjectLockEnabled"] == "Enabled"
    assert told["Rule"]["DefaultRetention"] == {"Mode": "COMPLIANCE", "Days": 30}


@pytest.fixture
def locked(cloud: Cloud, rest: dict[str, str]) -> dict[str, str]:
    """A version that the bucket's default retention protects: bucket, key and version."""
    put = cloud.client("s3").put_object(Bucket=rest["Bucket"], Key="checkpoints/1.json", Body=b"{}")
    return {"Bucket": rest["Bucket"], "Key": "checkpoints/1.json", "VersionId": put["VersionId"]}


def test_object_is_retained_by_default(cloud: Cloud, locked: dict[str, str]) -> None:
    """A new object is kept in compliance mode for the days of the bucket."""
    told = cloud.client("s3").get_object_retention(**locked)["Retention"]
    left = told["RetainUntilDate"] - datetime.now(UTC)
    assert told["Mode"] == "COMPLIANCE"
    assert timedelta(days=29) < left <= timedelta(days=30)


@pytest.mark.parametrize("bypass", [False, True])
def test_locked_version_is_not_deleted(cloud: Cloud, locked: dict[str, str], bypass: bool) -> None:
    """Nobody deletes a version in compliance mode; without a version there is a marker, and it can be read on."""
    s3 = cloud.client("s3")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(**locked, BypassGovernanceRetention=bypass)
    s3.delete_object(Bucket=locked["Bucket"], Key=locked["Key"])
    assert s3.get_object(**locked)["Body"].read() == b"{}"


def test_batch_does_not_delete_a_locked_version(cloud: Cloud, locked: dict[str, str]) -> None:
    """DeleteObjects tells each refusal, and deletes nothing that is locked."""
    s3, which = cloud.client("s3"), {"Key": locked["Key"], "VersionId": locked["VersionId"]}
    told = s3.delete_objects(Bucket=locked["Bucket"], Delete={"Objects": [which]})
    assert [each["Code"] for each in told["Errors"]] == ["AccessDenied"]
    assert s3.get_object(**locked)["Body"].read() == b"{}"


@pytest.mark.parametrize(
    ("mode", "days", "error"),
    [("COMPLIANCE", 10, "AccessDenied"), ("GOVERNANCE", 60, "AccessDenied"), ("COMPLIANCE", -1, "InvalidArgument")],
)
def test_retention_is_not_weakened(cloud: Cloud, locked: dict[str, str], mode: str, days: int, error: str) -> None:
    """Compliance mode cannot be shortened, turned into governance, or ended."""
    s3, until = cloud.client("s3"), datetime.now(UTC) + timedelta(days=days)
    with pytest.raises(ClientError, match=error):
        s3.put_object_retention(**locked, Retention={"Mode": mode, "RetainUntilDate": until})


def test_retention_is_lengthened(cloud: Cloud, locked: dict[str, str]) -> None:
    """Compliance mode can be made longer."""
    s3, until = cloud.client("s3"), (datetime.now(UTC) + timedelta(days=90)).replace(microsecond=0)
    s3.put_object_retention(**locked, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until})
    assert s3.get_object_retention(**locked)["Retention"]["RetainUntilDate"] == until


def test_versions_of_a_locked_bucket_are_not_suspended(cloud: Cloud, rest: dict[str, str]) -> None:
    """A bucket with Object Lock keeps its versions."""
    with pytest.raises(ClientError, match="InvalidBucketState"):
        cloud.client("s3").put_bucket_versioning(Bucket=rest["Bucket"], VersioningConfiguration={"Status": "Suspended"})
