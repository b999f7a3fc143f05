"""What the organisation configures, in perennial.toml: parsed and validated at the edge, frozen inside.

Every problem of a file is reported at once, each with the field, what was found and what is accepted.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from perennial import (
    alert_settings,
    api_settings,
    approval_settings,
    audit_settings,
    exception_settings,
    issuance_settings,
    targets,
    window_settings,
)
from perennial.alert_settings import Alerts
from perennial.api_settings import Api
from perennial.approval_settings import Approvals
from perennial.audit_settings import Audit
from perennial.checks.interface import Organisation
from perennial.errors import InvalidConfiguration
from perennial.exception_settings import Exceptions
from perennial.profiles import Issuer, Profile, Solvers
from perennial.profiles import Organisation as Policy
from perennial.settings_table import Table, shown
from perennial.window_settings import Environment
from perennial.windows import Window

ACCOUNT = re.compile(r"[0-9]{12}")
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
HOST_PORT = re.compile(r"(?P<host>[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:(?P<port>[0-9]{1,5}))?")
MAX_FILE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """`[discovery]`: where to look."""

    accounts: tuple[str, ...] = ()  # 12-digit ids; (): the hub's own account only
    organization: bool = False  # all active accounts of the organization (accounts = "organization")
    role_name: str = "PerennialDiscovery"  # assumed in every account but the hub's
    external_id: str = ""
    regions: tuple[str, ...] = ()  # (): every region that is enabled in the account
    sources: tuple[str, ...] = ()  # (): all
    secret_tag: str = "perennial:certificate"  # secrets with this tag key are read  # noqa: S105 - a tag's name
    secret_prefixes: tuple[str, ...] = ()  # and secrets whose name starts so
    endpoints: tuple[str, ...] = ()  # host:port
    concurrency: int = 20  # scopes at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """`[ownership]`: who owns a certificate. The first that answers: tags, names, accounts."""

    tag_keys: tuple[str, ...] = ("owner", "team")  # compared without regard to case
    names: Mapping[str, str] = field(default_factory=dict)  # "*.shop.example.com" -> owner; * is any number of labels
    accounts: Mapping[str, str] = field(default_factory=dict)  # account id -> owner


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """`[findings]`: who is told, and of what."""

    security_hub: bool = True
    notify_from: str = "high"  # the least severity that goes to the SNS topic


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """`[targets]`: where certificates may be put. What is not named is forbidden, and no role may do it."""

    kinds: tuple[str, ...] = ()  # as `perennial.targets` has them
    accounts: tuple[str, ...] = ()  # besides the hub's
    buckets: tuple[str, ...] = ()  # S3 buckets that may be written
    role_name: str = "PerennialTarget"  # assumed there to change; with "Look" behind it, to look


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole of perennial.toml."""

    discovery: Discovery = field(default_factory=Discovery)
    ownership: Ownership = field(default_factory=Ownership)
    checks: Organisation = field(default_factory=Organisation)
    findings: Publishing = field(default_factory=Publishing)
    issuers: Mapping[str, Issuer] = field(default_factory=dict)  # by name
    profiles: Mapping[str, Profile] = field(default_factory=dict)  # by name
    solvers: Solvers = field(default_factory=Solvers)
    targets: Targets = field(default_factory=Targets)
    policy: Policy = field(default_factory=Policy)
    windows: Mapping[str, Window] = field(default_factory=dict)  # by name
    environments: Mapping[str, Environment] = field(default_factory=dict)  # by name
    alerts: Alerts = field(default_factory=Alerts)
    api: Api = field(default_factory=Api)
    audit: Audit = field(default_factory=Audit)
    approvals: Approvals = field(default_factory=Approvals)
    exceptions: Exceptions = field(default_factory=Exceptions)


def load(text: str) -> Settings:
    """Settings of a TOML (perennial.toml) or JSON (as deployed) text.

    Raises: InvalidConfiguration with every problem, one a line.
    """
    if len(text) > MAX_FILE_BYTES:
        raise InvalidConfiguration(f"the configuration has {len(text)} characters; at most {MAX_FILE_BYTES} are read")
    try:
        text = text.removeprefix("\ufeff")  # some editors begin a file so
        document = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except ValueError as error:  # both decoders' errors are ValueErrors
        raise InvalidConfiguration(f"the configuration cannot be read: {str(error)[:300]}") from error
    except RecursionError:
        raise InvalidConfiguration("the configuration cannot be read: it nests too deeply") from None
    return parse(document)


