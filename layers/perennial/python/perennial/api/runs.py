"""Runs of Discovery: how complete they were, and to start one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Body
from pydantic import Field, StringConstraints

from perennial import discovery_request
from perennial.api import pages
from perennial.api.asking import EVERY, asking
from perennial.api.models import Model, Sent
from perennial.api.pages import DEFAULT, Limit, Next, Page
from perennial.api.routes import route, routes
from perennial.discovery_request import MAX_SCOPES
from perennial.inventory.lists import Effort, Walk
from perennial.inventory.records import RunRecord
from perennial.roles import Action

router = routes()
EFFORT = 1_000  # items and queries of one page: far more than a page has
Scope = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}/[a-z0-9-]{1,40}/[a-z0-9_]{1,40}$")]


class Run(Model):
    """One run of Discovery."""

    run: str = Field(description="Its name, as Step Functions has it.")
    started_at: datetime
    completed_at: datetime | None = Field(description="null: it goes on, or was ended.")
    scopes: int = Field(description="Scopes (account × region × source) that were planned.")
    incomplete: int = Field(description="Scopes that could not be scanned to the end; `perennial scopes` says why.")


class StartRun(Sent):
    """What is to be scanned."""

    scopes: list[Scope] = Field(
        default=[],
        max_length=MAX_SCOPES,
        description="Scopes as account/region/source; []: everything that is configured.",
        examples=[["123456789012/eu-west-1/acm"]],
    )


class Started(Model):
    """What was started."""

    run: str = Field(description="The run that scans what was asked for.")
    started: bool = Field(description="false: a run over everything goes on already, and this is it.")
    going_on: list[str] = Field(description="Other runs that go on at this time.")


@route(router, "GET", "/runs", Action.READ_RUNS, summary="List runs of Discovery")
def list_runs(
    limit: Limit = DEFAULT,
    cursor: Next = None,
) -> Page[Run]:
    """The runs of the last year, the newest first."""
    asker = asking(router)
    asker.reach(Action.READ_RUNS, kind="run")
    question = {"list": "runs"}
    walk = Walk(effort=Effort(EFFORT), after=pages.mark(question, cursor), first=limit + 1)
    found, last = pages.taken(asker.hub.inventory.runs_before(walk), limit)
    return Page[Run](items=[run_of(each) for each in found], next=pages.cursor(question, last))


@route(router, "POST", "/runs", Action.START_DISCOVERY, summary="Start a run of Discovery", status=202)
def start_run(body: Annotated[StartRun, Body(description="What is to be scanned.")]) -> Started:
    """Scan some scopes, or everything. Where a run over everything goes on, no second one is started."""
    asker = asking(router)
    subject = body.scopes[0] if len(body.scopes) == 1 else EVERY
    asker.may(Action.START_DISCOVERY, kind="run", subject=subject)
    planned = discovery_request.plan(asker.hub, tuple(body.scopes), asker.request_id)
    if planned.start:
        asker.happened("discovery.start", kind="run", subject=planned.run, after={"scopes": body.scopes or [EVERY]})
        discovery_request.start(asker.hub, planned)
    return Started(run=planned.run, started=planned.start, going_on=list(planned.going_on))


def run_of(record: RunRecord) -> Run:
    return Run(
        run=record.run,
        started_at=record.started_at,
        completed_at=record.completed_at,
        scopes=record.scopes,
        incomplete=record.incomplete,
    )
