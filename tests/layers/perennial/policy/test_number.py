"""How many names a request has."""

from __future__ import annotations

from dataclasses import replace

from layers.perennial.policy.cases import ORGANISATION, Case, asked, without_names

FEW = replace(ORGANISATION, max_names=3)
HOSTS = tuple(f"h{each}.example.com" for each in range(101))
CASES = {
    "number.some": Case((asked(),), ((without_names(asked()), "names"),)),
    "number.profile": Case(
        (asked(*HOSTS[:10]), asked(*HOSTS[:2], max_names=2), without_names(asked())),
        ((asked(*HOSTS[:11]), "names"), (asked(*HOSTS[:3], max_names=2), "names")),
    ),
    "number.organisation": Case(
        (asked(*HOSTS[:100]), asked(*HOSTS[:3], organisation=FEW)),
        ((asked(*HOSTS), "names"), (asked(*HOSTS[:4], organisation=FEW), "names")),
    ),
    "number.once": Case(
        (asked(*HOSTS), asked("a.example.com", "*.example.com")),
        ((asked("a.example.com", "b.example.com", "a.example.com"), "names[2] a.example.com"),),
    ),
}
