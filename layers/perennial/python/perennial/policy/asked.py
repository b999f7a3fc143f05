"""What a request asks for, also where it leaves that to its profile, and how it is shown in violations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from perennial.checks.validity import allowed
from perennial.names import shown
from perennial.policy.interface import Subject

MAX_JUDGED = 1_000  # names that are judged one by one; `number` refuses a request long before
MAX_LISTED = 5
MAX_TEXT = 80


def named(subject: Subject) -> Iterator[tuple[str, str]]:
    """Each name with its field, as ("names[2] admin.example.org", "admin.example.org")."""
    for place, name in enumerate(subject.request.names[:MAX_JUDGED]):
        yield f"names[{place}] {shown(name)}", name


def key(subject: Subject) -> str:
    """The key type that will be certified: the CSR's, else the request's, else the profile's default."""
    return (subject.csr.key if subject.csr else subject.request.key) or next(iter(subject.profile.keys), "")


def days(subject: Subject) -> int:
    """The validity that is asked for: the request's, else as much as the profile and `longest` allow."""
    return subject.request.validity_days or min(subject.profile.validity_days, longest(subject))


def longest(subject: Subject) -> int:
    """Days that a certificate of this issuer may be valid for at the most: by the schedule of the Baseline Requirements
    (6.3.2) for public ones, else by `[policy] private_validity_days`."""
    return allowed(subject.now).days if subject.issuer.public else subject.organisation.private_validity_days


def listed(texts: Iterable[str], nothing: str = "none") -> str:
    """The first five and how many more, each cut and escaped."""
    every = list(texts)
    more = len(every) - MAX_LISTED
    shown_ones = ", ".join(map(quoted, every[:MAX_LISTED]))
    return (shown_ones + (f" and {more} more" if more > 0 else "")) or nothing


def quoted(text: str) -> str:
    """A text of the request's, cut; in quotes and escaped where it holds more than plain characters."""
    cut = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return cut if cut and cut.isprintable() and not cut.isspace() else repr(cut)
