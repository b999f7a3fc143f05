"""What a solver is: it shows challenges, says when they are visible, and removes them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Shown(StrEnum):
    """As what a challenge is shown."""

    TXT = "TXT"  # a value of a TXT record (RFC 8555 8.4)
    CNAME = "CNAME"  # a CNAME record (ACM's DNS validation)
    HTTP = "HTTP"  # a file under /.well-known/acme-challenge/ (RFC 8555 8.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What is to be shown. None of it is secret: a CA, and so anyone, can read it.

    `where` is the DNS name of the record without a trailing dot (`_acme-challenge.example.com`), or the token of a
    file. `value` is the TXT value without quotes, the CNAME's target, or the file's content. A challenge that `stays`
    is never removed.
    """

    shown: Shown
    where: str
    value: str
    name: str  # the name that it proves control of, for people
    stays: bool = False


class Solver(Protocol):
    """Shows challenges of some kinds. Every call may be repeated, and removes or overwrites nothing of others."""

    def present(self, challenges: Sequence[Challenge]) -> tuple[str, ...]:
        """Show all of them; returns tokens to ask `ready` with (() when visible at once).

        Raises: NotFound where no zone or listener can show one, ConcurrentChange, and others.
        """

    def ready(self, tokens: Sequence[str]) -> bool:
        """Whether everything presented is visible everywhere. Asks once."""

    def clean(self, challenges: Sequence[Challenge]) -> None:
        """Remove them, as far as they are there; those that stay are left."""
