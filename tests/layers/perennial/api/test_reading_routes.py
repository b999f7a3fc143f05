"""The reading routes: certificates, findings, issuers and profiles: what they tell, to whom, and what they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from asked_api import ApiHub, api_hub, as_role
from estate import HUB, REGION
from managed_records import record
from perennial.checks.interface import Severity
from perennial.inventory.store import Inventory
from reading_hub import CONFIGURATION, OWNERS, everything, get, put_certificate, titles


@pytest.fixture(scope="module")
def hub() -> Iterator[ApiHub]:
    """A hub with twelve certificates, of shop, blog and nobody, with a finding each; every fourth ends on one day."""
    with api_hub(CONFIGURATION) as made:
        for number in range(12):
            put_certificate(made.estate.deployment.inventory, number, OWNERS[number % 3])
        made.estate.deployment.inventory.save_managed(record())
        yield made


@pytest.fixture
def api(hub: ApiHub) -> ApiHub:
    """That hub, for tests that only read: it is made once, and a process works with one table at a time."""
    Inventory(hub.estate.deployment.inventory.table_name, region=REGION)
    return hub


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("shop", {"shop"}),
        ("test-only", {"shop"}),
        ("blog", {"blog"}),
        ("both", {"shop", "blog"}),
        ("everyone", set(OWNERS)),
        ("auditor", set(OWNERS)),
    ],
)
@pytest.mark.parametrize("limit", [1, 5, 100])
def test_a_list_has_ones_own_teams_certificates_in_order(
    api: ApiHub, who: str, seen: set[str | None], limit: int
) -> None:
    """By the end, each once, whatever the size of a page."""
    found = everything(api, "/certificates", who, limit=limit)
    assert sorted(each["title"] for each in found) == sorted(
        f"n{number}.example.com" for number in range(12) if OWNERS[number % 3] in seen
    )
    assert [each["not_after"] for each in found] == sorted(each["not_after"] for each in found)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"owner": "shop"}, [0, 3, 6, 9]),
        ({"issuer": "N7.EXAMPLE"}, [7]),
        ({"key": "ec"}, range(12)),
        ({"key": "RSA"}, []),
        ({"name": "n4.example.com"}, [4]),
        ({"name": "example.com", "subtree": "true", "sort": "name"}, range(12)),
        ({"resource": "listener"}, range(12)),
        ({"expiring_before": "2026-11-12T00:00:00Z"}, [0, 1, 2, 3]),
        ({"expiring_after": "2027-01-10T00:00:00+01:00"}, [8, 9, 10, 11]),
        ({"signature": "ecdsa-with-SHA256", "sort": "-not_after"}, range(12)),
        ({"include_gone": "true", "owner": "blog"}, [1, 4, 7, 10]),
    ],
    ids=str,
)
def test_certificates_are_searched_by_each_filter(api: ApiHub, query: dict[str, str], numbers: Any) -> None:
    """Over pages of two."""
    found = everything(api, "/certificates", "everyone", limit=2, **query)
    assert sorted(titles(found)) == sorted(f"n{number}.example.com" for number in numbers)


def test_a_line_has_what_a_list_shows(api: ApiHub) -> None:
    """And times in UTC."""
    (line,) = everything(api, "/certificates", "shop", name="n3.example.com")
    assert line["owner"] == "shop"
    assert line["not_after"] == "2026-11-11T12:00:00Z"
    assert line["key"] == "EC-256"
    assert line["gone_at"] is None


def test_one_certificate_with_its_places_and_findings(api: ApiHub) -> None:
    """Facts, PEM, where it is held, what uses it, and what is wrong."""
    (line,) = everything(api, "/certificates", "shop", name="n3.example.com")
    reply = get(api, f"/certificates/{line['fingerprint']}", "shop")
    found = reply.document
    assert reply.status == 200
    assert found["names"] == ["n3.example.com"]
    assert found["pem"].startswith("-----BEGIN CERTIFICATE-----\n")
    assert [each["location"] for each in found["places"]] == [f"arn:aws:acm:{REGION}:{HUB}:certificate/3"]
    assert [each["resource"] for each in found["attached"]] == ["listener"]
    assert [(each["check"], each["state"]) for each in found["findings"]] == [("keys.weak", "open")]
    assert (found["more_places"], found["exceptions"]) == (False, [])


@pytest.mark.parametrize(("who", "status"), [("shop", 403), ("blog", 200), ("everyone", 200), ("nobody-knows", 403)])
def test_a_foreign_certificate_is_refused(api: ApiHub, who: str, status: int) -> None:
    """By its owner."""
    (line,) = everything(api, "/certificates", "blog", name="n1.example.com")
    assert get(api, f"/certificates/{line['fingerprint']}", who).status == status


@pytest.mark.parametrize(("who", "status"), [("shop", 403), ("everyone", 404), ("auditor", 404)])
def test_who_may_not_see_all_is_not_told_what_there_is_not(api: ApiHub, who: str, status: int) -> None:
    """A certificate that is not there is as one without an owner."""
    assert get(api, f"/certificates/{'0' * 64}", who).status == status


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "x"},
        {"next": "x" * 2_001},
        {"sort": "title"},
        {"public_key": "xyz"},
        {"expiring_before": "tomorrow"},
        {"expiring_after": "0001-01-01T00:00:00+14:00"},
        {"expiring_before": "9999-12-31T23:59:59-14:00"},
        {"expiring_before": "2026-11-12T00:00:00"},
        {"owner": ""},
        {"owner": "x" * 129},
        {"name": "a\nb"},
        {"subtree": "perhaps"},
        {"expired": "true"},
    ],
    ids=str,
)
def test_a_parameter_that_does_not_fit_is_a_violation(api: ApiHub, query: dict[str, str]) -> None:
    """And is named."""
    reply = get(api, "/certificates", "everyone", **query)
    assert reply.status == 422, reply.document
    assert next(iter(query)) in reply.document["violations"][0]["where"]


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "name"},
        {"name": "a.example", "sort": "not_after"},
        {"resource": "r", "sort": "not_after"},
        {"subtree": "true"},
    ],
    ids=str,
)
def test_an_order_that_there_is_not_is_refused(api: ApiHub, query: dict[str, str]) -> None:
    """With the one that there is."""
    assert get(api, "/certificates", "everyone", **query).status == 400


def test_a_cursor_belongs_to_its_question_and_its_teams(api: ApiHub) -> None:
    """Of another filter, another list or another person's teams it is refused; `limit` may change."""
    following = get(api, "/certificates", "both", limit=2).document["next"]
    assert get(api, "/certificates", "both", limit=5, next=following).status == 200
    for path, who, more in (
        ("/certificates", "both", {"owner": "shop"}),
        ("/certificates", "both", {"sort": "-not_after"}),
        ("/certificates", "shop", {}),
        ("/findings", "both", {}),
        ("/runs", "both", {}),
    ):
        assert get(api, path, who, next=following, **more).status == 400, (path, who, more)


