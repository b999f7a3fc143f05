from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from certificates import NOW, Built, build, pem
from perennial.manifest import Role, Scope, Seen, Sighting, decode, encode
from perennial.scanners.interface import Reading
from perennial.scanners.secretsmanager import SCANNER
from perennial.settings import Discovery
from scripted import Answer, Answers, Error, Script

SCOPE = Scope("111122223333", "eu-west-1", "secretsmanager")
TAG = "perennial:certificate"
CHANGED = datetime(2026, 10, 2, tzinfo=UTC)
ROOT = build("Example Root", ca=True)
INTERMEDIATE = build("Example CA", ca=True, issuer=ROOT)
LEAF = build("shop.example.com", issuer=INTERMEDIATE)


def arn(name: str) -> str:
    return f"arn:aws:secretsmanager:eu-west-1:111122223333:secret:{name}-AbCdEf"


def version_id(short: str) -> str:
    return f"{short:->32}"


def listed(name: str, *, tags: Mapping[str, str] | None = None, version: str = "v1") -> dict[str, Any]:
    tags = {TAG: ""} if tags is None else tags
    return {
        "ARN": arn(name),
        "Name": name,
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        "LastChangedDate": CHANGED,
        "SecretVersionsToStages": {version_id("v0"): ["AWSPREVIOUS"], version_id(version): ["AWSCURRENT"]},
    }


def values(contents: Mapping[str, str | bytes]) -> Answers:
    def answer(request: Mapping[str, Any]) -> Mapping[str, Any]:
        content = contents[request["SecretId"]]
        kind = "SecretString" if isinstance(content, str) else "SecretBinary"
        return {"ARN": request["SecretId"], kind: content, "CreatedDate": CHANGED}

    return answer


def script(secrets: Iterable[dict[str, Any]], answers: Answers) -> Script:
    listing = [{"SecretList": list(secrets)}]
    return Script({"secretsmanager.ListSecrets": listing, "secretsmanager.GetSecretValue": answers})


def aws(*secrets: dict[str, Any], contents: Mapping[str, str | bytes]) -> Script:
    return script(secrets, values({arn(name): content for name, content in contents.items()}))


def reads(done: Script) -> int:
    return len(done.made("secretsmanager.GetSecretValue"))


def scan(
    aws: Script | Callable[..., Any],
    *,
    known: Iterable[Sighting] = (),
    full: bool = True,
    settings: Discovery | None = None,
) -> list[Seen]:
    reading = Reading(
        scope=SCOPE,
        client=aws.client if isinstance(aws, Script) else aws,
        known={each.location: each for each in known},
        full=full,
        settings=settings or Discovery(),
        tags=lambda _: {},
        now=NOW,
    )
    return list(SCANNER.scan(reading))


def document(*chain: Built, key: Built | None = None) -> str:
    parts = {"certificate": chain[0].pem, "chain": pem(*chain[1:])}
    return json.dumps(parts | ({"private_key": key.key_pem} if key else {}))


def stored(sightings: Iterable[Sighting]) -> list[Sighting]:
    """As the next scan finds them: written to a manifest and read again."""
    return decode(encode(SCOPE, NOW, sightings))


def test_certificate_chain_and_key() -> None:
    """A secret with certificate, chain and key is one stored sighting with the chain's verdict and has_key."""
    secret = listed("shop", tags={TAG: "", "team": "shop"})
    (seen,) = scan(aws(secret, contents={"shop": document(LEAF, INTERMEDIATE, ROOT, key=LEAF)}))
    assert seen.certificate == LEAF.certificate
    assert [each.fingerprint for each in seen.chain] == [INTERMEDIATE.fingerprint, ROOT.fingerprint]
    assert seen.sighting == Sighting(
        location=arn("shop"),
        role=Role.STORED,
        resource=arn("shop"),
        fingerprint=LEAF.fingerprint,
        version=f"{version_id('v1')}/1",
        attributes={
            "chain": [INTERMEDIATE.fingerprint, ROOT.fingerprint],
            "chain_status": "complete",
            "chain_not_after": "2034-01-01T00:00:00+00:00",
            "public": False,
            "has_key": True,
            "changed_at": CHANGED.isoformat(),
            "tags": {TAG: "", "team": "shop"},
        },
    )


