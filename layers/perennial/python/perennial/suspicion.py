"""A place no longer shows the certificate of a managed certificate: its lifecycle looks, and puts it there again.

Whatever vanished may do so for a good reason, as when a version supersedes another. So nothing is concluded here: where
it is the certificate that serves now, its version is rolled out once more, which looks at every target, changes those
that do not serve it, and proves all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from perennial.errors import ConcurrentChange

if TYPE_CHECKING:
    from perennial.deployment import Deployment
    from perennial.manifest import Difference, Sighting

TRIES = 5
MAX_TEXT = 300


def vanished(change: Difference) -> list[Sighting]:
    """What was somewhere and is there no more, or is another certificate now. Pure."""
    other = [
        before for before, now in change.changed if (before.fingerprint, before.place) != (now.fingerprint, now.place)
    ]
    return [*change.gone, *other]


def raise_for(deployment: Deployment, seen: Iterable[Sighting], now: datetime) -> list[str]:
    """Let the lifecycle of every managed certificate look whose certificate vanished somewhere. Returns their names."""
    names = []
    for sighting in seen:
        fingerprint = sighting.fingerprint or deployment.inventory.certificate_of_place(sighting.place)
        name = deployment.inventory.served_by(fingerprint) if fingerprint else ""
        if name and _raised(deployment, name, fingerprint or "", sighting.location, now):
            names.append(name)
    return names


def _raised(deployment: Deployment, name: str, fingerprint: str, where: str, now: datetime) -> bool:
    """Whether it is the certificate that serves now; then it is kept, and due."""
    for attempt in range(TRIES):
        record = deployment.inventory.find_managed(name)
        if record is None or record.removed_at or not record.serving or record.serving.fingerprint != fingerprint:
            return False
        try:
            deployment.inventory.save_managed(replace(record, suspect=where[:MAX_TEXT], due_at=now))
        except ConcurrentChange:
            if attempt == TRIES - 1:
                raise
        else:
            return True
    return False
