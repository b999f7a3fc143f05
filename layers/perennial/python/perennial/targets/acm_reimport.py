"""What ACM lets an import change under an ARN that is there already, as facts of two certificates. Pure.

ACM compares with what the ARN has at that moment, not with what was imported there first: after a usage was added, the
certificate without it does not come back.

Source: ACM User Guide, "Reimport a certificate".
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from perennial.certificate import Certificate

IMPORTED = "IMPORTED"
_NAMED = 10  # of what is attached, so many are named


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What an ARN has: the facts by which ACM judges a re-import, and what is attached.

    `type` is ACM's (IMPORTED, AMAZON_ISSUED, PRIVATE). `extensions` is False where they could not be read: then nothing
    is said of usages and names. `users` are ARNs, the first of `attached`.
    """

    fingerprint: str
    type: str
    key: str  # EC-256 …
    named: bool  # has a domain name
    extensions: bool
    key_usage: tuple[str, ...] | None
    extended_key_usage: tuple[str, ...] | None
    expired: bool = False
    users: tuple[str, ...] = ()
    attached: int = 0

    @classmethod
    def of(
        cls,
        found: Certificate,
        *,
        kind: str = IMPORTED,
        key: str | None = None,
        expired: bool = False,
        users: Collection[str] = (),
    ) -> Held:
        """The facts of a certificate; `key` is what ACM says of its key, `users` are all that it says use it."""
        return cls(
            fingerprint=found.fingerprint or "",
            type=kind,
            key=key or found.key or "unknown",
            named=bool(found.common_name or found.dns_names),
            extensions=found.dns_names is not None,
            key_usage=found.key_usage,
            extended_key_usage=found.extended_key_usage,
            expired=expired,
            users=tuple(sorted(users)[:_NAMED]),
            attached=len(users),
        )

    @classmethod
    def read(cls, text: str) -> Held:
        """What `written` wrote."""
        facts: dict[str, Any] = json.loads(text)
        facts |= {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
        return cls(**facts)

    def written(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def attachments(self) -> str:
        """What is attached, in words."""
        more = self.attached - len(self.users)
        return ", ".join((*self.users, *((f"{more} more",) if more else ()))) or "nothing"


def forbidden(old: Held, new: Held) -> Iterator[str]:
    """What ACM does not let the change from one to the other do, besides another key type or size, in words."""
    if not (old.extensions and new.extensions):
        return
    if old.named and not new.named:
        yield "it has no domain name any more"
    # RFC 5480 section 3 has no keyEncipherment for EC keys, and public CAs issue no clientAuth any more.
    key_usages = _usages(old.key_usage, new.key_usage, {"key_encipherment"} if new.key.startswith("EC-") else ())
    purposes = _usages(old.extended_key_usage, new.extended_key_usage, {"clientAuth"})
    yield from (f"its key usage {change}" for change in key_usages)
    yield from (f"its extended key usage {change}" for change in purposes)


def _usages(old: tuple[str, ...] | None, new: tuple[str, ...] | None, may_go: Collection[str]) -> Iterator[str]:
    if old is None and new is not None:
        yield f"has {', '.join(new)} where there was no such extension"
    if gone := sorted({*(old or ())} - {*(new or ())} - {*may_go}):
        yield f"lacks {', '.join(gone)}"
