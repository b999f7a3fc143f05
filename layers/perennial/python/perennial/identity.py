"""Who asks: from what API Gateway says about a request to a person with grants. Pure.

Machines sign with IAM credentials, and API Gateway names the principal. A role or user of the hub's own account has the
grants of its tag `perennial:roles` (`grants` has the syntax). Tags of other accounts do not count: whoever may
tag there is not who decides here. Any account's principals have the grants of `[api.principals]`. Tags of a session do
not reach an API, and so give nothing.

People send a token, which the authorizer has verified; its groups have the grants of `[api.groups]`.

Whatever is unknown, malformed or contradictory gives no grant and is told. Nothing here raises.

Source: API Gateway Developer Guide, "Variables for data transformations" ($context.identity, $context.authorizer);
IAM User Guide, "IAM identifiers" and "Tags for IAM resources".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.api_settings import EMAIL, MAX_GROUP, Api, Oidc, principal_name
from perennial.grants import MAX_TEXT, bounded_grants, read_tag
from perennial.issuers.acme_reading import bounded
from perennial.roles import Grant, Person, Source
from perennial.settings_table import shown
from perennial.tokens import LEEWAY, Verified

TAG = "perennial:roles"
CONTEXT = "perennial"  # the one value of our authorizer's context
MAX_GROUPS = 50  # mapped groups of one person that count
MAX_CONTEXT = 8_000  # characters of the authorizer's context
MAX_NAME = 128
NOBODY = Person(principal="", name="nobody", source=Source.NONE)
_SESSION = re.compile(
    r"arn:(aws[a-z-]*):sts::([0-9]{12}):assumed-role/([A-Za-z0-9_+=,.@-]{1,64})/([A-Za-z0-9_+=,.@-]{1,64})"
)
_ACCOUNT = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A principal of IAM. `arn` is the role's or user's, without a path; `session` is "" for a user."""

    arn: str
    account: str
    kind: str  # role or user
    name: str
    session: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """Who asks, and what of it was not understood, one bounded line each: for the log and for the person."""

    person: Person
    told: tuple[str, ...] = ()


def caller(context: Mapping[str, Any]) -> Caller | None:
    """The IAM principal that signed a request; None where none did, or it is neither a role nor a user."""
    identity = context.get("identity")
    arn = identity.get("userArn") if isinstance(identity, Mapping) else None
    if not isinstance(arn, str) or len(arn) > 2_048:
        return None
    session = _SESSION.fullmatch(arn)
    named = f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}" if session else principal_name(arn)
    if named is None or (not session and ":user/" not in named):  # a role itself signs nothing, its sessions do
        return None
    account, (kind, _, name) = named.split(":")[4], named.split(":", 5)[5].partition("/")
    return Caller(arn=named, account=account, kind=kind, name=name, session=session[4] if session else "")


def identify(
    context: Mapping[str, Any], api: Api, *, account: str, tags: Mapping[str, str], now: datetime
) -> Identified:
    """Who asks, by `requestContext` of an event of a REST API. `account` is the hub's; `tags` are those of `caller`,
    {} where it is of another account."""
    theirs = context.get("authorizer")
    kept = theirs.get(CONTEXT) if isinstance(theirs, Mapping) else None
    signed = caller(context)
    if kept is not None and signed is not None:
        return Identified(person=NOBODY, told=("the request has both a signature of IAM and a token; send one",))
    if kept is not None:
        return _of_token(kept, api, now)
    if signed is not None:
        return _of_iam(signed, api, account, tags)
    identity = context.get("identity")
    arn = identity.get("userArn") if isinstance(identity, Mapping) else None
    told = (f"{shown(arn)} is neither a user nor a role's session",) if arn else ()
    return Identified(person=NOBODY, told=told)


def _of_iam(signed: Caller, api: Api, account: str, tags: Mapping[str, str]) -> Identified:
    told = []
    tag = tags.get(TAG, "") if isinstance(tags.get(TAG, ""), str) else ""
    grants = list(api.principals.get(signed.arn, ()))
    if tag and (signed.account != account or not _ACCOUNT.fullmatch(account)):
        told.append(f"the tag {TAG} of another account's principal does not count; name it in [api.principals]")
    elif tag:
        found = read_tag(tag)
        grants += found.grants
        told += [f"the tag {TAG}: {each}" for each in found.problems]
    counted = bounded_grants(grants, told)
    person = Person(
        principal=signed.arn,
        name=f"{signed.name}/{signed.session}" if signed.session else signed.name,
        source=Source.IAM,
        grants=counted.grants,
        email=api.people.get(signed.arn, ""),
        session=signed.session,
    )
    return Identified(person=person, told=counted.problems)


