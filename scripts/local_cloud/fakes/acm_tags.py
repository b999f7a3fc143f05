"""The rules of tags on ACM resources. Source: ACM User Guide "Tag restrictions" and the tag operations."""

from collections.abc import Iterable, Mapping

from local_cloud.fakes.service import ServiceError

MAXIMUM = 50


def added(
    existing: Mapping[str, str], tags: Iterable[Mapping[str, str]], *, too_many: str = "TooManyTagsException"
) -> dict[str, str]:
    """The tags after adding some. Raises ServiceError for more than 50 and for the reserved `aws:` keys."""
    new = {tag["Key"]: tag.get("Value", "") for tag in tags}
    if any(key.lower().startswith("aws:") for key in new):
        raise ServiceError("InvalidTagException", "aws: prefixed tag key names are not allowed for external use.")
    merged = {**existing, **new}
    if len(merged) > MAXIMUM:
        raise ServiceError(too_many, f"The resource would have {len(merged)} tags; {MAXIMUM} are allowed.")
    return merged


def without(existing: Mapping[str, str], tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The tags after a RemoveTagsFromCertificate: a tag given with a value goes only if the value is the same."""
    gone = {
        tag["Key"]
        for tag in tags
        if tag["Key"] in existing and tag.get("Value", existing[tag["Key"]]) == existing[tag["Key"]]
    }
    return {key: value for key, value in existing.items() if key not in gone}


def shown(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """The tags as the API lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
