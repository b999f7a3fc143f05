"""Manifests in S3: what is put is read again, and nobody overwrites what they have not read."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from estate import NOW, SCOPE, Estate
from perennial.errors import ConcurrentChange
from perennial.manifest import Role, Scope, Sighting
from perennial.manifest_store import Manifests

HELD = Sighting(location="a", role=Role.STORED, resource="a", fingerprint="1" * 64)
OTHER = Sighting(location="a", role=Role.STORED, resource="a", fingerprint="2" * 64)


class Failing:
    """An S3 that answers every call with one error."""

    def __init__(self, code: str) -> None:
        self.error = ClientError({"Error": {"Code": code, "Message": ""}}, "Operation")

    def __getattr__(self, operation: str) -> Any:
        def refuse(**_: object) -> None:
            raise self.error

        return refuse


def test_a_manifest_comes_back_with_the_etag_that_its_successor_needs(estate: Estate) -> None:
    """Before the first there is nothing; then each is read by location, and replaced under its ETag."""
    manifests = estate.deployment.manifests
    assert manifests.load(SCOPE) == ({}, None)
    manifests.save(SCOPE, [HELD], NOW, None)
    sightings, etag = manifests.load(SCOPE)
    assert sightings == {"a": HELD}
    manifests.save(SCOPE, [OTHER], NOW, etag)
    assert manifests.load(SCOPE)[0] == {"a": OTHER}
    with pytest.raises(ConcurrentChange):
        manifests.save(SCOPE, [HELD], NOW, etag)
    with pytest.raises(ConcurrentChange):
        manifests.save(SCOPE, [HELD], NOW, None)


def test_scopes_and_kinds_do_not_mix(estate: Estate) -> None:
    """A partial scan, a manifest and a plan of the same scope are different things; so are those of another scope."""
    manifests = estate.deployment.manifests
    manifests.save_partial(SCOPE, [HELD, OTHER], NOW)
    assert manifests.load_partial(SCOPE) == [HELD, OTHER]
    assert manifests.load(SCOPE) == ({}, None)
    assert manifests.load_partial(Scope("1" * 12, SCOPE.region, SCOPE.source)) == []
    manifests.drop_partial(SCOPE)
    manifests.drop_partial(SCOPE)
    assert manifests.load_partial(SCOPE) == []


def test_a_plan_comes_back_in_order(estate: Estate) -> None:
    """A run's scopes are read as they were planned; a run that was never planned has none."""
    key = estate.deployment.manifests.save_plan("run-1", ["b", "a"])
    assert key == "runs/run-1/scopes.json"
    assert estate.deployment.manifests.load_plan("run-1") == ["b", "a"]
    assert estate.deployment.manifests.load_plan("run-2") == []


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict", "412", "409", "NoSuchKey"])
def test_every_way_of_losing_the_race_is_tried_again(code: str) -> None:
    """Changed or deleted since it was read: the scan reads again."""
    with pytest.raises(ConcurrentChange, match=SCOPE.key):
        Manifests(Failing(code), "bucket").save(SCOPE, [HELD], NOW, '"etag"')


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchBucket", "InternalError"])
def test_other_errors_are_not_taken_for_an_empty_manifest(code: str) -> None:
    """Only a missing object is "no manifest yet"; taking a denial for one would begin from nothing."""
    manifests = Manifests(Failing(code), "bucket")
    for call in (lambda: manifests.load(SCOPE), lambda: manifests.save(SCOPE, [], NOW, None)):
        with pytest.raises(ClientError, match=code):
            call()
