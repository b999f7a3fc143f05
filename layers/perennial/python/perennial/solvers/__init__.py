"""Every way to show a challenge: one file each, one line here. A file declares `SHOWS`, the kinds of challenges that it
shows, `ACTIONS`, the IAM actions that it needs in the accounts of its zones, and `of`, which makes its solver.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from perennial.deployment import Deployment
    from perennial.solvers.interface import Challenge, Shown, Solver

_MODULES = ("http01", "route53")


class Kind(Protocol):
    """What the file of a solver declares."""

    @property
    def SHOWS(self) -> tuple[Shown, ...]: ...  # noqa: N802 - a constant of the module

    @property
    def ACTIONS(self) -> tuple[str, ...]: ...  # noqa: N802

    def of(self, deployment: Deployment) -> Solver: ...


def kinds() -> Mapping[str, Kind]:
    """All of them by name. Loaded when asked for."""
    from importlib import import_module

    return {name: import_module(f"perennial.solvers.{name}") for name in _MODULES}


def by_solver(deployment: Deployment, challenges: Sequence[Challenge]) -> list[tuple[Solver, tuple[Challenge, ...]]]:
    """The solvers that these challenges need, each with those that it shows."""
    groups = [(kind, tuple(each for each in challenges if each.shown in kind.SHOWS)) for kind in kinds().values()]
    return [(kind.of(deployment), group) for kind, group in groups if group]


def ready(deployment: Deployment, tokens: Sequence[str]) -> bool:
    """Whether everything is visible whose showing gave these tokens. Only Route 53 gives any."""
    from perennial.solvers import route53

    return route53.of(deployment).ready(tokens) if tokens else True
