"""Who owns a certificate: the first answer of tags, names, accounts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from perennial.certificate import Certificate
from perennial.manifest import Scope, Sighting
from perennial.settings import Ownership

MAX_OWNER = 128


def owner(
    ownership: Ownership,
    certificate: Certificate | None,
    place: tuple[Scope, Sighting],
    attached: Iterable[tuple[Scope, Sighting]] = (),
) -> str | None:
    """The owner of a certificate in its place: tags of the place, then of what is attached, then the mapping of names,
    then the account's. None when nobody is named."""
    scope, sighting = place
    found = _tagged(ownership, sighting)
    for _, other in attached:
        found = found or _tagged(ownership, other)
    for name in (certificate.names if certificate else ()) or ():
        found = found or _mapped(ownership.names, name.lower())
    found = found or ownership.accounts.get(scope.account)
    return found[:MAX_OWNER] if found else None


def _tagged(ownership: Ownership, sighting: Sighting) -> str | None:
    tags = {key.lower(): value for key, value in sighting.attributes.get("tags", {}).items()}
    return next((tags[key.lower()] for key in ownership.tag_keys if tags.get(key.lower())), None)


def _mapped(names: Mapping[str, str], name: str) -> str | None:
    """The name itself wins, then the longest entry that covers it; `*.example.com` covers every name below it."""
    covering = [
        pattern
        for pattern in names
        if name == pattern.lower() or (pattern.startswith("*.") and name.endswith(pattern[1:].lower()))
    ]
    return names[max(covering, key=lambda pattern: (pattern.lower() == name, len(pattern)))] if covering else None
