"""What retiring a superseded version may do: delete copies with the tag of a managed certificate, and give up keys.

Only what has a tag of Perennial may be deleted (Service Authorization Reference: acm:DeleteCertificate,
kms:ScheduleKeyDeletion; IAM API Reference: TagServerCertificate). No key is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb, aws_iam

from infra.acknowledge import acknowledge_wildcards
from infra.functions import Function
from infra.rollout_permissions import BY_NAME, DECLARED_LATER
from perennial import key_store, kms_keys, targets
from perennial.profiles import AcmIssuer, KeyHome
from perennial.settings import Settings
from perennial.targets import acm_copy

TAG, ISSUED_TAG = "perennial:managed", "perennial:version"  # of a copy; of what ACM issued
DELETES = ("acm:DeleteCertificate", "iam:DeleteServerCertificate")
ALIAS, KEYS = "kms:DeleteAlias", "kms:ScheduleKeyDeletion"
MADE_LATER = "The keys of certificates do not exist when this is deployed; what deletes them needs their tag."


def retiring_statements(settings: Settings) -> list[aws_iam.PolicyStatement]:
    """What a role may do in its own account: look for copies of the configured kinds of targets, and delete them."""
    actions = {action for each in settings.targets.kinds for action in targets.kind(each).RETIRES}
    return _statements(actions, TAG)


def _statements(actions: set[str], tag: str) -> list[aws_iam.PolicyStatement]:
    reads, deletes = sorted(actions.difference(DELETES)), sorted(actions.intersection(DELETES))
    found = [aws_iam.PolicyStatement(actions=reads, resources=["*"])] if reads else []
    if deletes:
        found.append(aws_iam.PolicyStatement(actions=deletes, resources=["*"], conditions=_tagged(tag)))
    return found


def _tagged(tag: str) -> dict[str, Any]:
    return {"Null": {f"aws:ResourceTag/{tag}": "false"}}


@dataclass(frozen=True, kw_only=True)
class RetirementPermissions:
    """Grants to the function that retires."""

    stack: cdk.Stack
    settings: Settings
    table: aws_dynamodb.ITable

    def retire(self, function: Function) -> None:
        """Delete copies in all accounts, give up keys, and forget what was kept of them."""
        self._copies(function)
        self._keys(function)
        partitions = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["MANAGED#*"]}}
        self._allow(function, ["dynamodb:DeleteItem"], [self.table.table_arn], partitions)

    def _copies(self, function: Function) -> None:
        statements = retiring_statements(self.settings)
        if any(isinstance(each, AcmIssuer) for each in self.settings.issuers.values()):
            statements += _statements(set(acm_copy.RETIRES), ISSUED_TAG)
        for each in statements:
            function.role.add_to_principal_policy(each)
        if statements:
            acknowledge_wildcards(function.role, ["*"], DECLARED_LATER)
        for account in self.settings.targets.accounts if self.settings.targets.kinds else ():
            role = self.settings.targets.role_name
            function.may(["sts:AssumeRole"], [f"arn:{self.stack.partition}:iam::{account}:role/{role}"])

    def _keys(self, function: Function) -> None:
        secrets = self._arn("secretsmanager", f"secret:{key_store.PREFIX}*")
        function.may(key_store.RETIRES, [secrets], BY_NAME)
        if any(each.key_home is KeyHome.KMS for each in self.settings.profiles.values()):
            keys, aliases = self._arn("kms", "key/*"), self._arn("kms", f"{kms_keys.ALIASES}*")
            function.may([each for each in kms_keys.RETIRES if each not in (ALIAS, KEYS)], ["*"], MADE_LATER)
            self._allow(function, [ALIAS], [aliases])
            self._allow(function, [ALIAS, KEYS], [keys], _tagged(kms_keys.MANAGED_TAG))

    def _allow(
        self, function: Function, actions: list[str], resources: list[str], conditions: dict[str, Any] | None = None
    ) -> None:
        statement = aws_iam.PolicyStatement(actions=actions, resources=resources, conditions=conditions)
        function.role.add_to_principal_policy(statement)
        acknowledge_wildcards(function.role, resources, MADE_LATER)

    def _arn(self, service: str, resource: str) -> str:
        return f"arn:{self.stack.partition}:{service}:{self.stack.region}:{self.stack.account}:{resource}"
