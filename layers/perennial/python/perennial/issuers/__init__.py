"""Every kind of issuer: one file each, one line here. A module has `issuer(settings, deployment)`, which makes it, and
`ACTIONS`, the IAM actions that it needs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from perennial import profiles
from perennial.issuers.interface import Issuer

if TYPE_CHECKING:
    from perennial.deployment import Deployment

IDLE = timedelta(seconds=30)  # between two uses of an issuer: after that its connections may be closed by others
_MODULES = (
    "acm",
    "acm_pca",
    "acme",
)


def kinds() -> tuple[str, ...]:
    """The kinds of issuers, as `[issuers.<name>] kind` names them, without loading them."""
    return _MODULES


def issuer(settings: profiles.Issuer, deployment: Deployment) -> Issuer:
    """The issuer that a deployment's settings describe: the one that was used just before, where there is one, so that
    a warm function keeps its connections to a CA. A function that was frozen meanwhile cannot trust them any more.

    Raises: InvalidConfiguration.
    """
    now = deployment.clock()
    used, made = deployment.issuers.get(settings, (now, None))
    if made is None or now - used > IDLE:
        made = _made(settings, deployment)
    deployment.issuers[settings] = (now, made)
    return made


def _made(settings: profiles.Issuer, deployment: Deployment) -> Issuer:
    from importlib import import_module

    from perennial.errors import InvalidConfiguration

    if settings.kind not in _MODULES:
        raise InvalidConfiguration(
            f"issuers.{settings.name}: {settings.kind[:60]!r} is not a kind of issuer; there are {', '.join(_MODULES)}"
        )
    made: Issuer = import_module(f"perennial.issuers.{settings.kind}").issuer(settings, deployment)
    return made


def actions(kind: str) -> tuple[str, ...]:
    """The IAM actions that a kind of issuer needs."""
    from importlib import import_module

    found: tuple[str, ...] = import_module(f"perennial.issuers.{kind}").ACTIONS
    return found
