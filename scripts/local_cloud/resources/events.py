"""Resource types of EventBridge and CloudWatch."""

from __future__ import annotations

import json
from typing import Any

from local_cloud.resources.interface import Made, Properties, ResourceType, Services, only, own_tags


def _archive(services: Services, name: str, properties: Properties) -> Made:
    name = properties.get("ArchiveName", name)
    events = services.client("events")
    request = {"ArchiveName": name, **only(properties, "Description", "RetentionDays")}
    if "EventPattern" in properties:
        request["EventPattern"] = json.dumps(properties["EventPattern"])
    if any(archive["ArchiveName"] == name for archive in events.list_archives(NamePrefix=name)["Archives"]):
        arn = events.update_archive(**request)["ArchiveArn"]
    else:
        arn = events.create_archive(EventSourceArn=properties["SourceArn"], **request)["ArchiveArn"]
    return name, {"ArchiveName": name, "Arn": arn}


def _delete_archive(services: Services, physical_id: str, properties: Properties) -> None:
    services.client("events").delete_archive(ArchiveName=physical_id)


def _bus_policy(services: Services, name: str, properties: Properties) -> Made:
    statement = properties.get("Statement", properties)
    request = {
        "EventBusName": properties.get("EventBusName", "default"),
        "StatementId": properties["StatementId"],
        "Action": "events:PutEvents",
        "Principal": _account_of(statement.get("Principal", "*")),
    }
    if "Condition" in statement:
        request["Condition"] = _condition(statement["Condition"])
    services.client("events").put_permission(**request)
    return f"{request['EventBusName']}|{request['StatementId']}", {}


def _condition(condition: dict[str, Any]) -> dict[str, str]:
    """``PutPermission`` takes one condition, spelt out; a policy nests it as operator, key and value."""
    if "Type" in condition:
        return condition
    [(operator, keys)] = condition.items()
    [(key, value)] = keys.items()
    return {"Type": operator, "Key": key, "Value": value}


def _account_of(principal: Any) -> str:
    """``PutPermission`` takes one account id or ``*``; a policy may name the account's root. Raises ValueError."""
    named = principal["AWS"] if isinstance(principal, dict) else principal
    match named if isinstance(named, list) else [named]:
        case [str(one)]:
            return one.split(":")[4] if one.startswith("arn:") else one
    raise ValueError(f"a bus policy of the local cloud names one principal in a statement, not {named}")


def _delete_bus_policy(services: Services, physical_id: str, properties: Properties) -> None:
    bus, _, statement = physical_id.partition("|")
    services.client("events").remove_permission(EventBusName=bus, StatementId=statement)


def _composite_alarm(services: Services, name: str, properties: Properties) -> Made:
    name = properties.get("AlarmName", name)
    request = {**properties, "AlarmName": name, "Tags": [], **own_tags(properties)}
    services.client("cloudwatch", "monitoring").put_composite_alarm(**request)
    return name, {"Arn": f"arn:aws:cloudwatch:{services.region()}:{services.account()}:alarm:{name}"}


def _delete_alarm(services: Services, physical_id: str, properties: Properties) -> None:
    services.client("cloudwatch", "monitoring").delete_alarms(AlarmNames=[physical_id])


TYPES = {
    "AWS::CloudWatch::CompositeAlarm": ResourceType.put(_composite_alarm, _delete_alarm),
    "AWS::Events::Archive": ResourceType.put(_archive, _delete_archive),
    "AWS::Events::EventBusPolicy": ResourceType.put(_bus_policy, _delete_bus_policy),
}
