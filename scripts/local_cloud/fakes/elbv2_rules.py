"""Rules of listeners in the Elastic Load Balancing (version 2) fake: their order and what they refer to.

Source: the documentation of CreateRule, ModifyRule, DeleteRule and DescribeRules. Conditions are kept as given: no
request is ever routed by them.
"""

from __future__ import annotations

from typing import Any

from local_cloud.fakes.elbv2_listeners import checked_actions
from local_cloud.fakes.elbv2_state import PAGES, TAGS, Listener, LoadBalancer, Region, Rule, new_id
from local_cloud.fakes.service import FakeService, ServiceError

_FIELDS = ("host-header", "http-header", "http-request-method", "path-pattern", "query-string", "source-ip")


class Rules(FakeService[Region]):
    """The operations on rules."""

    def create_rule(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        listener = state.listener(request["ListenerArn"])
        priority = str(request["Priority"])
        if priority in {rule.priority for rule in listener.rules.values()}:
            raise ServiceError("PriorityInUse", f"Priority '{priority}' is currently in use")
        rule = Rule(
            arn=listener.arn.replace(":listener/", ":listener-rule/") + "/" + new_id(),
            priority=priority,
            conditions=_checked_conditions(request["Conditions"]),
            actions=checked_actions(state, state.load_balancer(listener.load_balancer), request["Actions"]),
            tags=TAGS.merged({}, request.get("Tags", [])),
        )
        listener.rules[rule.arn] = rule
        return {"Rules": [_shown(rule)]}

    def modify_rule(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        rule = _own_rule(state, request["RuleArn"], "modified")
        if "Conditions" not in request and "Actions" not in request:
            raise ServiceError("ValidationError", "Either conditions or actions must be specified")
        conditions = _checked_conditions(request.get("Conditions", rule.conditions))
        actions = checked_actions(state, _owner(state, rule), request.get("Actions", rule.actions))
        rule.conditions, rule.actions = conditions, actions
        return {"Rules": [_shown(rule)]}

    def delete_rule(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        rule = _own_rule(state, request["RuleArn"], "deleted")
        del _listener(state, rule).rules[rule.arn]
        return {}

    def describe_rules(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        arns, listener = request.get("RuleArns"), request.get("ListenerArn")
        if bool(arns) == bool(listener):
            raise ServiceError("ValidationError", "You must specify either rule ARNs or a listener ARN")
        found = [state.rule(arn) for arn in arns] if arns else list(state.listener(listener or "").rules.values())
        ordered = sorted(found, key=lambda rule: (rule.priority == "default", rule.priority.zfill(6)))
        page, marker = self.page(ordered, request, **PAGES)
        return {"Rules": [_shown(rule) for rule in page], "NextMarker": marker}


def _shown(rule: Rule) -> dict[str, Any]:
    return {
        "RuleArn": rule.arn,
        "Priority": rule.priority,
        "Conditions": rule.conditions,
        "Actions": rule.actions,
        "IsDefault": rule.priority == "default",
    }


def _own_rule(state: Region, arn: str, what: str) -> Rule:
    rule = state.rule(arn)
    if rule.priority == "default":
        raise ServiceError("OperationNotPermitted", f"Default rule '{arn}' cannot be {what}")
    return rule


def _listener(state: Region, rule: Rule) -> Listener:
    return next(listener for listener in state.listeners.values() if rule.arn in listener.rules)


def _owner(state: Region, rule: Rule) -> LoadBalancer:
    return state.load_balancer(_listener(state, rule).load_balancer)


def _checked_conditions(conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not conditions:
        raise ServiceError("ValidationError", "A condition must be specified")
    for condition in conditions:
        if condition.get("Field") not in _FIELDS:
            allowed = ",".join(_FIELDS)
            raise ServiceError(
                "ValidationError", f"Condition field '{condition.get('Field')}' must be one of '[{allowed}]'"
            )
    return conditions
