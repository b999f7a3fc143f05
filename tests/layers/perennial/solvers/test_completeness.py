"""Every solver is registered, says what it needs, and is given the challenges that it shows."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import perennial.solvers
from perennial.profiles import Solvers
from perennial.solvers import by_solver, kinds, ready
from perennial.solvers.http01 import Http01
from perennial.solvers.interface import Challenge, Shown
from perennial.solvers.route53 import Route53
from strict_route53 import HUB, StrictRoute53

FOLDER = Path(str(perennial.solvers.__file__)).parent
ACTION = re.compile(r"[a-z0-9-]+:[A-Z][A-Za-z0-9]+")


def test_every_file_has_its_line() -> None:
    """A solver's file without its line in __init__.py is named here."""
    files = {each.stem for each in FOLDER.glob("*.py")} - {"__init__", "interface"}
    assert files == set(kinds())


def test_every_kind_of_challenge_has_one_solver() -> None:
    """Each kind is shown by exactly one solver."""
    shown = [each for kind in kinds().values() for each in kind.SHOWS]
    assert sorted(shown) == sorted(Shown)


def test_actions() -> None:
    """Each names its IAM actions as IAM spells them; http-01 needs none in other accounts."""
    needed = {name: kind.ACTIONS for name, kind in kinds().items()}
    assert {name for name, actions in needed.items() if not actions} == {"http01"}
    assert all(ACTION.fullmatch(action) for actions in needed.values() for action in actions)


def test_challenges_are_given_to_their_solvers() -> None:
    """Challenges of several kinds are grouped by solver, those of one kind make one solver only."""
    service = StrictRoute53()
    settings = SimpleNamespace(solvers=Solvers())
    deployment: Any = SimpleNamespace(
        account=HUB,
        clients_of=lambda account, role: lambda name: service.clients[account](),
        settings=settings,
        inventory=None,
        clock=None,
    )
    made = [Challenge(shown=shown, where="a.example.com", value="b.example.com", name="a") for shown in Shown]
    grouped = {type(solver): {each.shown for each in group} for solver, group in by_solver(deployment, made)}
    assert grouped == {Route53: {Shown.TXT, Shown.CNAME}, Http01: {Shown.HTTP}}
    assert [type(solver) for solver, _ in by_solver(deployment, made[:1])] == [Route53]
    service.zone("example.com")
    ((solver, group),) = by_solver(deployment, made[:1])
    tokens = solver.present(group)
    assert [ready(deployment, ()), ready(deployment, tokens), ready(deployment, tokens)] == [True, False, True]
