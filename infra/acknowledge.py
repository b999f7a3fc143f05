"""Acknowledged findings of cdk-nag: each with the reason, next to what it concerns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import aws_cdk as cdk
from constructs import Construct


def acknowledge(construct: Construct, reasons: Mapping[str, str]) -> None:
    """Acknowledge rules of the AwsSolutions pack on a construct: rule without the pack's name → reason."""
    for rule, reason in reasons.items():
        cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=f"AwsSolutions-{rule}", reason=reason))


def acknowledge_wildcards(construct: Construct, resources: Iterable[str], reason: str) -> None:
    """Acknowledge IAM5 for each resource that holds a wildcard. A resource without one needs no word."""
    written = {_written(cdk.Stack.of(construct).resolve(resource)) for resource in resources}
    acknowledge(construct, {f"IAM5[Resource::{each}]": reason for each in sorted(written) if "*" in each})


def _written(value: Any) -> str:
    """A CloudFormation value the way cdk-nag writes it in the id of a finding: `<Logical.Arn>/runs/*`."""
    if isinstance(value, str):
        return value
    match value:
        case {"Fn::Join": [delimiter, parts]}:
            return str(delimiter).join(_written(part) for part in parts)
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"<{resource}.{attribute}>"
        case {"Ref": name}:
            return f"<{name}>"
    return json.dumps(value, separators=(",", ":"))
