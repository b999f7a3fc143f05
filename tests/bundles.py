"""Versions of a managed certificate, in memory: a root, an intermediate, and leaves with their keys.

earlier, new = bundle(1), bundle(2)
new.private_key, new.certificate_pem, new.chain_pem
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from certificates import build
from perennial.targets.interface import Bundle

BEGINS = datetime(2026, 10, 1, tzinfo=UTC)
ENDS = datetime(2036, 10, 1, tzinfo=UTC)  # fakes that read this machine's clock take them too
NAMES = ("shop.example.com", "www.shop.example.com")


def authorities() -> tuple[Any, Any]:
    """The root and the intermediate of all bundles."""
    root = build("Example Root", ca=True)
    return root, build("Example Issuing CA", ca=True, issuer=root)


def bundle(
    version: int, *, names: tuple[str, ...] = NAMES, key: str = "EC-256", managed: str = "shop", **more: Any
) -> Bundle:
    """A version with a key of its own. `more` goes to `certificates.build`."""
    _, above = authorities()
    made = build(
        names[0],
        names=names,
        key=f"{key}#{version}",
        issuer=above,
        **{"not_before": BEGINS, "not_after": ENDS, "serial": 1_000 + version, **more},
    )
    return Bundle(
        managed=managed,
        version=version,
        names=names,
        key=key,
        certificate=made.certificate,
        chain=(above.certificate,),
        private_key=made.key_pem,
    )
