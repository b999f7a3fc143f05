"""CloudFormation resource types that ministack lacks, or whose service is a fake of the local cloud.

Each type is created by the same API call that a person would make, through a client inside the process, so that a
resource from a stack and one from an SDK cannot differ. A type is one entry in the ``TYPES`` of its module.
`RECORDED_ONLY` names the types that have no effect here.
"""

from __future__ import annotations

import hashlib
from typing import Any

from local_cloud.resources import certificates, events, load_balancers, security
from local_cloud.resources.interface import Made, Properties, ResourceType, Services, nothing

__all__ = ["RECORDED_ONLY", "TYPES", "Services", "handlers"]

RECORDED_ONLY = (
    "AWS::Logs::QueryDefinition",
    "AWS::ResourceGroups::Group",
    "AWS::SecretsManager::RotationSchedule",
    "AWS::WAFv2::WebACLAssociation",
    "AWS::XRay::Group",
    "AWS::XRay::SamplingRule",
)
"""Types that a stack may contain and that nothing in Perennial observes: accepted, without effect."""


def handlers(services: Services) -> dict[str, dict[str, Any]]:
    """Handlers for every type of this package, by type name, in the form of ministack's provisioners."""
    return {name: _handler(services, kind) for name, kind in TYPES.items()}


def _handler(services: Services, kind: ResourceType) -> dict[str, Any]:
    def create(logical_id: str, properties: Properties, stack: str) -> Made:
        return kind.create(services, _name(stack, logical_id), properties)

    def update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
        if kind.update:
            return kind.update(services, physical_id, new)
        made = create(logical_id, new, stack)
        delete(physical_id, old)
        return made

    def delete(physical_id: str, properties: Properties) -> None:
        kind.delete(services, physical_id, properties)

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}


def _name(stack: str, logical_id: str) -> str:
    """A physical name of at most 48 characters (the limit of an event archive), the same on every deployment."""
    digest = hashlib.sha256(f"{stack}/{logical_id}".encode()).hexdigest()[:8]
    return f"{f'{stack}-{logical_id}'[:39]}-{digest}"


def _recorded(services: Services, name: str, properties: Properties) -> Made:
    return name, {"Id": name, "Arn": f"arn:aws:local:{services.region()}:{services.account()}:{name}"}


TYPES: dict[str, ResourceType] = {
    **certificates.TYPES,
    **events.TYPES,
    **load_balancers.TYPES,
    **security.TYPES,
    **{name: ResourceType.put(_recorded, nothing) for name in RECORDED_ONLY},
}
