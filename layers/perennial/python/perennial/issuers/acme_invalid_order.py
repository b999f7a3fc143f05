"""Why an ACME order became invalid (RFC 8555 7.1.6): the reason of the CA, or that it only expired."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from perennial.errors import ServiceRefused
from perennial.issuers import acme_problem
from perennial.issuers.acme_challenge import MAX_CHALLENGES, STATUSES
from perennial.issuers.acme_network import Network, Signer
from perennial.issuers.acme_order import Order, Phase
from perennial.issuers.acme_problem import Problem
from perennial.issuers.acme_reading import Fields, bounded


def raise_reason(network: Network, account: Signer, order: Order, fields: Fields, now: datetime) -> None:
    """Raise why the order, that a reply's `fields` say is invalid, became so; return where it only expired. After the
    CSR was sent its own error tells; before, the authorizations do.

    Raises: ValidationFailed, ServiceRefused and others.
    """
    doing = f"{network.settings.name}: order {order.url}"
    error = _error(fields)
    if error is not None and order.phase is Phase.FINALIZED:
        raise acme_problem.meaning(error, doing)
    problems, lapsed = _authorizations(network, account, order)
    if problems:
        raise acme_problem.validation_failed(problems, doing)
    if error is not None:
        raise acme_problem.meaning(error, doing)
    expires = fields.time("expires")
    if not lapsed and (expires is None or expires > now):
        raise ServiceRefused(f"{doing}: the CA made it invalid and does not say why; ask the CA")


def raise_failed(network: Network, account: Signer, order: Order) -> None:
    """Raise what the CA saw where an authorization is invalid, whatever it says of the order (against RFC 8555 7.1.6,
    acme2certifier leaves it pending).

    Raises: ValidationFailed.
    """
    problems, _ = _authorizations(network, account, order)
    if problems:
        raise acme_problem.validation_failed(problems, f"{network.settings.name}: order {order.url}")


def seen(fields: Fields) -> Problem:
    """What the CA saw as it looked at the name of an invalid authorization.

    Raises: InvalidReply.
    """
    name = fields.of("identifier").text("value", "", most=255)
    problems = [_error(each) for each in fields.each("challenges", MAX_CHALLENGES)]
    found = next((each for each in problems if each), Problem(code="", detail="the CA does not say why"))
    return replace(found, name=bounded(name))


def _authorizations(network: Network, account: Signer, order: Order) -> tuple[list[Problem], bool]:
    """What the CA saw at the names that failed, and whether some authorization lapsed."""
    problems, lapsed = [], False
    for url in order.pages:
        reply = network.post(url, b"", account, "authorization", tolerate=("404",))
        if reply.problem is not None:
            lapsed = True
            continue
        fields = reply.read()
        status = fields.one_of("status", STATUSES)
        lapsed = lapsed or status in ("deactivated", "expired", "revoked")
        if status == "invalid":
            problems.append(seen(fields))
    return problems, lapsed


def _error(fields: Fields) -> Problem | None:
    """The problem in a reply's `error`."""
    return acme_problem.read_problem(fields.of("error")) if fields.values.get("error") is not None else None
