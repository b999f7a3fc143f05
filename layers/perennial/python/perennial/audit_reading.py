"""The audit trail, a page at a time: which events, the newest first.

A page reads in proportion to what it may hold. What is asked by subject or person is found by that; where action or
outcome are asked alone, or the days are quiet, a page ends after `EFFORT` items and queries: it may be short or empty,
and still has a next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perennial.audit import Question, question_fits
from perennial.audit_event import text
from perennial.errors import InvalidInput
from perennial.inventory.lists import Effort, Mark, Walk

if TYPE_CHECKING:
    from perennial.audit_chain import Link
    from perennial.inventory.audit_pages import Entry
    from perennial.inventory.store import Inventory

EFFORT = 600  # items and queries of one page
MAX_PAGE = 100  # events
MAX_TEXT = 2_000_000  # characters of the events of a page: a Lambda function returns 6 MB at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """The events of a page, and the mark from which the next one goes on; None where there is no more."""

    links: tuple[Link, ...]
    next: Mark | None


def page(inventory: Inventory, question: Question, after: Mark | None = None, limit: int = 50) -> Events:
    """The events of a question behind a mark, at most `limit`.

    Raises: InvalidInput for a question that cannot be asked, and for a mark of another one; NotFound for an event that
    was removed from the table.
    """
    if question.subject and not question.kind:
        raise InvalidInput("a subject is named by its kind and its name, as `kind` managed and `subject` shop")
    if question.since >= question.until:
        raise InvalidInput("`since` is not before `until`; ask about a time that has a length")
    limit = max(1, min(limit, MAX_PAGE))
    effort = Effort(EFFORT)
    entries = _entries(inventory, question, Walk(effort=effort, after=after, first=limit + 1))
    found: list[Link] = []
    last, size = after, 0
    fits = question_fits(question)
    for mark, link in entries:
        last = mark
        if link is not None and fits(link):
            found.append(link)
            size += len(text(link.event))
        if len(found) >= limit or size >= MAX_TEXT or effort.spent:
            break
    more = next(entries, None) is not None
    return Events(links=tuple(found), next=last if more else None)


def _entries(inventory: Inventory, question: Question, walk: Walk) -> Iterator[Entry]:
    since, until = question.since, question.until
    if question.subject:
        return inventory.audit_page_of(question.kind, question.subject, since, until, walk)
    if question.principal:
        return inventory.audit_page_by(question.principal, since, until, walk)
    return inventory.audit_page_between(since, until, walk)
