"""Security advisories of a peer (Lemur 1.9.0 to 1.9.3, 2026), each against this API: the attack is refused, or there is
nothing that it could be tried on.

| advisory | here |
| --- | --- |
| SSRF through the ACME URL | issuers stand in perennial.toml: no route takes one |
| SSRF through URLs that an ACME server returns | `issuers/acme_network`, tested there; no route takes a URL |
| SSRF through CRL and OCSP URLs of an uploaded certificate | no route takes a certificate |
| acting on another's certificate through `replaces` | `adopts` is the only reference: `test_adopting_another_s` |
| revoking another's by uploading a duplicate | a version is named, never a certificate |
| minting a sub-CA without permission on the parent | no document has a CA, a path length or a key usage |
| destination secrets in clear text | targets name places; no document has a secret |
| JWT algorithm confusion | the authorizer: `test_tokens_of_an_attacker` |
| export without ownership | no route exports a key; the right is its own, and off |
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from functions.api import authorizer

import api_parts
from api_parts import Parts
from asked_api import LAMBDA, ApiHub, api_hub, as_role
from certificates import build
from managed_records import DECLARED, record, version
from perennial.api.document import document
from perennial.api.routes import ROUTES
from perennial.api_settings import Api
from perennial.errors import InvalidInput
from perennial.roles import TABLE, Action, Role
from tokens_made import CLAIMS, NOW, OIDC, assembled, jwk, spki, token

CONFIGURATION = b"""
[api.principals]
"arn:aws:iam::123456789012:role/anna" = ["requester@shop-team", "viewer@shop-team", "operator@shop-team"]
"""
ANNA = as_role("anna")
NEW = {"name": "mine", "names": ["mine.example.com"], "profile": "web", "owner": "shop-team", "reason": "mine"}


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    return api_parts.stand_in(monkeypatch)


@pytest.fixture
def hub(parts: Parts) -> Iterator[ApiHub]:
    with api_hub(CONFIGURATION) as made:
        made.estate.deployment.inventory.save_managed(record())
        yield made


def asked_members() -> dict[str, dict[str, Any]]:
    """Every member that a body of a request can have, with its schema, by where it is."""
    found = document()
    schemas = found["components"]["schemas"]
    bodies = [
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for path in found["paths"].values()
        for operation in path.values()
        if "requestBody" in operation
    ]
    reached: dict[str, dict[str, Any]] = {}
    left = list(dict.fromkeys(bodies))
    for name in left:
        for member, schema in schemas[name].get("properties", {}).items():
            reached[f"{name}.{member}"] = schema
        inner = re.findall(r"schemas/([^\"]+)", json.dumps(schemas[name]))
        left += [each for each in inner if each not in left]
    return reached


def test_no_route_takes_a_url_or_a_certificate(hub: ApiHub, parts: Parts) -> None:
    """Nothing that a caller sends is fetched: no member of any body is a URL, a directory, a certificate, a CSR, a CRL
    or an issuer's settings. An issuer is named as perennial.toml names it, which no URL fits."""
    names = {each.partition(".")[2] for each in asked_members()}
    assert not names & {"url", "directory", "csr", "certificate", "chain", "body", "pem", "crl", "ocsp", "callback"}
    for wrong in ("https://169.254.169.254/latest/meta-data", "http://localhost", "file:///etc/passwd"):
        assert hub.ask("POST", "/managed", ANNA, {**NEW, "issuer": wrong}).status == 422
    assert parts.called == []


@pytest.mark.parametrize("place", ["https://169.254.169.254/", "http://10.0.0.1:80", "169.254.169.254:80"])
def test_no_target_leads_to_the_inside_by_a_url(hub: ApiHub, parts: Parts, place: str) -> None:
    """Where the prover connects is host:port: a URL is refused; an address is only ever asked for a TLS handshake, and
    nothing of the answer but certificates comes back."""
    target = {"kind": "elb", "name": "a", "load_balancer": "a", "port": "443", "endpoints": [place]}
    answer = hub.ask("POST", "/managed", ANNA, {**NEW, "targets": [target]})
    assert (answer.status == 422) is place.startswith("http")


