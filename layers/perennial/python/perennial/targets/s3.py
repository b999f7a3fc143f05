"""An object in S3: a certificate, its chain, or both, without the key.

The object is put on the condition that it is still what was read (`If-Match` with its ETag), or that there is still
none (`If-None-Match: *`), so that nothing of someone else is overwritten. Content type, metadata, tags, storage class
and encryption stay as they are. What was found comes back from the object's earlier version; where the bucket has no
versioning, its text is kept, if it is certificates and comments alone.

Sources: S3 API Reference (GetObject, PutObject, DeleteObject), User Guide ("How to prevent object overwrites with
conditional writes", "How to perform conditional deletes").
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from perennial import certificate_text
from perennial.errors import (
    ChangedMeanwhile,
    ConcurrentChange,
    NotFit,
    NotFound,
    PerennialError,
    ServiceRefused,
)
from perennial.issuers.aws_replies import answered, code
from perennial.targets.interface import DEADLINE, Bundle, Field, Found, Keep, Later, Reach, TargetSettings

__all__ = [
    "CHANGES",
    "DEADLINE",
    "FIELDS",
    "HANDSHAKES",
    "KEYS",
    "LOOKS",
    "MAX_CHAIN",
    "RETIRES",
    "TITLE",
    "S3Object",
    "target",
]

TITLE = "S3 object"
FIELDS = (
    Field(
        name="bucket",
        pattern=r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        words="the bucket's name; it belongs to the target's account",
        needed=True,
    ),
    Field(name="key", pattern=r"[^\x00-\x1f\x7f]{1,1024}", words="the object's key (tls/shop.pem)", needed=True),
    certificate_text.FIELD,
)
KEYS = ()
LOOKS = (
    "s3:GetObject",
    "s3:GetObjectAcl",
    "s3:GetObjectTagging",
    "s3:GetObjectVersion",
    "s3:ListBucket",  # without it, an object that is not there is a denial
    "kms:Decrypt",
)
CHANGES = ("s3:DeleteObject", "s3:PutObject", "s3:PutObjectTagging", "kms:GenerateDataKey")
RETIRES: tuple[str, ...] = ()
MAX_CHAIN = 10
HANDSHAKES = False
MAX_READ = 1_048_576  # bytes: no file of certificates is larger
MAX_KEPT = 102_400  # bytes of a text that is kept to bring it back
TYPE = "application/x-pem-file"  # of an object that is made
ADVICE = {
    "AccessDenied": "name the bucket among the buckets of the configuration's targets; it must belong to the target's "
    "account, and its policy and KMS key must allow the roles of rollouts",
}
_KEPT = (  # of what GetObject tells, what PutObject sets again
    "BucketKeyEnabled",
    "CacheControl",
    "ContentDisposition",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "Metadata",
    "SSEKMSKeyId",
    "ServerSideEncryption",
    "StorageClass",
    "WebsiteRedirectLocation",
)
_CONDITIONS = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")  # 412, 409, 404 where one was expected


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object:
    """The object as it is. `version` is "" or "null" where the bucket keeps no versions of it."""

    etag: str
    version: str
    body: bytes = field(repr=False)
    told: Mapping[str, Any] = field(repr=False)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def versioned(self) -> bool:
        return self.version not in ("", "null")


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What `look` found; `etag` is "" where there was no object, `text` "" where it is not kept."""

    etag: str
    version: str = ""
    sha256: str = ""
    text: str = ""


