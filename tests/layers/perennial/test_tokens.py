"""A token is accepted where the configured issuer signed it for us and it is valid now, and in no other case."""

from __future__ import annotations

import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from perennial.errors import InvalidInput
from perennial.tokens import read_header, verify
from tokens_made import CLAIMS, ISSUER, NOW, OIDC, POOL, SECONDS, assembled, b64, jwk, key, sign, spki, token

KEYS = (jwk(), jwk("P-256", "ec"))
ALL = replace(OIDC, algorithms=("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"))


def refused(text: str, keys: Any = KEYS, oidc: Any = OIDC) -> str:
    """Why a token is refused."""
    with pytest.raises(InvalidInput) as caught:
        verify(text, keys, oidc, NOW)
    assert str(caught.value).startswith("the token is refused: ")
    return str(caught.value).removeprefix("the token is refused: ")


def test_a_good_token() -> None:
    """Who it is, until when, and its claims."""
    found = verify(token(), KEYS, OIDC, NOW)
    assert (found.issuer, found.subject, found.expires.timestamp()) == (ISSUER, "ada", SECONDS + 3_600)
    assert found.claims["groups"] == ["shop"]
    assert "Lovelace" not in repr(found)


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        *((f"{family}{size}", "RSA-2048") for family in ("RS", "PS") for size in (256, 384, 512)),
        ("ES256", "P-256"),
        ("ES384", "P-384"),
        ("ES512", "P-521"),
    ],
)
def test_every_algorithm(algorithm: str, kind: str) -> None:
    """Each that may be configured verifies, and none does where it is not configured."""
    made = token(header={"alg": algorithm}, kind=kind)
    assert verify(made, [jwk(kind)], ALL, NOW).subject == "ada"
    other = "ES256" if algorithm != "ES256" else "RS256"
    assert f"the algorithm {algorithm} is none of {other}" in refused(
        made, [jwk(kind)], replace(OIDC, algorithms=(other,))
    )


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": SECONDS - 60}, "expired"),
        ({"exp": SECONDS - 3_600}, "expired"),
        ({"exp": 0}, "expired"),
        ({"nbf": SECONDS + 61}, "not valid yet"),
        ({"iat": SECONDS + 61}, "not valid yet"),
        ({"exp": SECONDS + 86_401 - 60}, "more than 24 hours"),
        ({"aud": "another"}, "for another audience"),
        ({"aud": ["another"]}, "for another audience"),
        ({"aud": ["perennial", "another"]}, "also for an audience"),
        ({"aud": "perennial "}, "for another audience"),
        ({"aud": "Perennial"}, "for another audience"),
        ({"azp": "another"}, "azp is another client"),
        ({"iss": "https://evil.example.com"}, "iss is not"),
        ({"iss": f"{ISSUER}/"}, "iss is not"),
        ({"iss": ISSUER.upper()}, "iss is not"),
        ({"iss": [ISSUER]}, "iss is not"),
        *(
            ({name: ...}, why)
            for name, why in {"exp": "exp", "iat": "iat", "iss": "iss", "aud": "aud", "sub": "sub"}.items()
        ),
        *(({name: None}, name) for name in ("exp", "iat", "nbf", "iss", "aud", "sub")),
        *(
            ({name: value}, f"{name} is not a time")
            for name in ("exp", "iat", "nbf")
            for value in (str(SECONDS), True, [SECONDS], {}, -1, 10**400, 1e300)
        ),
        *(({"aud": value}, "aud is neither") for value in ([], {}, 7, True, [["perennial"]], [None], ["perennial", 7])),
        *(
            ({"sub": value}, "sub is no text")
            for value in ("", " ", "a b", "a" * 256, 7, ["ada"], "ada\n", "ädä", "a\u202eb")
        ),
    ],
)
def test_claims_that_are_refused(claims: dict[str, Any], why: str) -> None:
    """Expired, not valid yet, for others, by others, without what must be there, or of the wrong type."""
    assert why in refused(token(claims))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": SECONDS - 59},
        {"exp": SECONDS + 0.5},
        {"nbf": SECONDS + 60},
        {"iat": SECONDS + 60},
        {"exp": SECONDS + 86_400 - 60},
        {"aud": ["perennial"]},
        {"azp": "perennial"},
        {"token_use": "access"},
    ],
)
def test_claims_at_their_limits(claims: dict[str, Any]) -> None:
    """A clock may be a minute off; one audience may stand in a list; what another kind of issuer says is not read."""
    assert verify(token(claims), KEYS, OIDC, NOW).subject == "ada"


