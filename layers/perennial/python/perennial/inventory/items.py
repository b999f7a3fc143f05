"""The table's items, as pynamodb models. Nothing outside `perennial.inventory` imports this module.

| item | partition key | sort key |
| --- | --- | --- |
| certificate | `CERT#<sha256>` | `CERT` |
| where a certificate was held | `CERT#<sha256>` | `PLACE#<scope>#<location>` |
| sighting | `PLACE#<place>` | `SIGHTING#<location>` |
| finding | `PLACE#<place>` | `FINDING#<id>` |
| name of a certificate | `ZONE#<top two labels>` | `<labels from the top>#<sha256>` |
| beginning of a fingerprint | `FINGERPRINT#<two digits>` | `<sha256>` |
| scope | `SCOPE` | `<account>/<region>/<source>` |
| run of Discovery | `RUN` | `<started at>#<id>` |
| known word (issuer, key, owner, managed certificate, month of an end) | `WORD#<kind>` | `<word>` |
| managed certificate | `MANAGED#<name>` | `DECLARED` |
| who declares a target at a place | `CLAIM#<sha256 of the place>` | `<managed certificate>` |
| version of a managed certificate | `MANAGED#<id>` | `VERSION#<number>` |
| rollout of a managed certificate | `MANAGED#<id>` | `ROLLOUT#<number>` |
| target in a rollout | `MANAGED#<id>` | `TARGET#<rollout>#<index>` |
| what was made on the way to a target | `MANAGED#<id>` | `PLACED#<version or rollout>/<what>` |
| proof | `MANAGED#<id>` | `PROOF#<proven at>#<id>` |
| what a webhook's receiver was asked and reported | `CALLBACK#<id>` | `CALLBACK` |
| http-01 challenge | `CHALLENGE#<token>` | `CHALLENGE` |
| change request | `REQUEST#<id>` | `REQUEST` |
| token of the workflow that waits for it | `REQUEST#<id>` | `TOKEN` |
| pointer of a list to a request | `REQUESTS#<state>#OF#<owner>`, each or "" | `<id>` |
| exception | `EXCEPTION#<id>` | `EXCEPTION` |
| exception in the list of its state | `EXCEPTIONS#<state>` | `<asked at>#<id>` |

One query on a place reads what a check needs: the sighting that holds the certificate, what is attached to it, and the
findings. Facts are not stored a second time: they are read from the DER when it is asked for. Low-cardinality index
keys carry one of `SHARDS` suffixes, so that no index partition becomes hot.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pynamodb.attributes import BinaryAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.indexes import GlobalSecondaryIndex, IncludeProjection, KeysOnlyProjection
from pynamodb.models import Model

from perennial.inventory.indexes import INDEXES


def stamp(time: datetime) -> str:
    """A time as the table sorts it: UTC, to the second."""
    return (
        time.strftime("%Y-%m-%dT%H:%M:%SZ")
        if time.year >= 1000
        else f"{time.year:04d}" + time.strftime("-%m-%dT%H:%M:%SZ")
    )


def time_of(text: str) -> datetime:
    """The time of a stamp."""
    return datetime.fromisoformat(text)


def _index(name: str) -> Any:
    """The pynamodb class of one declared index."""
    partition, sort, projected = INDEXES[name]
    projection = KeysOnlyProjection() if projected is None else IncludeProjection(list(projected))
    body = {
        "Meta": type("Meta", (), {"index_name": name, "projection": projection}),
        partition: UnicodeAttribute(hash_key=True, attr_name=partition),
        sort: UnicodeAttribute(range_key=True, attr_name=sort),
    }
    return type(name, (GlobalSecondaryIndex,), body)()


def _text() -> UnicodeAttribute:
    return UnicodeAttribute(null=True)


class Item(Model):
    """Any item of the table. `kind` says which; each kind uses some of the attributes."""

    class Meta:
        table_name = ""  # set by Inventory
        max_pool_connections = 32
        max_retry_attempts = 8

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    kind = _text()  # certificate, held, sighting, finding, name, scope, run, word, version, rollout …

    # certificate
    der = BinaryAttribute(null=True, legacy_encoding=False)
    fingerprint = _text()
    title = _text()
    issuer = _text()
    serial = _text()
    not_after = _text()
    key = _text()
    signature = _text()
    problems = _text()  # JSON
    owner = _text()
    owner_place = _text()  # which place's tags named the owner
    public_key_sha256 = _text()
    expiry_key = _text()
    owner_key = _text()
    issuer_key = _text()
    key_key = _text()
    signature_key = _text()

    # sighting, and where a certificate was held
    scope = _text()
    location = _text()
    place = _text()
    role = _text()
    resource = _text()
    holder = _text()
    version = _text()
    attributes = _text()  # JSON
    first_seen = _text()
    gone_at = _text()

    # finding
    concerns = _text()  # its resource, under a name of its own: the index of resources is for sightings
    check = _text()
    severity = _text()
    detail = _text()
    remediation = _text()
    subject = _text()
    state = _text()
    opened_at = _text()
    updated_at = _text()
    finding_key = _text()
    owned_finding_key = _text()
    told = _text()  # the state that people and the event bus know
    exception = _text()  # id of the one that covers it
    exception_ends = _text()
    hidden = _text()  # id of the exception for which Security Hub may have it as suppressed

    # scope and run
    status = _text()
    reason = _text()
    completed_at = _text()
    attempted_at = _text()
    run = _text()
    sightings = NumberAttribute(null=True)
    rules = _text()
    counts = _text()  # JSON

    # version of a managed certificate; status, reason, detail and completed_at as a scope has them
    number = NumberAttribute(null=True)
    revision = NumberAttribute(null=True)  # counts the writes: who writes names the one that was read
    request = _text()  # JSON
    ask = _text()
    days = NumberAttribute(null=True)
    csr = BinaryAttribute(null=True, legacy_encoding=False)
    order = _text()  # what its issuer alone reads
    challenges = _text()  # JSON
    progress = _text()  # JSON: what is known of the challenges and the key
    chain = _text()  # PEM, the leaf first
    secret = _text()  # ARN of the secret that holds the key: a reference
    secret_version = _text()
    key_arn = _text()  # of a key in KMS
    arn = _text()  # of the certificate in ACM or ACM PCA
    content = _text()  # of an http-01 challenge
    fence = NumberAttribute(null=True)  # of a managed certificate: counts its leases

    # due entry of any item
    due_key = _text()
    due_at = _text()
    attempts = NumberAttribute(null=True)
    expires_at = NumberAttribute(null=True)  # time to live, seconds since 1970

    expiry_index = _index("expiry")
    owner_index = _index("owner")
    issuer_index = _index("issuer")
    key_index = _index("key")
    signature_index = _index("signature")
    public_key_index = _index("public_key")
    resource_index = _index("resource")
    finding_index = _index("finding")
    owned_finding_index = _index("owned_finding")
    due_index = _index("due")
