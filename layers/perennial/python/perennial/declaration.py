"""What a team declares in certificates.yaml, read and validated as a whole: every problem at once, each with its line.

    certificates:
      shop:                                   # the name of the managed certificate
        names: [www.shop.example.net]
        profile: web
        owner: shop-team
        targets:                              # in the order in which they are changed, the canary first
          - { kind: elbv2, name: window, listener: "arn:aws:elasticloadbalancing:…" }

`docs/declaring.md` has every field, `declaration_schema` makes the JSON Schema of the same constants. Here it is judged
by itself; whether perennial.toml allows it, `applying` judges.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from perennial import names, target_settings, targets
from perennial.certificate_request import CertificateRequest
from perennial.errors import InvalidInput
from perennial.issuance import MANAGED
from perennial.issuance_settings import MAX_DAYS, MAX_NAMES
from perennial.managed_certificate import Contacts, ManagedCertificate
from perennial.profiles import KEYS
from perennial.settings_table import TABLE_NAME, Table, shown
from perennial.target_settings import MAX_TARGETS, RETURN, STAY
from perennial.targets.interface import HANDSHAKE, READ_BACK, TargetSettings
from perennial.window_settings import MAX_WINDOWS

MAX_CERTIFICATES = 10_000
MAX_CONTACTS = 20  # of one kind
MAX_TOLD = 200  # problems
WORDS = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,126}[^\s\x00-\x1f\x7f-\x9f])?")
FINGERPRINT = re.compile(r"[0-9a-f]{64}")
WHOLE_NUMBERS = frozenset({"validity_days", "deadline"})
CONTACTS = tuple(each.name for each in fields(Contacts))
TOP = "certificates"
NEEDED = ("names", "profile", "owner")
_ACCEPTED_WORDS = "a text of 1 to 128 characters on one line"


@dataclass(frozen=True, slots=True)
class Places:
    """Where things stand, for problems: file and line by path."""

    by_path: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    def of(self, problem: str) -> tuple[str, int] | None:
        """The place of a problem, which begins with its path; of what is missing, the place of what lacks it."""
        ends = [at for at, each in enumerate(problem[:2_000]) if each in ".[:"]
        return next((self.by_path[problem[:at]] for at in reversed(ends) if problem[:at] in self.by_path), None)

    def told(self, problem: str) -> str:
        """A problem behind its place: `certificates.yaml:12: certificates.shop.key: …`."""
        place = self.of(problem)
        return f"{place[0]}:{place[1]}: {problem}" if place else problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What texts declare, and where."""

    certificates: tuple[ManagedCertificate, ...]
    places: Places = field(default_factory=Places)


def load(text: str, file_name: str = "certificates.yaml") -> list[ManagedCertificate]:
    """The managed certificates that a text in YAML or JSON declares, in its order.

    Raises: InvalidInput with every problem, one a line: `certificates.yaml:12: certificates.shop.key: …`.
    """
    return list(read([(file_name, text)]).certificates)


def read(files: Iterable[tuple[str, str]]) -> Reading:
    """What several files (name, text) declare together, each certificate once.

    Raises: InvalidInput with every problem of all of them.
    """
    found: dict[str, ManagedCertificate] = {}
    places = Places()
    problems: list[str] = []
    for file_name, text in files:
        own, where, wrong = _read(file_name, text)
        problems += wrong
        for each in own:
            first = places.by_path.get(path(each.name))
            if first:
                problems.append(where.told(f"{path(each.name)}: declared a second time; the first is at {_at(first)}"))
            found.setdefault(each.name, each)
        places = Places({**where.by_path, **places.by_path})
    raise_all(problems)
    return Reading(certificates=tuple(found.values()), places=places)


def _at(place: tuple[str, int]) -> str:
    return f"{place[0]}:{place[1]}"


def _read(file_name: str, text: str) -> tuple[list[ManagedCertificate], Places, list[str]]:
    """The certificates of one file, the places in it, and its problems in the order of lines."""
    from perennial import declaration_text

    found = declaration_text.read(text, WHOLE_NUMBERS)
    places = Places({where: (file_name, line) for where, line in found.lines.items()})
    certificates, wrong = _parsed(found.document) if found.whole else ([], [])  # of what is cut off more would follow
    faulty = {line for line, _ in found.problems}
    placed = [((places.of(each) or (file_name, 1))[1], each) for each in wrong]
    problems = [*found.problems, *(each for each in placed if each[0] not in faulty)]
    told = [f"{file_name}:{line}: {words}" for line, words in sorted(problems, key=lambda each: each[0])]
    return certificates, places, told