@pytest.mark.parametrize("text", ["x", "bnVsbA", "W10", "../../etc", "%00", "A" * 2_000], ids=lambda text: text[:9])
@pytest.mark.parametrize("path", ["/certificates", "/findings", "/runs", "/audit", "/proofs?managed=shop"])
def test_a_damaged_cursor_is_refused(api: ApiHub, path: str, text: str) -> None:
    """In each list."""
    joiner = "&" if "?" in path else "?"
    assert api.ask("GET", f"{path}{joiner}next={quote(text)}", as_role("auditor")).status == 400


@pytest.mark.parametrize(
    ("who", "query", "numbers"),
    [
        ("shop", {}, [0, 3, 6, 9]),
        ("everyone", {}, range(12)),
        ("both", {"severity": "high"}, [0, 4, 6, 10]),
        ("auditor", {"owner": "blog"}, [1, 4, 7, 10]),
        ("auditor", {"check": "keys"}, range(1, 12, 2)),
        ("auditor", {"check": "keys.weak", "owner": "shop"}, [3, 9]),
        ("auditor", {"severity": "critical"}, []),
    ],
    ids=str,
)
def test_findings_by_severity_check_and_owner(api: ApiHub, who: str, query: dict[str, str], numbers: Any) -> None:
    """Of one's own teams, the worst first, over pages of two."""
    found = everything(api, "/findings", who, limit=2, **query)
    assert sorted(each["subject"] for each in found) == sorted(f"n{number}.example.com" for number in numbers)
    ranks = [Severity(each["severity"]).rank for each in found]
    assert ranks == sorted(ranks)


def test_issuers_are_told_without_what_is_secret(api: ApiHub) -> None:
    """Neither the secret's name nor a contact."""
    reply = get(api, "/issuers", "shop")
    found = {each["name"]: each for each in reply.document["items"]}
    assert found["public"]["asked"] == "https://acme.example.com/directory"
    assert found["public"]["profiles"] == ["internal", "web"]
    assert found["private"]["kind"] == "acm_pca"
    assert "secret" not in reply.raw["body"]


def test_profiles_are_told(api: ApiHub) -> None:
    """With what may be requested."""
    found = get(api, "/profiles", "operator").document["items"]
    assert [(each["name"], each["issuer"], each["keys"][0]) for each in found] == [
        ("internal", "private", "EC-256"),
        ("web", "public", "EC-256"),
    ]


@pytest.mark.parametrize(("who", "status"), [("shop", 403), ("auditor", 200)])
def test_proofs_of_what_is_not_declared(api: ApiHub, who: str, status: int) -> None:
    """Who may not read all is not told that there are none."""
    assert get(api, "/proofs", who, managed="nothing").status == status


@pytest.mark.parametrize(
    "query",
    [
        {"subject": "shop"},
        {"since": "2026-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z"},
        {"since": "2020-01-01T00:00:00Z"},
    ],
    ids=str,
)
def test_an_audit_question_that_cannot_be_asked_is_refused(api: ApiHub, query: dict[str, str]) -> None:
    """And says what would be accepted."""
    assert get(api, "/audit", "auditor", **query).status == 400
