"""Search: what a page of the inventory's list reads, as a ratio to the certificates that it holds.

Lists of 100,000 certificates and of a tenth of that are walked from the first page on and from deep within, by each
filter; the worst page counts. Two things are told of each list. What one page reads, for each certificate that it may
hold: that must be little however few fit, and must not grow with the inventory. And what is read for each certificate
that is found: where no index knows a filter, those are read too that do not fit, over as many pages as it takes.

Items are counted that queries walk over and batches get, and read units as DynamoDB charges them (Developer Guide,
"Capacity unit consumption"). The table is in memory.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from benches.report import Result

if TYPE_CHECKING:
    from benches.search_fleet import Asked, Fleet

SIZE, QUICK_SIZE = 100_000, 2_000
SMALLER = 10  # the other inventory is a tenth
ENOUGH = 20  # pages of one kind in the smaller one, for its worst to tell something
PAGE = 50  # certificates
PAGES = 40  # that are walked from each place
PLACES = 3  # from the first page, from the middle, from near the end
MOST_OF_PAGE = 10  # items for each certificate that a page may hold
MOST_INDEXED, MOST_JUDGED = 4, 10  # items for each certificate found: by an index alone, and where lines are judged too
MOST_GROWTH = 1.1  # times, of a page on average in an inventory ten times as large; its worst is of more pages there


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bench's own options."""
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SIZE:,} certificates instead of {SIZE:,}")


def run(options: argparse.Namespace) -> Iterator[Result]:
    """Ask both inventories the same, and compare."""
    size = QUICK_SIZE if options.quick else SIZE
    small, large = (measured(each) for each in (size // SMALLER, size))
    for name, worst in large.items():
        yield from figures(name, worst, small[name], size)


@dataclass(frozen=True, kw_only=True)
class Worst:
    """What was walked of one list. `items` and `units`: of the page that read the most. `pages` is how many there were,
    `full` how many of them held all that they may; of these, or else of all, `usual` is the average.
    `read` and `found`: items and certificates of all pages. `indexed`: as `Asked.indexed`."""

    indexed: bool
    items: int
    units: float
    pages: int
    full: int
    usual: float
    read: int
    found: int

    @property
    def of_page(self) -> float:
        """Items of the worst page for each certificate that it may hold."""
        return self.items / PAGE

    @property
    def for_each(self) -> float:
        """Items for each certificate that was found."""
        return self.read / max(self.found, 1)


def measured(size: int) -> dict[str, Worst]:
    """Filter → what its worst page read, in an inventory of so many certificates."""
    from benches import search_fleet
    from benches.report import say

    say(f"an inventory of {size:,} certificates: filling it, then the lists")
    with search_fleet.filled(size) as fleet:
        return {each.name: _worst(fleet, each) for each in search_fleet.asked()}


def _worst(fleet: Fleet, asked: Asked) -> Worst:
    pages = [each for place in range(PLACES) for each in fleet.pages(asked, place / PLACES, PAGE, PAGES)]
    full = [each for each in pages if each.found == PAGE]
    return Worst(
        indexed=asked.indexed,
        items=max(each.items for each in pages),
        units=max(each.units for each in pages),
        pages=len(pages),
        full=len(full),
        usual=mean(each.items for each in full or pages),
        read=sum(each.items for each in pages),
        found=sum(each.found for each in pages),
    )


def figures(name: str, large: Worst, small: Worst, size: int) -> Iterator[Result]:
    """What both inventories read, and how they compare where both have pages of one kind."""
    told = f"{name}: items of a page, for each that it may hold"
    for number, worst in ((size, large), (size // SMALLER, small)):
        yield Result(f"{told}, of {number:,} in all", worst.of_page, "items", MOST_OF_PAGE)
    if _alike(small, large):
        growth = large.usual / small.usual
        yield Result(f"{name}: items of a page on average, {size:,} to {size // SMALLER:,}", growth, "x", MOST_GROWTH)
    if large.found or not large.indexed:
        most = MOST_INDEXED if large.indexed else MOST_JUDGED
        yield Result(f"{name}: items for each that is found, of {size:,} in all", large.for_each, "items", most)
    yield Result(f"{name}: read units of one page at the most", large.units, "units")


def _alike(small: Worst, large: Worst) -> bool:
    """Whether both have enough full pages, or enough that end before they are full."""
    full = small.full >= ENOUGH and large.full >= ENOUGH
    return full or (not small.full and not large.full and min(small.pages, large.pages) >= ENOUGH)
