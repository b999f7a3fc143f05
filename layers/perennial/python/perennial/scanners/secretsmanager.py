"""Secrets Manager: certificates in secrets. Reading a secret is sensitive, so only those are read that the organisation
selected by a tag or a name prefix, and each version once: what a version holds never changes.

The filters of `ListSecrets` match by prefix and negate with "!", so the selection is made again here, exactly. Secrets
under a customer's KMS key are read where that key's policy lets the role decrypt; Perennial asks for no `kms:Decrypt`.

Sources: Secrets Manager API reference (ListSecrets, Filter, GetSecretValue); PutSecretValue on idempotency.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from perennial import secret_content
from perennial.chain import judge
from perennial.manifest import Role, Seen, Sighting
from perennial.scanners.interface import Reading, Scanner
from perennial.settings import Discovery

_FILTER_VALUES = 10  # in one filter
_ONE_SECRET = {  # errors that concern one secret only
    "AccessDeniedException": "secretsmanager:GetSecretValue is denied, or kms:Decrypt for the secret's key",
    "DecryptionFailure": "KMS cannot decrypt it; is the key enabled?",
    "InvalidRequestException": "it is in a state that does not allow reading",
    "InvalidParameterException": "it is in a state that does not allow reading",
    "ResourceNotFoundException": "it has no current version",
}


def scan(reading: Reading) -> Iterator[Seen]:
    """The certificates of every selected secret; nothing in a quick scan, which reads no secret."""
    if not reading.full:
        return
    client = reading.client("secretsmanager")
    known: dict[str, list[Sighting]] = {}
    for sighting in reading.known.values():
        known.setdefault(sighting.resource, []).append(sighting)
    for secret in _selected(client, reading.settings).values():
        before = known.get(secret["ARN"], [])
        if before and all(each.version == _version(secret, len(before)) for each in before):
            yield from (Seen(_tagged(each, secret)) for each in before)
        else:
            yield from _read(client, secret)


def _selected(client: Any, settings: Discovery) -> Mapping[str, Mapping[str, Any]]:
    """The selected secrets by ARN."""
    prefixes = settings.secret_prefixes
    filters = [{"Key": "tag-key", "Values": [settings.secret_tag]}] if settings.secret_tag else []
    for start in range(0, len(prefixes), _FILTER_VALUES):
        filters.append({"Key": "name", "Values": list(prefixes[start : start + _FILTER_VALUES])})
    return {
        secret["ARN"]: secret
        for each in filters
        for page in client.get_paginator("list_secrets").paginate(Filters=[each])
        for secret in page["SecretList"]
        if settings.secret_tag in _tags(secret) or secret["Name"].startswith(prefixes)
    }


def _tags(secret: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in secret.get("Tags", ())}


def _version(secret: Mapping[str, Any], sightings: int) -> str:
    """The id of the current version and how many sightings it gave, so that a scan that was interrupted among them is
    known from a whole one. A version's content never changes; LastChangedDate moves with every tag."""
    stages = secret.get("SecretVersionsToStages", {})
    current = next((version for version, names in stages.items() if "AWSCURRENT" in names), None)
    return f"{current or secret.get('LastChangedDate')}/{sightings}"


def _tagged(sighting: Sighting, secret: Mapping[str, Any]) -> Sighting:
    """The same sighting with the tags that the secret has now."""
    attributes = {name: value for name, value in sighting.attributes.items() if name != "tags"}
    tags = _tags(secret)
    return replace(sighting, attributes={**attributes, "tags": tags} if tags else attributes)


def _read(client: Any, secret: Mapping[str, Any]) -> Iterator[Seen]:
    """A secret's certificates, read now; or why there are none."""
    try:
        found, created = _content(client, secret["ARN"])
    except ClientError as error:
        reason = _ONE_SECRET.get(error.response["Error"]["Code"])
        if reason is None:
            raise
        yield _problem(secret, secret["ARN"], "", f"the secret cannot be read: {reason}")  # no version: try again
        return
    yield from _sightings(secret, found, created)


def _content(client: Any, arn: str) -> tuple[secret_content.Content, str | None]:
    """What a secret's current version holds, and when it came. The secret itself does not leave this function."""
    logging.getLogger("botocore.parsers").setLevel(logging.INFO)  # its DEBUG lines are whole responses: here, keys
    answer = client.get_secret_value(SecretId=arn)
    created = answer.get("CreatedDate")
    secret = answer.get("SecretString") or answer.get("SecretBinary") or b""
    return secret_content.content(secret), created.isoformat() if created else None


def _sightings(secret: Mapping[str, Any], found: secret_content.Content, created: str | None) -> Iterator[Seen]:
    incomplete = bool(found.problems or not found.held)
    arn, version = secret["ARN"], _version(secret, len(found.held) + incomplete)
    for number, held in enumerate(found.held, start=1):
        attributes = judge(held.certificate, held.chain).attributes()
        sighting = Sighting(
            location=arn if number == 1 else f"{arn}#{number}",
            role=Role.STORED,
            resource=arn,
            fingerprint=held.certificate.fingerprint,
            version=version,
            attributes={**attributes, "has_key": found.has_key, "changed_at": created},
        )
        yield Seen(_tagged(sighting, secret), held.certificate, held.chain)
    if incomplete:
        location = f"{arn}#unreadable" if found.held else arn
        yield _problem(secret, location, version, "; ".join(found.problems)[:500] or "no certificate found")


def _problem(secret: Mapping[str, Any], location: str, version: str, problem: str) -> Seen:
    sighting = Sighting(
        location=location, role=Role.STORED, resource=secret["ARN"], version=version, attributes={"problem": problem}
    )
    return Seen(_tagged(sighting, secret))


SCANNER = Scanner(
    source="secretsmanager",
    title="Secrets Manager secrets, selected by tag or prefix",
    actions=("secretsmanager:ListSecrets", "secretsmanager:GetSecretValue"),
    scan=scan,
)
