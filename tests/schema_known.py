"""What there is in a deployment, and requests about it: without these nothing but chance would let a case succeed.

known = Known(deployment, clock).filled()
known.fit("GET /managed/{name}", case)     a copy of the case that asks for what is there

Everything is of one team in one environment. What can be decided on once is made anew for each case.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from certificates import build
from managed_records import record, rollout, version
from perennial import change_requests, exceptions
from perennial.api.resolver import build as build_router
from perennial.api.routes import ROUTES
from perennial.certificate_request import CertificateRequest
from perennial.change_request import ChangeRequest, Kind, Wish
from perennial.checks.interface import Severity
from perennial.deployment import Deployment
from perennial.exception_record import AskedException, ExceptionRecord
from perennial.exception_selection import Selection
from perennial.findings import Finding, difference
from perennial.inventory.records import PlaceRecord, RunRecord
from perennial.managed_certificate import ManagedCertificate
from perennial.manifest import Difference, Scope, Sighting
from perennial.manifest import Role as Part
from perennial.proof import DEPLOYED, Proof
from perennial.roles import TABLE, WHOLE, Action, Grant, Person, Role, Source
from perennial.targets.interface import READ_BACK

TEAM, ENVIRONMENT, NAME, PROFILE = "shop", "production", "known-shop", "web"
ROLES = tuple(each for each in Role if each is not Role.KEY_EXPORT)
DAY = timedelta(days=1)
WHY = "it must be"
SELECTION = {"managed": NAME}
RULE = "expiry.soon"
_FOR_SECURITY = ("POST /requests/{request_id}/approval",)  # security approves what needs security


def grant(role: Role) -> str:
    """What a person of a role has: all of its rights on what is there."""
    return str(role) if role in WHOLE else f"{role}@{TEAM}/{ENVIRONMENT}"


def allowed(label: str) -> list[str]:
    """The roles that may ask an operation for something. To be signed in is enough where a route has no action."""
    build_router()
    (action,) = (each.action for each in ROUTES if f"{each.method} {each.path}" == label)
    actions = (action, Action.APPROVE_AS_SECURITY) if label in _FOR_SECURITY else (action,)
    return [str(role) for role in ROLES if any(each is None or role in TABLE[each].reach for each in actions)]


def configuration() -> str:
    """What perennial.toml has, so that what is asked for is allowed."""
    return f"""
[issuers.ca]
kind = "acme"
directory = "https://ca.example.com/directory"

[profiles.{PROFILE}]
issuer = "ca"
names = [".example.com"]

[policy.owners]
{TEAM} = [".example.com"]

[environments.{ENVIRONMENT}]

