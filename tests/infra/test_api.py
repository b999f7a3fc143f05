"""The API as it is deployed: who is let in, how fast, by which version, and what is logged of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from infra.api import BURST, KEPT, RATE
from tests.infra.conftest import CONFIGURATION, HUB, MEMBER_REGION, as_list, synthesise

from perennial import doctor_deployment, sign_in
from perennial.api.once import PARTITION

OIDC = """
[api.oidc]
issuer = "https://login.example.com"
keys = "https://login.example.com/keys"
audiences = ["perennial"]

[api.principals]
"arn:aws:iam::444455556666:role/pipeline" = ["requester@shop-team"]
"arn:aws:iam::111122223333:role/ours" = ["viewer"]
"""


SIGNING_IN = """
[api]
page = "https://certificates.example.com/v1/page"

[api.oidc]
issuer = "https://login.example.com"
keys = "https://login.example.com/keys"
audiences = ["perennial"]
client = "perennial"
authorization_endpoint = "https://login.example.com/authorize"
token_endpoint = "https://tokens.example.com/token"
"""
IAM, TOKENS = "Perennial: the API for IAM credentials", "Perennial: the API for tokens"
PAGE, PROXY = "page", "{proxy+}"


def _methods(hub: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """The methods by the description of their API and their path."""
    apis, paths = hub.of("AWS::ApiGateway::RestApi"), hub.of("AWS::ApiGateway::Resource")
    return {
        (
            apis[each["Properties"]["RestApiId"]["Ref"]]["Properties"]["Description"],
            paths[each["Properties"]["ResourceId"]["Ref"]]["Properties"]["PathPart"],
        ): each["Properties"]
        for each in hub.of("AWS::ApiGateway::Method").values()
    }


def _function(hub: Any, handler: str) -> tuple[str, dict[str, Any]]:
    functions = hub.of("AWS::Lambda::Function")
    return next((name, each) for name, each in functions.items() if each["Properties"]["Handler"] == handler)


def test_every_method_asks_who_it_is(hub: Any) -> None:
    """One API lets in signatures of IAM, the other one tokens; there is no third, and no method is open but the one
    that reads the page where people sign in."""
    kinds = {name: (each["HttpMethod"], each["AuthorizationType"]) for name, each in _methods(hub).items()}
    assert kinds == {
        (IAM, PROXY): ("ANY", "AWS_IAM"),
        (TOKENS, PROXY): ("ANY", "CUSTOM"),
        (TOKENS, PAGE): ("GET", "NONE"),
    }


def test_the_page_is_answered_by_a_function_without_rights(hub: Any) -> None:
    """It may write its log and nothing else, and what it tells stands in its environment: where the pool's people sign
    in, and no secret."""
    name, function = _function(hub, "api/page.handler")
    assert name in json.dumps(_methods(hub)[TOKENS, PAGE]["Integration"]["Uri"])
    role = function["Properties"]["Role"]["Fn::GetAtt"][0]
    assert hub.actions(role) == {"logs:CreateLogStream", "logs:PutLogEvents"}
    told = json.loads(_text(function["Properties"]["Environment"]["Variables"]["PERENNIAL_SIGN_IN"]))
    (pool,), (client,) = hub.of("AWS::Cognito::UserPool"), hub.of("AWS::Cognito::UserPoolClient")
    (prefix,) = hub.of("AWS::Cognito::UserPoolDomain")
    domain = f"https://<{prefix}>.auth.{MEMBER_REGION}.amazoncognito.com"
    assert told == {
        "issuer": f"<{pool}.ProviderURL>",
        "client": f"<{client}>",
        "authorization": f"{domain}/oauth2/authorize",
        "token": f"{domain}/oauth2/token",
        "revocation": f"{domain}/oauth2/revoke",
        "scopes": ["openid", "profile", "email"],
        "tokens": "id",
    }


def _text(value: Any) -> str:
    """A text of CloudFormation, with `<Logical.Attribute>` in the place of what is not known yet."""
    if isinstance(value, str):
        return value
    if "Fn::Join" in value:
        delimiter, parts = value["Fn::Join"]
        return str(delimiter).join(map(_text, parts))
    if "Fn::GetAtt" in value:
        return f"<{'.'.join(value['Fn::GetAtt'])}>"
    known = {"AWS::URLSuffix": "amazonaws.com", "AWS::Region": MEMBER_REGION}
    return known.get(value["Ref"], f"<{value['Ref']}>")


def test_where_people_come_back_to(hub: Any) -> None:
    """The client knows the loopback address of the command and the page's own URL; messages to approvers and an output
    of the stack name the same one."""
    (client,) = hub.of("AWS::Cognito::UserPoolClient").values()
    loopback, page = map(_text, client["Properties"]["CallbackURLs"])
    api = _methods(hub)[TOKENS, PAGE]["RestApiId"]["Ref"]
    assert loopback == sign_in.REDIRECT
    assert page == f"https://<{api}>.execute-api.{MEMBER_REGION}.amazonaws.com/v1/page"
    _, ask = _function(hub, "approval/ask.handler")
    assert _text(ask["Properties"]["Environment"]["Variables"]["PERENNIAL_PAGE"]) == page
    assert _text(hub.template["Outputs"]["PageUrl"]["Value"]) == page


def test_nothing_waits_for_itself(hub: Any) -> None:
    """CloudFormation can make one resource after the other, though the client knows the URL of the page, and the API
    the authorizer, which knows the client."""
    there = hub.template["Resources"]
    assert list(
        TopologicalSorter({name: set(_waits(each)) & set(there) for name, each in there.items()}).static_order()
    )


def _waits(value: Any) -> Iterator[str]:
    """The logical ids that a part of a resource names."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "Ref":
                yield each
            elif name == "Fn::GetAtt":
                yield each[0]
            elif name == "DependsOn":
                yield from as_list(each)
            else:
                yield from _waits(each)
    elif isinstance(value, list):
        for each in value:
            yield from _waits(each)


