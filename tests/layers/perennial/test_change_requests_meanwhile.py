"""What changed between a change request and its approval is never overwritten, and is judged again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from declaring import declared, serving
from perennial import change_requests
from perennial.change_request import ChangeRequest, Kind, RequestState, Wish
from requesting import ALL, TWO, RequestingHub, requesting_hub, revoking

HOUR = timedelta(hours=1)


@pytest.fixture
def hub() -> Iterator[RequestingHub]:
    with requesting_hub() as made:
        yield made


def waiting(hub: RequestingHub) -> ChangeRequest:
    """A change of `shop` that an approver has approved."""
    hub.declared(declared())
    hub.pass_time(HOUR)
    asked = hub.ask("ada", hub.change(service="mine"))
    hub.approve("bob", asked)
    hub.pass_time(timedelta(minutes=5))
    return asked


def test_what_others_changed_is_not_overwritten(hub: RequestingHub) -> None:
    """Another declaration in between stays; who asked is told to read it and ask again."""
    asked = waiting(hub)
    hub.declared(declared(service="theirs"))
    failed = hub.apply(asked)
    assert (failed.state, failed.failure) == (RequestState.FAILED, "changed-meanwhile")
    assert "ask again" in failed.message
    assert hub.inner.record().declared.service == "theirs"


def test_what_went_there_and_back_is_not_overwritten(hub: RequestingHub) -> None:
    """Nor is a declaration that is what it was, but was made anew."""
    asked = waiting(hub)
    hub.declared(declared(service="theirs"))
    hub.pass_time(HOUR)
    hub.declared(declared())
    assert hub.apply(asked).failure == "changed-meanwhile"


def test_what_was_created_meanwhile_is_not_overwritten(hub: RequestingHub) -> None:
    """Of two who ask for the same name, the second finds it taken."""
    first, second = hub.ask("ada", hub.create()), hub.ask("abel", hub.create(service="second"))
    for each in (first, second):
        hub.approve("bob", each)
        hub.pass_time(timedelta(seconds=1))
    assert hub.apply(first).state is RequestState.DONE
    assert hub.apply(second).failure == "changed-meanwhile"
    assert hub.inner.record().declared.service == ""


def test_what_the_lifecycle_does_hinders_nothing(hub: RequestingHub) -> None:
    """A lease, a renewal, an attempt that failed: the wish is of the declaration, which is the same."""
    asked = waiting(hub)
    known = replace(hub.inner.record(), attempts=3, failed="shop/2", fence=7, serving=serving(2))
    hub.inventory.save_managed(known)
    assert hub.apply(asked).state is RequestState.DONE


def test_a_change_at_the_very_write_is_seen(hub: RequestingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who changes the certificate between the look and the write wins."""
    asked = waiting(hub)
    save, first = type(hub.inventory).save_managed, [True]

    def meanwhile(inventory: Any, record: Any, *event: Any) -> Any:
        if first.pop() if first else False:
            save(inventory, replace(hub.inner.record(), declared=declared(service="theirs"), declared_at=hub.now))
        return save(inventory, record, *event)

    monkeypatch.setattr(type(hub.inventory), "save_managed", meanwhile)
    assert hub.apply(asked).failure == "changed-meanwhile"
    assert hub.inner.record().declared.service == "theirs"


def test_a_renewal_of_what_was_handed_over_is_not_done(hub: RequestingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who could ask for it then could not do so now."""
    revoked = revoking(hub, monkeypatch)
    asked = hub.ask("sue", Wish(kind=Kind.REVOKE, managed="shop", why="superseded"))
    hub.approve("bob", asked)
    hub.declared(declared(owner="bank"))
    assert hub.apply(asked).failure == "changed-meanwhile"
    assert revoked == []


def test_policy_judges_again(hub: RequestingHub) -> None:
    """What perennial.toml allowed at the asking and forbids now is not applied."""
    asked = hub.ask("ada", hub.create())
    hub.approve("bob", asked)
    hub.settings("[approvals.rules.x]\nneeds = {}\n")
    owners = replace(hub.hub.settings.policy, owners={"shop": (".elsewhere.com",)})
    hub.hub.__dict__["settings"] = replace(hub.hub.settings, policy=owners)
    failed = hub.apply(asked)
    assert (failed.state, failed.failure) == (RequestState.FAILED, "invalid-input")
    assert "shop.example.com" in failed.message
    assert hub.inventory.find_managed("shop") is None


def test_stricter_needs_ask_again(hub: RequestingHub) -> None:
    """What needs more people by now is not applied with fewer."""
    asked = hub.ask("ada", hub.create())
    hub.approve("bob", asked)
    hub.settings(TWO)
    failed = hub.apply(asked)
    assert (failed.state, failed.failure) == (RequestState.FAILED, "changed-meanwhile")
    assert "1 person of security" in failed.message


def test_a_link_that_is_found_later_counts(hub: RequestingHub) -> None:
    """An approval by whom the configuration by now knows as the asker is none."""
    other = "arn:aws:iam::123456789012:role/other"
    asked = hub.ask("ada", hub.create())
    known = replace(ALL["bob"], principal=other)
    change_requests.approve(hub.hub, known, asked, digest=asked.digest, reason="", source="cli", now=hub.now)
    api = replace(hub.hub.settings.api, people={other: "ada@example.com"})
    hub.hub.__dict__["settings"] = replace(hub.hub.settings, api=api)
    assert hub.apply(asked).failure == "changed-meanwhile"


def test_what_was_tampered_with_is_not_applied(hub: RequestingHub) -> None:
    """A wish that is not the one that was approved is neither approved nor applied."""
    asked = hub.ask("ada", hub.create())
    hub.approve("bob", asked)
    known = hub.request(asked)
    other = replace(known, wish=replace(known.wish, declared=declared(service="mine")))
    hub.inventory.save_change_request(other, None, known.state)
    assert "is not what was asked" in hub.apply(asked).message
    assert hub.inventory.find_managed("shop") is None
