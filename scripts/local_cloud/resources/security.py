"""Resource types of Secrets Manager and Security Hub."""

from __future__ import annotations

import json

from local_cloud.resources.interface import Made, Properties, ResourceType, Services, only


def _secret_policy(services: Services, name: str, properties: Properties) -> Made:
    policy = json.dumps(properties["ResourcePolicy"])
    services.client("secretsmanager").put_resource_policy(SecretId=properties["SecretId"], ResourcePolicy=policy)
    return properties["SecretId"], {}


def _delete_secret_policy(services: Services, physical_id: str, properties: Properties) -> None:
    services.client("secretsmanager").delete_resource_policy(SecretId=physical_id)


def _hub(services: Services, name: str, properties: Properties) -> Made:
    request = only(properties, "EnableDefaultStandards", "ControlFindingGenerator", "Tags")
    hub = services.client("securityhub")
    hub.enable_security_hub(**request)
    arn = hub.describe_hub()["HubArn"]
    return arn, {"ARN": arn}


def _delete_hub(services: Services, physical_id: str, properties: Properties) -> None:
    services.client("securityhub").disable_security_hub()


TYPES = {
    "AWS::SecretsManager::ResourcePolicy": ResourceType.put(_secret_policy, _delete_secret_policy),
    "AWS::SecurityHub::Hub": ResourceType(_hub, _delete_hub),
}
