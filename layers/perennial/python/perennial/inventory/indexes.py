"""The table's indexes and how their keys are spread. Plain data: `infra/` builds the table of it without pynamodb."""

from __future__ import annotations

import zlib

SHARDS = 4
SUMMARY = ("title", "issuer", "serial", "key", "owner", "gone_at")  # what every list of certificates shows

# Index name -> (partition key, sort key, projected attributes or None for keys only). infra/ builds the table of it.
INDEXES: dict[str, tuple[str, str, tuple[str, ...] | None]] = {
    "expiry": ("expiry_key", "not_after", SUMMARY),
    "owner": ("owner_key", "not_after", SUMMARY),
    "issuer": ("issuer_key", "not_after", SUMMARY),
    "key": ("key_key", "not_after", SUMMARY),
    "signature": ("signature_key", "not_after", SUMMARY),
    "public_key": ("public_key_sha256", "not_after", SUMMARY),
    "resource": ("resource", "sk", ("fingerprint", "gone_at")),
    "finding": ("finding_key", "sk", None),
    "owned_finding": ("owned_finding_key", "sk", None),
    "due": ("due_key", "due_at", None),
}
TIME_TO_LIVE = "expires_at"


def shard(text: str) -> int:
    """The shard of a text, the same for ever."""
    return zlib.crc32(text.encode()) % SHARDS