def linked(known_as: Iterable[str], api: Api) -> frozenset[str]:
    """What an asker is known as, with what the configuration says by now: a link may be newer than what was asked."""
    known = frozenset(known_as)
    return known | {api.people[each] for each in known if each in api.people}


def kept_of(verified: Verified, api: Api, oidc: Oidc) -> str:
    """What of a verified token the authorizer hands on, as one text: who it is, and the groups that mean something
    here. It is bounded, as API Gateway bounds an authorizer's answer."""
    claims = verified.claims
    document = {
        "iss": verified.issuer,
        "sub": verified.subject,
        "exp": int(verified.expires.timestamp()),
        "name": _display(claims),
        "email": _verified_email(claims),
        "groups": [],
        "told": [],
    }
    groups, told = _groups(claims.get(oidc.groups_claim), api)
    return _fitting(document, groups, told)


def _fitting(document: dict[str, Any], groups: list[str], told: list[str]) -> str:
    text = json.dumps({**document, "groups": groups, "told": told})
    while len(text) > MAX_CONTEXT and groups:
        groups = groups[:-1]
        text = json.dumps({**document, "groups": groups, "told": [f"only the first {len(groups)} groups count"]})
    return text


def _groups(value: object, api: Api) -> tuple[list[str], list[str]]:
    """The groups of a claim, which is a list of texts or one text, as far as the configuration maps them."""
    listed = [value] if isinstance(value, str) else value
    if listed is None:
        return [], []
    if not isinstance(listed, list):
        return [], ["the claim of groups is neither a list nor a text"]
    texts = [each for each in listed if isinstance(each, str) and len(each) <= MAX_GROUP]
    mapped = list(dict.fromkeys(each for each in texts if each in api.groups))
    told = ["the claim of groups has what is no group's name"] if len(texts) < len(listed) else []
    if len(mapped) > MAX_GROUPS:
        told.append(f"{len(mapped)} groups have grants; the first {MAX_GROUPS} count")
    return mapped[:MAX_GROUPS], told


def _display(claims: Mapping[str, Any]) -> str:
    """What to call a person: the first of the usual claims (OpenID Connect Core 1.0, 5.1), made fit to be shown.

    A user name that is the subject's id is none: Cognito makes one up where people sign in with their e-mail address
    (Cognito Developer Guide, "Customizing sign-in attributes").
    """
    for name in ("name", "preferred_username", "cognito:username", "username", "email"):
        value = claims.get(name)
        if isinstance(value, str) and value != claims.get("sub") and (text := bounded(value, MAX_NAME)):
            return text
    return ""


def _verified_email(claims: Mapping[str, Any]) -> str:
    """An e-mail address that the issuer says it verified; some issuers write true as a text."""
    value = claims.get("email")
    said = claims.get("email_verified")
    is_verified = said is True or said == "true"
    fits = isinstance(value, str) and len(value) <= 254 and EMAIL.fullmatch(value)
    return value.lower() if is_verified and fits and isinstance(value, str) else ""


def _of_token(kept: object, api: Api, now: datetime) -> Identified:
    document = _kept(kept)
    if document is None:
        return Identified(person=NOBODY, told=("what the authorizer handed on cannot be read",))
    if now.timestamp() >= document["exp"] + LEEWAY:  # the authorizer's answer was kept longer than the token is valid
        return Identified(person=NOBODY, told=("the token has expired; sign in again",))
    principal = f"{document['iss']}#{document['sub']}"
    granted: list[Grant] = [grant for each in document["groups"] for grant in api.groups.get(each, ())]
    counted = bounded_grants(granted, document["told"])
    linked_to = api.people.get(principal, "")
    person = Person(
        principal=principal,
        name=document["name"] or document["email"] or document["sub"],
        source=Source.OIDC,
        grants=counted.grants,
        email=document["email"] or linked_to,
        linked=linked_to,
    )
    return Identified(person=person, told=counted.problems)


_TEXTS = ("iss", "sub", "name", "email")


def _kept(kept: object) -> dict[str, Any] | None:
    """What `kept_of` made; None where it is anything else."""
    if not isinstance(kept, str) or len(kept) > MAX_CONTEXT + MAX_TEXT:
        return None
    try:
        document = json.loads(kept)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or type(document.get("exp")) is not int:
        return None
    texts = all(isinstance(document.get(each), str) for each in _TEXTS) and document["iss"] and document["sub"]
    lists = all(_are_texts(document.get(each)) for each in ("groups", "told"))
    return document if texts and lists else None


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
