"""The order's text: what is written is read again, and what was not written by it is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.errors import InvalidInput, InvalidReply
from perennial.issuers.acme_network import Directory
from perennial.issuers.acme_order import MAX_TEXT, Authorization, Order, Phase, read, started_again, write
from perennial.issuers.acme_reading import origins
from perennial.profiles import AcmeIssuer

SOURCE = "https://ca.example/directory"
ORIGINS = origins(AcmeIssuer(name="test", directory=SOURCE))
ORDER = Order(
    source=SOURCE,
    phase=Phase.CHALLENGED,
    account="https://ca.example/account/1",
    thumbprint="abcd",
    url="https://ca.example/order/1",
    finalize="https://ca.example/finalize/1",
    pages=("https://ca.example/authorization/1",),
    authorizations=(
        Authorization(
            url="https://ca.example/authorization/1",
            name="*.example.com",
            challenge="https://ca.example/challenge/1",
            token="efgh",
        ),
    ),
    directory=Directory(
        new_nonce="https://ca.example/nonce",
        new_account="https://ca.example/new-account",
        new_order="https://ca.example/new-order",
        profiles=("classic",),
    ),
    nonce="ijkl",
    attempts=1,
    polls=2,
)

_urls = st.integers(0, 10**9).map(lambda number: f"https://ca.example/{number}")
_words = st.text("abcXYZ019-_", min_size=1, max_size=20)
_directories = st.builds(
    Directory,
    new_nonce=_urls,
    new_account=_urls,
    new_order=_urls,
    revoke=st.just("") | _urls,
    key_change=st.just("") | _urls,
    renewal_info=st.just("") | _urls,
    account_bound=st.booleans(),
    profiles=st.lists(_words, max_size=3).map(tuple),
)
_authorizations = st.builds(
    Authorization, url=_urls, name=st.just("*.example.com"), challenge=_urls, token=_words, issuer=st.just("ca.example")
)
_orders = st.builds(
    Order,
    source=st.just(SOURCE),
    phase=st.sampled_from(Phase),
    account=_urls,
    thumbprint=_words,
    url=_urls,
    finalize=_urls,
    certificate=_urls,
    pages=st.lists(_urls, min_size=1, max_size=5).map(tuple),
    authorizations=st.lists(_authorizations, min_size=1, max_size=5).map(tuple),
    directory=_directories,
    nonce=_words,
    without_replaces=st.booleans(),
    attempts=st.integers(0, 100),
    polls=st.integers(0, 100),
)


@given(order=_orders)
def test_what_is_written_is_read_again(order: Order) -> None:
    """Nothing of an order is lost between two processes."""
    assert read(write(order), SOURCE, ORIGINS) == order


def test_no_text_is_a_new_order() -> None:
    """The caller begins with nothing."""
    assert read("", SOURCE, ORIGINS) == Order(source=SOURCE)


def test_an_order_of_another_directory_is_not_gone_on_with() -> None:
    """The issuer was configured anew; a new order is made there."""
    other = "https://other.example/directory"
    assert read(write(ORDER), other, origins(AcmeIssuer(name="x", directory=other))) == Order(source=other)


def test_an_order_that_starts_again_keeps_what_is_known_of_the_ca() -> None:
    """Directory, nonce and the count of attempts; nothing of the old order."""
    again = started_again(ORDER)
    assert again == Order(source=SOURCE, directory=ORDER.directory, nonce="ijkl", attempts=2)


def test_a_hundred_names_fit() -> None:
    """With URLs as long as CAs have them."""
    long = "https://ca.example/" + "a" * 150
    each = Authorization(url=long, name="a" * 250, challenge=long, token="t" * 43, issuer="")
    order = replace(ORDER, authorizations=(each,) * 100, pages=(long,) * 100)
    assert len(write(order)) < MAX_TEXT
    assert read(write(order), SOURCE, ORIGINS) == order


def test_an_order_that_would_be_too_long_is_refused() -> None:
    """A CA with URLs of 2,000 characters for each of a hundred names."""
    url = "https://ca.example/" + "a" * 1_950
    each = Authorization(url=url, name="a", challenge=url)
    with pytest.raises(InvalidReply, match="more than 200000"):
        write(replace(ORDER, pages=(url,) * 100, authorizations=(each,) * 100))


@pytest.mark.parametrize(
    "changed",
    (
        {"url": "https://evil.example/order"},
        {"account": "http://169.254.169.254/"},
        {"finalize": "file:///etc/passwd"},
        {"certificate": "/relative"},
        {"pages": ["https://evil.example/"]},
        {"pages": "https://ca.example/"},
        {"authorizations": [["https://evil.example/", "a", "https://ca.example/c", "t", ""]]},
        {"authorizations": [["https://ca.example/a", "a", "https://evil.example/c", "t", ""]]},
        {"authorizations": [["https://ca.example/a", "a"]]},
        {"authorizations": [[1, 2, 3, 4, 5]]},
        {"authorizations": {}},
        {"directory": {"new_nonce": "https://evil.example/", "new_account": "x", "new_order": "x"}},
        {"directory": {}},
        {"directory": []},
        {"nonce": "with space"},
        {"thumbprint": 3},
        {"phase": "elsewhere"},
        {"phase": None},
        {"phase": "issued"},
        {"attempts": -1},
        {"attempts": True},
        {"polls": "2"},
        {"polls": 10**9},
        {"without_replaces": 1},
        {"source": None},
    ),
    ids=lambda changed: json.dumps(changed)[:50],
)
def test_a_changed_text_is_refused(changed: dict[str, Any]) -> None:
    """Who can write into the table cannot lead Perennial elsewhere, nor make it stumble."""
    text = json.dumps({**json.loads(write(ORDER)), **changed})
    with pytest.raises(InvalidInput, match="the kept order cannot be read"):
        read(text, SOURCE, ORIGINS)


@pytest.mark.parametrize("text", ("x", "[]", "null", "{}", "[" * 100_000, '"\ud800"', "{" + " " * MAX_TEXT + "}"))
def test_a_text_that_is_no_order_is_refused(text: str) -> None:
    """Whatever it is, it is one error."""
    with pytest.raises(InvalidInput, match="the kept order cannot be read"):
        read(text, SOURCE, ORIGINS)


@pytest.mark.parametrize("name", ("account", "url", "finalize", "directory", "authorizations", "thumbprint"))
def test_an_order_without_what_its_phase_needs_is_refused(name: str) -> None:
    """A phase promises what the next request works with."""
    values = json.loads(write(ORDER))
    del values[name]
    with pytest.raises(InvalidInput, match=f"in the phase challenged without {name}"):
        read(json.dumps(values), SOURCE, ORIGINS)
