"""The permissions of a discovery role: the union of what the scanners declare, each no wider than AWS lets it be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aws_cdk import aws_iam

from perennial.scanners import scanners
from perennial.settings import Discovery

OF_EVERY_SCAN = ("ec2:DescribeRegions", "tag:GetResources")
EVERYTHING = (
    "Discovery reads every certificate of the account, whatever its name: listing and describing calls have no "
    "resource-level permission, or would have to name each certificate in advance. All of these actions read only."
)
_DOMAIN_NAMES = "apigateway:GET"  # would read every API's definition
_SECRET = "secretsmanager:GetSecretValue"  # noqa: S105 - an action


def declared_actions(settings: Discovery, *, hub: bool) -> list[str]:
    """The actions of every configured source; those of hub-only sources only in the hub."""
    wanted = [each for name, each in scanners().items() if not settings.sources or name in settings.sources]
    actions = {action for each in wanted if hub or not each.hub_only for action in each.actions}
    return sorted(actions | set(OF_EVERY_SCAN))


def discovery_statements(settings: Discovery, *, partition: str, hub: bool) -> list[aws_iam.PolicyStatement]:
    """What a role that scans may do in its own account."""
    actions = declared_actions(settings, hub=hub)
    statements = [_allow([each for each in actions if each not in (_DOMAIN_NAMES, _SECRET)], ["*"])]
    if _DOMAIN_NAMES in actions:
        statements.append(_allow([_DOMAIN_NAMES], [f"arn:{partition}:apigateway:*::/domainnames"]))
    if _SECRET in actions:
        statements += _secrets(settings, partition)
    return statements


def resources(statements: Iterable[aws_iam.PolicyStatement]) -> list[str]:
    """Every resource of the statements."""
    return [resource for each in statements for resource in each.resources]


def _secrets(settings: Discovery, partition: str) -> list[aws_iam.PolicyStatement]:
    """Only the secrets that the configuration selects, by tag or by the beginning of the name."""
    tagged = {"Null": {f"secretsmanager:ResourceTag/{settings.secret_tag}": "false"}}
    statements = [_allow([_SECRET], [f"arn:{partition}:secretsmanager:*:*:secret:*"], tagged)]
    if settings.secret_prefixes:
        named = [f"arn:{partition}:secretsmanager:*:*:secret:{prefix}*" for prefix in settings.secret_prefixes]
        statements.append(_allow([_SECRET], named))
    return statements


def _allow(
    actions: list[str], resources: list[str], conditions: Mapping[str, Mapping[str, str]] | None = None
) -> aws_iam.PolicyStatement:
    return aws_iam.PolicyStatement(actions=actions, resources=resources, conditions=conditions)
