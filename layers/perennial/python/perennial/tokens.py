"""Is this token one that the configured issuer gave for us, and valid now? No network: the keys are an argument.

The signature is verified by joserfc; everything before and after it is decided here, strictly:

- The algorithm must be one that is configured, and those are asymmetric ones. The key is chosen by `kid` from the
  issuer's JWK Set and must be of that algorithm's type, so that a public key never serves as the secret of an HMAC
  (RFC 8725 3.1). What a token says about keys itself (`jwk`, `jku`, `x5c`, `x5u`) is not looked at.
- A header parameter that must be understood (`crit`, RFC 7515 4.1.11; `b64`, RFC 7797) is refused: none is understood.
- No member is twice in an object, since readers differ in which one counts (RFC 8725 2.5, 3.10).
- `iss`, `sub`, `aud`, `exp` and `iat` must be there (OpenID Connect Core 1.0 section 2, RFC 9068 2.2).

Every refusal is InvalidInput with a sentence for our log, which quotes nothing of the token but short words of its
header; who asks gets to know nothing but that they are not signed in.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

from perennial.api_settings import ALGORITHMS, Oidc
from perennial.errors import InvalidInput
from perennial.settings_table import shown

MAX_TOKEN = 10_240  # bytes: API Gateway takes headers of so many in all
MAX_HEADER = 2_048  # base64url characters
LEEWAY = 60  # seconds that the issuer's clock may differ from ours
MAX_KEYS = 100  # of a JWK Set
MIN_RSA, MAX_RSA = 2_048, 8_192  # bits of a modulus (RFC 7518 3.3; a limit of our own)
TYPES = ("jwt", "at+jwt", "application/at+jwt")  # RFC 7519 5.1, RFC 9068 2.1; others are not for signing in
_PART = re.compile(r"[A-Za-z0-9_-]+")
_KID = re.compile(r"[!-~]{1,255}")
_SUBJECT = re.compile(r"[!-~]{1,255}")  # OpenID Connect Core 1.0 section 2: at most 255 ASCII characters
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_MEMBERS = {"RSA": ("n", "e"), "EC": ("x", "y")}
_NUMBER = re.compile(r"[A-Za-z0-9_-]{1,1400}")  # base64url: 8,400 bits
_LATEST = 253_402_300_799  # seconds since 1970 at the end of the year 9999


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a token's header says of how it is signed."""

    algorithm: str
    kid: str
    type: str = ""  # in lower case; "" where it does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a verified token says. `claims` are all of them: any JSON, of which only these fields are checked."""

    issuer: str
    subject: str
    expires: datetime
    claims: Mapping[str, Any] = field(repr=False)


def read_header(token: str, oidc: Oidc) -> Header:
    """What a token's header says, before it is known whether that is true: `kid` tells which key is needed.

    Raises: InvalidInput.
    """
    if len(token) > MAX_TOKEN:
        _refuse(f"the token has {len(token)} characters; at most {MAX_TOKEN} are read")
    parts = token.split(".")
    if len(parts) != 3 or not all(map(_PART.fullmatch, parts)) or len(parts[0]) > MAX_HEADER:
        _refuse("the token is no JWS of three base64url parts")
    return _header(_object(parts[0], "header"), oidc)


def _header(values: Mapping[str, Any], oidc: Oidc) -> Header:
    algorithm, kid, kind = values.get("alg"), values.get("kid"), values.get("typ", "JWT")
    if algorithm not in ALGORITHMS or algorithm not in oidc.algorithms:
        _refuse(f"the algorithm {shown(algorithm)} is none of {', '.join(oidc.algorithms)}")
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        _refuse("the header has no kid that could name a key")
    if "crit" in values or "b64" in values:
        _refuse("the header has extensions that must be understood; none is")
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        _refuse(f"the type {shown(kind)} is none of {', '.join(TYPES)}")
    if oidc.tokens == "id" and kind.lower() != "jwt":
        _refuse("this is an access token, and id tokens are configured")
    return Header(algorithm=str(algorithm), kid=kid, type=kind.lower() if "typ" in values else "")


def verify(token: str, keys: Sequence[Mapping[str, object]], oidc: Oidc, now: datetime) -> Verified:
    """What a token says, once it is known to be the issuer's, for us, and valid now. `keys` are those of its JWK Set.

    Raises: InvalidInput.
    """
    header = read_header(token, oidc)
    _verify_signature(token, header, _key(keys, header))
    claims = _object(token.split(".")[1], "payload")
    _issued_for_us(claims, oidc)
    expires = _valid_now(claims, oidc, now)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        _refuse("sub is no text of 1 to 255 ASCII characters")
    return Verified(issuer=oidc.issuer, subject=subject, expires=expires, claims=claims)


def _verify_signature(token: str, header: Header, key: Mapping[str, str]) -> None:
    from joserfc import jwk, jws
    from joserfc.errors import JoseError

    registry = jws.JWSRegistry(algorithms=[header.algorithm], strict_check_header=False)
    registry.max_header_length = MAX_HEADER
    try:
        public = jwk.RSAKey.import_key(dict(key)) if key["kty"] == "RSA" else jwk.ECKey.import_key(dict(key))
        jws.deserialize_compact(token, public, [header.algorithm], registry)
    except (JoseError, ValueError, RecursionError) as error:  # cryptography refuses points and moduli by ValueError
        _refuse(f"the signature does not verify: {type(error).__name__}", error)


