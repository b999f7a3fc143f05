"""Every kind of target: one file each, one line here. A file declares, as constants, what it needs:

| constant | what it is |
| --- | --- |
| TITLE | what people call the place |
| FIELDS | what it needs to know (`interface.Field`) |
| KEYS | the key types that it takes, as in `profiles.KEYS`; () where it gets no key |
| LOOKS, CHANGES | the IAM actions of looking, and those of changing, in the target's account |
| RETIRES | the IAM actions of removing a superseded version's copies there, reads included; () where it makes none |
| MAX_CHAIN | how many certificates above the leaf it takes |
| DEADLINE | seconds from activation to proof, unless a target says otherwise |
| HANDSHAKES | whether it serves TLS itself, so that a handshake there is the proof |

and has `target(settings, reach)`, which makes its `interface.Target`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from perennial.targets.interface import Field, Reach, Target, TargetSettings

_MODULES: tuple[str, ...] = (
    "acm",
    "apigateway",
    "cloudfront",
    "elb",
    "elbv2",
    "iam",
    "s3",
    "secretsmanager",
    "ssm_parameter",
    "webhook",
)


class Kind(Protocol):
    """What the file of a target declares."""

    @property
    def TITLE(self) -> str: ...  # noqa: N802 - constants of the module

    @property
    def FIELDS(self) -> tuple[Field, ...]: ...  # noqa: N802

    @property
    def KEYS(self) -> tuple[str, ...]: ...  # noqa: N802

    @property
    def LOOKS(self) -> tuple[str, ...]: ...  # noqa: N802

    @property
    def CHANGES(self) -> tuple[str, ...]: ...  # noqa: N802

    @property
    def RETIRES(self) -> tuple[str, ...]: ...  # noqa: N802

    @property
    def MAX_CHAIN(self) -> int: ...  # noqa: N802

    @property
    def DEADLINE(self) -> int: ...  # noqa: N802

    @property
    def HANDSHAKES(self) -> bool: ...  # noqa: N802

    def target(self, settings: TargetSettings, reach: Reach) -> Target: ...


def names() -> tuple[str, ...]:
    """The kinds of targets, without loading them."""
    return _MODULES


def kind(name: str) -> Kind:
    """One kind; loaded when asked for."""
    from importlib import import_module

    module: Any = import_module(f"perennial.targets.{name}")
    return module  # type: ignore[no-any-return]


def kinds() -> Mapping[str, Kind]:
    """All of them by name."""
    return {name: kind(name) for name in _MODULES}


def target(settings: TargetSettings, reach: Reach) -> Target:
    """The target that settings describe."""
    return kind(settings.kind).target(settings, reach)
