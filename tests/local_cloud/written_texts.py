"""Everything that a deployed hub writes, says or keeps outside Secrets Manager, and the search of it for secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from deployed import ACCOUNTS, HUB_ACCOUNT, Hub
from issuing_hub import IssuingHub
from test_private_keys import Listeners, items, logs

from key_search import Known

_OF_CDK = "cdk-"  # buckets of what was deployed, which nothing writes afterwards


@dataclass
class Search:
    """Looks through everything new each time that it is asked. `heard` are messages, which are read only once."""

    issuing: IssuingHub
    listeners: Listeners
    heard: dict[str, list[str]] = field(default_factory=dict)
    _searched: set[int] = field(default_factory=set)

    def written(self) -> dict[str, list[bytes | str]]:
        """All of it, by where."""
        for queue, said in self.listeners.heard().items():
            self.heard.setdefault(queue, []).extend(said)
        hub = self.issuing.hub
        return {
            "logs": list(logs(hub)),
            "table": list(items(hub)),
            "objects": list(_objects(hub)),
            "executions": list(_executions(hub)),
            "command": list(self.issuing.said),
            "records": [json.dumps(each) for each in _records(hub)],
            **{f"queue {name}": list(said) for name, said in self.heard.items()},
        }

    def places(self, known: Known, texts: Mapping[str, list[bytes | str]]) -> dict[str, list[bytes | str]]:
        """Where a secret is shown, and the beginning of what shows it."""
        shown = {where: [each[:300] for each in found if known.shown_in(each)] for where, found in texts.items()}
        return {where: found for where, found in shown.items() if found}

    def of_new(self) -> dict[str, list[bytes | str]]:
        """Where a secret of Secrets Manager is shown in what was not searched before: keys are new in each test, so
        what was written before them cannot show them."""
        new: dict[str, list[bytes | str]] = {}
        for where, texts in self.written().items():
            new[where] = [each for each in texts if hash(each) not in self._searched]
            self._searched.update(map(hash, texts))
        return self.places(held(self.issuing.hub), new)


def held(hub: Hub) -> Known:
    """What Secrets Manager holds: the private keys of certificates and accounts, and the keys of account bindings."""
    contents = list(_contents(hub.client("secretsmanager")))
    keys = [load_pem_private_key(each["private_key"].encode(), None) for each in contents if each.get("private_key")]
    return Known.of(keys, [each["hmac_key"] for each in contents if "hmac_key" in each])


def _contents(client: Any) -> Iterator[dict[str, str]]:
    """Every version of every secret, those without a stage too."""
    for page in client.get_paginator("list_secrets").paginate():
        for secret in page["SecretList"]:
            listed = client.list_secret_version_ids(SecretId=secret["ARN"], IncludeDeprecated=True)["Versions"]
            for version in listed:
                value = client.get_secret_value(SecretId=secret["ARN"], VersionId=version["VersionId"])
                if "SecretString" in value:  # the emulator lists a version of a secret that has no value yet
                    yield json.loads(value["SecretString"])


def _objects(hub: Hub) -> Iterator[bytes]:
    """Every object in every bucket but CDK's own, and its key."""
    client = hub.client("s3")
    for bucket in (each["Name"] for each in client.list_buckets()["Buckets"] if not each["Name"].startswith(_OF_CDK)):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for each in page.get("Contents", ()):
                yield each["Key"].encode()
                yield client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()


def _executions(hub: Hub) -> Iterator[str]:
    """Input, output, error and history of every execution of every state machine."""
    client = hub.client("stepfunctions")
    for machine in client.list_state_machines()["stateMachines"]:
        pages = client.get_paginator("list_executions").paginate(stateMachineArn=machine["stateMachineArn"])
        for each in (found for page in pages for found in page["executions"]):
            yield json.dumps(client.describe_execution(executionArn=each["executionArn"]), default=str)
            yield json.dumps(hub.history(each["executionArn"]), default=str)


def _records(hub: Hub) -> Iterator[Any]:
    """What the zones of both accounts show, and the tags and descriptions of keys and secrets."""
    for account in ACCOUNTS:
        client = hub.client("route53", account)
        for zone in client.list_hosted_zones()["HostedZones"]:
            yield client.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    for secret in hub.client("secretsmanager", HUB_ACCOUNT).list_secrets()["SecretList"]:
        yield {name: str(value) for name, value in secret.items()}
