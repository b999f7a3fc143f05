"""Manifests and run plans in S3.

| key | what |
| --- | --- |
| `manifests/<scope>.jsonl.gz` | the last complete scan of a scope |
| `partial/<scope>.jsonl.gz` | what an interrupted scan had read, so that it is not read again |
| `runs/<run>/scopes.json` | the scopes of one run of Discovery |
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from perennial.errors import ConcurrentChange
from perennial.manifest import Scope, Sighting, decode, encode

_CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_MISSING = frozenset({"NoSuchKey", "404"})


class Manifests:
    """The bucket that holds manifests."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3 = s3
        self.bucket = bucket

    def load(self, scope: Scope) -> tuple[dict[str, Sighting], str | None]:
        """The last complete manifest of a scope and its ETag; ({}, None) before the first."""
        data, etag = self._get(_manifest(scope))
        return ({each.location: each for each in decode(data)} if data else {}), etag

    def save(self, scope: Scope, sightings: Iterable[Sighting], scanned_at: datetime, etag: str | None) -> None:
        """Put a complete manifest where nobody else did since `etag` was read.

        Raises: ConcurrentChange.
        """
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        try:
            self._put(_manifest(scope), encode(scope, scanned_at, sightings), condition)
        except ClientError as error:
            if error.response["Error"]["Code"] in _CHANGED | _MISSING:  # missing: deleted since it was read
                raise ConcurrentChange(f"{scope.key} was scanned by someone else meanwhile") from error
            raise

    def load_partial(self, scope: Scope) -> list[Sighting]:
        """What interrupted scans of the scope had read or begun to apply; at one location the newest stands last."""
        data, _ = self._get(_partial(scope))
        return decode(data) if data else []

    def save_partial(self, scope: Scope, sightings: Iterable[Sighting], scanned_at: datetime) -> str:
        """Keep what was read so far. Returns its ETag."""
        return self._put(_partial(scope), encode(scope, scanned_at, sightings), {})

    def drop_partial(self, scope: Scope, etag: str | None = None) -> None:
        """Forget it: the scan is complete. With an ETag, only where no other scan kept something since."""
        try:
            self._s3.delete_object(Bucket=self.bucket, Key=_partial(scope), **({"IfMatch": etag} if etag else {}))
        except ClientError as error:
            if error.response["Error"]["Code"] not in _CHANGED | _MISSING:
                raise

    def save_plan(self, run: str, scopes: Iterable[str]) -> str:
        """Put the scopes of a run; returns the key."""
        key = f"runs/{run}/scopes.json"
        self._put(key, json.dumps(list(scopes)).encode(), {})
        return key

    def load_plan(self, run: str) -> list[str]:
        """The scopes of a run; [] when it was never planned."""
        data, _ = self._get(f"runs/{run}/scopes.json")
        return list(json.loads(data)) if data else []

    def _get(self, key: str) -> tuple[bytes, str | None]:
        try:
            reply = self._s3.get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return b"", None
            raise
        return reply["Body"].read(), reply["ETag"]

    def _put(self, key: str, body: bytes, condition: Mapping[str, str]) -> str:
        return str(self._s3.put_object(Bucket=self.bucket, Key=key, Body=body, **condition)["ETag"])


def _manifest(scope: Scope) -> str:
    return f"manifests/{scope.key}.jsonl.gz"


def _partial(scope: Scope) -> str:
    return f"partial/{scope.key}.jsonl.gz"
