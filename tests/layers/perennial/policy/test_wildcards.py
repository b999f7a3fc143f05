"""Wildcards: where, by which challenge, and how wide."""

from __future__ import annotations

from layers.perennial.policy.cases import BY_HTTP, PRIVATE, Case, asked

CASES = {
    "wildcards.profile": Case(
        (asked("shop.example.com"), asked("*.example.com", wildcards=True)),
        ((asked("a.example.com", "*.example.com"), "names[1] *.example.com"),),
    ),
    "wildcards.challenge": Case(
        (asked("*.example.com"), asked("a.example.com", issuer=BY_HTTP), asked("*.corp.internal", issuer=PRIVATE)),
        ((asked("*.example.com", issuer=BY_HTTP), "names[0] *.example.com"),),
    ),
    "wildcards.top-level": Case(
        (asked("*.example.com"), asked("com"), asked("*.internal", issuer=PRIVATE)),
        ((asked("*.com"), "names[0] *.com"), (asked("*.shop", issuer=PRIVATE), "names[0] *.shop")),
    ),
}