def test_two_audiences() -> None:
    """A token for us and for another is accepted where the configuration names the other, and never for it alone."""
    oidc = replace(OIDC, also_for=("userinfo",))
    assert verify(token({"aud": ["userinfo", "perennial"]}), KEYS, oidc, NOW).subject == "ada"
    assert "for another audience" in refused(token({"aud": "userinfo"}), oidc=oidc)
    assert "also for" in refused(token({"aud": ["userinfo", "perennial", "third"]}), oidc=oidc)


def test_without_a_signature() -> None:
    """`none` in any spelling is refused, with and without a signature, also where somebody could configure it."""
    for name in ("none", "None", "NONE", "nOnE", ""):
        unsigned = assembled(
            json.dumps({"alg": name, "kid": "k1"}).encode(), json.dumps(CLAIMS).encode(), lambda _: b"x"
        )
        assert "is none of" in refused(unsigned)
        assert "is none of" in refused(unsigned, oidc=replace(OIDC, algorithms=(name,)))
        assert "no JWS" in refused(unsigned.rpartition(".")[0] + ".")


@pytest.mark.parametrize("size", ["256", "384", "512"])
@pytest.mark.parametrize(
    "secret",
    [
        spki(Encoding.PEM),
        spki(Encoding.PEM).strip(),
        spki(Encoding.DER),
        json.dumps(jwk()).encode(),
        json.dumps({name: jwk()[name] for name in ("e", "kty", "n")}, separators=(",", ":")).encode(),
        jwk()["n"].encode(),
        b"",
    ],
    ids=["pem", "pem-stripped", "der", "jwk", "jwk-thumbprint", "modulus", "empty"],
)
def test_an_hmac_with_the_public_key(secret: bytes, size: str) -> None:
    """The public key as the secret of an HMAC is refused, also where somebody could configure the algorithm and where
    the issuer publishes that secret as a key."""

    def mac(data: bytes) -> bytes:
        return hmac.new(secret, data, f"sha{size}").digest()

    made = assembled(json.dumps({"alg": f"HS{size}", "kid": "k1"}).encode(), json.dumps(CLAIMS).encode(), mac)
    oct_key = {"kty": "oct", "k": b64(secret), "kid": "k1"}
    for oidc in (OIDC, replace(OIDC, algorithms=(f"HS{size}", "RS256"))):
        for keys in (KEYS, [oct_key], [oct_key, *KEYS]):
            assert f"the algorithm HS{size} is none of" in refused(made, keys, oidc)


@pytest.mark.parametrize(
    "alg", [None, 7, ["RS256"], {"RS256": 1}, "rs256", "RS256 ", "RS1", "EdDSA", "dir", "RSA-OAEP"]
)
def test_other_algorithms(alg: Any) -> None:
    """Only the exact name of a configured algorithm is one."""
    assert "is none of" in refused(token(header={"alg": alg}, algorithm="RS256"))


@pytest.mark.parametrize(
    "kid",
    [
        "other",
        "K1",
        "k1\x00",
        "../../etc/passwd",
        "/dev/null",
        "' OR '1'='1",
        "k1'--",
        "x; DROP TABLE keys",
        "%2e%2e",
        "k" * 256,
        "",
        None,
        1,
        True,
        ["k1"],
        {"kid": "k1"},
        "k1 ",
    ],
)
def test_kids_that_name_no_key(kid: Any) -> None:
    """A kid is compared with those of the keys and used for nothing else; an unknown one, and none, is refused."""
    why = refused(token(header={"kid": kid}))
    assert "keys have the kid" in why or "no kid" in why
    assert why.isprintable()
    assert len(why) < 300


def test_a_kid_is_needed() -> None:
    """A token that does not name its key is refused, also where there is only one."""
    assert "no kid" in refused(token(header={"kid": ...}), [jwk()])


def test_several_keys_of_one_kid() -> None:
    """Of keys with one kid that of the algorithm's type counts (RFC 7517 4.5); where two fit, none is chosen."""
    assert verify(token(), [jwk("P-256"), jwk()], OIDC, NOW).subject == "ada"
    assert "2 of them fit" in refused(token(), [jwk(), jwk(number=2)])


