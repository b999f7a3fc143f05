"""Act one: an estate, the deployment, Discovery, inventory and findings, a change, and a scan without any of it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from demonstration.stage import Stage
from example_estate import ACCOUNTS, REGIONS
from local_cloud.cloud import HUB_ACCOUNT, MEMBER_ACCOUNT, REGION
from local_cloud.deploy import App, deploy

CONFIGURATION = """# The demo's perennial.toml
[discovery]
accounts = {accounts}
regions = {regions}
endpoints = {endpoints}
secret_prefixes = ["tls/"]
concurrency = 8

[ownership.names]
"*.us-east-1.acct2.example.com" = "us-team"

[checks]
allowed_issuers = ["Example Corp", "Example Private", "Partner", "Amazon", "Example Short", "Example Old"]
"""
WAIT = 300  # seconds for a workflow
PATIENCE = 0.3


def run(stage: Stage) -> None:
    """The whole act."""
    build(stage)
    deploy_hub(stage)
    first(stage)
    again(stage)
    without_deployment(stage)


def build(stage: Stage) -> None:
    """An estate with everything that goes wrong."""
    stage.act("An estate: two accounts, two regions, every source")
    for what in stage.estate.build():
        stage.say(what)
    for account in ACCOUNTS:
        for region in REGIONS:
            stage.client("securityhub", account, region).enable_security_hub()
    stage.expect(stage.estate.certificates >= 200, f"{stage.estate.certificates} certificates, at least 200")


def deploy_hub(stage: Stage) -> None:
    """The real CDK app, with the real cdk deploy."""
    stage.act("cdk deploy: the hub, and what the member account needs")
    path = stage.cloud.directory / "perennial.toml"
    lists = {"accounts": ACCOUNTS, "regions": REGIONS, "endpoints": stage.estate.endpoints}
    path.write_text(CONFIGURATION.format(**{name: json.dumps(list(value)) for name, value in lists.items()}))
    app = App(stage.cloud.directory.parent.parent, context={"config": str(path)})
    stage.outputs = deploy(stage.cloud, app, HUB_ACCOUNT, REGION)["PerennialHub"]
    stage.say(f"PerennialHub in {HUB_ACCOUNT}: table {stage.outputs['TableName']}")
    member = App(app.directory, context={**app.context, "hub": stage.outputs["BusArn"]})
    deploy(stage.cloud, member, MEMBER_ACCOUNT, REGION)
    stage.say(f"PerennialMember in {MEMBER_ACCOUNT}: two roles, and rules that forward events")
    queue = stage.client("sqs").create_queue(QueueName="demo-alerts")["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{HUB_ACCOUNT}:demo-alerts"
    stage.client("sns").subscribe(TopicArn=stage.outputs["TopicArn"], Protocol="sqs", Endpoint=arn)
    stage.outputs["Alerts"] = queue


def execute(stage: Stage, name: str, scopes: Sequence[str] = ()) -> dict[str, Any]:
    """Run Discovery and wait for it, showing what it does; of some scopes only, as an event makes the tick do."""
    client, what = stage.client("stepfunctions"), json.dumps({"scopes": list(scopes)} if scopes else {})
    started = client.start_execution(stateMachineArn=stage.outputs["DiscoveryArn"], name=name, input=what)
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        execution = client.describe_execution(executionArn=started["executionArn"])
        if execution["status"] != "RUNNING":
            break
        time.sleep(PATIENCE)
    seconds = (execution.get("stopDate", execution["startDate"]) - execution["startDate"]).total_seconds()
    stage.expect(execution["status"] == "SUCCEEDED", f"Discovery {name}: {execution['status']} after {seconds:.0f} s")
    if execution["status"] != "SUCCEEDED":
        stage.say(f"{execution.get('error')}: {str(execution.get('cause'))[:500]}")
    return dict(execution)


def in_security_hub(stage: Stage) -> list[dict[str, Any]]:
    """Every finding that Security Hub has, of all accounts and regions."""
    found: list[dict[str, Any]] = []
    for account in ACCOUNTS:
        for region in REGIONS:
            pages = stage.client("securityhub", account, region).get_paginator("get_findings").paginate()
            found += [finding for page in pages for finding in page["Findings"]]
    return found


def alerts(stage: Stage) -> list[str]:
    """The messages that people got since the last look."""
    sqs, texts = stage.client("sqs"), []
    while messages := sqs.receive_message(QueueUrl=stage.outputs["Alerts"], MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            texts.append(str(json.loads(message["Body"])["Message"]))
            sqs.delete_message(QueueUrl=stage.outputs["Alerts"], ReceiptHandle=message["ReceiptHandle"])
    return texts


def first(stage: Stage) -> None:
    """The first run finds everything."""
    from perennial.checks import CHECKS

    stage.act("Discovery, through Step Functions")
    execute(stage, "first")
    listed = json.loads(stage.command("scopes", "--json", show=0))
    states = Counter(scope["status"] for scope in listed)
    stage.expect(set(states) == {"complete"}, f"{sum(states.values())} scopes, all complete")
    stage.act("The inventory")
    stage.command("certs", "list", "--expiring", "30d")
    stage.act("The findings, as Security Hub has them")
    found = in_security_hub(stage)
    for severity, count in sorted(Counter(each["Severity"]["Label"] for each in found).items()):
        stage.say(f"{count:5} {severity.lower()}")
    violated = {each["GeneratorId"].removeprefix("perennial/") for each in found}
    missing = sorted(set(CHECKS) - violated)
    stage.expect(
        not missing, f"each of {len(CHECKS)} checks is violated" + (f"; not {', '.join(missing)}" if missing else "")
    )
    of_account = Counter(each["AwsAccountId"] for each in found)
    stage.expect(
        set(of_account) == set(ACCOUNTS), f"in each resource's own account: {dict(sorted(of_account.items()))}"
    )
    told = alerts(stage)
    stage.expect(bool(told), f"{len(told)} message(s) to people; the first begins:")
    for line in (told[0] if told else "").splitlines()[:4]:
        stage.say(f"  {line[:110]}")
    stage.command("findings", "--severity", "critical")


def again(stage: Stage) -> None:
    """Nothing changed: nothing is written, nobody is told. Then something changes."""
    stage.act("A second run of the unchanged estate")
    calls = count_calls(stage, "second")
    reads = sum(count for name, count in calls.items() if name in ("GetCertificate", "DescribeCertificate"))
    stage.expect(reads == 0, f"{reads} certificates read again")
    stage.expect(not alerts(stage), "nobody is told the same again")
    stage.act("One certificate re-imported, one deleted, one new; a third run")
    before = {each["Id"]: each["RecordState"] for each in in_security_hub(stage)}
    stage.estate.change()
    calls = count_calls(stage, "third")
    stage.expect(
        calls.get("GetCertificate", 0) == 2, f"{calls.get('GetCertificate', 0)} certificates read: the two that are new"
    )
    after = in_security_hub(stage)
    archived = [each for each in after if each["RecordState"] == "ARCHIVED" and before.get(each["Id"]) == "ACTIVE"]
    opened = [each for each in after if each["Id"] not in before]
    for label, changed in (("resolved", archived), ("opened", opened)):
        for each in changed[:4]:
            stage.say(f"{label}: {each['Title']} · {each['Resources'][0]['Details']['Other']['Certificate']}")
    stage.expect(bool(archived), f"{len(archived)} findings resolved, {len(opened)} opened, the others untouched")
    fingerprint = json.loads(stage.command("certs", "list", "--name", stage.estate.attached_name, "--json", show=0))
    stage.command("certs", "show", fingerprint[-1]["fingerprint"], show=24)


def count_calls(stage: Stage, name: str) -> dict[str, int]:
    """Run Discovery and count the calls to ACM."""
    stage.cloud.open("/_fakes/calls", method="DELETE").close()
    execute(stage, name)
    counted = json.load(stage.cloud.open("/_fakes/calls"))
    return dict(counted.get("acm", {}))


def without_deployment(stage: Stage) -> None:
    """The same scanners and checks, directly."""
    stage.act("perennial scan: the same, without anything deployed")
    regions = [part for region in REGIONS for part in ("--region", region)]
    stage.command("scan", *regions, show=18)
    quick = json.loads(stage.command("scan", *regions, "--json", show=0))
    full = json.loads(stage.command("scan", *regions, "--full", "--json", "--fail-on", "high", exit_codes=(1,), show=0))
    stage.expect(quick["complete"] and full["complete"], "complete, quick and full")
    stage.say(f"quick: {len(quick['findings'])} findings; full: {len(full['findings'])}, exit code 1 by --fail-on high")
    expired = {each["certificate"] for each in full["findings"] if each["check"] == "expiry.expired"}
    stage.expect("expired.example.com" in expired, "the expired certificate is found without a deployment too")