def test_the_authorizer(hub: Any) -> None:
    """It sees the whole request, is asked only where there is a header Authorization, and its verdict is kept for at
    most five minutes: so long a right that was taken away in the token's groups still counts."""
    (found,) = hub.of("AWS::ApiGateway::Authorizer").values()
    said = found["Properties"]
    assert (said["Type"], said["IdentitySource"]) == ("REQUEST", "method.request.header.Authorization")
    assert said["AuthorizerResultTtlInSeconds"] == KEPT.to_seconds() <= 300


def test_one_function_behind_both(hub: Any) -> None:
    """Both go to the same alias of a published version, which starts from a snapshot."""
    (alias,) = hub.of("AWS::Lambda::Alias")
    targets = [json.dumps(each["Integration"]["Uri"]) for (_, path), each in _methods(hub).items() if path == PROXY]
    assert len(targets) == 2 and all(alias in each for each in targets)
    name, function = _function(hub, "api/handle.handler")
    assert function["Properties"]["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    (version,) = hub.of("AWS::Lambda::Version").values()
    assert version["Properties"]["FunctionName"] == {"Ref": name}


def test_stages(hub: Any) -> None:
    """Both are v1, throttled, log who asked for what as JSON, and trace no data."""
    stages = [each["Properties"] for each in hub.of("AWS::ApiGateway::Stage").values()]
    assert {each["StageName"] for each in stages} == {"v1"}
    for each in stages:
        (said,) = each["MethodSettings"]
        assert (said["ThrottlingRateLimit"], said["ThrottlingBurstLimit"]) == (RATE, BURST)
        assert (said["DataTraceEnabled"], said["LoggingLevel"]) == (False, "OFF")
        logged = json.loads(each["AccessLogSetting"]["Format"])
        assert {"request", "caller", "subject", "method", "path", "status"} <= set(logged)
        assert not [value for value in logged.values() if "header" in value or "body" in value or "query" in value]


def test_what_the_function_may(hub: Any) -> None:
    """It reads and writes the table, deletes replies of keys alone, reads tags of principals, the settings, starts
    Discovery and wakes Approval: nothing of keys, secrets, certificates or issuers."""
    _, function = _function(hub, "api/handle.handler")
    role = function["Properties"]["Role"]["Fn::GetAtt"][0]
    assert {each.split(":")[0] for each in hub.actions(role)} == {"dynamodb", "iam", "kms", "logs", "s3", "states"}
    assert {each for each in hub.actions(role) if each.startswith(("iam:", "states:"))} == {
        "iam:ListRoleTags",
        "iam:ListUserTags",
        "states:ListExecutions",
        "states:SendTaskSuccess",
        "states:StartExecution",
    }
    statements = [
        said
        for each in hub.of("AWS::IAM::Policy").values()
        if {"Ref": role} in each["Properties"]["Roles"]
        for said in each["Properties"]["PolicyDocument"]["Statement"]
    ]
    allowed = [each for each in statements if each["Effect"] == "Allow"]
    (deletes,) = (each for each in allowed if "dynamodb:DeleteItem" in as_list(each["Action"]))
    assert as_list(deletes["Action"]) == ["dynamodb:DeleteItem"]
    assert deletes["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [PARTITION]}}


def test_what_the_authorizer_may(hub: Any) -> None:
    """It reads the settings: no table, no key."""
    _, function = _function(hub, "api/authorizer.handler")
    role = function["Properties"]["Role"]["Fn::GetAtt"][0]
    assert {each.split(":")[0] for each in hub.actions(role)} == {"logs", "s3"}


def test_the_user_pool(hub: Any) -> None:
    """Nobody signs up by themselves; passwords are long, TOTP is offered; the command is a public client that gets a
    code. The pool stays when the stack goes."""
    ((name, pool),) = hub.of("AWS::Cognito::UserPool").items()
    said = pool["Properties"]
    assert name == "ApiUserPool5AB2526B"
    assert said["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    assert (said["MfaConfiguration"], said["EnabledMfas"]) == ("OPTIONAL", ["SOFTWARE_TOKEN_MFA"])
    assert said["Policies"]["PasswordPolicy"]["MinimumLength"] >= 14
    assert (pool["DeletionPolicy"], said["DeletionProtection"]) == ("Retain", "ACTIVE")
    (client,) = hub.of("AWS::Cognito::UserPoolClient").values()
    asked = client["Properties"]
    assert (asked["AllowedOAuthFlows"], asked["GenerateSecret"]) == (["code"], False)
    assert asked["PreventUserExistenceErrors"] == "ENABLED"


def test_the_authorizer_knows_the_pool(hub: Any) -> None:
    """Its environment names the pool's URL, which tokens have as issuer, and the client."""
    _, function = _function(hub, "api/authorizer.handler")
    said = function["Properties"]["Environment"]["Variables"]
    (pool,), (client,) = hub.of("AWS::Cognito::UserPool"), hub.of("AWS::Cognito::UserPoolClient")
    assert said["PERENNIAL_USER_POOL"] == {"Fn::GetAtt": [pool, "ProviderURL"]}
    assert said["PERENNIAL_APP_CLIENT"] == {"Ref": client}


def test_names(hub: Any) -> None:
    """The stack tells the URLs and the pool, as outputs and as parameters."""
    names = {each["Properties"]["Name"] for each in hub.of("AWS::SSM::Parameter").values()}
    assert {f"/perennial/{each}" for each in ("api", "api-people", "user-pool", "app-client", "sign-in")} <= names
    assert {"ApiUrl", "PeopleApiUrl", "UserPoolId", "AppClientId", "SignInUrl"} <= set(hub.template["Outputs"])


def test_refusals_of_the_gateway_are_problems(hub: Any) -> None:
    """What API Gateway refuses by itself has the members of a problem, filled in by it."""
    found = [each["Properties"] for each in hub.of("AWS::ApiGateway::GatewayResponse").values()]
    assert {each["ResponseType"] for each in found} >= {
        "UNAUTHORIZED",
        "ACCESS_DENIED",
        "THROTTLED",
        "INVALID_SIGNATURE",
    }
    for each in found:
        template = each["ResponseTemplates"]["application/json"].replace("$context.error.messageString", '"no"')
        assert json.loads(template)["status"] == int(each["StatusCode"])


@pytest.fixture(scope="module")
def of_oidc(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The stack where perennial.toml names an issuer of tokens, and a principal of another account."""
    return _configured(tmp_path_factory.mktemp("oidc"), OIDC)


def _configured(directory: Path, further: str) -> Any:
    (directory / "perennial.toml").write_text(CONFIGURATION + further)
    (directory / "deps" / "python").mkdir(parents=True)
    (directory / "deps" / "python" / "package.py").touch()
    where = {"account": HUB, "region": MEMBER_REGION, "organization": "o-a1b2c3d4e5"}
    return synthesise(directory, {**where, "deps": str(directory / "deps")})


def test_an_issuer_of_the_organisation(of_oidc: Any) -> None:
    """No user pool is made, and the authorizer knows none."""
    assert not of_oidc.of("AWS::Cognito::UserPool")
    assert "UserPoolId" not in of_oidc.template["Outputs"]
    _, function = _function(of_oidc, "api/authorizer.handler")
    assert "PERENNIAL_USER_POOL" not in function["Properties"]["Environment"]["Variables"]


def test_without_its_endpoints_there_is_no_page(of_oidc: Any) -> None:
    """Where nothing says how people of an own issuer sign in, every method asks who it is, and messages link to no page
    of ours."""
    assert set(_methods(of_oidc)) == {(IAM, PROXY), (TOKENS, PROXY)}
    assert "PageUrl" not in of_oidc.template["Outputs"]
    assert "PERENNIAL_PAGE" not in json.dumps(of_oidc.template)
    handlers = {each["Properties"]["Handler"] for each in of_oidc.of("AWS::Lambda::Function").values()}
    assert "api/page.handler" not in handlers


def test_the_page_of_an_own_issuer(tmp_path: Path) -> None:
    """With client and endpoints the page is served for an issuer of one's own, too."""
    hub = _configured(tmp_path, SIGNING_IN)
    assert _methods(hub)[TOKENS, PAGE]["AuthorizationType"] == "NONE"
    _, function = _function(hub, "api/page.handler")
    told = json.loads(function["Properties"]["Environment"]["Variables"]["PERENNIAL_SIGN_IN"])
    assert (told["client"], told["token"]) == ("perennial", "https://tokens.example.com/token")
    assert not hub.of("AWS::Cognito::UserPool")


def test_principals_of_other_accounts(hub: Any, of_oidc: Any) -> None:
    """Accounts that the configuration names may ask the API for IAM credentials, and no other ones; the hub's own needs
    no word."""
    assert not [each for each in hub.of("AWS::ApiGateway::RestApi").values() if "Policy" in each["Properties"]]
    having = [each["Properties"] for each in of_oidc.of("AWS::ApiGateway::RestApi").values()]
    (policy,) = (each["Policy"] for each in having if "Policy" in each)
    (said,) = policy["Statement"]
    assert "444455556666" in json.dumps(said["Principal"])
    assert HUB not in json.dumps(said["Principal"])
    assert (said["Effect"], said["Action"]) == ("Allow", "execute-api:Invoke")


def test_doctor_looks_for_what_the_stack_tells(hub: Any) -> None:
    """Every name that the stack writes for the command is one that doctor misses, but for those of a user pool, which
    there need not be."""
    told = {each["Properties"]["Name"].removeprefix("/perennial/") for each in hub.of("AWS::SSM::Parameter").values()}
    assert told - {"user-pool", "app-client", "sign-in"} == set(doctor_deployment.PARAMETERS)
