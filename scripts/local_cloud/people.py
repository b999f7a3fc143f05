"""People and machines of a local cloud who may call its APIs (see `api_calls`): for tests and the demo.

    principal(cloud, HUB_ACCOUNT, "ada", {"perennial:roles": "viewer@shop-team"})                     # a user
    principal(cloud, HUB_ACCOUNT, "pipeline", {"perennial:roles": "requester"}, session="build-17")   # a role's session
    token(cloud, "grace", ["shop-developers"])                                                        # of the user pool

Everything is made through the APIs of IAM, STS and Cognito, as an administrator would.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from local_cloud.api_calls import Credentials
from local_cloud.cloud import Cloud, CloudError

POLICY = "invoke-apis"
_ANY_API = "arn:aws:execute-api:*:*:*"
_ADMIN_FLOW = "ALLOW_ADMIN_USER_PASSWORD_AUTH"
_OUTPUTS = ("UserPoolId", "AppClientId")
_STACK = "PerennialHub"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A user pool and the app client for which its tokens are."""

    pool: str
    client: str


def principal(
    cloud: Cloud,
    account: str,
    name: str,
    tags: Mapping[str, str] | None = None,
    *,
    session: str = "",
    invoke: str = _ANY_API,
) -> Credentials:
    """Credentials of a role's session, or with ``session=""`` of a user, that may invoke the APIs of the ARN `invoke`;
    "" for none. The role or user is made where it is not there, and has exactly these tags afterwards."""
    iam = cloud.client("iam", account)
    made = _role if session else _user
    made(iam, account, name)
    _tag(iam, "role" if session else "user", name, dict(tags or {}))
    _permit(iam, "role" if session else "user", name, invoke)
    return _session(cloud, account, name, session) if session else _access_key(iam, account, name)


def sign_in(cloud: Cloud, stack: str = _STACK, account: str | None = None, region: str | None = None) -> SignIn:
    """The user pool of a deployed stack, by its outputs. Raises: CloudError where it has none."""
    described = cloud.client("cloudformation", account, region).describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", ())}
    if not set(_OUTPUTS) <= set(outputs):
        raise CloudError(f"The stack {stack} has no outputs {' and '.join(_OUTPUTS)}: it makes no user pool.")
    return SignIn(pool=outputs["UserPoolId"], client=outputs["AppClientId"])


def token(
    cloud: Cloud,
    user: str,
    groups: Collection[str] = (),
    *,
    email: str = "",
    at: SignIn | None = None,
    account: str | None = None,
    kind: str = "IdToken",
) -> str:
    """A token of a user of the pool, who is made where it is not there, and is in exactly these groups afterwards.

    `kind` is IdToken or AccessToken. The app client is allowed to sign users in by an administrator's call: nothing
    else signs in without a browser. Raises: CloudError where the pool asks for a second factor.
    """
    at = at or sign_in(cloud, account=account)
    cognito, password = cloud.client("cognito-idp", account, at.pool.partition("_")[0]), f"Aa1!{secrets.token_hex(16)}"
    _person(cognito, at.pool, user, email or f"{user}@example.com", password)
    _join(cognito, at.pool, user, set(groups))
    _allow_admin_flow(cognito, at)
    answer = cognito.admin_initiate_auth(
        UserPoolId=at.pool,
        ClientId=at.client,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": user, "PASSWORD": password},
    )
    if "AuthenticationResult" not in answer:
        raise CloudError(f"The user pool {at.pool} asks {user} for more than a password: {answer['ChallengeName']}.")
    return str(answer["AuthenticationResult"][kind])


def _user(iam: Any, _account: str, name: str) -> None:
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=name)


def _role(iam: Any, account: str, name: str) -> None:
    trusted = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trusted))


def _tag(iam: Any, kind: str, name: str, tags: Mapping[str, str]) -> None:
    named = {f"{kind.capitalize()}Name": name}
    there = getattr(iam, f"list_{kind}_tags")(**named)["Tags"]
    gone = [each["Key"] for each in there if each["Key"] not in tags]
    if gone:
        getattr(iam, f"untag_{kind}")(**named, TagKeys=gone)
    if tags:
        getattr(iam, f"tag_{kind}")(**named, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])


def _permit(iam: Any, kind: str, name: str, invoke: str) -> None:
    named = {f"{kind.capitalize()}Name": name, "PolicyName": POLICY}
    if invoke:
        allowed = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": invoke}
        getattr(iam, f"put_{kind}_policy")(**named, PolicyDocument=_policy(allowed))
        return
    with suppress(iam.exceptions.NoSuchEntityException):
        getattr(iam, f"delete_{kind}_policy")(**named)


def _policy(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _access_key(iam: Any, account: str, name: str) -> Credentials:
    """A new key in the place of those before: a user has two at most."""
    for each in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=each["AccessKeyId"])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    arn = f"arn:aws:iam::{account}:user/{name}"
    return Credentials(arn=arn, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])


def _session(cloud: Cloud, account: str, name: str, session: str) -> Credentials:
    role = f"arn:aws:iam::{account}:role/{name}"
    answer = cloud.client("sts", account).assume_role(RoleArn=role, RoleSessionName=session)
    keys = answer["Credentials"]
    return Credentials(
        arn=answer["AssumedRoleUser"]["Arn"],
        access_key=keys["AccessKeyId"],
        secret_key=keys["SecretAccessKey"],
        token=keys["SessionToken"],
    )


def _person(cognito: Any, pool: str, user: str, email: str, password: str) -> None:
    attributes = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
    with suppress(cognito.exceptions.UsernameExistsException):
        cognito.admin_create_user(
            UserPoolId=pool,
            Username=user,
            UserAttributes=attributes,
            TemporaryPassword=password,  # one that ministack makes up is too short for the pool's policy
            MessageAction="SUPPRESS",
        )
    cognito.admin_update_user_attributes(UserPoolId=pool, Username=user, UserAttributes=attributes)
    cognito.admin_set_user_password(UserPoolId=pool, Username=user, Password=password, Permanent=True)


def _join(cognito: Any, pool: str, user: str, groups: set[str]) -> None:
    """Put a user into exactly these groups, which are made where they are not there."""
    member = {"UserPoolId": pool, "Username": user}
    for each in cognito.admin_list_groups_for_user(**member)["Groups"]:
        if each["GroupName"] not in groups:
            cognito.admin_remove_user_from_group(**member, GroupName=each["GroupName"])
    for name in sorted(groups):
        with suppress(cognito.exceptions.GroupExistsException):
            cognito.create_group(GroupName=name, UserPoolId=pool)
        cognito.admin_add_user_to_group(**member, GroupName=name)


def _allow_admin_flow(cognito: Any, at: SignIn) -> None:
    """Add the flow to those of the app client, all else of which stays as it is."""
    found = cognito.describe_user_pool_client(UserPoolId=at.pool, ClientId=at.client)["UserPoolClient"]
    flows = found.get("ExplicitAuthFlows", [])
    if _ADMIN_FLOW in flows:
        return
    taken = cognito.meta.service_model.operation_model("UpdateUserPoolClient").input_shape.members
    kept = {name: value for name, value in found.items() if name in taken and value != ""}  # none of them may be ""
    cognito.update_user_pool_client(**{**kept, "ExplicitAuthFlows": [*flows, _ADMIN_FLOW]})
