"""Signing in and out of a deployment, and the token of who has signed in, renewed in time.

Where a deployment's people sign in, its API says itself (`GET /page`, which asks nobody who they are), so that whoever
knows its address needs no AWS credentials.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from perennial import sign_in
from perennial.cli import loopback, oauth, signed_in, token_endpoint
from perennial.cli.api_connection import through
from perennial.cli.signed_in import SignedIn
from perennial.cli.token_endpoint import Tokens
from perennial.errors import AccessDenied, InvalidConfiguration, InvalidInput, InvalidReply, Unavailable
from perennial.sign_in import SignIn

if TYPE_CHECKING:
    from perennial.cli.api_connection import Address, Connection

EARLY = timedelta(seconds=60)  # before its end a token is renewed: a request takes time
MAX_REPLY = 64 * 1024  # bytes
AGAIN = "run perennial sign-in"


@dataclass(frozen=True, kw_only=True)
class Ways:
    """What signing in goes through, besides the browser."""

    connection: Connection
    environ: Mapping[str, str]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


def where(ways: Ways, at: Address) -> SignIn:
    """Where people of the API at an address sign in.

    Raises: InvalidInput where they do not sign in by Perennial, InvalidReply, InvalidConfiguration, Unavailable.
    """
    headers = {"Accept": "application/json", "Host": at.host}
    answer = ways.connection.send("GET", f"{at.through}/page", body=None, headers=headers, limit=MAX_REPLY)
    if answer.status >= 500 or answer.status == 429:
        raise Unavailable(f"{at.url} answered {answer.status}; try again in a minute")
    if answer.status != 200 or answer.content_type != "application/json":
        raise InvalidInput(
            f"{at.url} does not say where to sign in: is it the API for tokens (/perennial/api-people, or the output "
            "PeopleApiUrl)? With an issuer of your own, [api.oidc] of perennial.toml needs client and endpoints"
        )
    try:
        document: Any = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise InvalidReply(f"{at.url} says in no JSON where to sign in ({type(error).__name__})") from error
    return sign_in.read(document)


def sign_in_at(ways: Ways, at: Address, show: Callable[[str], object], tell: Callable[[str], object]) -> SignedIn:
    """Sign a person in and keep it. `show` gets the URL that the browser opens, once it may come back.

    Raises: PerennialError, OSError.
    """
    found, asked = where(ways, at), oauth.Asked()
    url = oauth.url(replace(found, authorization=through(found.authorization, ways.environ)), asked)
    query = loopback.wait(lambda query: oauth.is_answer(asked, query), lambda: show(url), tell)
    code = oauth.code(found, query)
    tokens = token_endpoint.redeem(ways.connection, found, code, asked.verifier, ways.environ)
    identity = oauth.identity(found, tokens.id, ways.clock(), nonce=asked.nonce)
    made = SignedIn(
        api=at.url,
        through=at.through,
        sign_in=found,
        subject=identity.subject,
        name=identity.name,
        expires=_ends(found, tokens, identity, ways.clock()),
        token=_wanted(found, tokens),
        refresh=tokens.refresh,
    )
    signed_in.keep(made, ways.environ)
    return made


def sign_out(ways: Ways) -> SignedIn | None:
    """Forget who has signed in, and give the refresh token back; None where nobody has.

    Raises: PerennialError where the issuer did not take it back; it is forgotten nevertheless. InvalidInput where it is
    not, as the environment leads elsewhere than when the person signed in. OSError.
    """
    try:
        found = signed_in.read(ways.environ)
    except InvalidConfiguration:
        signed_in.forget(ways.environ)
        raise
    if found and through(found.api, ways.environ) != found.through:
        raise InvalidInput(
            f"{found.name} signed in at {found.through}, and AWS_ENDPOINT_URL leads elsewhere: sign out without it"
        )
    signed_in.forget(ways.environ)
    if found and found.refresh and found.sign_in.revocation:
        token_endpoint.revoke(ways.connection, found.sign_in, found.refresh, ways.environ)
    return found


def renewed(ways: Ways, found: SignedIn) -> SignedIn:
    """As it is, or with a new token where the old one is about to end.

    Raises: AccessDenied where the person must sign in again; as `token_endpoint.refresh`.
    """
    if ways.clock() < found.expires - EARLY:
        return found
    if not found.refresh:
        raise AccessDenied(f"your sign-in has ended: {AGAIN}")
    try:
        return _refreshed(ways, found)
    except AccessDenied:
        other = signed_in.read(ways.environ)  # another command may have been faster, and used the refresh token up
        if other and other.token != found.token and ways.clock() < other.expires - EARLY and _same(other, found):
            return other
        raise


def _refreshed(ways: Ways, found: SignedIn) -> SignedIn:
    tokens = token_endpoint.refresh(ways.connection, found.sign_in, found.refresh, ways.environ)
    now = ways.clock()
    identity = oauth.identity(found.sign_in, tokens.id, now) if tokens.id else None
    if identity and identity.subject != found.subject:
        raise InvalidReply(f"the issuer gave a token of another person; {AGAIN}")
    made = replace(
        found,
        token=_wanted(found.sign_in, tokens),
        expires=_ends(found.sign_in, tokens, identity, now),
        refresh=tokens.refresh or found.refresh,
    )
    kept = signed_in.read(ways.environ)
    if kept and _same(kept, made):  # who has signed out meanwhile stays so
        signed_in.keep(made, ways.environ)
    return made


def _same(one: SignedIn, other: SignedIn) -> bool:
    return (one.api, one.subject) == (other.api, other.subject)


def _wanted(found: SignIn, tokens: Tokens) -> str:
    """The token that the API takes. Raises: InvalidReply."""
    token = tokens.id if found.tokens == "id" else tokens.access
    if not token:
        raise InvalidReply(f"the issuer gave no {found.tokens} token, which this deployment takes; {AGAIN} again")
    return token


def _ends(found: SignIn, tokens: Tokens, identity: oauth.Identity | None, now: datetime) -> datetime:
    """When the token that the API takes ends: as it says itself, else as the issuer says."""
    if found.tokens == "id" and identity:
        return identity.expires
    return oauth.ends(tokens.access) or now + timedelta(seconds=tokens.seconds)
