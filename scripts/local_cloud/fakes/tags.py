"""Tags on a resource: added, listed and counted alike by every service, refused with each service's own error codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from local_cloud.fakes.service import ServiceError

Tags = dict[str, str]


@dataclass(frozen=True)
class TagRules:
    """What a service allows: how many tags, the errors for too many and for a key given twice, and its member names."""

    too_many: str
    duplicate: str | None = None
    limit: int = 50
    key: str = "Key"
    value: str = "Value"

    def merged(self, tags: Tags, added: Iterable[dict[str, str]]) -> Tags:
        """`tags` with those of a request added to them. Raises ServiceError where the service refuses them."""
        given = list(added)
        twice = [key for key, count in Counter(tag[self.key] for tag in given).items() if count > 1]
        if twice and self.duplicate:
            raise ServiceError(self.duplicate, f"Tag keys were specified more than once: {', '.join(twice)}")
        result = tags | {tag[self.key]: tag.get(self.value, "") for tag in given}
        if len(result) > self.limit:
            raise ServiceError(self.too_many, f"A resource can have at most {self.limit} tags")
        return result

    def listed(self, tags: Tags) -> list[dict[str, str]]:
        """The tags as a response states them."""
        return [{self.key: key, self.value: value} for key, value in tags.items()]


def without(tags: Tags, keys: Iterable[str]) -> Tags:
    """`tags` without some keys; one that is not there is no error."""
    gone = set(keys)
    return {key: value for key, value in tags.items() if key not in gone}
