"""What each other account, and each other region of the hub's account, needs: roles, and rules that forward events.

One template for every account and region, also of a StackSet: the roles are made only in `RolesRegion`, as IAM is
global.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_events, aws_iam
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from infra.acknowledge import acknowledge_wildcards
from infra.issuance_permissions import ZONES, zone_statements
from infra.names import (
    ACTIVATE_ROLE,
    ADVANCE_ROLE,
    CLEAN_UP_ROLE,
    PLAN_ROLE,
    PREFLIGHT_ROLE,
    PROVE_ROLE,
    PUBLISH_ROLE,
    RESTORE_ROLE,
    RETIRE_ROLE,
    SCAN_ROLE,
)
from infra.permissions import EVERYTHING, discovery_statements, resources
from infra.retirement_permissions import retiring_statements
from infra.rollout_permissions import DECLARED_LATER, target_statements
from infra.rules import rules
from perennial.publishing import FINDINGS_ROLE
from perennial.settings import Settings

AT_MOST = 10  # conditions that Fn::Or takes


class PerennialMember(cdk.Stack):
    """The member's stack. `hub` is the ARN of the hub's event bus: it names the hub's account and region too."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, hub: str, **stack: Any) -> None:
        super().__init__(
            scope,
            construct_id,
            description="Perennial: lets the hub discover this account's certificates",
            synthesizer=cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
            **stack,
        )
        self._all = settings
        self._settings = settings.discovery
        self._solvers = settings.solvers
        self._bus = self._parameter("HubBus", hub, "ARN of the hub's event bus")
        self._hub_account = cdk.Fn.select(4, cdk.Fn.split(":", self._bus))
        roles_region = self._parameter("RolesRegion", hub.split(":")[3], "The one region where the roles are made")
        here = cdk.Fn.condition_equals(self.region, roles_region)
        self._with_roles = cdk.CfnCondition(self, "WithRoles", expression=here)
        self._discovery_role()
        self._findings_role()
        if self._solvers.zone_accounts:
            self._solver_role(here)
        if settings.targets.kinds and settings.targets.accounts:
            self._target_roles(here)
        self._forward_events()

    def _parameter(self, name: str, default: str, description: str) -> str:
        return cdk.CfnParameter(self, name, default=default, description=description).value_as_string

    def _discovery_role(self) -> None:
        statements = discovery_statements(self._settings, partition=self.partition, hub=False)
        role = self._role("Discovery", self._settings.role_name, [SCAN_ROLE, PLAN_ROLE], statements)
        acknowledge_wildcards(role, resources(statements), EVERYTHING)

    def _findings_role(self) -> None:
        product = f"arn:{self.partition}:securityhub:*:{self.account}:product/{self.account}/default"
        hub = f"arn:{self.partition}:securityhub:*:{self.account}:hub/default"
        statements = [
            aws_iam.PolicyStatement(actions=["securityhub:BatchImportFindings"], resources=[product]),
            aws_iam.PolicyStatement(actions=["securityhub:BatchUpdateFindings"], resources=[hub]),
        ]
        role = self._role("Findings", FINDINGS_ROLE, [PUBLISH_ROLE], statements)
        acknowledge_wildcards(role, [product, hub], "Findings are imported in the region of what they are about.")

    def _solver_role(self, here: cdk.ICfnConditionExpression) -> None:
        """Only in the accounts that are configured to have zones: it may change their records."""
        statements = zone_statements(self.partition)
        role = self._role("Solver", self._solvers.role_name, [ADVANCE_ROLE, CLEAN_UP_ROLE], statements)
        acknowledge_wildcards(role, resources(statements), ZONES)
        self._only_in(role, "WithZones", self._solvers.zone_accounts, here)

    def _target_roles(self, here: cdk.ICfnConditionExpression) -> None:
        """Only in the accounts that are configured to have targets: one role that looks, and one that changes."""
        allowed, looking = self._all.targets, [PREFLIGHT_ROLE, PROVE_ROLE]
        for construct_id, name, trusted, changing in (
            ("TargetLook", f"{allowed.role_name}Look", looking, False),
            ("Target", allowed.role_name, [ACTIVATE_ROLE, RESTORE_ROLE, RETIRE_ROLE], True),
        ):
            statements = target_statements(self._all, self.partition, changing=changing)
            statements += retiring_statements(self._all) if changing else []
            role = self._role(construct_id, name, trusted, statements)
            acknowledge_wildcards(role, resources(statements), DECLARED_LATER)
            self._only_in(role, f"With{construct_id}", allowed.accounts, here)

    def _only_in(
        self, role: aws_iam.Role, name: str, accounts: Sequence[str], here: cdk.ICfnConditionExpression
    ) -> None:
        """Make a role in some accounts alone."""
        named = self._any_of([cdk.Fn.condition_equals(self.account, each) for each in accounts])
        resource = role.node.default_child
        assert isinstance(resource, aws_iam.CfnRole)
        resource.cfn_options.condition = cdk.CfnCondition(self, name, expression=cdk.Fn.condition_and(here, named))

    def _any_of(self, conditions: list[cdk.ICfnConditionExpression]) -> cdk.ICfnConditionExpression:
        while len(conditions) > 1:
            groups = [conditions[start : start + AT_MOST] for start in range(0, len(conditions), AT_MOST)]
            conditions = [cdk.Fn.condition_or(*group) if len(group) > 1 else group[0] for group in groups]
        return conditions[0]

    def _role(
        self, construct_id: str, name: str, trusted: list[str], statements: list[aws_iam.PolicyStatement]
    ) -> aws_iam.Role:
        """A role that the named roles of the hub may assume. Those need not exist yet: the trust names the account."""
        hub = f"arn:{self.partition}:iam::{self._hub_account}"
        conditions: dict[str, Any] = {"ArnEquals": {"aws:PrincipalArn": [f"{hub}:role/{each}" for each in trusted]}}
        if self._settings.external_id:
            conditions["StringEquals"] = {"sts:ExternalId": self._settings.external_id}
        role = aws_iam.Role(
            self,
            construct_id,
            role_name=name,
            assumed_by=aws_iam.PrincipalWithConditions(aws_iam.ArnPrincipal(f"{hub}:root"), conditions),
            inline_policies={construct_id: aws_iam.PolicyDocument(statements=statements)},
        )
        resource = role.node.default_child
        assert isinstance(resource, aws_iam.CfnRole)
        resource.cfn_options.condition = self._with_roles
        return role

    def _forward_events(self) -> None:
        forward = aws_iam.Role(
            self,
            "Forward",
            assumed_by=aws_iam.ServicePrincipal(
                "events.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": self.account}}
            ),
            inline_policies={
                "Forward": aws_iam.PolicyDocument(
                    statements=[aws_iam.PolicyStatement(actions=["events:PutEvents"], resources=[self._bus])]
                )
            },
        )
        bus = aws_events.EventBus.from_event_bus_arn(self, "Hub", self._bus)
        rules(self, targets.EventBus(bus, role=forward.without_policy_updates()))
