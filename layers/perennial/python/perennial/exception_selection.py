"""What an exception covers: a selection of certificates, or of requests where a policy rule is suspended. Pure.

All conditions that are given must hold. What is not known of a certificate fits no condition about it. A condition on
names asks for *every* name of the certificate: one that also serves names of someone else is not covered by an
exception for the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields

from perennial import names
from perennial.errors import InvalidInput
from perennial.ownership import MAX_OWNER

MAX_RESOURCE = 1_000  # characters, as the inventory keeps them
GLOBAL = "aws-global"  # the region of what has none
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_RESOURCE = re.compile(r"[!-)+-~]{1,1000}\*?")  # visible ASCII; * only at the end
_PREFIX = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.*")
_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(rf"[a-z]{{2}}(-[a-z]+)+-[0-9]|{GLOBAL}")
_MANAGED = re.compile(r"[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?")
_EXACT = ("fingerprint", "owner", "account", "region")
OF_REQUESTS = ("name", "subtree", "owner", "managed")  # conditions that a request can be asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which certificates. "" asks for nothing; one condition or more is given. `checked` makes it of what people say.

    `name` is a DNS name or address, with `subtree` also every name below. `resource` is an ARN or host:port, or the
    beginning of an ARN with `*` behind it.
    """

    fingerprint: str = ""  # SHA-256, 64 hexadecimal digits in lower case
    name: str = ""
    subtree: bool = False
    owner: str = ""
    resource: str = ""
    account: str = ""
    region: str = ""
    managed: str = ""  # the name of a managed certificate: all of its versions

    def given(self) -> dict[str, str | bool]:
        """The conditions that are given, by name."""
        return {name: value for name, value in asdict(self).items() if value}

    def __str__(self) -> str:
        """For people: `owner shop-team, name shop.example.com and below`."""
        words = {**self.given(), **({"name": f"{self.name} and below"} if self.subtree else {})}
        return ", ".join(f"{name} {value}" for name, value in words.items() if name != "subtree")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a selection is held against. `managed` says whether it belongs to a managed certificate: asked last."""

    names: tuple[str, ...] = ()
    fingerprint: str = ""
    owner: str = ""
    resource: str = ""
    account: str = ""
    region: str = ""
    managed: Callable[[str], bool] = lambda name: False


def covers(selection: Selection, facts: Facts) -> bool:
    """Whether all conditions of a selection hold; never for one without conditions."""
    return (
        may_cover(selection, facts)
        and (not selection.name or _named(selection, facts.names))
        and (not selection.managed or facts.managed(selection.managed))
    )


def may_cover(selection: Selection, facts: Facts) -> bool:
    """Whether the conditions hold that a finding alone tells: all but those on names and managed certificates."""
    given = selection.given()
    return (
        bool(given.keys() - {"subtree"})
        and all(given[name] == getattr(facts, name) for name in _EXACT if name in given)
        and (not selection.resource or _at(selection.resource, facts.resource))
    )


def _at(wanted: str, resource: str) -> bool:
    return resource.startswith(wanted[:-1]) if wanted.endswith("*") else resource == wanted


def _named(selection: Selection, found: Iterable[str]) -> bool:
    every = [each.lower().removesuffix(".") for each in found]
    return bool(every) and all(
        each == selection.name or (selection.subtree and each.endswith("." + selection.name)) for each in every
    )


# --- what people say ---


def checked(said: Selection, *, of_requests: bool = False) -> Selection:
    """A selection in its canonical form. `of_requests`: it is for a policy rule, which judges requests.

    Raises: InvalidInput with every problem, one a line.
    """
    problems: list[str] = []
    found = Selection(**{**asdict(said), **dict(_converted(said, problems))})
    if not said.given().keys() - {"subtree"}:
        problems.append("selection: it has no condition, and would cover everything; give at least one")
    if of_requests:
        apart = ", ".join(sorted(said.given().keys() - set(OF_REQUESTS)))
        accepted = "name, owner and managed"
        problems += [f"selection.{apart}: a policy rule judges requests; accepted are {accepted}"] if apart else []
    if problems:
        raise InvalidInput("\n".join(problems))
    return found


def _converted(said: Selection, problems: list[str]) -> Iterator[tuple[str, str]]:
    for name, convert in _CONVERT.items():
        value = getattr(said, name)
        if not value:
            continue
        try:
            yield name, convert(_text(value))
        except InvalidInput as error:
            problems.append(f"selection.{name}: {error}")
    if type(said.subtree) is not bool:
        problems.append("selection.subtree: it is not true or false")
    elif said.subtree:
        problems += _of_subtree(said.name)


def _of_subtree(name: object) -> list[str]:
    """Why a name has nothing below it that could be meant."""
    if not isinstance(name, str) or not name:
        return ["selection.subtree: it goes with name"]
    if name.startswith("*") or "." not in name.strip(".") or ":" in name or name.rstrip(".")[-1:].isdigit():
        return ["selection.subtree: only a DNS name of two labels or more has names below it that may be covered"]
    return []


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_RESOURCE + 1:
        raise InvalidInput(f"it is not a text of at most {MAX_RESOURCE} characters")
    return value


def _fits(pattern: re.Pattern[str], accepted: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if not pattern.fullmatch(text):
            raise InvalidInput(f"accepted is {accepted}")
        return text

    return convert


def _fingerprint(text: str) -> str:
    return _fits(_FINGERPRINT, "a SHA-256 fingerprint of 64 hexadecimal digits")(text.replace(":", "").lower())


def _resource(text: str) -> str:
    _fits(_RESOURCE, "an ARN or host:port, or the beginning of an ARN with * behind it")(text)
    if text.endswith("*") and not _PREFIX.fullmatch(text[:-1]):
        raise InvalidInput(
            "before the * an ARN goes at least as far as its account: arn:aws:acm:eu-west-1:111122223333:*"
        )
    return text


def _owner(text: str) -> str:
    if len(text) > MAX_OWNER or not text.isprintable() or text != text.strip():
        raise InvalidInput(f"an owner is a text of at most {MAX_OWNER} printable characters")
    return text


_CONVERT: Mapping[str, Callable[[str], str]] = {
    "fingerprint": _fingerprint,
    "name": names.canonical,
    "owner": _owner,
    "resource": _resource,
    "account": _fits(_ACCOUNT, "the 12 digits of an AWS account"),
    "region": _fits(_REGION, f"a region such as eu-west-1, or {GLOBAL}"),
    "managed": _fits(_MANAGED, "the name of a managed certificate"),
}
assert {*_CONVERT, "subtree"} == {each.name for each in fields(Selection)}, "a condition that is not checked"
