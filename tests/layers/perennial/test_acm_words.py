from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from perennial import acm_words


@given(st.text(min_size=1, max_size=40))
def test_names_are_escaped_like_the_parsers(value: str) -> None:
    """Any common name is written as cryptography writes the certificate's."""
    try:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, value)])
    except (ValueError, UnicodeEncodeError):
        return
    assert acm_words.distinguished_name({"CommonName": value}) == name.rfc4514_string()


def test_order_of_a_name() -> None:
    """A name is written from its last part to its first, domain components from the host's to the root's."""
    parts: dict[str, Any] = {
        "Country": "DE",
        "Organization": "Example",
        "OrganizationalUnit": "Web",
        "CommonName": "x",
        "DomainComponents": ["com", "example"],
        "CustomAttributes": [{"ObjectIdentifier": "1.2.3", "Value": "y"}],
    }
    assert acm_words.distinguished_name(parts) == "CN=x,OU=Web,O=Example,C=DE,DC=example,DC=com,1.2.3=y"
    assert acm_words.distinguished_name({}) == ""
    assert acm_words.distinguished_name(None) is None


@pytest.mark.parametrize(
    ("text", "expected"), [("0a:1b", "a1b"), ("00", "0"), ("ff", "ff"), ("0A", "a"), (None, None), ("", None)]
)
def test_serial(text: str | None, expected: str | None) -> None:
    """Serials have neither colons nor leading zeros."""
    assert acm_words.serial(text) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RSA_2048", ("RSA", 2048, None)),
        ("RSA-2048", ("RSA", 2048, None)),
        ("EC_prime256v1", ("EC", 256, "secp256r1")),
        ("EC-secp521r1", ("EC", 521, "secp521r1")),
        ("ML_DSA_87", ("ML-DSA-87", None, None)),
        ("FUTURE", ("FUTURE", None, None)),
        (None, (None, None, None)),
    ],
)
def test_key_facts(name: str | None, expected: tuple[Any, ...]) -> None:
    """Key algorithms in both spellings become algorithm, size and curve; unknown ones stay as they are."""
    assert tuple(acm_words.key_facts(name).values()) == expected


def test_usages() -> None:
    """Usages are in the order of the certificate's bits; what ACM does not name exactly is unknown."""
    assert acm_words.key_usage(["KEY_ENCIPHERMENT", "DIGITAL_SIGNATURE"]) == ("digital_signature", "key_encipherment")
    assert [acm_words.key_usage(each) for each in (None, [], ["CUSTOM"], ["ANY"])] == [None] * 4
    assert acm_words.extended_key_usage(["TLS_WEB_SERVER_AUTHENTICATION", "ANY"]) == (
        "serverAuth",
        "anyExtendedKeyUsage",
    )
    assert [acm_words.extended_key_usage(each) for each in (None, [], ["NONE"])] == [None] * 3


def test_times_are_utc() -> None:
    """Times of any zone are told in UTC."""
    berlin = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert acm_words.utc(berlin) == datetime(2026, 1, 1, tzinfo=UTC)
    assert str(acm_words.utc(berlin)) == "2026-01-01 00:00:00+00:00"
    assert acm_words.utc(None) is None
