"""An order as its issuer keeps it: compact JSON of a frozen dataclass of texts, numbers and one time, `asked_at`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Self

from perennial.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOrder:
    """What ACM's and ACM PCA's orders share. `asked_at` is set before the request leaves, `arn` when it answered."""

    round: int = 0  # how many times it was asked anew
    asked_at: datetime | None = None
    arn: str = ""

    def text(self) -> str:
        """As it is kept."""
        content = asdict(self) | {"asked_at": self.asked_at.isoformat() if self.asked_at else None}
        return json.dumps(content, separators=(",", ":"))

    @classmethod
    def read(cls, text: str) -> Self:
        """The order of a text; "" is a new one.

        Raises: InvalidInput.
        """
        try:
            content = json.loads(text or "{}")
            asked_at = content.pop("asked_at", None)
            return cls(asked_at=datetime.fromisoformat(asked_at) if asked_at else None, **content)
        except (ValueError, TypeError, AttributeError) as error:
            raise InvalidInput("the kept order is not one of this issuer; request the certificate again") from error