def test_unchanged_secret_is_not_read_again() -> None:
    """A scan that finds the same version gives the same sightings without any GetSecretValue."""
    other = build("other.example.com")
    contents = {"two": pem(LEAF, INTERMEDIATE) + other.pem, "none": "nothing here"}
    secrets = (listed("two"), listed("none"))
    first = [seen.sighting for seen in scan(aws(*secrets, contents=contents))]
    again = aws(*secrets, contents={})
    assert [seen.sighting for seen in scan(again, known=stored(first))] == first
    assert [each.location for each in first] == [arn("two"), f"{arn('two')}#2", arn("none")]
    assert [name for name, _ in again.calls] == ["secretsmanager.ListSecrets"]


def test_new_tags_without_reading() -> None:
    """Tags are those of the listing, also where the secret is not read again."""
    first = scan(aws(listed("shop"), contents={"shop": LEAF.pem}))
    (seen,) = scan(aws(listed("shop", tags={TAG: "x"}), contents={}), known=[first[0].sighting])
    assert seen.sighting.attributes["tags"] == {TAG: "x"}


def test_new_version_is_read() -> None:
    """A new current version is read, and its certificate replaces the one before at the same location."""
    first = scan(aws(listed("shop"), contents={"shop": LEAF.pem}))
    renewed = build("shop.example.com", serial=7)
    (seen,) = scan(aws(listed("shop", version="v2"), contents={"shop": renewed.pem}), known=[first[0].sighting])
    assert (seen.sighting.location, seen.sighting.fingerprint) == (arn("shop"), renewed.fingerprint)


def test_scan_interrupted_inside_a_secret() -> None:
    """If the scan before ended between two certificates of a secret, the secret is read again and none is lost."""
    contents = {"two": LEAF.pem + build("other.example.com").pem}
    first = [seen.sighting for seen in scan(aws(listed("two"), contents=contents))]
    again = [seen.sighting for seen in scan(aws(listed("two"), contents=contents), known=first[:1])]
    assert again == first


def test_only_selected_secrets_are_read() -> None:
    """The service's filters match by prefix; a secret whose tag or name only begins alike is not read."""
    alike = listed("alike", tags={TAG + "-not": ""})
    selected = aws(alike, listed("shop"), contents={"shop": LEAF.pem})
    assert len(scan(selected)) == 1
    assert reads(selected) == 1


def test_nothing_selected() -> None:
    """Where nothing is selected nothing is read."""
    client = aws(contents={})
    assert scan(client) == []
    assert [name for name, _ in client.calls] == ["secretsmanager.ListSecrets"]


def test_quick_scan() -> None:
    """A quick scan reads no secret and so asks for nothing."""
    client = aws(contents={})
    assert scan(client, full=False) == []
    assert client.calls == []


def test_prefixes_and_pages() -> None:
    """Prefixes go ten in a filter; all pages are read; a secret found twice is read once; "!" selects nothing else."""
    settings = Discovery(secret_tag="", secret_prefixes=("tls/", "!x", *(f"p{number}/" for number in range(9))))
    answers: dict[str, Answers] = {
        "secretsmanager.ListSecrets": [
            {"SecretList": [listed("tls/a", tags={})], "NextToken": "more"},
            {"SecretList": [listed("database/password", tags={})]},
            {"SecretList": [listed("tls/a", tags={})]},
        ],
        "secretsmanager.GetSecretValue": values({arn("tls/a"): LEAF.pem}),
    }
    client = Script(answers)
    assert [seen.sighting.resource for seen in scan(client, settings=settings)] == [arn("tls/a")]
    lists = client.made("secretsmanager.ListSecrets")
    assert [len(request["Filters"][0]["Values"]) for request in lists] == [10, 10, 1]
    assert reads(client) == 1