[approvals.rules.revocations]
kinds = ["revoke"]
needs = {{ owner = 1, security = 1 }}
"""


def _person(name: str, role: Role) -> Person:
    """Someone besides those who ask."""
    arn = f"arn:aws:iam::123456789012:role/{name}"
    return Person(principal=arn, name=name, source=Source.IAM, grants=(Grant(role=role),))


ASKER, GRANTER = _person("wishes", Role.REQUESTER), _person("grants", Role.SECURITY)


@dataclass
class Known:
    """A deployment and what is in it."""

    deployment: Deployment
    clock: Callable[[], datetime]
    fingerprint: str = ""

    # --- what there is ---

    def filled(self) -> Known:
        """A managed certificate with a version, a rollout and a proof; a certificate with a finding; a run."""
        inventory, now = self.deployment.inventory, self.clock()
        made = build("known.example.com", not_before=now - 80 * DAY, not_after=now + 10 * DAY)
        request = CertificateRequest(names=("known.example.com",), profile=PROFILE, owner=TEAM)
        declared = ManagedCertificate(name=NAME, request=request, environment=ENVIRONMENT)
        inventory.save_managed(record(declared=declared, declared_at=now, due_at=now + 30 * DAY))
        chain = (made.certificate.der,)
        kept = version(1, fingerprint=made.certificate.fingerprint, requested_at=now, issued_at=now, due_at=None)
        inventory.save_version(replace(kept, managed=NAME, request=request, chain=chain), None)
        inventory.save_rollout(replace(rollout(1, requested_at=now, ended_at=now), managed=NAME), None)
        inventory.keep_proof(_proof(made.certificate.fingerprint or "", now))
        inventory.ran(RunRecord(run="known", started_at=now, completed_at=now, scopes=1, incomplete=0))
        self.fingerprint = self._discovered(made, now)
        return self

    def _discovered(self, made: Any, now: datetime) -> str:
        inventory, found = self.deployment.inventory, made.certificate
        scope = Scope(self.deployment.account, "eu-west-1", "acm")
        arn = f"arn:aws:acm:eu-west-1:{scope.account}:certificate/known"
        inventory.keep([found], now)
        held = Sighting(location=arn, role=Part.STORED, resource=arn, fingerprint=found.fingerprint)
        inventory.apply(scope, Difference(added=(held,), changed=(), gone=()), now)
        inventory.own(found.fingerprint, TEAM, arn)
        finding = _finding(found, scope, arn, now)
        place = PlaceRecord(place=arn, held=None, attached=(), findings=(), due_at=None)
        inventory.settle(place, difference((), (finding,), now), None, now)
        return str(found.fingerprint)

    # --- what can be decided on ---

    def request(self) -> ChangeRequest:
        """A revocation that waits."""
        wish = Wish(kind=Kind.REVOKE, managed=NAME, version=1, why="superseded")
        return change_requests.ask(self.deployment, ASKER, wish, reason=WHY, source="api", now=self.clock())

    def exception(self, *, active: bool = False) -> ExceptionRecord:
        """An exception that is asked for, or granted."""
        now = self.clock()
        asked = AskedException(rule=RULE, selection=Selection(**SELECTION), reason=WHY, owner=TEAM, ends=now + 30 * DAY)
        made = exceptions.ask(self.deployment, ASKER, asked, source="api", now=now)
        return exceptions.grant(self.deployment, GRANTER, made, source="api", now=now) if active else made

    # --- cases about it ---

    def fit(self, label: str, case: Any) -> Any:
        """A copy of a positive case that is about what is there."""
        fitted = case.derive()
        fitted.headers.pop("Idempotency-Key", None)
        _FITS[label](self, fitted)
        return fitted

    def members(self, label: str, good: Any, cases: Iterable[Any]) -> Iterator[Any]:
        """Copies of a positive case that is about what is there, each with one member of another case's body: it is
        alone to blame where the copy is refused. Each value of each member comes once."""
        known = set()
        for case in cases:
            for name, value in case.body.items() if isinstance(case.body, dict) else ():
                mark = (name, json.dumps(value))
                if mark not in known:
                    known.add(mark)
                    fitted = self.fit(label, good)
                    fitted.body = {**fitted.body, name: value}
                    yield fitted


def _proof(fingerprint: str, now: datetime) -> Proof:
    return Proof(
        id="f" * 32,
        managed=NAME,
        version=1,
        rollout=1,
        target="a",
        kind="acm",
        place="arn:aws:acm:eu-west-1:123456789012:certificate/known",
        method=READ_BACK,
        purpose=DEPLOYED,
        expected=fingerprint,
        serial="4d2",
        chain=(),
        began_at=now,
        proven_at=now,
        asked_by="anna",
    )


def _finding(found: Any, scope: Scope, arn: str, now: datetime) -> Finding:
    return Finding(
        check=RULE,
        severity=Severity.HIGH,
        title="It ends soon",
        detail="In a while.",
        remediation="Renew it.",
        scope=scope,
        place=arn,
        location=arn,
        resource=arn,
        subject=found.title,
        fingerprint=found.fingerprint,
        not_after=found.not_after,
        owner=TEAM,
        opened_at=now,
        updated_at=now,
    )


# --- how a case is about what is there ---

Fit = Callable[[Known, Any], None]


def _without(*names: str, **given: str) -> Fit:
    """Without parameters of the query that only a list knows, or that leave nothing; with others as they are given."""

    def fit(_: Known, case: Any) -> None:
        case.query = {name: value for name, value in case.query.items() if name not in names} | given

    return fit


def _nothing(_: Known, __: Any) -> None:
    """Whatever fits the document will do."""


def _certificate(known: Known, case: Any) -> None:
    case.path_parameters = {"fingerprint": known.fingerprint}


def _managed(_: Known, case: Any) -> None:
    case.path_parameters = {"name": NAME}


def _proofs(_: Known, case: Any) -> None:
    case.query = {"managed": NAME}


def _create(_: Known, case: Any) -> None:
    case.body = {**_declared(case.body), "name": case.body["name"]}


def _change(known: Known, case: Any) -> None:
    _managed(known, case)
    case.headers["If-Match"] = "*"
    case.body = _declared(case.body)


def _declared(body: Mapping[str, Any]) -> dict[str, Any]:
    """What is drawn of a declaration, as far as it means something whatever it is."""
    kept = {name: body[name] for name in ("on_failure", "key") if name in body}
    own = {"names": ["new.example.com"], "profile": PROFILE, "owner": TEAM, "environment": ENVIRONMENT}
    return {**kept, **own, "reason": WHY, "key": "EC-256", "validity_days": 30}


def _retire(known: Known, case: Any) -> None:
    _managed(known, case)
    case.headers["If-Match"] = "*"
    case.query = {"reason": WHY}


def _renew(known: Known, case: Any) -> None:
    _managed(known, case)
    case.body = {**case.body, "reason": WHY}


def _revoke(known: Known, case: Any) -> None:
    _renew(known, case)
    case.body = {**case.body, "version": 1}


def _one_request(known: Known, case: Any) -> None:
    case.path_parameters = {"request_id": known.request().id}


def _approve(known: Known, case: Any) -> None:
    asked = known.request()
    case.path_parameters = {"request_id": asked.id}
    case.headers.pop("If-Match", None)
    case.body = {"digest": asked.digest}


def _decide(known: Known, case: Any) -> None:
    _one_request(known, case)
    case.headers.pop("If-Match", None)
    case.body = {"reason": WHY}


def _one_exception(known: Known, case: Any) -> None:
    case.path_parameters = {"exception_id": known.exception().id}


def _ask_exception(known: Known, case: Any) -> None:
    ends = (known.clock() + 20 * DAY).isoformat()
    case.body = {"rule": RULE, "selection": SELECTION, "reason": WHY, "owner": TEAM, "ends": ends}


def _decide_exception(known: Known, case: Any) -> None:
    _one_exception(known, case)
    case.headers.pop("If-Match", None)
    case.body = {"reason": WHY}


def _end_exception(known: Known, case: Any) -> None:
    case.path_parameters = {"exception_id": known.exception(active=True).id}
    case.headers.pop("If-Match", None)
    case.body = {"reason": WHY}


def _start(known: Known, case: Any) -> None:
    case.body = {"scopes": [f"{known.deployment.account}/eu-west-1/acm"]}


_FITS: Mapping[str, Fit] = {
    "GET /me": _nothing,
    "GET /certificates": _without("next", "owner"),
    "GET /certificates/{fingerprint}": _certificate,
    "GET /findings": _without("next", owner=TEAM),
    "GET /issuers": _nothing,
    "GET /profiles": _nothing,
    "GET /proofs": _proofs,
    "GET /audit": _without("next", "since", "until", "subject", "person"),
    "GET /runs": _without("next"),
    "POST /runs": _start,
    "GET /managed": _without("next"),
    "GET /managed/{name}": _managed,
    "GET /managed/{name}/versions": _managed,
    "GET /managed/{name}/rollouts": _managed,
    "POST /managed": _create,
    "PUT /managed/{name}": _change,
    "DELETE /managed/{name}": _retire,
    "POST /managed/{name}/renewals": _renew,
    "POST /managed/{name}/revocations": _revoke,
    "GET /requests": _without("next"),
    "GET /requests/{request_id}": _one_request,
    "POST /requests/{request_id}/approval": _approve,
    "POST /requests/{request_id}/rejection": _decide,
    "POST /requests/{request_id}/withdrawal": _decide,
    "GET /exceptions": _without("next"),
    "GET /exceptions/{exception_id}": _one_exception,
    "POST /exceptions": _ask_exception,
    "POST /exceptions/{exception_id}/approval": _decide_exception,
    "POST /exceptions/{exception_id}/rejection": _decide_exception,
    "POST /exceptions/{exception_id}/end": _end_exception,
}
