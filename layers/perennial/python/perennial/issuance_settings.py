"""What `[issuers]`, `[profiles]`, `[solvers]` and `[policy]` of perennial.toml say, and whether they fit together.

`settings` reads the file and reports every problem at once; here each table becomes what `profiles` describes.
A problem never quotes a PEM text: someone may have pasted a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from perennial import names
from perennial.errors import InvalidInput
from perennial.profiles import (
    KEYS,
    AcmeIssuer,
    AcmIssuer,
    ChallengeKind,
    Issuer,
    KeyHome,
    Organisation,
    PcaIssuer,
    Profile,
    Solvers,
)
from perennial.settings_table import TABLE_NAME, Table, shown

MAX_PEM = 200_000  # characters
MAX_RULES = 1_000  # of one profile or owner
MAX_OWNERS = 1_000
MAX_DAYS = 3_650
MAX_NAMES = 100  # of one certificate: what ACME servers take at the most
_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"([a-z]{2}(-[a-z]+)+-[0-9])?")
_ARN = r"arn:aws[a-z-]{0,20}:%s:[a-z0-9-]{1,32}:[0-9]{12}:"
_AUTHORITY = re.compile(_ARN % "acm-pca" + r"certificate-authority/[A-Za-z0-9-]{1,64}")
_LISTENER = re.compile(_ARN % "elasticloadbalancing" + r"listener/app/[A-Za-z0-9-]{1,32}/[0-9a-f]{1,32}/[0-9a-f]{1,32}")
_RECORD = re.compile(r"(?=.{1,253}\Z)([a-z0-9_-]{1,63}\.)+[a-z0-9-]{1,63}")
_URL = re.compile(r"https?://[!#-;=?-\[\]_a-z~%]{1,2000}")  # RFC 3986's characters: no space, quote or backslash
_MAIL = re.compile(r"mailto:[A-Za-z0-9.!#$&'*+/=^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
_RULE = "name rules: shop.example.com, .example.com, *.example.com, *..example.com, 10.1.0.0/16"
_OWNER = re.compile(r"\S(.{0,126}\S)?")


def issuers(table: Table) -> Mapping[str, Issuer]:
    """`[issuers]`: by name, those without a problem."""
    found = {name: _issuer(each, name) for name, each in table.tables()}
    return {name: each for name, each in found.items() if each}


def _issuer(table: Table, name: str) -> Issuer | None:
    kind = table.need("kind", _like(re.compile("|".join(_KINDS))), f"one of {', '.join(_KINDS)}")
    return _KINDS[kind](table, name) if kind else None


def _acme(table: Table, name: str) -> AcmeIssuer:
    challenges = tuple(each.value for each in ChallengeKind)
    issuer = table.done(
        lambda: AcmeIssuer(
            name=name,
            directory=table.need("directory", _url, "an https URL (http on loopback only)") or "",
            public=table.flag("public", True),
            contacts=table.texts("contacts", (), _MAIL),
            eab_secret=table.text("eab_secret", "", re.compile(r"[A-Za-z0-9/_+=.@:-]{0,2048}")),
            challenge=ChallengeKind(table.choice("challenge", ChallengeKind.DNS.value, challenges)),
            issuer_domain=table.take("issuer_domain", "", _optional(_domain), "a DNS name") or "",
            origins=table.converted("origins", _origin, "origins: https://host[:port] (http on loopback only)"),
            roots=_pem(table, "roots"),
            directory_roots=_pem(table, "directory_roots"),
            keys=table.choices("keys", KEYS[:5], KEYS),
            distrusted=table.flag("distrusted", False),
            **_budgets(table, 100, 50),
        )
    )
    if issuer.challenge is ChallengeKind.DNS_PERSIST and not issuer.issuer_domain:
        table.problem("issuer_domain", "missing; dns-persist-01 needs the issuer domain name of the CA")
    return issuer


def _pca(table: Table, name: str) -> PcaIssuer:
    keys = tuple(each for each in KEYS if each != "Ed25519")
    accepted = "the ARN of a CA, arn:aws:acm-pca:<region>:<account>:certificate-authority/<id>"
    return table.done(
        lambda: PcaIssuer(
            name=name,
            authority=table.need("authority", _like(_AUTHORITY), accepted) or "",
            roots=_pem(table, "roots"),
            public=table.flag("public", False),
            keys=table.choices("keys", keys, keys),
            distrusted=table.flag("distrusted", False),
            **_budgets(table, 3_600, 0),
        )
    )


def _acm(table: Table, name: str) -> AcmIssuer:
    keys = ("RSA-2048", "EC-256", "EC-384")
    return table.done(
        lambda: AcmIssuer(
            name=name,
            region=table.text("region", "", _REGION),
            roots=_pem(table, "roots"),
            keys=table.choices("keys", keys, keys),
            distrusted=table.flag("distrusted", False),
            **_budgets(table, 100, 0),
        )
    )


def _budgets(table: Table, orders: int, of_a_domain: int) -> dict[str, Any]:
    """How many certificates may be planned for."""
    return {
        "orders_per_hour": table.number("orders_per_hour", orders, 1, 1_000_000),
        "certificates_per_domain_and_week": table.number("certificates_per_domain_and_week", of_a_domain, 0, 1_000_000),
    }


_KINDS: Mapping[str, Callable[[Table, str], Issuer]] = {"acme": _acme, "acm_pca": _pca, "acm": _acm}


def profiles(table: Table) -> Mapping[str, Profile]:
    """`[profiles]`: by name."""
    return {name: _profile(each, name) for name, each in table.tables()}


def _profile(table: Table, name: str) -> Profile:
    default = Profile(name=name, issuer="")
    homes = tuple(each.value for each in KeyHome)
    return table.done(
        lambda: Profile(
            name=name,
            issuer=table.need("issuer", _like(TABLE_NAME), "the name of a table under [issuers]") or "",
            issuers=table.texts("issuers", (), TABLE_NAME),
            keys=table.choices("keys", default.keys, KEYS),
            key_home=KeyHome(table.choice("key_home", default.key_home.value, homes)),
            rotate_key=table.flag("rotate_key", default.rotate_key),
            validity_days=table.number("validity_days", default.validity_days, 1, MAX_DAYS),
            usages=table.choices("usages", default.usages, ("serverAuth", "clientAuth")),
            names=table.converted("names", names.rule, _RULE, MAX_RULES),
            wildcards=table.flag("wildcards", default.wildcards),
            addresses=table.flag("addresses", default.addresses),
            max_names=table.number("max_names", default.max_names, 1, MAX_NAMES),
            targets=table.texts("targets", (), re.compile(r"[a-z][a-z0-9_]{0,63}")),
            acme_profile=table.text("acme_profile", "", re.compile(r"[A-Za-z0-9._:-]{0,64}")),
            preferred_root=table.text("preferred_root", "", re.compile(r"[^\x00-\x1f\x7f]{0,200}")),
            template=table.text(
                "template", "", re.compile(r"((Blank)?EndEntity[A-Za-z]*Certificate(_[A-Za-z]+)*/V1)?")
            ),
            exportable=table.flag("exportable", default.exportable),
        )
    )


def solvers(table: Table) -> Solvers:
    """`[solvers]`."""
    default = Solvers()
    return table.done(
        lambda: Solvers(
            zone_accounts=table.texts("zone_accounts", (), _ACCOUNT),
            role_name=table.text("role_name", default.role_name, re.compile(r"[A-Za-z0-9_+=,.@/-]{1,128}")),
            delegations=table.take("delegations", {}, _delegations, "a table from _acme-challenge.<name> to names")
            or {},
            listeners=table.texts("listeners", (), _LISTENER),
            rule_priority=table.number("rule_priority", default.rule_priority, 1, 50_000),
        )
    )


def organisation(table: Table) -> Organisation:
    """`[policy]`."""
    default = Organisation()
    return table.done(
        lambda: Organisation(
            owners=_owners(table),
            keys=table.choices("keys", default.keys, KEYS),
            private_validity_days=table.number("private_validity_days", default.private_validity_days, 1, MAX_DAYS),
            max_names=table.number("max_names", default.max_names, 1, MAX_NAMES),
            internal_names=table.converted("internal_names", _domain, "domains such as corp.example.com"),
        )
    )


def _owners(table: Table) -> Mapping[str, tuple[str, ...]]:
    accepted = f"a table from at most {MAX_OWNERS} owners to lists of name rules"
    within = table.take(
        "owners", {}, lambda v: v if isinstance(v, Mapping) and len(v) <= MAX_OWNERS else None, accepted
    )
    owners = Table({"owners": within or {}}, "owners", table.problems, table.name)
    for owner in within or {}:
        if not _OWNER.fullmatch(owner):
            table.problem("owners", f"{shown(owner)} is not an owner like {_OWNER.pattern}")
    return {owner: owners.converted(owner, names.rule, _RULE, MAX_RULES) for owner in within or {}}


def misfits(
    profiles: Mapping[str, Profile], issuers: Mapping[str, Issuer], policy: Organisation, named: frozenset[str]
) -> Iterator[str]:
    """What does not fit together, one line each. `named` are the issuers that the file names, also the faulty ones."""
    for profile in profiles.values():
        found = dict.fromkeys(_of_profile(profile, issuers, policy, named))
        yield from (f"profiles.{profile.name}.{each}" for each in found)


def _of_profile(
    profile: Profile, issuers: Mapping[str, Issuer], policy: Organisation, named: frozenset[str]
) -> Iterator[str]:
    """What does not fit between a profile and the issuers that it names. A distrusted one may stand among the further
    ones, where no request may choose it."""
    for field, name in (("issuer", profile.issuer), *(("issuers", each) for each in profile.issuers)):
        issuer = issuers.get(name)
        if issuer is not None:
            yield from (*_unfulfilled(profile, issuer), *_forbidden(profile, issuer, policy))
            if field == "issuer" and issuer.distrusted:
                yield f"issuer: {name} is distrusted; name one that is not"
        elif name and name not in named:
            known = ", ".join(map(shown, sorted(named)[:10])) or "none"
            yield f"{field}: {name} is not an issuer; there are {known}"


_ONLY_FOR = {"acme_profile": "acme", "preferred_root": "acme", "template": "acm_pca", "exportable": "acm"}


def _unfulfilled(profile: Profile, issuer: Issuer) -> Iterator[str]:
    """Fields of a profile that its issuer cannot fulfil."""
    strange = [key for key in profile.keys if key not in issuer.keys]
    if strange:
        yield f"keys: {', '.join(strange)} is not of the issuer {issuer.name}; it takes {', '.join(issuer.keys)}"
    if isinstance(issuer, AcmIssuer) != (profile.key_home is KeyHome.ISSUER):
        yield f'key_home: {profile.key_home.value} does not fit the issuer {issuer.name}; "issuer" is for ACM, and only'
    for name, kind in (
        ("acme_profile", "acme"),
        ("preferred_root", "acme"),
        ("template", "acm_pca"),
        ("exportable", "acm"),
    ):
        if getattr(profile, name) and issuer.kind != kind:
            yield f"{name}: for issuers with kind {kind} only; {issuer.name} has kind {issuer.kind}"


def _forbidden(profile: Profile, issuer: Issuer, policy: Organisation) -> Iterator[str]:
    """Fields of a profile that no request could use, because the organisation forbids them."""
    strange = [key for key in profile.keys if key not in policy.keys]
    if strange:
        yield f"keys: {', '.join(strange)} is not in policy.keys; accepted are {', '.join(policy.keys)}"
    if not issuer.public and profile.validity_days > policy.private_validity_days:
        yield (
            f"validity_days: {profile.validity_days} is more than policy.private_validity_days; accepted are 1 to "
            + str(policy.private_validity_days)
        )
    if profile.max_names > policy.max_names:
        yield f"max_names: {profile.max_names} is more than policy.max_names; accepted are 1 to {policy.max_names}"


def _like(pattern: re.Pattern[str]) -> Callable[[Any], str | None]:
    return lambda value: value if isinstance(value, str) and pattern.fullmatch(value) else None


def _optional(convert: Callable[[str], str]) -> Callable[[Any], str | None]:
    """The empty text, or what `convert` makes of a text; None where it refuses."""

    def converted(value: Any) -> str | None:
        try:
            return (convert(value) if value else "") if isinstance(value, str) else None
        except InvalidInput:
            return None

    return converted


def _domain(text: str) -> str:
    """A canonical domain.

    Raises: InvalidInput for wildcards, addresses and what is no name.
    """
    domain = names.canonical(text)
    if names.is_wildcard(domain) or names.is_address(domain):
        raise InvalidInput(f"{domain} is not a domain; write it without *")
    return domain


def _url(value: Any) -> str | None:
    return value if isinstance(value, str) and _asked(value) is not None else None


def _origin(text: str) -> str:
    """Scheme, host and port of a URL that has nothing else (RFC 6454), in lower case.

    Raises: InvalidInput.
    """
    parts = _asked(text)
    if parts is None or parts.path not in ("", "/") or parts.query:
        raise InvalidInput("it is not an origin")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _asked(url: str) -> SplitResult | None:
    """A URL's parts; None unless it may be asked: https, or http on this machine's own addresses."""
    if not _URL.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or "@" in parts.netloc or parts.fragment or port == 0:
        return None
    return parts if parts.scheme == "https" or (parts.scheme == "http" and _loopback(parts.hostname)) else None


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _delegations(value: Any) -> dict[str, str] | None:
    """Canonical record names by canonical record names."""
    if not isinstance(value, Mapping) or len(value) > MAX_RULES:
        return None
    if not all(isinstance(each, str) for each in value.values()):
        return None
    found = {_record(name): _record(to) for name, to in value.items()}
    fits = all(name.startswith("_acme-challenge.") and _RECORD.fullmatch(name) for name in found)
    return found if fits and all(map(_RECORD.fullmatch, found.values())) else None


def _record(text: str) -> str:
    return text[:300].lower().removesuffix(".")


def _pem(table: Table, key: str) -> str:
    return table.take(key, "", _roots, "PEM of one or more whole certificates", quote=False) or ""


def _roots(value: Any) -> str | None:
    """A PEM text whose certificates can all be read; "" stands for none."""
    if not isinstance(value, str) or len(value) > MAX_PEM:
        return None
    if not value:
        return ""
    from perennial.certificate import broken_blocks, ders

    found = ders(value)
    if not found or broken_blocks(value) or "PRIVATE KEY" in value:
        return None
    return value if all(map(_readable, found)) else None


def _readable(der: bytes) -> bool:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        x509.load_der_x509_certificate(der).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):  # as found in real stores: see `certificate`
        return False
    return True
