"""What someone declares as the targets of a managed certificate, validated as a whole: every problem is told at once.

A document is what a TOML, JSON or YAML file holds:

    on_failure = "return"          # or "stay": targets proven before the one that fails keep the new version

    [[targets]]                    # in the order in which they are changed, the canary first
    kind = "elbv2"
    name = "edge"
    listener = "arn:aws:elasticloadbalancing:…"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from perennial import names, targets
from perennial.errors import InvalidInput
from perennial.settings import ACCOUNT, HOST_PORT, REGION
from perennial.settings_table import TABLE_NAME, Table, shown
from perennial.targets.interface import HANDSHAKE, READ_BACK, Field, TargetSettings

MAX_BYTES = 256_000
MAX_TARGETS = 200
MAX_TEXTS = 50  # of one field
DEADLINES = (10, 7_200)  # seconds
RETURN, STAY = "return", "stay"
_ARN = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:([a-z0-9-]*):([0-9]*):.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The targets of a managed certificate in their order. `stays`: what `on_failure = "stay"` means."""

    targets: tuple[TargetSettings, ...]
    stays: bool = False


def load(text: str, managed: str) -> Declared:
    """The targets that a TOML text declares.

    Raises: InvalidInput with every problem, one a line.
    """
    if len(text) > MAX_BYTES:
        raise InvalidInput(f"the targets have {len(text)} characters; at most {MAX_BYTES} are read")
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidInput(f"the targets cannot be read as TOML: {str(error)[:300]}") from error
    return parse(document, managed)


def parse(document: Mapping[str, Any], managed: str) -> Declared:
    """The targets that a decoded document declares.

    Raises: InvalidInput with every problem, one a line.
    """
    problems: list[str] = []
    listed = document.get("targets", [])
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_TARGETS:
        problems.append(f"targets: there must be a list of 1 to {MAX_TARGETS} of them, as [[targets]] in TOML")
        listed = []
    head = Table({"": {key: value for key, value in document.items() if key != "targets"}}, "", problems)
    stays = head.done(lambda: head.choice("on_failure", RETURN, (RETURN, STAY))) == STAY
    found = [_target(each, f"targets[{number}]", managed, problems) for number, each in enumerate(listed, start=1)]
    problems += _twice([each.name for each in found if each])
    if problems:
        raise InvalidInput("\n".join(each.removeprefix(".") for each in problems))
    return Declared(targets=tuple(each for each in found if each), stays=stays)


def _twice(all_names: list[str]) -> list[str]:
    twice = sorted({each for each in all_names if all_names.count(each) > 1})
    return [f"targets: the name {each} is there twice; each target needs one of its own" for each in twice]


def _target(entry: Any, where: str, managed: str, problems: list[str]) -> TargetSettings | None:
    table = Table({where: entry}, where, problems)
    known = targets.names()
    kind = table.need("kind", lambda v: v if isinstance(v, str) and v in known else None, f"one of {', '.join(known)}")
    if kind is None:
        return None
    declared = targets.kind(kind)
    before = len(problems)
    settings = table.done(lambda: _settings(table, kind, declared, managed))
    if len(problems) > before:
        return None
    return _placed(settings, where, problems)


def _settings(table: Table, kind: str, declared: targets.Kind, managed: str) -> TargetSettings:
    default = HANDSHAKE if declared.HANDSHAKES else READ_BACK
    return TargetSettings(
        kind=kind,
        managed=managed,
        name=table.need("name", _like(TABLE_NAME), f"a name like {TABLE_NAME.pattern}") or "",
        account=table.text("account", "", re.compile(f"({ACCOUNT.pattern})?")),
        region=table.text("region", "", re.compile(f"({REGION.pattern})?")),
        names=table.converted("names", names.canonical, "host names or IP addresses"),
        endpoints=table.texts("endpoints", (), HOST_PORT),
        proof=table.choice("proof", default, (HANDSHAKE, READ_BACK)),
        deadline=table.number("deadline", declared.DEADLINE, *DEADLINES),
        fields={each.name: _field(table, each) for each in declared.FIELDS},
    )


def _field(table: Table, wanted: Field) -> str | tuple[str, ...]:
    fits = _like(re.compile(wanted.pattern))
    if wanted.several:
        empty: tuple[str, ...] = ()
        accepted = f"a list of at most {MAX_TEXTS}: {wanted.words}"
        return table.take(wanted.name, [], lambda v: _all(v, fits), accepted) or empty
    if wanted.needed:
        return table.need(wanted.name, fits, wanted.words) or ""
    return table.take(wanted.name, wanted.default, lambda v: "" if v == "" else fits(v), wanted.words) or ""


def _all(value: Any, fits: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list) or len(value) > MAX_TEXTS or not all(map(fits, value)):
        return None
    return tuple(value)


def _like(pattern: re.Pattern[str]) -> Any:
    return lambda value: value if isinstance(value, str) and pattern.fullmatch(value) else None


def _placed(settings: TargetSettings, where: str, problems: list[str]) -> TargetSettings | None:
    """The settings with the account and region that an ARN among the fields says, which must not contradict."""
    places = {"region": settings.region, "account": settings.account}
    for name, value in settings.fields.items():
        match = _ARN.fullmatch(value) if isinstance(value, str) else None
        for part, said in zip(places, match.groups() if match else (), strict=False):
            if said and places[part] not in ("", said):
                problems.append(f"{where}.{part}: {shown(places[part])} is not that of {name}, {said}")
                return None
            places[part] = said or places[part]
    return replace(settings, account=places["account"], region=places["region"])
