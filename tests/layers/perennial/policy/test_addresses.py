"""IP addresses: only where profile and issuer take them."""

from __future__ import annotations

from dataclasses import replace

from layers.perennial.policy.cases import AMAZON, BY_HTTP, PRIVATE, PUBLIC, Case, asked
from perennial.profiles import ChallengeKind

PERSISTENT = replace(PUBLIC, challenge=ChallengeKind.DNS_PERSIST)
APPROVED = replace(PUBLIC, challenge=ChallengeKind.NONE)
CASES = {
    "addresses.profile": Case(
        (asked("shop.example.com"), asked("8.8.8.8", addresses=True)),
        ((asked("a.example.com", "8.8.8.8"), "names[1] 8.8.8.8"), (asked("2606:4700::1"), "names[0] 2606:4700::1")),
    ),
    "addresses.issuer": Case(
        (
            asked("shop.example.com"),
            asked("8.8.8.8", issuer=BY_HTTP),
            asked("8.8.8.8", issuer=APPROVED),
            asked("192.0.2.1", issuer=PRIVATE),
        ),
        (
            (asked("8.8.8.8"), "names[0] 8.8.8.8"),
            (asked("8.8.8.8", issuer=PERSISTENT), "names[0] 8.8.8.8"),
            (asked("8.8.8.8", issuer=AMAZON), "names[0] 8.8.8.8"),
        ),
    ),
}
