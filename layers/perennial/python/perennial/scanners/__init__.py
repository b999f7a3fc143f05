"""Every source of certificates: one file each, one line here."""

from __future__ import annotations

from collections.abc import Mapping

from perennial.scanners.interface import Scanner

_MODULES = (
    "acm",
    "acm_pca",
    "apigateway",
    "cloudfront",
    "elb",
    "elbv2",
    "endpoints",
    "iam",
    "secretsmanager",
    "trust_stores",
)


def scanners() -> Mapping[str, Scanner]:
    """All scanners by source. Loaded when asked for, so that one scan does not import what it does not need."""
    return {name: scanner(name) for name in _MODULES}


def sources() -> tuple[str, ...]:
    """The names of all sources, without loading their scanners."""
    return _MODULES


def scanner(source: str) -> Scanner:
    """The scanner of one source.

    Raises: InvalidInput when there is none of that name.
    """
    from importlib import import_module

    from perennial.errors import InvalidInput

    if source not in _MODULES:
        raise InvalidInput(f"{source[:60]!r} is not a source; there are {', '.join(_MODULES)}")
    found: Scanner = import_module(f"perennial.scanners.{source}").SCANNER
    return found
