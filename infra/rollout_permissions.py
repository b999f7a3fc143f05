"""What each step of a rollout may do: what the configured kinds of targets declare, and no other kind.

Only the steps that change a target may change one; only those that need a version's key may read it; only the step
that proves may sign. Which places there are is known when a rollout is asked for, not when the stack is deployed; so
what can hold something else than certificates is opened by a tag on it, or by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam, aws_kms

from infra.acknowledge import acknowledge_wildcards
from infra.functions import Function
from perennial import key_store, proof_signing, targets, webhook_signature
from perennial.profiles import PcaIssuer
from perennial.settings import Settings

TAG = "perennial:target"  # on a secret or parameter that may be written
DECLARED_LATER = (
    "Targets are declared when certificates are deployed. The actions are those of the configured kinds; secrets and "
    "parameters need a tag, buckets are named."
)
MEMBERS = "The role has this one name in every account that the configuration names."
BY_NAME = "Secrets are named after managed certificates; Secrets Manager adds six characters to each."
_ROOTS = "acm-pca:GetCertificateAuthorityCertificate"


def target_statements(settings: Settings, partition: str, *, changing: bool) -> list[aws_iam.PolicyStatement]:
    """What a role may do at the targets of its own account: look, or look and change."""
    chosen = [targets.kind(each) for each in settings.targets.kinds]
    actions = {action for each in chosen for action in (*each.LOOKS, *(each.CHANGES if changing else ()))}
    statements = [_statement(partition, settings, service, sorted(found)) for service, found in _by_service(actions)]
    return [each for each in statements if each]


def _by_service(actions: Iterable[str]) -> list[tuple[str, list[str]]]:
    services: dict[str, list[str]] = {}
    for each in sorted(actions):
        services.setdefault(each.partition(":")[0], []).append(each)
    return sorted(services.items())


def _statement(
    partition: str, settings: Settings, service: str, actions: Sequence[str]
) -> aws_iam.PolicyStatement | None:
    """One service's actions, on as little as can be said in advance."""
    opened = {"Null": {f"aws:ResourceTag/{TAG}": "false"}}
    via = {"StringLike": {"kms:ViaService": ["secretsmanager.*", "ssm.*", "s3.*"]}}
    conditions: dict[str, Any] = {"secretsmanager": opened, "ssm": opened, "kms": via}
    resources = ["*"]
    if service == "s3":
        resources = [
            f"arn:{partition}:s3:::{bucket}{end}" for bucket in sorted(settings.targets.buckets) for end in ("", "/*")
        ]
    if service == "apigateway":
        resources = [f"arn:{partition}:apigateway:*::/domainnames/*"]
    if not resources:
        return None
    return aws_iam.PolicyStatement(actions=[*actions], resources=resources, conditions=conditions.get(service))


@dataclass(frozen=True, kw_only=True)
class RolloutPermissions:
    """Grants to the functions of rollouts."""

    stack: cdk.Stack
    settings: Settings
    proof_key: aws_kms.IKey

    def preflight(self, function: Function) -> None:
        """Look at targets; hold the key in a handshake in memory; know the roots of private CAs."""
        self._at_targets(function, changing=False)
        self._read_keys(function)
        authorities = sorted(each.authority for each in self.settings.issuers.values() if isinstance(each, PcaIssuer))
        if authorities:
            function.may([_ROOTS], authorities)
        self._sign_events(function)

    def change(self, function: Function) -> None:
        """Change targets."""
        self._at_targets(function, changing=True)
        self._read_keys(function)
        self._sign_events(function)

    def prove(self, function: Function) -> None:
        """Look at targets, and sign what was seen."""
        self._at_targets(function, changing=False)
        function.may(proof_signing.ACTIONS, [self.proof_key.key_arn])

    def finish(self, function: Function) -> None:
        """Make a version the current one."""
        function.may(key_store.PROMOTES, [self._secrets(key_store.PREFIX)], BY_NAME)

    def _at_targets(self, function: Function, *, changing: bool) -> None:
        statements = target_statements(self.settings, self.stack.partition, changing=changing)
        for each in statements:
            function.role.add_to_principal_policy(each)
        resources = [resource for each in statements for resource in each.resources]
        acknowledge_wildcards(function.role, resources, DECLARED_LATER)
        role = self.settings.targets.role_name + ("" if changing else "Look")
        for account in self.settings.targets.accounts:
            function.may(["sts:AssumeRole"], [f"arn:{self.stack.partition}:iam::{account}:role/{role}"])

    def _read_keys(self, function: Function) -> None:
        actions = [each for each in key_store.READS if each.startswith("secretsmanager:")]
        function.may(actions, [self._secrets(key_store.PREFIX)], BY_NAME)

    def _sign_events(self, function: Function) -> None:
        """The keys of webhooks, which are in the hub."""
        if "webhook" in self.settings.targets.kinds:
            function.may(webhook_signature.ACTIONS, [self._secrets(webhook_signature.SECRETS)], BY_NAME)

    def _secrets(self, prefix: str) -> str:
        place = f"{self.stack.region}:{self.stack.account}"
        return f"arn:{self.stack.partition}:secretsmanager:{place}:secret:{prefix}*"
