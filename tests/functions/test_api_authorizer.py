"""The authorizer lets in who has a good token, answers others as API Gateway wants it, and logs no token."""

from __future__ import annotations

import importlib
import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from functions.api import authorizer

from perennial.api_settings import Api
from perennial.errors import InvalidConfiguration, InvalidInput, Unavailable
from perennial.identity import identify
from perennial.roles import Grant, Role
from tokens_made import ISSUER, NOW, OIDC, POOL, jwk, token

CONTEXT_OF_LAMBDA: Any = SimpleNamespace(
    function_name="perennial",
    memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:eu-central-1:111122223333:function:perennial",
    aws_request_id="00000000-0000-0000-0000-000000000000",
)
STAGE = "arn:aws:execute-api:eu-central-1:111122223333:a1b2c3d4e5/v1"
API = Api(oidc=OIDC, groups={"shop": (Grant(role=Role.VIEWER, team="shop"),)})


def event(authorization: Any = None, **more: Any) -> dict[str, Any]:
    """What a REST API sends to a REQUEST authorizer."""
    shown = f"Bearer {token()}" if authorization is None else authorization
    values = {"Authorization": [shown], "Host": ["x"]}
    return {
        "type": "REQUEST",
        "methodArn": f"{STAGE}/GET/certificates",
        "headers": {name: each[-1] for name, each in values.items()},
        "multiValueHeaders": values,
        "requestContext": {"identity": {"sourceIp": "192.0.2.1"}},
        **more,
    }


class FakeKeys:
    """The issuer's keys, or an error."""

    error: Exception | None = None
    asked: list[tuple[str, str]] = []  # noqa: RUF012 - emptied by the fixture

    def __init__(self, url: str) -> None:
        self.url = url

    def having(self, kid: str, now: Any) -> Any:
        assert now is NOW
        FakeKeys.asked.append((self.url, kid))
        if FakeKeys.error:
            raise FakeKeys.error
        return [jwk()]


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    FakeKeys.error, FakeKeys.asked = None, []
    made = SimpleNamespace(settings=SimpleNamespace(api=API), clock=lambda: NOW, named=lambda name: f"<{name}>")
    monkeypatch.setattr(authorizer, "deployment", lambda: made)
    monkeypatch.setattr(authorizer, "keys", FakeKeys)
    return made


def test_a_good_token() -> None:
    """The whole stage is allowed, since API Gateway may keep the answer; the context says who it is, as one text."""
    answer = authorizer.handler(event(), CONTEXT_OF_LAMBDA)
    kept = answer.pop("context")
    assert json.loads(json.dumps(answer)) == {
        "principalId": "ada",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{STAGE}/*"}],
        },
    }
    assert [type(each) for each in kept.values()] == [str]
    found = identify({"authorizer": {**kept, "principalId": "ada"}}, API, account="111122223333", tags={}, now=NOW)
    assert (found.person.principal, found.person.grants) == (f"{ISSUER}#ada", API.groups["shop"])
    assert FakeKeys.asked == [(OIDC.keys, "k1")]


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        token(),
        f"Bearer {token({'exp': 0})}",
        f"Bearer {token()} ",
        f"Bearer {token()}\n",
        f"Bearer {token()}, Bearer {token()}",
        f"Bearer {token(number=2)}",
        "AWS4-HMAC-SHA256 Credential=x",
        None.__class__,
        7,
    ],
)
def test_who_is_not_let_in(authorization: Any) -> None:
    """The error is the one word that makes API Gateway answer 401, and says nothing of why."""
    with pytest.raises(InvalidInput) as caught:
        authorizer.handler(event(authorization), CONTEXT_OF_LAMBDA)
    assert str(caught.value) == "Unauthorized"
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "more",
    [
        {"multiValueHeaders": None, "headers": None},
        {"multiValueHeaders": {}, "headers": {}},
        {"multiValueHeaders": {"Authorization": []}},
        {"multiValueHeaders": {"Authorization": None}},
        {"multiValueHeaders": {"Authorization": [f"Bearer {token()}", f"Bearer {token()}"]}},
        {"multiValueHeaders": {"Authorization": [f"Bearer {token()}"], "authorization": ["Bearer x"]}},
        {"methodArn": ""},
        {"methodArn": None},
        {"methodArn": "*"},
        {"methodArn": "arn:aws:execute-api:eu-central-1:111122223333:*/*/GET/"},
    ],
)
def test_requests_that_are_not_clear(more: dict[str, Any]) -> None:
    """No header, two headers, in whatever spelling, and an ARN that is none are refused."""
    with pytest.raises(InvalidInput, match=r"\AUnauthorized\Z"):
        authorizer.handler(event(**more), CONTEXT_OF_LAMBDA)


