"""One Lambda that does what the tests of the local cloud want to see: greet, fail, count, look into other accounts."""

import os
from typing import Any

import boto3
import greeting


class Flaky(Exception):
    """Goes away when one tries again."""


class Final(Exception):
    """Does not."""


def handler(event: dict[str, Any], context: Any) -> Any:
    """Do what ``event["do"]`` names."""
    return {"greet": greet, "flaky": flaky, "final": final, "whoami": whoami}[event["do"]](event)


def greet(event: dict[str, Any]) -> dict[str, Any]:
    print("greeting", event["name"])
    return {"text": f"{greeting.GREETING}, {event['name']}"}


def flaky(event: dict[str, Any]) -> dict[str, Any]:
    table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
    counted = table.update_item(
        Key={"pk": event["id"]},
        UpdateExpression="ADD attempts :one",
        ExpressionAttributeValues={":one": 1},
        ReturnValues="UPDATED_NEW",
    )
    attempts = int(counted["Attributes"]["attempts"])
    if attempts < 3:
        raise Flaky(f"attempt {attempts}")
    return {"attempts": attempts}


def final(event: dict[str, Any]) -> None:
    raise Final("no way")


def whoami(event: dict[str, Any]) -> dict[str, Any]:
    """The account and region of this function, its environment, and the account of the session of a role."""
    sts = boto3.client("sts")
    keys = sts.assume_role(RoleArn=event["role"], RoleSessionName="tiny")["Credentials"]
    there = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    return {
        "account": sts.get_caller_identity()["Account"],
        "region": os.environ["AWS_REGION"],
        "environment": sorted(os.environ),
        "layer": greeting.__file__,
        "account_of_role": there.client("sts").get_caller_identity()["Account"],
        "buckets_of_role": [bucket["Name"] for bucket in there.client("s3").list_buckets()["Buckets"]],
    }
