"""The tags of the hub's own principals are read from IAM, and of no others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from perennial.errors import AccessDenied, Throttled
from perennial.identity import Caller
from perennial.principal_tags import ACTIONS, KEPT, PrincipalTags

HUB = "111122223333"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ROLE = Caller(arn=f"arn:aws:iam::{HUB}:role/pipeline", account=HUB, kind="role", name="pipeline", session="s")
USER = Caller(arn=f"arn:aws:iam::{HUB}:user/ada", account=HUB, kind="user", name="ada")


@pytest.fixture
def iam() -> Any:
    return boto3.client("iam", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


def tags(*pairs: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"Tags": [{"Key": key, "Value": value} for key, value in pairs], **more}


def test_roles_and_users(iam: Any) -> None:
    """Each by its name, on as many pages as there are, and once a minute."""
    with Stubber(iam) as stub:
        stub.add_response("list_role_tags", tags(("a", "1"), IsTruncated=True, Marker="m"), {"RoleName": "pipeline"})
        stub.add_response("list_role_tags", tags(("b", "2")), {"RoleName": "pipeline", "Marker": "m"})
        stub.add_response("list_user_tags", tags(("c", "3")), {"UserName": "ada"})
        stub.add_response("list_role_tags", tags(), {"RoleName": "pipeline"})
        found = PrincipalTags(iam, HUB)
        assert found.of(ROLE, NOW) == {"a": "1", "b": "2"}
        assert found.of(USER, NOW) == {"c": "3"}
        assert found.of(ROLE, NOW + KEPT - timedelta(seconds=1)) == {"a": "1", "b": "2"}
        assert found.of(ROLE, NOW + KEPT) == {}
        stub.assert_no_pending_responses()


def test_others_are_not_asked_for(iam: Any) -> None:
    """A principal of another account has no tags here: a role of the same name in the hub's account is not it."""
    other = Caller(arn="arn:aws:iam::444455556666:role/pipeline", account="444455556666", kind="role", name="pipeline")
    with Stubber(iam):
        assert PrincipalTags(iam, HUB).of(other, NOW) == {}
        assert PrincipalTags(iam, HUB).of(None, NOW) == {}


@pytest.mark.parametrize(
    ("code", "error"), [("AccessDenied", AccessDenied), ("Throttling", Throttled), ("NoSuchEntity", None)]
)
def test_errors(iam: Any, code: str, error: type[Exception] | None) -> None:
    """A principal that is gone has no tags; any other failure is told and not taken for none."""
    with Stubber(iam) as stub:
        stub.add_client_error("list_role_tags", code)
        if error is None:
            assert PrincipalTags(iam, HUB).of(ROLE, NOW) == {}
        else:
            with pytest.raises(error):
                PrincipalTags(iam, HUB).of(ROLE, NOW)


def test_the_actions_are_operations_of_iam(iam: Any) -> None:
    """What a role of ours is granted is what is called."""
    assert {each.removeprefix("iam:") for each in ACTIONS} <= set(iam.meta.service_model.operation_names)