def test_headers_of_one_value() -> None:
    """Where a test of the console sends no lists, the plain headers count, however their names are written."""
    sent = event(multiValueHeaders=None, headers={"authorization": f"bearer {token()}"})
    assert authorizer.handler(sent, CONTEXT_OF_LAMBDA)["principalId"] == "ada"


def test_a_path_with_anything_in_it() -> None:
    """What a caller writes into the path does not come into the policy."""
    answer = authorizer.handler(event(methodArn=f"{STAGE}/DELETE/a/*/GET/\n"), CONTEXT_OF_LAMBDA)
    assert answer["policyDocument"]["Statement"][0]["Resource"] == f"{STAGE}/*"


def test_keys_that_cannot_be_had() -> None:
    """That is our failure and not the caller's: another error than Unauthorized, and nobody is let in."""
    FakeKeys.error = Unavailable("the issuer does not answer")
    with pytest.raises(Unavailable, match="does not answer"):
        authorizer.handler(event(), CONTEXT_OF_LAMBDA)


def test_a_token_that_says_nothing_true_costs_no_request() -> None:
    """The issuer's keys are asked for only where a token could be verified by them."""
    for wrong in ("x.y.z", token(header={"alg": "none"}, algorithm="RS256"), token(header={"kid": 7})):
        with pytest.raises(InvalidInput):
            authorizer.handler(event(f"Bearer {wrong}"), CONTEXT_OF_LAMBDA)
    assert FakeKeys.asked == []


def test_the_deployment_s_user_pool(hub: SimpleNamespace) -> None:
    """Without a configured issuer the pool of the stack is it; without that, the configuration is at fault."""
    hub.settings.api = Api()
    hub.named = {"PERENNIAL_USER_POOL": POOL.issuer, "PERENNIAL_APP_CLIENT": POOL.audiences[0]}.__getitem__
    made = token({"iss": POOL.issuer, "aud": POOL.audiences[0], "token_use": "id"})
    assert authorizer.handler(event(f"Bearer {made}"), CONTEXT_OF_LAMBDA)["principalId"] == "ada"
    assert FakeKeys.asked == [(POOL.keys, "k1")]

    def unset(name: str) -> str:
        raise InvalidConfiguration(f"{name} is not set")

    hub.named = unset
    with pytest.raises(InvalidConfiguration):
        authorizer.handler(event(), CONTEXT_OF_LAMBDA)


def test_no_token_is_logged(monkeypatch: pytest.MonkeyPatch, hub: SimpleNamespace) -> None:
    """Neither let in nor refused does a token or its claims stand in the log, also where events are to be logged."""
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")
    fresh = importlib.reload(authorizer)
    monkeypatch.setattr(fresh, "deployment", lambda: hub)
    monkeypatch.setattr(fresh, "keys", FakeKeys)
    written = io.StringIO()
    monkeypatch.setattr(fresh.logger.handlers[0], "stream", written)
    good, bad = token(), token({"exp": 0})
    fresh.handler(event(f"Bearer {good}"), CONTEXT_OF_LAMBDA)
    with pytest.raises(InvalidInput):
        fresh.handler(event(f"Bearer {bad}"), CONTEXT_OF_LAMBDA)
    logged = written.getvalue()
    assert "expired" in logged
    assert not any(part in logged for made in (good, bad) for part in made.split(".")[1:])
    assert "Lovelace" not in logged
