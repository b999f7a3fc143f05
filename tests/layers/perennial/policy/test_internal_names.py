"""Public issuers for public names, private issuers for internal ones."""

from __future__ import annotations

from dataclasses import replace

from layers.perennial.policy.cases import AMAZON, ORGANISATION, PRIVATE, PUBLIC, Case, asked
from perennial.profiles import Organisation

OURS = replace(ORGANISATION, internal_names=("corp.example.com",))
PRIVATE_ACME = replace(PUBLIC, public=False)
CASES = {
    "internal_names.public": Case(
        (asked("shop.example.com", organisation=OURS), asked("db.corp.internal", issuer=PRIVATE)),
        (
            (asked("a.example.com", "db.corp.internal"), "names[1] db.corp.internal"),
            (asked("db"), "names[0] db"),
            (asked("10.0.0.1"), "names[0] 10.0.0.1"),
            (asked("*.corp.example.com", organisation=OURS), "names[0] *.corp.example.com"),
            (asked("db.test", issuer=AMAZON), "names[0] db.test"),
        ),
    ),
    "internal_names.private": Case(
        (
            asked("db.corp.internal", "db", "10.0.0.1", issuer=PRIVATE),
            asked("shop.corp.example.com", issuer=PRIVATE, organisation=OURS),
            asked("shop.example.com"),
        ),
        (
            (asked("db", "shop.example.com", issuer=PRIVATE), "names[1] shop.example.com"),
            (asked("shop.example.com", issuer=PRIVATE_ACME), "names[0] shop.example.com"),
            (asked("8.8.8.8", issuer=PRIVATE), "names[0] 8.8.8.8"),
            (asked("*.com", issuer=PRIVATE, organisation=Organisation()), "names[0] *.com"),
        ),
    ),
}
