"""GET /me: who asks, as the API sees them."""

from __future__ import annotations

from pydantic import Field

from perennial.api.asking import asking
from perennial.api.models import Model
from perennial.api.routes import route, routes
from perennial.roles import Action, Source, reaches

router = routes()


class Right(Model):
    """One action, and where the person may do it."""

    action: Action
    at: list[str] = Field(description="Grants as they are written: `requester@shop-team/production`.")


class Me(Model):
    """Who asks."""

    principal: str
    name: str
    source: Source
    email: str
    grants: list[str]
    rights: list[Right]
    not_understood: list[str] = Field(description="What of the grants could not be read, and so gives nothing.")


@route(router, "GET", "/me", None, summary="Who I am, and what I may do")
def who_am_i() -> Me:
    """Your principal, your grants, and what of them was not understood."""
    found = asking(router)
    person = found.person
    return Me(
        principal=person.principal,
        name=person.name,
        source=person.source,
        email=person.email,
        grants=[str(each) for each in person.grants],
        rights=[
            Right(action=action, at=[str(each) for each in at]) for action in Action if (at := reaches(person, action))
        ],
        not_understood=list(found.told),
    )
