"""What the steps of an issuance have in common: what each answers, and what the audit trail is told of a request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perennial.certificate_request import CertificateRequest

SILENCE = timedelta(minutes=30)  # after which a version that nothing moved is moved by the tick
LONGEST_WAIT = 1_200  # seconds; below SILENCE, so that no version that waits seems dead
REQUESTED, ISSUED, REVOKED = "version.request", "version.issue", "version.revoke"  # actions in the audit trail


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the workflow does next: advance | wait (then advance) | store | clean | done."""

    next: str
    seconds: int = 0
    doing: str = ""

    def document(self) -> dict[str, Any]:
        """As the workflow carries it."""
        return {"next": self.next, "seconds": self.seconds, "doing": self.doing}


def wait(seconds: float, doing: str) -> Step:
    """Wait, then go on. `doing`: for what."""
    return Step(next="wait", seconds=max(1, min(LONGEST_WAIT, round(seconds))), doing=f"waiting for {doing}")


def asked_for(wanted: CertificateRequest) -> dict[str, Any]:
    """What the audit trail tells of a request."""
    told = ("names", "profile", "issuer", "key", "validity_days")
    return {name: getattr(wanted, name) for name in told if getattr(wanted, name)}