@pytest.mark.parametrize(
    ("made", "keys"),
    [
        ({"header": {"alg": "RS256"}}, [jwk("P-256")]),
        ({"header": {"alg": "ES256"}, "kind": "P-256"}, [jwk()]),
        ({"header": {"alg": "ES256"}, "kind": "P-384"}, [jwk("P-384")]),
        ({}, [jwk(use="enc")]),
        ({}, [jwk(key_ops=["encrypt"])]),
        ({}, [jwk(key_ops="verify")]),
        ({}, [jwk(alg="PS256")]),
        ({}, [jwk(alg=None)]),
        ({"kind": "RSA-1024"}, [jwk("RSA-1024")]),
        ({}, [{"kty": "RSA", "kid": "k1"}]),
        ({}, [jwk(n=7)]),
        ({}, [jwk(n="A" * 1_401)]),
        ({}, [jwk(e="A" * 9)]),
        ({}, [jwk(n="!")]),
        ({}, []),
        ({}, [{}]),
    ],
)
def test_keys_that_do_not_fit(made: dict[str, Any], keys: list[dict[str, Any]]) -> None:
    """A key of another type or curve, for another use or algorithm, too short, too long or malformed is none."""
    assert "0 of them fit" in refused(token(**made), keys, ALL)


@pytest.mark.parametrize(
    "broken",
    [
        jwk(n=b64(b"\x00" * 256)),
        jwk(e="AA"),
        jwk(e="Ag"),
        jwk("P-256", x=jwk("P-256")["y"]),
        jwk("P-256", y=b64(b"\xff" * 32)),
    ],
)
def test_keys_that_are_none(broken: dict[str, Any]) -> None:
    """Numbers that are no key verify nothing and raise nothing else."""
    kind, alg = ("P-256", "ES256") if broken["kty"] == "EC" else ("RSA-2048", "RS256")
    refused(token(header={"alg": alg}, kind=kind), [broken])


def test_a_private_key_among_the_keys_is_used_as_a_public_one() -> None:
    """An issuer that publishes too much changes nothing here: only what makes the public key is read."""
    assert verify(token(), [jwk(d="AQAB", p=7, x5u="http://169.254.169.254/")], OIDC, NOW).subject == "ada"


def test_another_signer() -> None:
    """A signature by another key, of another text, of another kind or cut is refused."""
    head, body, signature = token().split(".")
    other = token({"sub": "eve"}).split(".")[1]
    wrong = [
        token(number=2),
        f"{head}.{other}.{signature}",
        f"{token(header={'typ': 'jwt'}).split('.')[0]}.{body}.{signature}",
        f"{head}.{body}.{signature[:-2]}",
        f"{head}.{body}.AA",
        token(algorithm="PS256"),
        token(algorithm="RS384"),
        token(header={"alg": "ES256", "kid": "ec"}, kind="P-256", number=2),
        f"{token(header={'alg': 'ES256', 'kid': 'ec'}, kind='P-256').rpartition('.')[0]}.{b64(bytes(64))}",
    ]
    assert [refused(each).startswith("the signature does not verify") for each in wrong] == [True] * len(wrong)


def test_the_signature_in_der_is_none() -> None:
    """ES256 has r and s side by side (RFC 7518 3.4), not as DER."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    def der(data: bytes) -> bytes:
        made: bytes = key("P-256").sign(data, ec.ECDSA(hashes.SHA256()))
        return made

    made = assembled(b'{"alg":"ES256","kid":"ec"}', json.dumps(CLAIMS).encode(), der)
    assert "does not verify" in refused(made)


INJECTED = {
    "jwk": jwk(number=2),
    "jku": "https://evil.example.com/keys.json",
    "x5u": "https://evil.example.com/chain.pem",
    "x5c": [b64(b"certificate")],
    "x5t": "AAAA",
}


@pytest.mark.parametrize("name", INJECTED)
def test_what_a_token_says_about_its_key_is_ignored(name: str) -> None:
    """A header that brings or names a key changes nothing: the attacker's signature is refused, the issuer's is not."""
    header = {name: INJECTED[name]}
    assert "does not verify" in refused(token(header=header, number=2))
    assert "0 of them fit" in refused(token(header={**header, "kid": "k2"}, number=2))
    assert verify(token(header=header), KEYS, OIDC, NOW).subject == "ada"


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"b64": True},
        {"crit": []},
        {"crit": None},
        {"crit": "b64"},
        {"crit": ["alg"]},
    ],
)
def test_extensions_that_must_be_understood(header: dict[str, Any]) -> None:
    """`crit` and `b64` are refused whatever they hold: none is understood."""
    assert "extensions" in refused(token(header=header))


def test_an_unencoded_payload() -> None:
    """RFC 7797's payload that is not base64url is refused, however well it is signed."""
    signed = (
        b64(b'{"alg":"RS256","kid":"k1","b64":false,"crit":["b64"]}') + "." + json.dumps(CLAIMS, separators=(",", ":"))
    )
    made = f"{signed}.{b64(sign(signed.encode(), 'RS256', key()))}"
    assert refused(made)


