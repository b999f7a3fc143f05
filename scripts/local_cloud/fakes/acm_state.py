"""What ACM holds for one account in one region."""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from local_cloud.fakes import pages
from local_cloud.fakes.acm_certificate import Certificate
from local_cloud.fakes.service import ServiceError

YEAR = timedelta(days=365)


@dataclass
class Quotas:
    """Source: ACM User Guide "Quotas". Expired and revoked certificates count; ACME and private ones do not."""

    certificates: int = 2500
    imports_per_year: int = 5000
    names: int = 10


class Listings:
    """Results of queries that are being paged through, so that a page does not run the query again.

    Kept for the eight queries used last; for an older one the query runs again.
    """

    KEPT = 8

    def __init__(self) -> None:
        self._kept: OrderedDict[str, list[Certificate]] = OrderedDict()
        self._serial = 0

    def page(
        self, find: Callable[[], list[Certificate]], token: str | None, size: int, query: Mapping[str, Any]
    ) -> tuple[list[Certificate], str | None]:
        """(the page, the next token). Raises BadToken for a token that is not of this query."""
        serial, start = self._opened(token, query)
        items = self._kept.get(serial) if serial else None
        if items is None:
            items = find()
            serial = self._keep(items)
        else:
            self._kept.move_to_end(serial)
        end = start + size
        return items[start:end], f"{serial}.{pages.encode(end, query)}" if end < len(items) else None

    def _opened(self, token: str | None, query: Mapping[str, Any]) -> tuple[str, int]:
        if token is None:
            return "", 0
        serial, _, rest = token.partition(".")
        return serial, pages.decode(rest, query)

    def _keep(self, items: list[Certificate]) -> str:
        self._serial += 1
        self._kept[str(self._serial)] = items
        while len(self._kept) > self.KEPT:
            self._kept.popitem(last=False)
        return str(self._serial)


@dataclass
class AcmState:
    """The certificates by ARN, in the order in which they were made, and the account's settings."""

    account: str
    region: str
    quotas: Quotas
    certificates: dict[str, Certificate] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)
    tokens: dict[str, tuple[datetime, str, str]] = field(default_factory=dict)
    imports: deque[datetime] = field(default_factory=deque)
    days_before_expiry: int = 45
    listings: Listings = field(default_factory=Listings)
    counted: int = 0
    """Certificates that count towards the quota."""

    def add(self, item: Certificate) -> None:
        """Adds a certificate, or puts it in the place of the one with its ARN."""
        self.counted += counts(item) - (counts(self.certificates[item.arn]) if item.arn in self.certificates else 0)
        self.certificates[item.arn] = item
        if item.stored_status == "PENDING_VALIDATION":
            self.pending.add(item.arn)

    def remove(self, item: Certificate) -> None:
        """Forgets a certificate."""
        self.counted -= counts(item)
        self.pending.discard(item.arn)
        del self.certificates[item.arn]

    def require_room(self) -> None:
        """Raises LimitExceededException where one more certificate is too many."""
        if self.counted >= self.quotas.certificates:
            raise ServiceError(
                "LimitExceededException",
                f"The maximum number of {self.quotas.certificates} certificates has already been reached.",
            )

    def count_import(self, now: datetime) -> None:
        """Counts an import against the yearly quota. Raises LimitExceededException."""
        while self.imports and self.imports[0] < now - YEAR:
            self.imports.popleft()
        if len(self.imports) >= self.quotas.imports_per_year:
            raise ServiceError("LimitExceededException", "The yearly quota of certificate imports has been reached.")
        self.imports.append(now)


def counts(item: Certificate) -> bool:
    """Whether a certificate counts towards the quota."""
    return item.kind != "PRIVATE" and item.origin != "ACME"
