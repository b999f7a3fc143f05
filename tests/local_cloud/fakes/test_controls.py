"""How hard the operations were called that have a rate: what a bench reads under /_fakes/rates."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local_cloud.fakes.admin import Admin
from local_cloud.fakes.controls import Controls, RateLimiter

IMPORT = ("acm", "ImportCertificate", "111111111111", "eu-west-1")
ELSEWHERE = (*IMPORT[:3], "us-east-1")


class Time:
    """Seconds that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def controls(time: Time, *, enforced: bool) -> Controls:
    return Controls(enforce_rates=enforced, limiter=RateLimiter(time), clock=time)


def rows(made: Controls) -> list[dict[str, Any]]:
    status, _, body = Admin({}, made)("GET", "/_fakes/rates", b"")
    assert status == 200
    return list(json.loads(body))


@pytest.mark.parametrize(("enforced", "throttled"), [(True, 2), (False, 0)])
def test_what_was_throttled_and_the_most_in_a_second(enforced: bool, throttled: int) -> None:
    """Throttled calls are counted where rates are enforced, the most calls of one second always."""
    time = Time()
    made = controls(time, enforced=enforced)
    for later in (0.0, 0.5, 0.25, 0.5, 5.0):  # the rate is one a second, so the second and the third are too many
        time.now += later
        made.within_rate(IMPORT, 1)
    (row,) = rows(made)
    assert row == {
        **dict(zip(("service", "operation", "account", "region"), IMPORT, strict=True)),
        "rate": 1,
        "calls": 5,
        "throttled": throttled,
        "most_in_a_second": 3,
    }


def test_regions_are_counted_apart() -> None:
    """AWS's rates are those of an account in a region, and so are the counts; what has no rate is not among them."""
    made = controls(Time(), enforced=True)
    for key, rate in ((IMPORT, 1), (ELSEWHERE, 1), (("acm", "DeleteCertificate", *IMPORT[2:]), None)):
        assert made.within_rate(key, rate)
    assert [(each["operation"], each["region"], each["throttled"]) for each in rows(made)] == [
        ("ImportCertificate", "eu-west-1", 0),
        ("ImportCertificate", "us-east-1", 0),
    ]


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/_fakes/calls"), ("POST", "/_fakes/reset")])
def test_they_are_forgotten(method: str, path: str) -> None:
    """Forgetting the calls forgets how hard they came."""
    made = controls(Time(), enforced=True)
    made.within_rate(IMPORT, 1)
    assert Admin({}, made)(method, path, b"")[0] == 200
    assert rows(made) == []
