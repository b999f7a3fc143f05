"""Changes to ministack's S3: Object Lock as CloudFormation makes it and as S3 keeps it.

Source: Amazon S3 User Guide, "Locking objects with Object Lock".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from local_cloud.patching import part, replace

_S3 = "ministack.services.s3"
_CLOUDFORMATION = "ministack.services.cloudformation.provisioners"
_BUCKET = "AWS::S3::Bucket"


def lock_buckets_of_stacks() -> None:
    """Give a bucket of a stack its Object Lock; ministack ignores ObjectLockEnabled and ObjectLockConfiguration."""
    hook = "lock_buckets_of_stacks"
    known = part(hook, _CLOUDFORMATION, "_RESOURCE_HANDLERS")
    locks = part(hook, _S3, "_bucket_object_lock")
    handlers = known[_BUCKET]
    create, update = handlers["create"], handlers["update"]

    @wraps(create)
    def create_locked(logical_id: str, properties: dict[str, Any], *rest: Any, **named: Any) -> Any:
        name, attributes = create(logical_id, properties, *rest, **named)
        if is_locked(properties):
            locks[name] = lock_of(properties)
        return name, attributes

    @wraps(update)
    def update_locked(name: str, old: dict[str, Any], new: dict[str, Any], *rest: Any, **named: Any) -> Any:
        made, attributes = update(name, old, new, *rest, **named)
        if is_locked(new):
            locks[made] = lock_of(new)
        return made, attributes

    known[_BUCKET] = {**handlers, "create": create_locked, "update": update_locked}


def keep_locked_buckets_versioned() -> None:
    """Refuse to suspend the versions of a bucket with Object Lock, as S3 does; ministack lets them end."""
    hook, name = "keep_locked_buckets_versioned", "_put_bucket_versioning"
    put, error, read = part(hook, _S3, name), part(hook, _S3, "_error"), part(hook, _S3, "fromstring")
    locks = part(hook, _S3, "_bucket_object_lock")

    @wraps(put)
    def put_unless_locked(bucket: str, body: bytes) -> Any:
        if locks.get(bucket) and _text(read, body, "Status") == "Suspended":
            told = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
            return error("InvalidBucketState", told, 409, f"/{bucket}")
        return put(bucket, body)

    replace(_S3, name, put_unless_locked)


def refuse_retention_in_the_past() -> None:
    """Refuse a retention that ends before now, as S3 does; with ministack it would be none."""
    hook, name = "refuse_retention_in_the_past", "_put_object_retention"
    put, error, read = part(hook, _S3, name), part(hook, _S3, "_error"), part(hook, _S3, "fromstring")

    @wraps(put)
    def put_future(bucket: str, key: str, body: bytes, *rest: Any, **named: Any) -> Any:
        if _is_past(_text(read, body, "RetainUntilDate"), datetime.now(UTC)):
            return error("InvalidArgument", "The retain until date must be in the future!", 400, f"/{bucket}/{key}")
        return put(bucket, key, body, *rest, **named)

    replace(_S3, name, put_future)


def is_locked(properties: Mapping[str, Any]) -> bool:
    """Whether the properties of a bucket enable Object Lock; a template may write the boolean as a text."""
    return str(properties.get("ObjectLockEnabled", "")).lower() == "true"


def lock_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """What ministack keeps of a bucket's Object Lock."""
    rule = (properties.get("ObjectLockConfiguration") or {}).get("Rule") or {}
    told = rule.get("DefaultRetention")
    period = {name: int(told[name]) for name in ("Days", "Years") if name in told} if told else {}
    return {"enabled": True, "default_retention": {"Mode": told["Mode"], **period} if told else None}


def _is_past(text: str, now: datetime) -> bool:
    try:
        return datetime.fromisoformat(text) <= now
    except (TypeError, ValueError):  # no date, or one without a zone: ministack says what is wrong
        return False


def _text(read: Callable[[bytes], Any], body: bytes, name: str) -> str:
    """The text of the first element of a name; "" where there is none, or no XML."""
    try:
        root = read(body)
    except (SyntaxError, ValueError):  # ElementTree.ParseError and what defusedxml refuses
        return ""
    return next((each.text or "" for each in root.iter() if each.tag.rpartition("}")[2] == name), "")


HOOKS: tuple[Callable[[], None], ...] = (
    lock_buckets_of_stacks,
    keep_locked_buckets_versioned,
    refuse_retention_in_the_past,
)
