"""Every route × every role × one's own team, another team, another environment, and nobody: as `roles.TABLE` says.

Each is asked through the Lambda handler with an event as API Gateway sends it. Whoever is refused is in the audit trail
once, by the id of the request; whoever is let in is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

import api_parts
from api_parts import FOREIGN_ID, WAITING_ID, Parts
from asked_api import NOBODY, ApiHub, api_hub, as_role
from managed_records import record
from perennial.api.asking import TOLD
from perennial.api.resolver import build
from perennial.api.routes import ROUTES, Route
from perennial.audit_event import REFUSED
from perennial.certificate_request import CertificateRequest
from perennial.inventory.store import Inventory
from perennial.managed_certificate import ManagedCertificate
from perennial.roles import TABLE, WHOLE, Action, Reach, Role

TEAM, ENVIRONMENT, FOREIGN = "shop-team", "production", "mail-team"
OWN, THEIRS, ELSEWHERE = "own", "another team's", "another environment's"
NAMES = {OWN: "shop", THEIRS: "mail", ELSEWHERE: "shop-test"}
IDS = {OWN: WAITING_ID, THEIRS: FOREIGN_ID, ELSEWHERE: "0" * 31 + "3"}
CONFIGURATION = "".join(
    f'"arn:aws:iam::123456789012:role/{role}" = ["{role if role in WHOLE else f"{role}@{TEAM}/{ENVIRONMENT}"}"]\n'
    for role in Role
)
ALL = b"[api]\nexport_keys = true\n[api.principals]\n" + CONFIGURATION.encode()


def _declared(place: str) -> dict[str, Any]:
    owner, environment = {
        OWN: (TEAM, ENVIRONMENT),
        THEIRS: (FOREIGN, ENVIRONMENT),
        ELSEWHERE: (TEAM, "test"),
    }[place]
    return {"names": ["x.example.com"], "profile": "web", "owner": owner, "environment": environment, "reason": "new"}


@dataclass(frozen=True)
class Sent:
    """How a route is asked. `subject`: whether it is about one thing, which is of a team and an environment; else it is
    a list, or about what belongs to nobody. `missing`: what it is about is not there, and so has no owner."""

    path: str
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    subject: bool = True
    missing: bool = False


def sent(route: Route, place: str) -> Sent:
    """How a route is asked about what is of a place."""
    name, known = NAMES[place], IDS[place]
    reason, any_match = {"reason": "it must be"}, (("If-Match", "*"),)
    asked = {"rule": "keys.weak", "selection": {"managed": name}, "owner": _declared(place)["owner"], **reason}
    return {
        ("GET", "/me"): Sent("/me", subject=False),
        ("GET", "/certificates"): Sent("/certificates", subject=False),
        ("GET", "/certificates/{fingerprint}"): Sent(f"/certificates/{'a' * 64}", missing=True),
        ("GET", "/findings"): Sent("/findings", subject=False),
        ("GET", "/issuers"): Sent("/issuers", subject=False),
        ("GET", "/profiles"): Sent("/profiles", subject=False),
        ("GET", "/proofs"): Sent(f"/proofs?managed={name}"),
        ("GET", "/audit"): Sent("/audit", subject=False),
        ("GET", "/runs"): Sent("/runs", subject=False),
        ("POST", "/runs"): Sent("/runs", {}, subject=False),
        ("GET", "/managed"): Sent("/managed", subject=False),
        ("GET", "/managed/{name}"): Sent(f"/managed/{name}"),
        ("GET", "/managed/{name}/versions"): Sent(f"/managed/{name}/versions"),
        ("GET", "/managed/{name}/rollouts"): Sent(f"/managed/{name}/rollouts"),
        ("POST", "/managed"): Sent("/managed", {"name": f"new-{name}", **_declared(place)}),
        ("PUT", "/managed/{name}"): Sent(f"/managed/{name}", _declared(place), any_match),
        ("DELETE", "/managed/{name}"): Sent(f"/managed/{name}?reason=gone", None, any_match),
        ("POST", "/managed/{name}/renewals"): Sent(f"/managed/{name}/renewals", reason),
        ("POST", "/managed/{name}/revocations"): Sent(f"/managed/{name}/revocations", {**reason, "why": "superseded"}),
        ("GET", "/requests"): Sent("/requests", subject=False),
        ("GET", "/requests/{request_id}"): Sent(f"/requests/{known}"),
        ("POST", "/requests/{request_id}/approval"): Sent(f"/requests/{known}/approval", {"digest": "d" * 64}),
        ("POST", "/requests/{request_id}/rejection"): Sent(f"/requests/{known}/rejection", reason),
        ("POST", "/requests/{request_id}/withdrawal"): Sent(f"/requests/{known}/withdrawal", {}),
        ("GET", "/exceptions"): Sent("/exceptions", subject=False),
        ("GET", "/exceptions/{exception_id}"): Sent(f"/exceptions/{known}"),
        ("POST", "/exceptions"): Sent("/exceptions", {**asked, "ends": "2026-11-20T00:00:00Z"}),
        ("POST", "/exceptions/{exception_id}/approval"): Sent(f"/exceptions/{known}/approval", {}),
        ("POST", "/exceptions/{exception_id}/rejection"): Sent(f"/exceptions/{known}/rejection", reason),
        ("POST", "/exceptions/{exception_id}/end"): Sent(f"/exceptions/{known}/end", reason),
    }[route.method, route.path]


def may(role: Role, action: Action | None, place: str, asked: Sent) -> bool:
    """What the table says, read here in another way than `roles.judge` does."""
    reach = TABLE[action].reach.get(role) if action else Reach.ANYWHERE
    if reach is None or reach is Reach.ANYWHERE or not asked.subject:
        return reach is not None
    return not asked.missing and (place == OWN or (place == ELSEWHERE and reach is Reach.TEAM))


def every_route() -> list[Route]:
    build()
    return list(ROUTES)


@pytest.fixture(scope="module")
def hub() -> Iterator[ApiHub]:
    with pytest.MonkeyPatch.context() as patched, api_hub(ALL) as made:
        _fill(made, api_parts.stand_in(patched))
        yield made


def _fill(hub: ApiHub, parts: Parts) -> None:
    parts.hold(TEAM, ENVIRONMENT, FOREIGN)
    for kept in (parts.requests, parts.exceptions):
        one: Any = kept[WAITING_ID]
        moved: Any = {"id": IDS[ELSEWHERE], "environment": "test"}
        if kept is parts.requests:
            moved["needs"] = (replace(one.needs[0], environment="test"),)
        kept[IDS[ELSEWHERE]] = replace(one, **moved)  # type: ignore[index]
    _let_discovery_run(hub)
    for place, name in NAMES.items():
        said = _declared(place)
        request = CertificateRequest(names=("x.example.com",), profile="web", owner=said["owner"])
        declared = ManagedCertificate(name=name, request=request, environment=said["environment"])
        hub.estate.deployment.inventory.save_managed(record(declared=declared))


def _let_discovery_run(hub: ApiHub) -> None:
    deployment = hub.estate.deployment
    made = deployment.clients("stepfunctions").create_state_machine(
        name="PerennialDiscovery",
        definition=json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}),
        roleArn="arn:aws:iam::123456789012:role/workflow",
    )
    deployment.environment["PERENNIAL_DISCOVERY_ARN"] = made["stateMachineArn"]  # type: ignore[index]


@pytest.mark.parametrize("route", every_route(), ids=lambda each: f"{each.method} {each.path}")
def test_who_may(hub: ApiHub, route: Route) -> None:
    """Each role, at each place, is let in exactly where the table says; each refusal, and nothing else, is audited."""
    refused: dict[str, str] = {}
    number = 0
    for role in Role:
        for place in NAMES:
            asked = sent(route, place)
            number += 1
            id_of_request = f"{ROUTES.index(route):04d}-{number:04d}"
            context = {**as_role(role), "requestId": id_of_request}
            answer = hub.ask(route.method, asked.path, context, asked.body, **dict(asked.headers))
            allowed = may(role, route.action, place, asked)
            assert (answer.status != 403) is allowed, f"{role}, {place}: {answer.document}"
            let_in = answer.status == 404 if asked.missing else answer.status < 300
            assert let_in is allowed, f"{role}, {place}: {answer.document}"
            if not allowed:
                assert route.action
                refused[id_of_request] = TOLD[route.action]
    trail = {each.event.request: each.event for each in hub.trail() if each.event.outcome == REFUSED}
    told = {name: each.action for name, each in trail.items() if name.startswith(f"{ROUTES.index(route):04d}-")}
    assert told == refused
    assert all(each.principal.startswith("arn:aws:iam::123456789012:role/") for each in trail.values())


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("place", NAMES)
def test_everyone_withdraws_what_they_asked(hub: ApiHub, role: Role, place: str) -> None:
    """Whoever asked is let in, whatever their role and whosever the certificate is; nothing is refused in the trail."""
    kept = hub.estate.deployment.inventory.change_request(IDS[place])
    principal = f"arn:aws:iam::123456789012:role/{role}"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Inventory, "change_request", lambda *_: replace(kept, asked_by=(principal,)))
        answer = hub.ask("POST", f"/requests/{IDS[place]}/withdrawal", {**as_role(role), "requestId": "mine"}, {})
    assert (answer.status, answer.document["state"]) == (200, "withdrawn")
    assert [each for each in hub.trail() if each.event.request == "mine"] == []


@pytest.mark.parametrize("route", every_route(), ids=lambda each: f"{each.method} {each.path}")
def test_nobody(hub: ApiHub, route: Route) -> None:
    """Who is not signed in is answered 401 on every route, and that is audited."""
    asked = sent(route, OWN)
    id_of_request = f"nobody-{ROUTES.index(route)}"
    answer = hub.ask(route.method, asked.path, {**NOBODY, "requestId": id_of_request}, asked.body)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    (told,) = (each.event for each in hub.trail() if each.event.request == id_of_request)
    assert (told.principal, told.action, told.outcome) == ("nobody", "access.refuse", REFUSED)


def test_the_table_is_asked_in_full() -> None:
    """No two routes are one, and every action that a person has a route for is in the matrix."""
    assert len({(each.method, each.path) for each in every_route()}) == len(ROUTES)
    assert set(TOLD) == set(Action)