@pytest.mark.parametrize("code", ["AccessDeniedException", "DecryptionFailure", "ResourceNotFoundException"])
def test_unreadable_secret(code: str) -> None:
    """A secret that cannot be read is a sighting with a problem, the others are read, and the next scan tries again."""

    def answer(request: Mapping[str, Any]) -> Answer:
        return Error(code) if request["SecretId"] == arn("bad") else {"SecretString": LEAF.pem}

    def client() -> Script:
        return script([listed("bad"), listed("shop")], answer)

    first, second = scan(client())
    assert "cannot be read" in first.sighting.attributes["problem"]
    assert first.sighting.fingerprint is None
    assert second.certificate == LEAF.certificate
    again = client()
    scan(again, known=[first.sighting, second.sighting])
    assert again.made("secretsmanager.GetSecretValue") == [{"SecretId": arn("bad")}]


@pytest.mark.parametrize("code", ["ThrottlingException", "ExpiredTokenException", "InternalServiceError"])
def test_errors_of_the_whole_scan(code: str) -> None:
    """Throttling, ended credentials and faults of the service leave the scope incomplete."""
    with pytest.raises(ClientError):
        scan(script([listed("shop")], [Error(code)]))


def test_listing_denied() -> None:
    """A denied listing is an incomplete scope, not an empty one."""
    with pytest.raises(ClientError):
        scan(Script({"secretsmanager.ListSecrets": [Error("AccessDeniedException")]}))


def test_secret_without_certificate() -> None:
    """A selected secret without a certificate says so."""
    (seen,) = scan(aws(listed("shop"), contents={"shop": '{"password": "x"}'}))
    assert seen.sighting.attributes["problem"] == "no certificate found"


def test_unreadable_part() -> None:
    """What cannot be read beside a certificate has a sighting of its own with the reason."""
    content = json.dumps({"certificate": LEAF.pem, "old": "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"})
    first, second = scan(aws(listed("shop"), contents={"shop": content}))
    assert first.sighting.fingerprint == LEAF.fingerprint
    assert second.sighting.location == f"{arn('shop')}#unreadable"
    assert "block 1" in second.sighting.attributes["problem"]


@pytest.mark.parametrize("shape", ["pem", "json", "broken json", "binary", "too large", "bad certificate"])
def test_key_is_never_kept(shape: str, caplog: pytest.LogCaptureFixture) -> None:
    """A private key in a secret appears in no sighting, certificate, manifest, log line or error, also at DEBUG."""
    marked = build("marked.example.com", issuer=INTERMEDIATE)
    body = "".join(marked.key_pem.splitlines()[1:-1])
    secret: str | bytes = {
        "pem": marked.key_pem + marked.pem,
        "json": document(marked, INTERMEDIATE, key=marked),
        "broken json": "{" + marked.key_pem + marked.pem,
        "binary": (marked.key_pem + marked.pem).encode(),
        "too large": marked.key_pem + marked.pem + "#" * 65_000,
        "bad certificate": marked.key_pem + marked.pem.replace("M", "!", 1),
    }[shape]
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="botocore.parsers")
    with mock_aws():
        client = boto3.client(
            "secretsmanager", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        kind = "SecretString" if isinstance(secret, str) else "SecretBinary"
        client.create_secret(Name="marked", Tags=[{"Key": TAG, "Value": ""}], **{kind: secret})
        caplog.clear()
        found = scan(lambda service: client)
    told = repr(found) + caplog.text + encode(SCOPE, NOW, [seen.sighting for seen in found]).hex()
    told += repr(decode(encode(SCOPE, NOW, [seen.sighting for seen in found])))
    assert found
    for piece in (body[:40], body[20:60], body[-40:], marked.key_pem.splitlines()[1]):
        assert piece not in told
    if shape not in ("too large", "bad certificate"):
        assert found[0].sighting.attributes["has_key"] is True