class S3Object:
    """`interface.Target` of one object."""

    shares = ""

    def __init__(self, settings: TargetSettings, reach: Reach) -> None:
        self._where = {"Bucket": settings.text("bucket"), "Key": settings.text("key")}
        if reach.account:
            self._where["ExpectedBucketOwner"] = reach.account
        self._content = settings.text("content") or "fullchain"
        self._s3: Any = reach.clients("s3")

    def __repr__(self) -> str:
        return f"s3://{self._where['Bucket']}/{self._where['Key']}"

    def look(self) -> Found:
        there = self._object()
        if there is None:
            return Found(state=json.dumps({"etag": ""}))
        state = {"etag": there.etag, "version": there.version, "sha256": _digest(there.body)}
        if not there.versioned and _keepable(there):
            state["text"] = there.text
        return Found(state=json.dumps(state), fingerprint=certificate_text.leaf(self._content, there.text))

    def refusals(self, found: Found, new: Bundle, earlier: Bundle | None) -> list[str]:
        told, there = certificate_text.refusals(self._content, new), self._object()
        if there is not None:
            told += _unfit(there)
            told += self._acl()
        return [f"{self}: {each}" for each in told]

    def activate(self, found: Found, new: Bundle, placed: str, keep: Keep) -> Later | None:
        before, there = _state(found), self._object()
        body = certificate_text.text(self._content, new).encode()
        if there is not None and there.body == body:
            return None
        if (there.etag if there else "") != before.etag and (there is None or _digest(there.body) != before.sha256):
            raise self._changed()
        refusals = [*certificate_text.refusals(self._content, new), *(_unfit(there) if there else ())]
        if refusals:
            raise NotFit("; ".join(f"{self}: {each}" for each in refusals))
        self._put(body, there)
        return None

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Later | None:
        """Raises: NotFound where what was found is kept nowhere any more."""
        before, there = _state(found), self._object()
        if self._is(before, there):
            return None
        if there is None or there.body != certificate_text.text(self._content, new).encode():
            raise self._changed()
        if before.etag:
            self._put(self._earlier(before, earlier), there)
        else:
            self._delete(there)
        return None

    # --- reading ---

    def _object(self, version: str = "") -> _Object | None:
        """The object, or a version of it; None where there is none.

        Raises: NotFound where there is no bucket, ServiceRefused where it is too large.
        """
        from botocore.exceptions import ClientError

        doing = f"s3:GetObject of {self}"
        which = {"VersionId": version} if version else {}
        with answered(doing, ADVICE):
            try:
                told = self._s3.get_object(**self._where, **which)
            except ClientError as error:
                if code(error) in ("NoSuchKey", "NoSuchVersion"):
                    return None
                raise
            if told["ContentLength"] > MAX_READ:
                told["Body"].close()
                size = told["ContentLength"]
                raise ServiceRefused(f"{doing}: it has {size} bytes, which no certificates have; name another key")
            body = told["Body"].read()
        return _Object(etag=told["ETag"], version=told.get("VersionId", ""), body=body, told=told)

    def _acl(self) -> list[str]:
        """A put makes the object its bucket's owner's alone: grants of an ACL would be lost."""
        with answered(f"s3:GetObjectAcl of {self}", ADVICE):
            answer = self._s3.get_object_acl(**self._where)
        owner = answer.get("Owner", {}).get("ID")
        if all(each.get("Grantee", {}).get("ID") == owner for each in answer.get("Grants", ())):
            return []
        return ["its ACL lets others read or change it, which a new version loses; allow them by the bucket's policy"]

    def _earlier(self, before: _State, earlier: Bundle | None) -> bytes:
        """The content that was found: its version, the text that was kept, or the one that Perennial has."""
        version = before.version if before.version not in ("", "null") else ""
        there = self._object(version) if version else None
        if there is not None:
            body = there.body
        elif before.text:
            body = before.text.encode()
        else:
            body = certificate_text.text(self._content, earlier).encode() if earlier else b""
        if _digest(body) != before.sha256:
            raise NotFound(
                f"{self}: the version that was found is there no more; put the earlier content there yourself"
            )
        return body

    def _is(self, before: _State, there: _Object | None) -> bool:
        if there is None:
            return not before.etag
        return before.etag == there.etag or _digest(there.body) == before.sha256

    # --- changing ---

    def _put(self, body: bytes, there: _Object | None) -> None:
        """Put a content in place of what was read, with its attributes.

        Raises: ChangedMeanwhile, ConcurrentChange.
        """
        kept: dict[str, Any] = {"ContentType": TYPE, "IfNoneMatch": "*"}
        if there is not None:
            kept = {name: there.told[name] for name in _KEPT if there.told.get(name)}
            kept["IfMatch"] = there.etag
            if there.told.get("TagCount"):
                kept["Tagging"] = self._tags()
        with self._on_condition("s3:PutObject", body, there):
            self._s3.put_object(**self._where, Body=body, **kept)

    def _delete(self, there: _Object) -> None:
        with self._on_condition("s3:DeleteObject", None, there):
            self._s3.delete_object(**self._where, IfMatch=there.etag)

    def _tags(self) -> str:
        with answered(f"s3:GetObjectTagging of {self}", ADVICE):
            tags = self._s3.get_object_tagging(**self._where)["TagSet"]
        return urlencode({each["Key"]: each["Value"] for each in tags})

    @contextmanager
    def _on_condition(self, action: str, wanted: bytes | None, before: _Object | None) -> Iterator[None]:
        """Run a conditional call. That its condition does not hold may also be the SDK's own repetition of a call whose
        answer was lost."""
        from botocore.exceptions import ClientError

        with answered(f"{action} of {self}", ADVICE):
            try:
                yield
            except ClientError as error:
                if code(error) not in _CONDITIONS:
                    raise
                failed = error
            else:
                return
        there = self._object()
        if (there.body if there else None) == wanted:
            return
        if (there.etag if there else "") != (before.etag if before else ""):
            raise self._changed() from failed
        raise ConcurrentChange(f"{action} of {self}: {code(failed)}; it is as it was: try again") from failed

    def _changed(self) -> PerennialError:
        return ChangedMeanwhile(f"{self}: someone else changed the object; what they put is there")


def target(settings: TargetSettings, reach: Reach) -> S3Object:
    """The object that settings name."""
    return S3Object(settings, reach)


def _unfit(there: _Object) -> list[str]:
    """Why an object cannot be replaced, or not be brought back."""
    found = []
    if b"PRIVATE KEY" in there.body:
        found.append("it holds a private key, and this target puts certificates alone; name another key")
    if there.told.get("ContentEncoding", "") not in ("", "identity", "aws-chunked"):
        found.append(f"it is stored as {there.told['ContentEncoding'][:40]!a}, not as text; store it without encoding")
    if not there.versioned and not _keepable(there) and not found:
        found.append(
            "it could not be brought back: the bucket has no versioning, and it is not certificates in PEM and "
            f"comments alone, of at most {MAX_KEPT} bytes; switch versioning on"
        )
    return found


def _keepable(there: _Object) -> bool:
    """Whether its text may be kept as it is: nothing in it is secret, and none of it is lost."""
    fits = len(there.body) <= MAX_KEPT and there.text.encode() == there.body
    return fits and certificate_text.public(there.text)


def _state(found: Found) -> _State:
    return _State(**json.loads(found.state))


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
