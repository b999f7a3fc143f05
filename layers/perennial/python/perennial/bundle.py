"""The material of versions: certificate, chain and, where a step needs it, the key, together in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perennial.targets.interface import Bundle, Found

if TYPE_CHECKING:
    from perennial.deployment import Deployment
    from perennial.inventory.records import RolloutRecord, VersionRecord
    from perennial.key_store import KeyStore


def of_rollout(deployment: Deployment, head: RolloutRecord, *, with_key: bool) -> Bundle:
    """The version that a rollout puts in place."""
    return of(deployment, deployment.inventory.version(f"{head.managed}/{head.version}"), with_key=with_key)


def of(deployment: Deployment, record: VersionRecord, *, with_key: bool) -> Bundle:
    """A version that was issued. The key of one that is retired is given up: it may be gone any time."""
    from perennial.certificate import parse
    from perennial.inventory.records import VersionState

    leaf, *above = (parse(each) for each in record.chain)
    private = ""
    if with_key and record.secret_version and record.state is not VersionState.RETIRED:
        private = key_store(deployment).private_key(record.managed, record.secret_version)
    return Bundle(
        managed=record.managed,
        version=record.number,
        names=record.request.names,
        key=record.key,
        certificate=leaf,
        chain=tuple(above),
        private_key=private,
        arn=record.arn if ":acm:" in record.arn else "",
        secret=record.secret,
        secret_version=record.secret_version,
    )


def earlier(deployment: Deployment, managed: str, found: Found, *, with_key: bool) -> Bundle | None:
    """The version of a managed certificate that was found at a target; None where that is nothing of it."""
    if not found.fingerprint:
        return None
    for record in deployment.inventory.versions(managed):
        if record.fingerprint == found.fingerprint and record.chain:
            return of(deployment, record, with_key=with_key)
    return None


def key_store(deployment: Deployment) -> KeyStore:
    """Where the keys are."""
    from perennial.key_store import KeyStore

    return KeyStore(deployment.clients("secretsmanager"), key_id=deployment.named("PERENNIAL_KEY_ID"), tags={})
