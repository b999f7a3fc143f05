"""How a hook reaches into ministack, and what it says when ministack has changed."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import Any

TESTED_VERSION = "1.5.33"


class HookLostError(RuntimeError):
    """The installed ministack lacks something that a hook changes."""

    def __init__(self, hook: str, missing: str) -> None:
        super().__init__(
            f"ministack {version('ministack')} no longer takes the hook {hook!r}, because {missing} is gone: install"
            f" ministack=={TESTED_VERSION}, with which it was tested, or adapt the hook in scripts/local_cloud."
        )


def part(hook: str, module: str, name: str) -> Any:
    """The attribute of a ministack module that a hook uses; dots reach into classes. Raises `HookLostError`."""
    try:
        found: Any = importlib.import_module(module)
        for step in name.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError) as error:
        raise HookLostError(hook, f"{module}.{name}") from error
    return found


def replace(module: str, name: str, value: Any) -> None:
    """Put a value in the place of a module's attribute, where the module itself looks it up."""
    setattr(importlib.import_module(module), name, value)
