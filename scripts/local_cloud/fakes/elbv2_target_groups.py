"""Target groups of the Elastic Load Balancing (version 2) fake: enough for listeners to forward to something.

Source: the documentation of CreateTargetGroup, DeleteTargetGroup and RegisterTargets; "Lambda functions as targets".
Targets are never contacted: each registered one is healthy.
"""

from __future__ import annotations

import re
from typing import Any

from local_cloud.fakes.elbv2_state import PAGES, TAGS, Region, TargetGroup, new_id
from local_cloud.fakes.service import FakeService, ServiceError

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?")
_FUNCTION = re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]{1,64}(:[A-Za-z0-9_$-]+)?")


class TargetGroups(FakeService[Region]):
    """The operations on target groups and their targets."""

    def create_target_group(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        name = request["Name"]
        if not NAME.fullmatch(name):
            raise ServiceError("ValidationError", f"Target group name '{name}' is not valid")
        if name in {group.name for group in state.target_groups.values()}:
            raise ServiceError("DuplicateTargetGroupName", f"A target group with the name '{name}' exists")
        arn = state.arn(f"targetgroup/{name}/{new_id()}")
        made = TargetGroup(arn, name, _settings(request), TAGS.merged({}, request.get("Tags", [])))
        state.target_groups[arn] = made
        return {"TargetGroups": [_shown(state, made)]}

    def describe_target_groups(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        found = _selected(state, request)
        page, marker = self.page(found, request, **PAGES)
        return {"TargetGroups": [_shown(state, group) for group in page], "NextMarker": marker}

    def delete_target_group(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["TargetGroupArn"]
        if any(arn in listener.target_groups() for listener in state.listeners.values()):
            raise ServiceError("ResourceInUse", f"Target group '{arn}' is currently in use by a listener or a rule")
        state.target_groups.pop(arn, None)
        return {}

    def register_targets(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        group = state.target_group(request["TargetGroupArn"])
        if group.settings["TargetType"] == "lambda":
            _check_function(group, request["Targets"])
        port = {"Port": group.settings["Port"]} if "Port" in group.settings else {}
        given = [port | target for target in request["Targets"]]
        group.targets += [target for target in given if target not in group.targets]
        return {}

    def deregister_targets(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        group = state.target_group(request["TargetGroupArn"])
        for gone in request["Targets"]:
            group.targets = [target for target in group.targets if not gone.items() <= target.items()]
        return {}

    def describe_target_health(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        targets = state.target_group(request["TargetGroupArn"]).targets
        return {
            "TargetHealthDescriptions": [{"Target": item, "TargetHealth": {"State": "healthy"}} for item in targets]
        }


def _check_function(group: TargetGroup, targets: list[dict[str, Any]]) -> None:
    """One function for each target group, named by its ARN."""
    for target in targets:
        if not _FUNCTION.fullmatch(target["Id"]):
            raise ServiceError("InvalidTarget", f"Target '{target['Id']}' is not the ARN of a Lambda function")
    if len({target["Id"] for target in (*group.targets, *targets)}) > 1:
        raise ServiceError("TooManyTargets", f"Target group '{group.arn}' can have one Lambda function")


def _settings(request: dict[str, Any]) -> dict[str, Any]:
    """What DescribeTargetGroups shows: the request over the defaults of the API."""
    kind = request.get("TargetType", "instance")
    if kind != "lambda" and not ("Protocol" in request and "Port" in request):
        raise ServiceError("ValidationError", "A protocol and a port must be specified")
    defaults = {
        "TargetType": kind,
        "HealthCheckProtocol": "HTTP" if request.get("Protocol") in ("HTTP", "HTTPS") else "TCP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckEnabled": kind != "lambda",
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2,
        "IpAddressType": "ipv4",
    }
    return defaults | {key: value for key, value in request.items() if key not in ("Name", "Tags")}


def _selected(state: Region, request: dict[str, Any]) -> list[TargetGroup]:
    if arns := request.get("TargetGroupArns"):
        return [state.target_group(arn) for arn in arns]
    found = list(state.target_groups.values())
    if names := request.get("Names"):
        found = [group for group in found if group.name in names]
        if len(found) < len(set(names)):
            raise ServiceError("TargetGroupNotFound", "One or more target groups not found")
    if owner := request.get("LoadBalancerArn"):
        state.load_balancer(owner)
        found = [group for group in found if owner in _load_balancers(state, group)]
    return found


def _load_balancers(state: Region, group: TargetGroup) -> list[str]:
    using = {item.load_balancer for item in state.listeners.values() if group.arn in item.target_groups()}
    return sorted(using)


def _shown(state: Region, group: TargetGroup) -> dict[str, Any]:
    names = {"TargetGroupArn": group.arn, "TargetGroupName": group.name}
    return names | group.settings | {"LoadBalancerArns": _load_balancers(state, group)}