@pytest.mark.parametrize(
    ("typ", "tokens", "accepted"),
    [
        ("JWT", "id", True),
        ("jwt", "access", True),
        (..., "id", True),
        ("at+jwt", "access", True),
        ("application/at+jwt", "access", True),
        ("at+jwt", "id", False),
        ("logout+jwt", "id", False),
        ("secevent+jwt", "access", False),
        ("dpop+jwt", "access", False),
        (None, "id", False),
        (7, "id", False),
    ],
)
def test_types(typ: Any, tokens: str, accepted: bool) -> None:
    """A token says by its type what it is for: those for other purposes are refused, an access token in place of an id
    token too."""
    oidc = replace(OIDC, tokens=tokens)
    if accepted:
        assert verify(token(header={"typ": typ}), KEYS, oidc, NOW).subject == "ada"
    else:
        assert refused(token(header={"typ": typ}), oidc=oidc)


COGNITO = {"iss": POOL.issuer, "aud": ..., "azp": ...}


@pytest.mark.parametrize(
    ("tokens", "claims", "why"),
    [
        ("id", {"token_use": "id", "aud": "1example23456789"}, None),
        ("id", {"token_use": "access", "aud": "1example23456789"}, "token_use"),
        ("id", {"aud": "1example23456789"}, "token_use"),
        ("id", {"token_use": ["id"], "aud": "1example23456789"}, "token_use"),
        ("id", {"token_use": "id", "client_id": "1example23456789"}, "aud is neither"),
        ("id", {"token_use": "id", "aud": "other"}, "another audience"),
        ("access", {"token_use": "access", "client_id": "1example23456789"}, None),
        ("access", {"token_use": "access", "client_id": "1example23456789", "aud": "https://api.example.com"}, None),
        ("access", {"token_use": "access", "client_id": "other"}, "another audience"),
        ("access", {"token_use": "access", "client_id": "other", "aud": "1example23456789"}, "another audience"),
        ("access", {"token_use": "access", "aud": "1example23456789"}, "client_id is neither"),
        ("access", {"token_use": "id", "client_id": "1example23456789"}, "token_use"),
    ],
)
def test_cognito(tokens: str, claims: dict[str, Any], why: str | None) -> None:
    """Of a user pool, id tokens say by aud and access tokens by client_id whom they are for, and neither stands for the
    other."""
    made, oidc = token({**COGNITO, **claims}), replace(POOL, tokens=tokens)
    if why is None:
        assert verify(made, KEYS, oidc, NOW).issuer == POOL.issuer
    else:
        assert why in refused(made, oidc=oidc)


def signed(header: bytes, payload: bytes) -> str:
    return assembled(header, payload, lambda data: sign(data, "RS256", key()))


