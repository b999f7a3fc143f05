"""The event bus: member accounts forward their certificate events to it, and Perennial puts its own on it."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Annotations, Stack, aws_events
from constructs import Construct

from infra.names import BUS
from perennial.settings import Discovery


class EventBus(Construct):
    """The bus `perennial`. The organization or the listed accounts may send to it, nobody else.

    `organization` is the organization's id (o-…), a condition of the policy. A policy of 10,240 bytes holds about 35
    listed accounts: beyond, name the organization.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Discovery, organization: str | None) -> None:
        super().__init__(scope, construct_id)
        self.bus = aws_events.EventBus(self, "Bus", event_bus_name=BUS, description="Certificate events")
        if settings.accounts:
            self._admit_accounts(settings.accounts)
        if settings.organization and organization:
            self._admit_organization(organization)
        elif settings.organization:
            Annotations.of(self).add_warning_v2(
                "perennial:organization",
                'accounts = "organization", but the organization\'s id is not known: member accounts cannot send '
                "events, and changes there are seen by the next scheduled scan. Add -c organization=o-…",
            )

    def _admit_organization(self, organization: str) -> None:
        condition = {"StringEquals": {"aws:PrincipalOrgID": organization}}
        self._admit("Organization", {"Principal": "*", "Condition": condition})

    def _admit_accounts(self, accounts: Sequence[str]) -> None:
        partition = Stack.of(self).partition
        for account in accounts:
            self._admit(f"Account{account}", {"Principal": {"AWS": f"arn:{partition}:iam::{account}:root"}})

    def _admit(self, statement_id: str, statement: dict[str, object]) -> None:
        aws_events.CfnEventBusPolicy(
            self,
            statement_id,
            event_bus_name=self.bus.event_bus_name,
            statement_id=statement_id,
            statement={
                "Sid": statement_id,
                "Effect": "Allow",
                "Action": "events:PutEvents",
                "Resource": self.bus.event_bus_arn,
                **statement,
            },
        )
