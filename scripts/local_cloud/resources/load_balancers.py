"""Resource types of Elastic Load Balancing, which is a fake: ministack's own types fill a store that nobody reads."""

from __future__ import annotations

from typing import Any

from local_cloud.resources.interface import Made, Properties, ResourceType, Services, only, own_tags


def _elbv2(services: Services) -> Any:
    return services.client("elbv2", "elasticloadbalancing")


def _load_balancer(services: Services, name: str, properties: Properties) -> Made:
    names = ("Subnets", "SubnetMappings", "SecurityGroups", "Scheme", "Type", "IpAddressType")
    request = {"Name": properties.get("Name", _short(name)), **only(properties, *names), **own_tags(properties)}
    elbv2 = _elbv2(services)
    made = elbv2.create_load_balancer(**request)["LoadBalancers"][0]
    arn = made["LoadBalancerArn"]
    if attributes := properties.get("LoadBalancerAttributes"):
        elbv2.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)
    return arn, {
        "LoadBalancerArn": arn,
        "LoadBalancerName": made["LoadBalancerName"],
        "LoadBalancerFullName": arn.partition(":loadbalancer/")[2],
        "DNSName": made["DNSName"],
        "CanonicalHostedZoneID": made.get("CanonicalHostedZoneId", ""),
        "SecurityGroups": made.get("SecurityGroups", []),
    }


def _short(name: str) -> str:
    """A name of at most 32 characters that keeps its end, which makes it unique."""
    return name[-32:].strip("-")


def _delete_load_balancer(services: Services, physical_id: str, properties: Properties) -> None:
    _elbv2(services).delete_load_balancer(LoadBalancerArn=physical_id)


def _target_group(services: Services, name: str, properties: Properties) -> Made:
    apart = ("Name", "Tags", "Targets", "TargetGroupAttributes")
    settings = {key: value for key, value in properties.items() if key not in apart}
    elbv2 = _elbv2(services)
    request = {"Name": properties.get("Name", _short(name)), **settings, **own_tags(properties)}
    made = elbv2.create_target_group(**request)["TargetGroups"][0]
    arn = made["TargetGroupArn"]
    if targets := properties.get("Targets"):
        elbv2.register_targets(TargetGroupArn=arn, Targets=targets)
    full_name = arn.rpartition(":")[2]
    return arn, {"TargetGroupArn": arn, "TargetGroupName": made["TargetGroupName"], "TargetGroupFullName": full_name}


def _delete_target_group(services: Services, physical_id: str, properties: Properties) -> None:
    _elbv2(services).delete_target_group(TargetGroupArn=physical_id)


def _listener(services: Services, name: str, properties: Properties) -> Made:
    settings = {key: value for key, value in properties.items() if key not in ("Tags", "ListenerAttributes")}
    arn = _elbv2(services).create_listener(**settings, **own_tags(properties))["Listeners"][0]["ListenerArn"]
    return arn, {"ListenerArn": arn}


def _update_listener(services: Services, physical_id: str, properties: Properties) -> Made:
    names = ("Port", "Protocol", "SslPolicy", "Certificates", "DefaultActions", "AlpnPolicy", "MutualAuthentication")
    _elbv2(services).modify_listener(ListenerArn=physical_id, **only(properties, *names))
    return physical_id, {"ListenerArn": physical_id}


def _delete_listener(services: Services, physical_id: str, properties: Properties) -> None:
    _elbv2(services).delete_listener(ListenerArn=physical_id)


def _rule(services: Services, name: str, properties: Properties) -> Made:
    request = only(properties, "ListenerArn", "Conditions", "Priority", "Actions")
    arn = _elbv2(services).create_rule(**request, **own_tags(properties))["Rules"][0]["RuleArn"]
    return arn, {"RuleArn": arn, "IsDefault": False}


def _delete_rule(services: Services, physical_id: str, properties: Properties) -> None:
    _elbv2(services).delete_rule(RuleArn=physical_id)


def _listener_certificates(services: Services, name: str, properties: Properties) -> Made:
    _elbv2(services).add_listener_certificates(**only(properties, "ListenerArn", "Certificates"))
    return f"{name}|{properties['ListenerArn']}", {}


def _delete_listener_certificates(services: Services, physical_id: str, properties: Properties) -> None:
    _elbv2(services).remove_listener_certificates(**only(properties, "ListenerArn", "Certificates"))


TYPES = {
    "AWS::ElasticLoadBalancingV2::Listener": ResourceType(_listener, _delete_listener, _update_listener),
    "AWS::ElasticLoadBalancingV2::ListenerCertificate": ResourceType(
        _listener_certificates, _delete_listener_certificates
    ),
    "AWS::ElasticLoadBalancingV2::ListenerRule": ResourceType(_rule, _delete_rule),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ResourceType(_load_balancer, _delete_load_balancer),
    "AWS::ElasticLoadBalancingV2::TargetGroup": ResourceType(_target_group, _delete_target_group),
}