def parse(document: Any, places: Places | None = None) -> list[ManagedCertificate]:
    """The managed certificates that a decoded document declares, in its order.

    Raises: InvalidInput with every problem, one a line, behind its place where `places` knows it.
    """
    certificates, problems = _parsed(document)
    raise_all(map((places or Places()).told, problems))
    return certificates


def raise_all(problems: Iterable[str]) -> None:
    """Raises: InvalidInput with all of some problems, one a line, at most 200 and how many more; nothing for none."""
    found = list(problems)
    more = [f"and {len(found) - MAX_TOLD} more"] if len(found) > MAX_TOLD else []
    if found:
        raise InvalidInput("\n".join(found[:MAX_TOLD] + more))


def _parsed(document: Any) -> tuple[list[ManagedCertificate], list[str]]:
    problems: list[str] = []
    whole = document if isinstance(document, Mapping) else {}
    problems += [f"{shown(key)}: not known; there is {TOP}" for key in whole if key != TOP]
    declared = whole.get(TOP)
    if not isinstance(declared, Mapping) or len(declared) > MAX_CERTIFICATES:
        problems.append(f"{TOP}: there must be a table of at most {MAX_CERTIFICATES} certificates by name")
        return [], problems
    found = [_certificate(name, entry, problems) for name, entry in declared.items()]
    return [each for each in found if each], problems


def path(name: Any, *parts: str) -> str:
    """Where something of a certificate stands in the document, as problems name it."""
    return ".".join((f"{TOP}.{shown(name)}", *parts))


def _certificate(name: Any, entry: Any, problems: list[str]) -> ManagedCertificate | None:
    where, before = path(name), len(problems)
    if not isinstance(name, str) or not MANAGED.fullmatch(name):
        problems.append(f"{where}: not a name like {MANAGED.pattern}")
    given = _given(where, entry, problems) if isinstance(entry, Mapping) else entry
    table = Table({where: given}, where, problems)
    declared = table.done(lambda: _declared(table, name, given))
    return declared if len(problems) == before else None


def _given(where: str, entry: Mapping[Any, Any], problems: list[str]) -> dict[Any, Any]:
    """The fields that have a value. A needed one without is missing, which the table tells."""
    empty = [key for key, value in entry.items() if value is None and key not in NEEDED]
    problems += [f"{where}.{shown(key)}: it has no value; write one, or leave the line out" for key in empty]
    return {key: value for key, value in entry.items() if value is not None}


def _declared(table: Table, name: str, entry: Any) -> ManagedCertificate:
    request = CertificateRequest(
        names=_names(table),
        profile=table.need("profile", _table_name, f"the name of a table under [profiles], like {TABLE_NAME.pattern}")
        or "",
        issuer=_optional_name(table, "issuer"),
        key=table.take("key", "", lambda v: v if v in ("", *KEYS) else None, f"one of {', '.join(KEYS)}") or "",
        validity_days=table.number("validity_days", 0, 0, MAX_DAYS),
        owner=table.need("owner", _words, _ACCEPTED_WORDS) or "",
    )
    contacts, environment = _contacts(table), _optional_name(table, "environment")
    windows, service, adopts = _windows(table), _service(table), _adopts(table)
    listed = _targets(table, name, entry)
    return ManagedCertificate(
        name=name,
        request=request,
        targets=listed.targets,
        stays=listed.stays,
        windows=windows,
        environment=environment,
        service=service,
        contacts=contacts,
        adopts=adopts,
    )


def _names(table: Table) -> tuple[str, ...]:
    accepted = f"a list of 1 to {MAX_NAMES} DNS names or IP addresses"
    listed = table.need("names", lambda v: v if _texts(v, MAX_NAMES) and v else None, accepted)
    again = Table({table.name: {"names": listed or []}}, table.name, table.problems)
    found = again.converted("names", names.canonical, "DNS names such as shop.example.com, and IP addresses", MAX_NAMES)
    for twice in sorted({each for each in found if found.count(each) > 1}):
        table.problem("names", f"{twice} is there twice; name it once")
    return found


def _contacts(table: Table) -> Contacts:
    within = table.take("contacts", {}, lambda v: v if isinstance(v, Mapping) else None, f"a table of {CONTACTS}") or {}
    own = Table({"contacts": within}, "contacts", table.problems, table.name)
    accepted = f"a list of at most {MAX_CONTACTS} names or addresses"
    return own.done(lambda: Contacts(**{kind: own.take(kind, [], _people, accepted) or () for kind in CONTACTS}))


def _people(value: Any) -> tuple[str, ...] | None:
    return tuple(value) if _texts(value, MAX_CONTACTS) and all(map(_words, value)) else None