def _key(keys: Sequence[Mapping[str, object]], header: Header) -> Mapping[str, str]:
    """The one public key that a token names, with the members alone that make it a key.

    Raises: InvalidInput.
    """
    named = [each for each in keys[:MAX_KEYS] if each.get("kid") == header.kid]
    fitting = [made for each in named if (made := _public(each, header.algorithm)) is not None]
    if len(fitting) != 1:
        _refuse(
            f"{len(named)} of the issuer's keys have the kid {shown(header.kid)}, {len(fitting)} of them fit "
            f"{header.algorithm}; one must"
        )
    return fitting[0]


def _public(key: Mapping[str, object], algorithm: str) -> Mapping[str, str] | None:
    """A JWK (RFC 7517 4) as far as it is needed; None where it is not for this algorithm or not for signatures."""
    curve = _CURVES.get(algorithm)
    kind = "EC" if curve else "RSA"
    operations = key.get("key_ops", ["verify"])
    usable = key.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    if key.get("kty") != kind or not usable or key.get("alg", algorithm) != algorithm or key.get("crv") != curve:
        return None
    found = {name: value for name in _MEMBERS[kind] if isinstance(value := key.get(name), str) and _is_number(value)}
    if len(found) < len(_MEMBERS[kind]) or (kind == "RSA" and not _strong(found)):
        return None
    return {"kty": kind, **found, **({"crv": curve} if curve else {})}


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and len(text) % 4 != 1


def _strong(key: Mapping[str, str]) -> bool:
    modulus = int.from_bytes(_decoded(key["n"], "n"))
    return MIN_RSA <= modulus.bit_length() <= MAX_RSA and len(key["e"]) <= 8


def _object(part: str, where: str) -> Mapping[str, Any]:
    """A JSON object in base64url, no member of which is there twice.

    Raises: InvalidInput.
    """
    try:
        text = _decoded(part, where).decode()
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        _refuse(f"the token's {where} is no JSON object in UTF-8, or has a member twice", error)
    if not isinstance(value, dict):
        _refuse(f"the token's {where} is no JSON object")
    return value


def _decoded(text: str, where: str) -> bytes:
    """Raises: InvalidInput."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except ValueError as error:
        _refuse(f"{where} is not base64url", error)


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a member is there twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _issued_for_us(claims: Mapping[str, Any], oidc: Oidc) -> None:
    """Raises: InvalidInput."""
    if claims.get("iss") != oidc.issuer:
        _refuse(f"iss is not {oidc.issuer}")
    if oidc.kind == "cognito" and claims.get("token_use") != oidc.tokens:
        _refuse(f"token_use is not {oidc.tokens}")
    audiences = _audiences(claims, oidc)
    if not set(audiences) & set(oidc.audiences):
        _refuse("it is for another audience than the configured ones")
    if not set(audiences) <= {*oidc.audiences, *oidc.also_for}:
        _refuse("it is also for an audience that is not configured; add it to also_for if that is right")
    _authorized_party(claims, oidc)


def _authorized_party(claims: Mapping[str, Any], oidc: Oidc) -> None:
    """Of an id token, the client that it was given to is one of ours (OpenID Connect Core 1.0, 3.1.3.7)."""
    if oidc.tokens == "id" and claims.get("azp", oidc.audiences[0]) not in oidc.audiences:
        _refuse("azp is another client than the configured ones")


def _audiences(claims: Mapping[str, Any], oidc: Oidc) -> tuple[str, ...]:
    """Whom a token is for. Cognito's access tokens say so in `client_id`, and may have `aud` besides.

    Raises: InvalidInput.
    """
    name = "client_id" if oidc.kind == "cognito" and oidc.tokens == "access" else "aud"
    value = claims.get(name)
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
        _refuse(f"{name} is neither a text nor a list of texts")
    return tuple(found)


def _valid_now(claims: Mapping[str, Any], oidc: Oidc, now: datetime) -> datetime:
    """The end of a token that is valid now (RFC 7519 4.1.4 to 4.1.6), give or take the leeway.

    Raises: InvalidInput.
    """
    seconds = now.timestamp()
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    if seconds >= expires + LEEWAY:
        _refuse("it has expired")
    if seconds < issued - LEEWAY or ("nbf" in claims and seconds < _time(claims, "nbf") - LEEWAY):
        _refuse("it is not valid yet")
    if expires - issued > oidc.max_hours * 3_600:
        _refuse(f"it is valid for more than {oidc.max_hours} hours; let the issuer give shorter ones")
    return datetime.fromtimestamp(expires, now.tzinfo)


def _time(claims: Mapping[str, Any], name: str) -> float:
    """Raises: InvalidInput."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        _refuse(f"{name} is not a time in seconds since 1970")
    return float(value)


def _refuse(why: str, error: Exception | None = None) -> NoReturn:
    raise InvalidInput(f"the token is refused: {why}") from error