def parse(document: Mapping[str, Any]) -> Settings:
    """Settings of a decoded document.

    Raises: InvalidConfiguration with every problem, one a line.
    """
    problems: list[str] = []
    settings = Settings(
        discovery=_discovery(Table(document, "discovery", problems)),
        ownership=_ownership(Table(document, "ownership", problems)),
        checks=_organisation(Table(document, "checks", problems)),
        findings=_publishing(Table(document, "findings", problems)),
        issuers=issuance_settings.issuers(Table(document, "issuers", problems)),
        profiles=issuance_settings.profiles(Table(document, "profiles", problems)),
        solvers=issuance_settings.solvers(Table(document, "solvers", problems)),
        targets=_targets(Table(document, "targets", problems)),
        policy=issuance_settings.organisation(Table(document, "policy", problems)),
        windows=window_settings.windows(Table(document, "windows", problems)),
        environments=window_settings.environments(Table(document, "environments", problems)),
        alerts=alert_settings.alerts(Table(document, "alerts", problems)),
        api=api_settings.api(Table(document, "api", problems)),
        audit=audit_settings.audit(Table(document, "audit", problems)),
        approvals=approval_settings.approvals(Table(document, "approvals", problems)),
        exceptions=exception_settings.exceptions(Table(document, "exceptions", problems)),
    )
    known = tuple(each.name for each in fields(Settings))
    problems += [f"{shown(name)}: not known; there are {', '.join(known)}" for name in document if name not in known]
    named = _named(document, "issuers")
    problems += issuance_settings.misfits(settings.profiles, settings.issuers, settings.policy, named)
    problems += window_settings.misfits(settings.environments, _named(document, "windows"))
    problems += approval_settings.misfits(
        settings.approvals,
        profiles=_named(document, "profiles"),
        environments=_named(document, "environments"),
        owners=settings.policy.owners,
    )
    if problems:
        raise InvalidConfiguration("\n".join(sorted(problems)))
    return settings


def _named(document: Mapping[str, Any], kind: str) -> frozenset[str]:
    """The names of one kind's tables, also of those with problems."""
    tables = document.get(kind)
    return frozenset(tables) if isinstance(tables, Mapping) else frozenset()


def _discovery(table: Table) -> Discovery:
    default = Discovery()
    accounts = table.take("accounts", "self", _accounts, '"self", "organization" or a list of 12-digit account ids')
    return table.done(
        lambda: Discovery(
            accounts=accounts if isinstance(accounts, tuple) else (),
            organization=accounts == "organization",
            role_name=table.text("role_name", default.role_name, re.compile(r"[A-Za-z0-9_+=,.@/-]{1,128}")),
            external_id=table.text("external_id", "", re.compile(r"[A-Za-z0-9_+=,.@:/-]{0,1224}")),
            regions=table.texts("regions", (), REGION, "enabled"),
            sources=table.texts("sources", (), re.compile(r"[a-z_0-9]+"), "all"),
            secret_tag=table.text("secret_tag", default.secret_tag, re.compile(r".{1,128}")),
            secret_prefixes=table.texts("secret_prefixes", (), re.compile(r".{1,512}")),
            endpoints=table.texts("endpoints", (), HOST_PORT),
            concurrency=table.number("concurrency", default.concurrency, 1, 1_000),
        )
    )


def _accounts(value: Any) -> str | tuple[str, ...] | None:
    if value in ("self", "organization"):
        return str(value)
    if isinstance(value, list) and value and all(isinstance(each, str) and ACCOUNT.fullmatch(each) for each in value):
        return tuple(value)
    return None


def _ownership(table: Table) -> Ownership:
    default = Ownership()
    return table.done(
        lambda: Ownership(
            tag_keys=table.texts("tag_keys", default.tag_keys, re.compile(r".{1,128}")),
            names=table.mapping("names", re.compile(r"(\*\.)?[A-Za-z0-9_.-]{1,253}")),
            accounts=table.mapping("accounts", ACCOUNT),
        )
    )


def _organisation(table: Table) -> Organisation:
    default = Organisation()
    days = table.take(
        "expiry_days", list(default.expiry_days), _falling, "three falling numbers of days, as [30, 14, 7]"
    )
    return table.done(
        lambda: Organisation(
            allowed_issuers=table.texts("allowed_issuers", (), re.compile(r".{1,512}")),
            expiry_days=days or default.expiry_days,
            stuck_days=table.number("stuck_days", default.stuck_days, 1, 365),
        )
    )


def _falling(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, list) and len(value) == 3 and all(type(each) is int and 0 < each < 1_000 for each in value):
        return tuple(value) if value == sorted(set(value), reverse=True) else None
    return None


def _targets(table: Table) -> Targets:
    known = targets.names()
    return table.done(
        lambda: Targets(
            kinds=table.take("kinds", [], lambda v: _kinds(v, known), f"a list of some of {', '.join(known)}") or (),
            accounts=table.texts("accounts", (), ACCOUNT),
            buckets=table.texts("buckets", (), re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")),
            role_name=table.text("role_name", Targets().role_name, re.compile(r"[A-Za-z0-9_+=,.@-]{1,60}")),
        )
    )


def _kinds(value: Any, known: tuple[str, ...]) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(each in known for each in value):
        return None
    return tuple(dict.fromkeys(value))


def _publishing(table: Table) -> Publishing:
    default = Publishing()
    severities = re.compile("critical|high|medium|low|informational")
    return table.done(
        lambda: Publishing(
            security_hub=table.flag("security_hub", default.security_hub),
            notify_from=table.text("notify_from", default.notify_from, severities),
        )
    )
