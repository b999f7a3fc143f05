"""The tags of the hub's own IAM roles and users, kept for a minute. `identity` says what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from perennial.clients import meant
from perennial.errors import NotFound
from perennial.identity import Caller

ACTIONS = ("iam:ListRoleTags", "iam:ListUserTags")
KEPT = timedelta(minutes=1)  # for so long a right that was taken away still counts
MAX_KEPT = 1_000  # principals


class PrincipalTags:
    """Reads tags with an IAM client. One thread uses it at a time, as in a Lambda function."""

    def __init__(self, iam: Any, account: str) -> None:
        self._iam = iam
        self._account = account
        self._kept: dict[str, tuple[datetime, Mapping[str, str]]] = {}

    def of(self, caller: Caller | None, now: datetime) -> Mapping[str, str]:
        """The tags of a principal; {} for those of other accounts, for one that is gone, and for None.

        Raises: AccessDenied, Throttled, Unavailable, ServiceRefused.
        """
        if caller is None or caller.account != self._account:
            return {}
        read_at, tags = self._kept.get(caller.arn, (None, {}))
        if read_at is None or now - read_at >= KEPT:
            tags = self._read(caller)
            self._keep(caller.arn, now, tags)
        return tags

    def _keep(self, arn: str, now: datetime, tags: Mapping[str, str]) -> None:
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[arn] = (now, tags)

    def _read(self, caller: Caller) -> Mapping[str, str]:
        operation, name = ("list_role_tags", "RoleName") if caller.kind == "role" else ("list_user_tags", "UserName")
        try:
            with meant(f"iam:{operation} of {caller.name}"):
                pages = self._iam.get_paginator(operation).paginate(**{name: caller.name})
                return {each["Key"]: each["Value"] for page in pages for each in page["Tags"]}
        except NotFound:
            return {}