HEADER = b'{"alg":"RS256","kid":"k1"}'
GOOD = json.dumps(CLAIMS).encode()


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b'{"alg":"none","alg":"RS256","kid":"k1"}', GOOD),
        (b'{"alg":"RS256","kid":"k2","kid":"k1"}', GOOD),
        (b'{"alg":"RS256","kid":"k1","jwk":{"kty":"RSA","kty":"oct"}}', GOOD),
        (HEADER, GOOD[:-1] + b',"sub":"eve"}'),
        (HEADER, GOOD[:-1] + b',"s\\u0075b":"eve"}'),
        (HEADER, GOOD[:-1] + b',"address":{"a":1,"a":2}}'),
    ],
)
def test_members_that_are_there_twice(header: bytes, payload: bytes) -> None:
    """Two readers could take two different values for one member; neither is taken, also of inner objects."""
    assert "a member twice" in refused(signed(header, payload))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"ada",
        b"[]",
        b'"ada"',
        b"null",
        b"7",
        b"{",
        GOOD[:-1],
        b"\xef\xbb\xbf" + GOOD,
        GOOD.decode().encode("utf-16"),
        b'{"sub":"\xff"}',
        GOOD + b"{}",
        b'{"exp":NaN}',
        b'{"exp":Infinity}',
        b'{"exp":' + b"9" * 5_000 + b"}",
        b"[" * 3_000 + b"]" * 3_000,
    ],
)
def test_what_is_no_json_object(payload: bytes) -> None:
    """As a payload and as a header."""
    accepted = ("no JSON object", "no JWS of three")
    assert any(each in refused(signed(HEADER, payload)) for each in accepted)
    assert any(each in refused(signed(payload[:1_400], GOOD)) for each in accepted)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_time_that_never_ends(value: str) -> None:
    """No spelling of an endless number makes a token that never expires."""
    body = json.dumps({**CLAIMS, "exp": "EXP"}).replace('"EXP"', value).encode()
    assert refused(signed(HEADER, body))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c.d",
        "a.b.c.d.e",
        "Bearer x",
        "a b.c.d",
        "é.é.é",
        "\x00",
        "a.b.c\n",
        "a.b=.c",
        "{}",
    ],
)
def test_what_is_no_token(text: str) -> None:
    """Other than three base64url parts, nothing is a token."""
    assert "base64url" in refused(text) or "no JSON object" in refused(text)


def test_a_huge_token() -> None:
    """A token beyond the limit is not looked into, nor one whose header is."""
    assert "at most 10240 are read" in refused(token({"more": "a" * 8_000}))
    assert "at most 10240 are read" in refused("a" * 10_000_000)
    assert "no JWS" in refused(token(header={"more": "a" * 2_000}))
    assert verify(token({"more": "a" * 5_900}, header={"more": "a" * 1_200}), KEYS, OIDC, NOW).subject == "ada"


def test_the_header_tells_which_key_is_needed() -> None:
    """Before there is a key, the header is read and judged alone."""
    found = read_header(token(header={"typ": "JWT"}), OIDC)
    assert (found.algorithm, found.kid, found.type) == ("RS256", "k1", "jwt")


def test_a_refusal_quotes_no_token() -> None:
    """Neither the claims nor the signature are in a message that goes to a log."""
    for made in (token({"exp": 0}), token({"aud": "secret-audience"}), token(number=2), token({"sub": "secret sub"})):
        why = refused(made)
        assert made.rpartition(".")[2] not in why
        assert "secret" not in why
        assert "ada" not in why


@given(
    st.text(max_size=200)
    | st.from_regex(r"[A-Za-z0-9_-]{0,60}\.[A-Za-z0-9_-]{0,60}\.[A-Za-z0-9_-]{0,60}", fullmatch=True)
)
def test_no_text_is_a_token(text: str) -> None:
    """Whatever is sent, the only error is the documented one."""
    refused(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["alg", "kid", "typ", "crit", "jwk", "jku", "x5c", "cty", "b64", "x5t#S256"])
CLAIM_NAMES = st.sampled_from([*CLAIMS, "nbf", "azp", "token_use", "client_id", "cognito:groups"])


@given(st.dictionaries(CLAIM_NAMES, JSON, max_size=4), st.dictionaries(NAMES, JSON, max_size=2))
def test_no_claims_raise_anything_else(claims: dict[str, Any], header: dict[str, Any]) -> None:
    """A token of any claims is refused as documented, or it is for us, by the issuer, and valid."""
    made = token(claims, header=header, algorithm="RS256")
    for oidc in (OIDC, POOL):
        try:
            found = verify(made, KEYS, oidc, NOW)
        except InvalidInput:
            continue
        assert found.claims["iss"] == oidc.issuer
        assert found.claims["aud"] in ("perennial", ["perennial"])
        assert found.expires.timestamp() > SECONDS - 60


@given(
    st.dictionaries(st.sampled_from(["kty", "n", "e", "crv", "x", "y", "use", "alg", "key_ops", "d"]), JSON, max_size=4)
)
def test_no_keys_raise_anything_else(members: dict[str, Any]) -> None:
    """Whatever the issuer publishes, a token is verified by a key that fits it, or refused as documented."""
    for made, base in ((token(), jwk()), (token(header={"alg": "ES256"}, kind="P-256"), jwk("P-256"))):
        try:
            assert verify(made, [{**base, **members}], OIDC, NOW).subject == "ada"
        except InvalidInput:
            continue
