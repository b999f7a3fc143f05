"""What `[api]` of perennial.toml says: who signs people in, and which grants groups and IAM principals have.

    [api]
    export_keys = false

    [api.oidc]
    issuer = "https://login.example.com/realms/example"
    keys = "https://login.example.com/realms/example/protocol/openid-connect/certs"
    audiences = ["perennial"]

    [api.groups]
    shop-developers = ["requester@shop-team/production", "viewer@shop-team"]

    [api.principals]
    "arn:aws:iam::111122223333:role/pipeline" = ["requester@shop-team"]

    [api.people]
    "arn:aws:iam::111122223333:role/ada" = "ada@example.com"

Without `[api.oidc]` people sign in at the Cognito user pool of the deployment. `grants` has the syntax of grants.
`[api.people]` gives no right: it says which e-mail address a principal belongs to, so that nobody approves under one
identity what they asked for under another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from perennial.grants import MAX_GRANTS, read
from perennial.roles import Grant
from perennial.settings_table import Table, shown
from perennial.sign_in import CLIENT, MAX_SCOPES, SCOPE, SCOPES, SignIn

MAX_GROUPS = 500
MAX_PRINCIPALS = 500
MAX_GROUP = 128  # characters: Cognito's limit of a group's name
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")  # RFC 7518 3.1
KINDS = ("oidc", "cognito")
EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,8}")
PRINCIPAL = re.compile(r"arn:(aws[a-z-]*):iam::([0-9]{12}):(role|user)/(?:[!-~]{1,500}/)?([A-Za-z0-9_+=,.@-]{1,64})")
_SUBJECT = re.compile(r"https://[!-\"$-~]{1,500}#[!-~]{1,255}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*")
_URL = "an https URL without user, password, query and fragment, of at most 512 characters"
_AUDIENCE = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Oidc:
    """`[api.oidc]`: whose tokens are accepted, and which.

    A token must be for one of `audiences`, and for nobody else than these and `also_for`. `kind` is "cognito" where
    tokens say by `token_use` what they are, and access tokens by `client_id` whom they are for.
    """

    issuer: str
    keys: str  # the URL of the JWK Set (RFC 7517 5)
    audiences: tuple[str, ...]
    also_for: tuple[str, ...] = ()
    kind: str = "oidc"
    tokens: str = "id"  # or access
    algorithms: tuple[str, ...] = ("RS256",)
    groups_claim: str = "groups"
    max_hours: int = 24  # from a token's issue to its end
    sign_in: SignIn | None = None  # None: people bring their tokens themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """`[api]`. Principals are named as `identity.principal` does: without the path."""

    export_keys: bool = False
    oidc: Oidc | None = None  # None: the deployment's user pool
    groups: Mapping[str, tuple[Grant, ...]] = field(default_factory=dict)
    principals: Mapping[str, tuple[Grant, ...]] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)  # principal -> e-mail address in lower case
    page: str = ""  # where people sign in to decide on requests; "" for none


def user_pool(issuer: str, client: str) -> Oidc:
    """How tokens of a Cognito user pool are verified: `issuer` is its URL, `client` the id of the app client.

    Source: Amazon Cognito Developer Guide, "Verifying JSON web tokens".
    """
    return Oidc(
        issuer=issuer,
        keys=f"{issuer}/.well-known/jwks.json",
        audiences=(client,),
        kind="cognito",
        groups_claim="cognito:groups",
    )


def api(table: Table) -> Api:
    """`[api]`."""
    default = Api()
    return table.done(
        lambda: Api(
            export_keys=table.flag("export_keys", default.export_keys),
            oidc=_oidc(table, table.take("oidc", {}, _mapping, "a table") or {}),
            groups=_granted(table, "groups", _group, MAX_GROUPS),
            principals=_granted(table, "principals", principal_name, MAX_PRINCIPALS),
            people=_people(table),
            page=table.take("page", "", lambda value: "" if value == "" else _https(value), _URL) or "",
        )
    )


def principal_name(arn: str) -> str | None:
    """A role or user of IAM without its path, which its ARN in a request does not have either; names are unique in an
    account (IAM User Guide, "IAM and AWS STS quotas"). None for anything else."""
    match = PRINCIPAL.fullmatch(arn)
    return f"arn:{match[1]}:iam::{match[2]}:{match[3]}/{match[4]}" if match else None


def _oidc(within: Table, document: Mapping[str, Any]) -> Oidc | None:
    if not document:
        return None
    table = Table({"oidc": document}, "oidc", within.problems, within.name)
    before = len(within.problems)
    kind = table.choice("kind", "oidc", KINDS)
    issuer = table.need("issuer", _https, _URL) or ""
    keys = _keys(table, issuer, kind)
    audiences = table.need("audiences", _audiences, "a list of one to 20 audiences, as client ids") or ()
    also_for = table.texts("also_for", (), _AUDIENCE)
    tokens = table.choice("tokens", "id", ("id", "access"))
    made = table.done(
        lambda: Oidc(
            issuer=issuer,
            kind=kind,
            keys=keys,
            audiences=audiences,
            also_for=also_for,
            tokens=tokens,
            algorithms=table.choices("algorithms", ("RS256",), ALGORITHMS),
            groups_claim=table.text("groups_claim", _CLAIMS[kind], re.compile(r"[!-~]{1,128}")),
            max_hours=table.number("max_hours", 24, 1, 24),
            sign_in=_sign_in(table, issuer, tokens, audiences),
        )
    )
    return made if len(within.problems) == before else None


def _sign_in(table: Table, issuer: str, tokens: str, audiences: tuple[str, ...]) -> SignIn | None:
    """How the command and the page sign people in: `client` and the endpoints, under the names that the issuer's
    openid-configuration has for them (RFC 8414 2)."""
    client = table.take(
        "client", "", lambda value: value if value == "" else _client(value), "the id of a public client"
    )
    urls = {name: table.take(name, "", _none_or_https, _URL) for name in _ENDPOINTS}  # None: that problem is told
    scopes = table.take("scopes", list(SCOPES), _scopes, f"a list of at most {MAX_SCOPES} scopes, openid among them")
    if not client and not any(urls.values()):
        return None
    if "" in (client, urls["authorization_endpoint"], urls["token_endpoint"]):
        table.problem("client", "signing in needs client, authorization_endpoint and token_endpoint, all of them")
    elif client and tokens == "id" and audiences and client not in audiences:
        table.problem("client", "it must be one of audiences too: id tokens are for the client that asked")
    return SignIn(
        issuer=issuer,
        client=client or "",
        authorization=urls["authorization_endpoint"] or "",
        token=urls["token_endpoint"] or "",
        revocation=urls["revocation_endpoint"] or "",
        scopes=scopes or SCOPES,
        tokens=tokens,
    )


_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "revocation_endpoint")


def _client(value: Any) -> str | None:
    return value if isinstance(value, str) and CLIENT.fullmatch(value) else None


def _none_or_https(value: Any) -> str | None:
    return value if value == "" else _https(value)


def _scopes(value: Any) -> tuple[str, ...] | None:
    fits = isinstance(value, list) and len(value) <= MAX_SCOPES and "openid" in value
    return tuple(value) if fits and all(isinstance(v, str) and SCOPE.fullmatch(v) for v in value) else None


_CLAIMS = {"oidc": "groups", "cognito": "cognito:groups"}


def _keys(table: Table, issuer: str, kind: str) -> str:
    """Where the keys are: told, but for Cognito, where it is known."""
    if kind == "cognito":
        return table.take("keys", f"{issuer.rstrip('/')}/.well-known/jwks.json", _https, _URL) or ""
    return table.need("keys", _https, f"the `jwks_uri` of the issuer's openid-configuration: {_URL}") or ""


def _audiences(value: Any) -> tuple[str, ...] | None:
    fits = isinstance(value, list) and 0 < len(value) <= 20 and all(isinstance(v, str) for v in value)
    return tuple(value) if fits and all(map(_AUDIENCE.fullmatch, value)) else None


def _granted(table: Table, key: str, name: Callable[[str], str | None], most: int) -> Mapping[str, tuple[Grant, ...]]:
    """A table from names to lists of grants; every grant that cannot be read is a problem."""
    found: dict[str, tuple[Grant, ...]] = {}
    for text, value in (table.take(key, {}, _few(most), f"a table of at most {most} lists of grants") or {}).items():
        named = name(text)
        if named is None or named in found:
            table.problem(key, f"{shown(text)} is {'twice there' if named else _NAMES[key]}")
        else:
            found[named] = _grants(table, f"{key}.{shown(text)}", value)
    return found


_NAMES = {
    "groups": f"not the name of a group, of 1 to {MAX_GROUP} printable characters",
    "principals": "not the ARN of an IAM role or user, as arn:aws:iam::111122223333:role/name",
}


def _grants(table: Table, key: str, value: Any) -> tuple[Grant, ...]:
    if not isinstance(value, list) or len(value) > MAX_GRANTS or not all(isinstance(each, str) for each in value):
        table.problems.append(f"{table.name}.{key}: {shown(value)} is not a list of at most {MAX_GRANTS} grants")
        return ()
    read_ones = [read(each) for each in value]
    table.problems += [f"{table.name}.{key}: {each}" for each in read_ones if isinstance(each, str)]
    return tuple(dict.fromkeys(each for each in read_ones if isinstance(each, Grant)))


def _people(table: Table) -> Mapping[str, str]:
    """`[api.people]`: principals of IAM, or issuer#subject, and whose they are."""
    found = {}
    accepted = f"a table of at most {MAX_PRINCIPALS} e-mail addresses"
    for text, email in (table.take("people", {}, _few(MAX_PRINCIPALS), accepted) or {}).items():
        named = principal_name(text) or (text if _SUBJECT.fullmatch(text) else None)
        if named is None:
            table.problem("people", f"{shown(text)} is {_NAMES['principals']}, nor issuer#subject")
        elif not isinstance(email, str) or not EMAIL.fullmatch(email):
            table.problem("people", f"{shown(email)} is not an e-mail address")
        else:
            found[named] = email.lower()
    return found


def _group(text: str) -> str | None:
    return text if 0 < len(text) <= MAX_GROUP and text.isprintable() and text.strip() == text else None


def _mapping(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _few(most: int) -> Callable[[Any], Mapping[str, Any] | None]:
    return lambda value: value if isinstance(value, Mapping) and len(value) <= most else None


def _https(value: Any) -> str | None:
    """A URL as it is: issuers are compared letter by letter (OpenID Connect Core 1.0, 3.1.3.7)."""
    if not isinstance(value, str) or len(value) > 512 or not value.isascii() or not value.isprintable():
        return None
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return None
    fits = value.startswith("https://") and _HOST.fullmatch(parts.hostname or "") and _PATH.fullmatch(parts.path)
    plain = "@" not in parts.netloc and not (set(value) & set("?#\\"))
    return value if fits and plain and port != 0 else None