def _windows(table: Table) -> tuple[str, ...]:
    accepted = f"a list of at most {MAX_WINDOWS} names of tables under [windows], each once"
    return table.take("windows", [], _window_names, accepted) or ()


def _window_names(value: Any) -> tuple[str, ...] | None:
    fits = _texts(value, MAX_WINDOWS) and all(map(_table_name, value)) and len(set(value)) == len(value)
    return tuple(value) if fits else None


def _service(table: Table) -> str:
    return table.take("service", "", lambda v: "" if v == "" else _words(v), _ACCEPTED_WORDS) or ""


def _adopts(table: Table) -> str:
    accepted = "the SHA-256 fingerprint of a certificate of the inventory: 64 hexadecimal digits in lower case"
    fits = re.compile(f"({FINGERPRINT.pattern})?")
    return table.take("adopts", "", lambda v: v if isinstance(v, str) and fits.fullmatch(v) else None, accepted) or ""


def _optional_name(table: Table, key: str) -> str:
    accepted = f"a name like {TABLE_NAME.pattern}"
    return table.take(key, "", lambda v: "" if v == "" else _table_name(v), accepted) or ""


def _targets(table: Table, name: str, entry: Any) -> target_settings.Declared:
    """The targets, as `target_settings` reads them."""
    stays = table.choice("on_failure", RETURN, (RETURN, STAY)) == STAY
    accepted = f"a list of 1 to {MAX_TARGETS} targets"
    given = isinstance(entry, Mapping) and "targets" in entry
    listed = table.take("targets", [], lambda v: _listed(v) if given else [], accepted)
    if not listed:
        return target_settings.Declared(targets=(), stays=stays)
    try:
        found = target_settings.parse({"targets": [_spelled(each) for each in listed]}, name)
    except InvalidInput as error:
        table.problems += [f"{table.name}.{each}" for each in str(error).split("\n")]
        return target_settings.Declared(targets=(), stays=stays)
    return target_settings.Declared(targets=found.targets, stays=stays)


def _listed(value: Any) -> list[Any] | None:
    return value if isinstance(value, list) and 1 <= len(value) <= MAX_TARGETS else None


def _spelled(entry: Any) -> Any:
    """A target whose numbers are spelled as the texts that its kind wants: `port: 443` in JSON is a number."""
    if not isinstance(entry, Mapping):
        return entry
    return {
        key: str(value) if type(value) is int and key not in WHOLE_NUMBERS and abs(value) < 10**15 else value
        for key, value in entry.items()
    }


def _texts(value: Any, most: int) -> bool:
    return isinstance(value, list) and len(value) <= most and all(isinstance(each, str) for each in value)


def _words(value: Any) -> str | None:
    return value if isinstance(value, str) and WORDS.fullmatch(value) else None


def _table_name(value: Any) -> str | None:
    return value if isinstance(value, str) and TABLE_NAME.fullmatch(value) else None


# --- and back ---


def document(declared: ManagedCertificate) -> dict[str, Any]:
    """What would be written of a managed certificate under its name: everything that is not left at its default."""
    request = declared.request
    found: dict[str, Any] = {
        "names": list(request.names),
        "profile": request.profile,
        "issuer": request.issuer,
        "key": request.key,
        "validity_days": request.validity_days,
        "owner": request.owner,
        "contacts": {kind: list(people) for kind in CONTACTS if (people := getattr(declared.contacts, kind))},
        "environment": declared.environment,
        "windows": list(declared.windows),
        "service": declared.service,
        "adopts": declared.adopts,
        "on_failure": STAY if declared.stays else "",
        "targets": [_target(each) for each in declared.targets],
    }
    return {key: value for key, value in found.items() if value or key in NEEDED}


def _target(settings: TargetSettings) -> dict[str, Any]:
    kind = targets.kind(settings.kind)
    usual = HANDSHAKE if kind.HANDSHAKES else READ_BACK
    defaults = {each.name: () if each.several else each.default for each in kind.FIELDS}
    said = any(
        f":{settings.region}:{settings.account}:" in value for value in settings.fields.values() if type(value) is str
    )
    found = {
        "kind": settings.kind,
        "name": settings.name,
        **{name: _plain(value) for name, value in settings.fields.items() if value != defaults.get(name)},
        "account": "" if said else settings.account,
        "region": "" if said else settings.region,
        "names": list(settings.names),
        "endpoints": list(settings.endpoints),
        "proof": settings.proof if settings.proof != usual else "",
        "deadline": settings.deadline if settings.deadline != kind.DEADLINE else 0,
    }
    return {key: value for key, value in found.items() if value}


def _plain(value: str | Sequence[str]) -> str | list[str]:
    return value if isinstance(value, str) else list(value)
