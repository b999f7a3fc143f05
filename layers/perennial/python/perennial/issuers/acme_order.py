"""An ACME order as it is kept between steps: a frozen state and its text (compact JSON).

Nothing of it is secret. The text comes back from a table: it is judged as strictly as a CA's reply, the origins of its
URLs too, so that nobody who can write there can lead Perennial elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum

from perennial.errors import InvalidInput, InvalidReply
from perennial.issuers.acme_network import Directory
from perennial.issuers.acme_reading import Fields, Origins, bounded, json_object

MAX_TEXT = 200_000  # characters, for 100 names
MAX_NAMES = 100


class Phase(StrEnum):
    """How far an order is."""

    NEW = "new"  # nothing was asked, or only what an expired order was
    ORDERED = "ordered"  # the CA has the order; its authorizations are to be read
    CHALLENGED = "challenged"  # the challenges are known, and to be shown and answered
    ANSWERED = "answered"  # the CA was told to look at them
    FINALIZED = "finalized"  # the CA has the CSR
    ISSUED = "issued"  # the certificate can be fetched


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """One authorization that has to be answered (RFC 8555 7.1.4)."""

    url: str
    name: str  # as requested: "*.example.com"
    challenge: str  # URL
    token: str = ""  # of the challenge; "" for dns-persist-01
    issuer: str = ""  # dns-persist-01: the issuer domain name that the record has


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The state of one order. `source` is the directory's URL that it was made at."""

    source: str
    phase: Phase = Phase.NEW
    account: str = ""  # URL
    thumbprint: str = ""  # of the account's key, which the challenges are made of
    url: str = ""
    finalize: str = ""
    certificate: str = ""
    pages: tuple[str, ...] = ()  # URLs of all authorizations
    authorizations: tuple[Authorization, ...] = ()  # those to be answered
    directory: Directory | None = None
    nonce: str = ""
    without_replaces: bool = False  # the CA refused to hear what is replaced
    attempts: int = 0  # orders that were given up because they expired
    polls: int = 0  # since the phase began


def started_again(order: Order) -> Order:
    """A new order in place of one that the CA does not have any more."""
    return Order(
        source=order.source,
        directory=order.directory,
        nonce=order.nonce,
        without_replaces=order.without_replaces,
        attempts=order.attempts + 1,
    )


def write(order: Order) -> str:
    """The order's text. Raises InvalidReply where a CA's URLs made it too long."""
    values = {name: value for name in _TEXTS if (value := getattr(order, name))}
    values |= {name: value for name in ("attempts", "polls") if (value := getattr(order, name))}
    values |= {"source": order.source, "phase": order.phase.value}
    if order.pages:
        values["pages"] = order.pages
    if order.authorizations:
        values["authorizations"] = [
            [each.url, each.name, each.challenge, each.token, each.issuer] for each in order.authorizations
        ]
    if order.directory is not None:
        values["directory"] = _directory_values(order.directory)
    if order.without_replaces:
        values["without_replaces"] = True
    text = json.dumps(values, separators=(",", ":"))
    if len(text) > MAX_TEXT:
        raise InvalidReply(f"the CA's URLs make the order {len(text)} characters long, more than {MAX_TEXT}")
    return text


_TEXTS = ("account", "thumbprint", "url", "finalize", "certificate", "nonce")
_URLS = ("new_nonce", "new_account", "new_order", "revoke", "key_change", "renewal_info")


def _directory_values(directory: Directory) -> dict[str, object]:
    values: dict[str, object] = {name: value for name in _URLS if (value := getattr(directory, name))}
    return values | {"account_bound": directory.account_bound, "profiles": directory.profiles}


def read(text: str, source: str, origins: Origins) -> Order:
    """The order of a text; a new one for "", and for one of another directory (the issuer was configured anew).

    Raises: InvalidInput where the text is not one that `write` makes.
    """
    if not text:
        return Order(source=source)
    try:
        if len(text) > MAX_TEXT:
            raise InvalidReply("it is too long")
        fields = Fields(where="order", values=json_object(text.encode(errors="replace"), "order"), origins=origins)
        if fields.text("source") != source:
            return Order(source=source)
        return _read(fields)
    except InvalidReply as error:
        raise InvalidInput(f"the kept order cannot be read ({bounded(str(error))}); request anew") from error


def _read(fields: Fields) -> Order:
    order = Order(
        source=fields.text("source"),
        phase=Phase(fields.one_of("phase", tuple(Phase))),
        account=fields.optional_url("account"),
        thumbprint=_optional_token(fields, "thumbprint"),
        url=fields.optional_url("url"),
        finalize=fields.optional_url("finalize"),
        certificate=fields.optional_url("certificate"),
        pages=fields.urls("pages", MAX_NAMES),
        authorizations=tuple(_authorization(each, fields) for each in fields.items("authorizations", MAX_NAMES)),
        directory=_directory(fields.of("directory")) if "directory" in fields.values else None,
        nonce=_optional_token(fields, "nonce"),
        without_replaces=fields.flag("without_replaces"),
        attempts=_count(fields, "attempts"),
        polls=_count(fields, "polls"),
    )
    return _complete(order)


def _complete(order: Order) -> Order:
    """An order that has what its phase works with."""
    missing = [name for name in _NEEDED[order.phase] if not getattr(order, name)]
    if missing:
        raise InvalidReply(f"order: in the phase {order.phase} without {', '.join(missing)}")
    return order


_BASE = ("account", "url", "finalize", "directory")
_NEEDED: dict[Phase, tuple[str, ...]] = {
    Phase.NEW: (),
    Phase.ORDERED: _BASE,
    Phase.CHALLENGED: (*_BASE, "authorizations", "thumbprint"),
    Phase.ANSWERED: _BASE,
    Phase.FINALIZED: _BASE,
    Phase.ISSUED: (*_BASE, "certificate"),
}


def _authorization(value: object, fields: Fields) -> Authorization:
    if not isinstance(value, list) or len(value) != 5 or not all(isinstance(each, str) for each in value):
        raise InvalidReply("order: an authorization is not five texts")
    named = dict(zip(("url", "name", "challenge", "token", "issuer"), value, strict=True))
    inner = _inner(fields, named, "authorization")
    return Authorization(
        url=inner.url("url"),
        name=inner.text("name", most=255),
        challenge=inner.url("challenge"),
        token=_optional_token(inner, "token"),
        issuer=inner.text("issuer", most=255),
    )


def _directory(fields: Fields) -> Directory:
    return Directory(
        new_nonce=fields.url("new_nonce"),
        new_account=fields.url("new_account"),
        new_order=fields.url("new_order"),
        revoke=fields.optional_url("revoke"),
        key_change=fields.optional_url("key_change"),
        renewal_info=fields.optional_url("renewal_info"),
        account_bound=fields.flag("account_bound"),
        profiles=fields.texts("profiles", 50),
    )


def _inner(fields: Fields, values: dict[str, object], inner: str) -> Fields:
    """Other values, judged as those of `fields`."""
    return replace(fields, values=values, where=f"{fields.where}: {inner}")


def _optional_token(fields: Fields, name: str) -> str:
    return fields.token(name) if fields.values.get(name) else ""


def _count(fields: Fields, name: str) -> int:
    value = fields.values.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 10_000:
        raise InvalidReply(f"{fields.where}: {name} is not a small number")
    return value