def test_adopting_another_s(hub: ApiHub, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """`adopts` is the only way to refer to a certificate that is there; another team's is refused, and audited."""
    theirs = build("mail.example.com").certificate
    inventory = type(hub.estate.deployment.inventory)
    monkeypatch.setattr(inventory, "certificate_and_owner", lambda *_: (theirs, "mail-team"))
    assert hub.ask("POST", "/managed", ANNA, {**NEW, "adopts": theirs.fingerprint}).status == 403
    assert [(each.event.subject_kind, each.event.subject) for each in hub.trail()] == [
        ("certificate", theirs.fingerprint)
    ]
    assert parts.called == []
    for member in ("replaces", "replaced_by", "parent", "serial", "fingerprint"):
        assert hub.ask("POST", "/managed", ANNA, {**NEW, member: theirs.fingerprint}).status == 422


def test_declaring_over_another_s(hub: ApiHub, parts: Parts) -> None:
    """A name that another team has, or had, is not taken by declaring it again."""
    theirs = record(declared=DECLARED.__class__(name="mine", request=_request("mail-team")))
    hub.estate.deployment.inventory.save_managed(theirs)
    assert hub.ask("POST", "/managed", ANNA, NEW).status == 403
    assert parts.called == []


def _request(owner: str) -> Any:
    return DECLARED.request.__class__(names=("a.example.com",), profile="web", owner=owner)


def test_revoking_another_s(hub: ApiHub, parts: Parts) -> None:
    """What is revoked is a version of a managed certificate, by its number: who has a copy of the certificate, or one
    with the same key, cannot name it; and another team's managed certificate is refused."""
    hub.estate.deployment.inventory.save_version(version(1), None)
    path = "/managed/shop/revocations"
    body = {"reason": "gone", "why": "key-compromise"}
    for member in ("certificate", "fingerprint", "serial", "pem"):
        assert hub.ask("POST", path, ANNA, {**body, member: "a" * 64}).status == 422
    for other in ("shop/1", "shop%2F1", "a" * 64):
        assert hub.ask("POST", f"/managed/{other}/revocations", ANNA, body).status in (403, 404, 422)
    hub.estate.deployment.inventory.save_managed(
        record(declared=DECLARED.__class__(name="mail", request=_request("mail-team")))
    )
    assert hub.ask("POST", "/managed/mail/revocations", ANNA, body).status == 403
    assert parts.called == []
    assert hub.ask("POST", path, ANNA, body).status == 202


def test_no_sub_ca_can_be_asked_for(hub: ApiHub, parts: Parts) -> None:
    """No document has a basic constraint, a usage or a template: what a certificate may do is its profile's."""
    names = {each.partition(".")[2] for each in asked_members()}
    members = {"ca", "is_ca", "path_length", "key_usage", "usages", "template", "extensions", "authority"}
    assert not names & members
    for each in members:
        assert hub.ask("POST", "/managed", ANNA, {**NEW, each: True}).status == 422
    assert parts.called == []


def test_no_secret_goes_in_or_out() -> None:
    """No member of any document is a password, a token, a key's material or a secret's value."""
    found = document()
    told = {member for schema in found["components"]["schemas"].values() for member in schema.get("properties", {})}
    assert not told & {
        "password",
        "secret",
        "private_key",
        "token",
        "credentials",
        "passphrase",
        "hmac_key",
        "secret_value",
    }


def test_no_key_is_exported(hub: ApiHub) -> None:
    """There is no route to a key: the right to it is none of any role, and off where nothing is configured."""
    assert not [each for each in ROUTES if each.action is Action.EXPORT_KEY]
    assert set(TABLE[Action.EXPORT_KEY].reach) == {Role.KEY_EXPORT}
    assert hub.estate.deployment.settings.api.export_keys is False
    for path in ("/managed/shop/key", "/managed/shop/versions/1/key", "/managed/shop/versions/1/export"):
        assert hub.ask("GET", path, ANNA).status == 404


def _unsigned(algorithm: str) -> str:
    header = json.dumps({"alg": algorithm, "kid": "k1", "typ": "JWT"}).encode()
    return assembled(header, json.dumps(CLAIMS).encode(), lambda _: b"")


def _by_public_key() -> str:
    """As if the issuer's public key were the secret of an HMAC (RFC 8725 3.1)."""
    header = json.dumps({"alg": "HS256", "kid": "k1", "typ": "JWT"}).encode()
    secret = spki(Encoding.PEM)
    return assembled(header, json.dumps(CLAIMS).encode(), lambda data: hmac.digest(secret, data, "sha256"))


class FakeKeys:
    """The issuer's key."""

    def __init__(self, url: str) -> None:
        self.url = url

    def having(self, kid: str, now: Any) -> Any:
        return [jwk()]


@pytest.mark.parametrize(
    "made",
    [
        lambda: _unsigned("none"),
        lambda: _unsigned("None"),
        lambda: token(header={"alg": "HS256"}, algorithm="RS256"),
        lambda: _by_public_key(),
        lambda: token(header={"jwk": jwk(number=2)}, number=2),
        lambda: token(header={"jku": "https://attacker.example/keys"}, number=2),
        lambda: token({"exp": 0}),
        lambda: token({"aud": "another"}),
        lambda: token({"iss": "https://attacker.example"}),
        lambda: token({"sub": ...}),
        lambda: token({"aud": ...}),
        lambda: token({"exp": ...}),
        lambda: token().rpartition(".")[0] + ".",
    ],
    ids=[
        "none",
        "None",
        "HS256",
        "HS256 with the public key",
        "its own key",
        "its own key set",
        "expired",
        "audience",
        "issuer",
        "no subject",
        "no audience",
        "no expiry",
        "no signature",
    ],
)
def test_tokens_of_an_attacker(monkeypatch: pytest.MonkeyPatch, made: Any) -> None:
    """None of them gets past the authorizer, which answers the one word that is a 401."""
    hub = SimpleNamespace(settings=SimpleNamespace(api=Api(oidc=OIDC)), clock=lambda: NOW)
    monkeypatch.setattr(authorizer, "deployment", lambda: hub)
    monkeypatch.setattr(authorizer, "keys", FakeKeys)
    stage = "arn:aws:execute-api:eu-central-1:111122223333:a1b2c3d4e5/v1"
    sent = {"methodArn": f"{stage}/GET/me", "multiValueHeaders": {"Authorization": [f"Bearer {made()}"]}}
    with pytest.raises(InvalidInput, match=r"\AUnauthorized\Z"):
        authorizer.handler(sent, LAMBDA)
