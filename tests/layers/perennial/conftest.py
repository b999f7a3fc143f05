"""A fresh in-memory deployment for each test that asks for one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from estate import HUB, REGION, Clock, Estate, Source
from inventory_table import create_table
from perennial import discovery
from perennial.deployment import Deployment

_numbers = itertools.count()


@pytest.fixture
def estate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Estate]:
    """A hub without certificates: table, bucket, topic, bus, Security Hub, and two scripted sources."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        table = f"inventory-{next(_numbers)}"
        create_table(boto3.client("dynamodb"), table)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="manifests", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket="manifests", Key="settings.toml", Body=b"")
        boto3.client("events").create_event_bus(Name="perennial")
        boto3.client("securityhub").enable_security_hub()
        queue = boto3.client("sqs").create_queue(QueueName="alerts")["QueueUrl"]
        topic = boto3.client("sns").create_topic(Name="findings")["TopicArn"]
        boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{HUB}:alerts")
        environment = {
            "PERENNIAL_TABLE": table,
            "PERENNIAL_BUCKET": "manifests",
            "PERENNIAL_SETTINGS_BUCKET": "manifests",
            "PERENNIAL_SETTINGS_KEY": "settings.toml",
            "PERENNIAL_TOPIC_ARN": topic,
            "PERENNIAL_BUS_NAME": "perennial",
        }
        clock = Clock()
        made = Estate(Deployment(environment, clock), clock, Source("acm"), Source("elbv2"), queue)
        scripted = {"acm": made.acm, "elbv2": made.elbv2}
        monkeypatch.setattr(discovery, "scanner", lambda name: scripted[name].scanner())
        monkeypatch.setattr(discovery, "sources", lambda: tuple(scripted))
        yield made
