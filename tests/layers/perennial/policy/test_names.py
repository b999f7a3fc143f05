"""Which names may be requested, by profile and by owner."""

from __future__ import annotations

from layers.perennial.policy.cases import Case, asked, violations
from perennial.profiles import Organisation

OTHER = Organisation(owners={"shop": ("shop.example.com",)})
CASES = {
    "names.profile": Case(
        (asked("shop.example.com"), asked("a.b.example.com"), asked("*.example.com")),
        (
            (asked("example.com"), "names[0] example.com"),
            (asked("*.shop.example.com"), "names[0] *.shop.example.com"),
            (asked("shop.example.com", "8.8.9.1"), "names[1] 8.8.9.1"),
            (asked(names=()), "names[0] shop.example.com"),
        ),
    ),
    "names.owner": Case(
        (asked("shop.example.com"), asked("shop.example.com", organisation=OTHER)),
        (
            (asked("blog.example.com", organisation=OTHER), "names[0] blog.example.com"),
            (asked(owner="blog"), "names[0] shop.example.com"),
            (asked(owner="nobody"), "names[0] shop.example.com"),
        ),
    ),
    "names.owner-known": Case(
        (asked(), asked(owner="blog")),
        ((asked(owner="nobody"), "owner"), (asked(owner=""), "owner"), (asked(owner="Shop"), "owner")),
    ),
}


def test_the_rules_that_would_allow_a_name_are_told() -> None:
    """Who was refused reads which names would be accepted, of the profile and of the owner."""
    (violation,) = violations("names.owner", asked("blog.example.com", organisation=OTHER))
    assert violation.accepted == "names that match shop.example.com" and "shop does not own" in violation.detail
    (violation,) = violations("names.profile", asked("org", names=tuple(f"{each}.example.com" for each in range(9))))
    assert violation.accepted.endswith("4.example.com and 4 more")
    (violation,) = violations("names.owner", asked(owner="blog"))
    assert violation.accepted == "no name at all"


def test_the_owners_that_there_are_are_told() -> None:
    """An owner with a misspelt name is led to the right one; a hostile one stays on its line."""
    (violation,) = violations("names.owner-known", asked(owner="sh\nop" + "x" * 900))
    assert violation.accepted == "an owner of blog, shop" and "\n" not in violation.detail
    assert len(violation.detail) < 200
