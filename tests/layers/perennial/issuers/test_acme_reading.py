"""URLs that a server sends: only those of the issuer's own origins are taken, however they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.errors import InvalidReply
from perennial.issuers.acme_reading import Origins, _origin

ALLOWED = Origins(frozenset({"https://ca.example", "https://other.example:8443", "https://[2001:db8::1]"}), plain=False)
PARTS = ("https://", "ca.example", "other.example", ":8443", ":443", "/", "@", "#", "?", ".", "x", "[2001:db8::1]", ":")


@given(st.lists(st.sampled_from(PARTS), max_size=8).map("".join))
def test_a_url_is_taken_as_its_parsed_origin_says(url: str) -> None:
    """What is taken without the parser is what the parser would take: no text only looks like an allowed origin."""
    try:
        taken = ALLOWED.url(url, "here") == url
    except InvalidReply:
        taken = False
    assert taken is (_origin(url, False) in ALLOWED.allowed if url else False)


@pytest.mark.parametrize(
    "url",
    [
        "https://ca.example.evil.example/x",
        "https://ca.example@evil.example/x",
        "https://ca.example:8443/x",
        "https://ca.example/x#fragment",
        "http://ca.example/x",
    ],
)
def test_what_only_begins_as_an_allowed_origin_is_refused(url: str) -> None:
    """Another host, user, port or scheme, and a fragment."""
    with pytest.raises(InvalidReply):
        ALLOWED.url(url, "here")
