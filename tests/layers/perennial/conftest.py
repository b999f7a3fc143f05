"""A fresh in-memory deployment for each test that asks for one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import boto3
import pytest
from moto import mock_aws

from estate import HUB, REGION, Clock, Estate, Source
from inventory_table import create_table
from perennial import discovery
from perennial.clients import Clients
from perennial.deployment import Deployment
from secrecy import nothing_secret  # noqa: F401 - a fixture for every test

_numbers = itertools.count()


@contextmanager
def in_memory_hub(configuration: bytes = b"") -> Iterator[Estate]:
    """A hub without certificates: table, bucket, topic, bus, Security Hub, and two scripted sources."""
    with pytest.MonkeyPatch.context() as patched, mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(name, "testing")
        patched.setenv("AWS_DEFAULT_REGION", REGION)
        patched.delenv("AWS_ENDPOINT_URL", raising=False)
        made = _made(configuration)
        scripted = {"acm": made.acm, "elbv2": made.elbv2}
        patched.setattr(discovery, "scanner", lambda name: scripted[name].scanner())
        patched.setattr(discovery, "sources", lambda: tuple(scripted))
        yield made


@cache
def _clients() -> Clients:
    """The same clients for all tests: making one reads its service's model anew."""
    return Clients(boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION))


def _made(configuration: bytes) -> Estate:
    clients = _clients()
    table = f"inventory-{next(_numbers)}"
    create_table(clients("dynamodb"), table)
    s3 = clients("s3")
    s3.create_bucket(Bucket="manifests", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="manifests", Key="settings.toml", Body=configuration)
    clients("events").create_event_bus(Name="perennial")
    clients("securityhub").enable_security_hub()
    queue = clients("sqs").create_queue(QueueName="alerts")["QueueUrl"]
    topic = clients("sns").create_topic(Name="findings")["TopicArn"]
    clients("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{HUB}:alerts")
    environment = {
        "PERENNIAL_TABLE": table,
        "PERENNIAL_BUCKET": "manifests",
        "PERENNIAL_SETTINGS_BUCKET": "manifests",
        "PERENNIAL_SETTINGS_KEY": "settings.toml",
        "PERENNIAL_TOPIC_ARN": topic,
        "PERENNIAL_BUS_NAME": "perennial",
    }
    clock = Clock()
    deployment = Deployment(environment, clock)
    deployment.__dict__["clients"] = clients
    return Estate(deployment, clock, Source("acm"), Source("elbv2"), queue)


@pytest.fixture
def estate() -> Iterator[Estate]:
    """A fresh in-memory hub."""
    with in_memory_hub() as made:
        yield made


@pytest.fixture
def fresh_estate() -> Any:
    """Makes hubs of one's own, where one test needs several."""
    return in_memory_hub
