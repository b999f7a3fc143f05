"""What tests of the `perennial` command are given: see `layers/perennial/cli/conftest.py`."""

from __future__ import annotations

from collections.abc import Callable

from click.testing import Result

Run = Callable[..., Result]
Scripted = Callable[..., None]
