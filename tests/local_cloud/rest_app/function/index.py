"""The functions of the REST APIs that the tests call: one that shows its event, and a REQUEST authorizer."""

import json
import time
import urllib.request
from typing import Any

RUNS = {"authorizer": 0}


def handler(event: dict[str, Any], context: Any) -> Any:
    """Answer as the path says: with the event itself, late, with an error, or with what is no proxy reply."""
    kind = (event["pathParameters"] or {}).get("proxy", "").partition("/")[0]
    version = context.invoked_function_arn.rpartition(":")[2]
    if kind == "late":
        time.sleep(1.5)
    if kind == "broken":
        raise ValueError("nobody may see this")
    if kind == "malformed":
        return json.loads(event["body"])
    body = {"event": event, "version": version}
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}


def keys(event: dict[str, Any], context: Any) -> Any:
    """What a URL answers, fetched as any function does, with Python's own roots."""
    with urllib.request.urlopen(event["url"], timeout=10) as answer:
        return json.load(answer)


def authorizer(event: dict[str, Any], context: Any) -> Any:
    """Answer as the token says. `runs` tells how often this worker was asked."""
    RUNS["authorizer"] += 1
    token = event["headers"]["authorization"].removeprefix("Bearer ").partition(".")[0]
    stage = event["methodArn"].split("/", 2)
    if token == "unauthorized":
        raise ValueError("Unauthorized")
    if token == "almost":
        raise ValueError("unauthorized")
    if token == "other":
        raise ValueError("the key server is down")
    if token == "config":
        return {"principalId": "ada"}
    action, effect = ("execute-api:*", "Deny") if token == "deny" else ("execute-api:Invoke", "Allow")
    resource = f"{stage[0]}/{stage[1]}/{'GET/own/*' if token == 'narrow' else '*'}"
    if token == "action":
        action = "s3:GetObject"
    context_value: dict[str, Any] = {"runs": RUNS["authorizer"], "yes": True, "seen": json.dumps(event)}
    if token == "nested":
        context_value["list"] = [1]
    if token == "large":
        context_value["large"] = "x" * 9_000
    statement = {"Action": action, "Effect": effect, "Resource": resource}
    return {
        "principalId": "ada",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": context_value,
    }
