"""PerennialHub and PerennialMember, deployed into a local cloud of their own, and what tests ask of them.

hub.execute("111111111111/eu-west-1/acm")   run the deployed Discovery to its end
hub.dump()                                  the inventory and the manifests, without what differs from run to run
hub.clear()                                 forget all of it, as before the first run
"""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from certificates import Built, build
from local_cloud.cloud import HUB_ACCOUNT, MEMBER_ACCOUNT, REGION, REPOSITORY, Cloud
from local_cloud.deploy import App, deploy
from tls_servers import tls_server

OTHER_REGION = "eu-central-1"
ACCOUNTS = (HUB_ACCOUNT, MEMBER_ACCOUNT)
SETTINGS = {
    "SFN_WAIT_SCALE": "0.01",  # of the waits and retry intervals of a state machine
    "POWERTOOLS_LOG_LEVEL": "DEBUG",
    "POWERTOOLS_LOGGER_LOG_EVENT": "true",
}
CONFIGURATION = """
[discovery]
accounts = {accounts}
regions = {regions}
endpoints = {endpoints}
secret_prefixes = ["tls/"]
concurrency = 8

[ownership]
accounts = {{ "{hub}" = "platform" }}
"""
SECONDS = 120.0  # the longest wait for anything
DAY = timedelta(days=1)
_OF_ONE_RUN = frozenset(
    {"attempted_at", "completed_at", "due_at", "expires_at", "first_seen", "gone_at", "opened_at", "run", "updated_at"}
)
_STAMP = re.compile(r"@\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")  # in `told`

Record = dict[str, Any]


@cache
def now() -> datetime:
    """When the tests began."""
    return datetime.now(UTC).replace(microsecond=0)


def leaf(name: str, days: float = 60, **options: Any) -> Built:
    """A certificate that ends in `days`."""
    end = now() + days * DAY
    return build(name, not_before=end - 90 * DAY, not_after=end, **options)


def marked() -> Built:
    """The certificate of the key that the test of private keys looks for."""
    return leaf("localhost", 40, key="RSA-2048")


def until(check: Callable[[], Any], what: str, *, seconds: float = SECONDS, pause: float = 0.05) -> Any:
    """The first true answer of a check. Raises TimeoutError with what was waited for."""
    end = time.monotonic() + seconds
    while not (answer := check()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(pause)
    return answer


@dataclass(frozen=True)
class Hub:
    """A deployed hub and its member. `outputs` are those of PerennialHub, `endpoint` is the server it may ask."""

    cloud: Cloud
    outputs: Mapping[str, str]
    endpoint: str
    functions: Mapping[str, str] = field(default_factory=dict)  # construct (Tick) → name

    def client(self, service: str, account: str = HUB_ACCOUNT, region: str = REGION) -> Any:
        """A client of the local cloud."""
        return self.cloud.client(service, account, region)

    # --- Discovery ---

    def start(self, *scopes: str) -> str:
        """Start Discovery over these scopes; returns the execution's ARN."""
        content = json.dumps({"scopes": scopes})
        start = self.client("stepfunctions").start_execution
        return str(start(stateMachineArn=self.outputs["DiscoveryArn"], input=content)["executionArn"])

    def finish(self, execution: str) -> Record:
        """Wait until an execution has ended."""
        describe = self.client("stepfunctions").describe_execution
        until(lambda: describe(executionArn=execution)["status"] != "RUNNING", execution)
        return dict(describe(executionArn=execution))

    def execute(self, *scopes: str) -> Record:
        """Run Discovery over these scopes to its success."""
        ended = self.finish(self.start(*scopes))
        assert ended["status"] == "SUCCEEDED", (ended["status"], ended.get("error"), ended.get("cause"))
        return ended

    def history(self, execution: str) -> list[Record]:
        """Every event of an execution."""
        pages = self.client("stepfunctions").get_paginator("get_execution_history")
        return [each for page in pages.paginate(executionArn=execution) for each in page["events"]]

    def children(self, execution: str) -> list[Record]:
        """The child executions of a run's Distributed Map."""
        client = self.client("stepfunctions")
        runs = client.list_map_runs(executionArn=execution)["mapRuns"]
        return [
            client.describe_execution(executionArn=each["executionArn"])
            for run in runs
            for each in client.list_executions(mapRunArn=run["mapRunArn"])["executions"]
        ]

    def invoke(self, function: str, event: Any) -> Any:
        """The answer of a function, by the name of its construct."""
        reply = self.client("lambda").invoke(FunctionName=self.functions[function], Payload=json.dumps(event))
        answer = json.loads(reply["Payload"].read())
        assert "FunctionError" not in reply, answer
        return answer

    # --- what it knows ---

    def items(self) -> list[Record]:
        """Every item of the table, as plain values."""
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=self.outputs["TableName"])
        return [{name: _plain(value) for name, value in item.items()} for page in pages for item in page["Items"]]

    def scopes(self) -> dict[str, Record]:
        """How the last scan of each scope ended."""
        return {each["sk"]: each for each in self.items() if each["pk"] == "SCOPE"}

    def objects(self) -> dict[str, bytes]:
        """Every object of the bucket, decompressed."""
        client, bucket = self.client("s3"), self.outputs["BucketName"]
        bodies = {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in self.keys()}
        return {key: gzip.decompress(body) if key.endswith(".gz") else body for key, body in bodies.items()}

    def keys(self, prefix: str = "") -> list[str]:
        """The keys of the bucket."""
        pages = self.client("s3").get_paginator("list_objects_v2")
        listed = pages.paginate(Bucket=self.outputs["BucketName"], Prefix=prefix)
        return [each["Key"] for page in listed for each in page.get("Contents", ())]

    def in_security_hub(self, account: str = HUB_ACCOUNT, region: str = REGION) -> list[Record]:
        """Every finding in Security Hub."""
        pages = self.client("securityhub", account, region).get_paginator("get_findings").paginate()
        return [finding for page in pages for finding in page["Findings"]]

    def dump(self) -> dict[str, Any]:
        """What one estate leads to, whatever way it took: items and manifests without times, stamps and runs."""
        items = {f"{each['pk']} {each['sk']}": _lasting(each) for each in self.items() if each["pk"] != "RUN"}
        kept = {key: body for key, body in self.objects().items() if not key.startswith("runs/")}
        return items | {f"s3 {key}": body.decode().splitlines()[1:] for key, body in kept.items()}

    # --- as if it had never run, and as if it had crashed ---

    def clear(self) -> None:
        """Empty table and bucket, but for the words of issuers and owners: workers remember that they wrote those."""
        table, dynamodb = self.outputs["TableName"], self.client("dynamodb")
        for item in self.items():
            if not item["pk"].startswith("WORD#"):
                dynamodb.delete_item(TableName=table, Key={name: {"S": item[name]} for name in ("pk", "sk")})
        for key in self.keys():
            self.client("s3").delete_object(Bucket=self.outputs["BucketName"], Key=key)

    def crash(self) -> int:
        """End the processes of all functions at once, and with them what they remember; returns how many there were."""
        running = self.cloud.running()
        workers = _children_of(running.pid) if running else []
        for pid in workers:
            _kill(pid)
        return len(workers)

    def leased(self) -> list[Record]:
        """The findings that a publisher has leased: due again in some minutes; a published one is in days or never."""
        early, late = (_stamp(datetime.now(UTC) + minutes * timedelta(minutes=1)) for minutes in (1, 60))
        findings = [each for each in self.items() if str(each.get("due_key")).startswith("publish#")]
        return [each for each in findings if early < each["due_at"] < late]

    def expire_leases(self) -> None:
        """What time does to the leases of a publisher that is gone: its findings are due again."""
        for finding in self.leased():
            self.client("dynamodb").update_item(
                TableName=self.outputs["TableName"],
                Key={name: {"S": finding[name]} for name in ("pk", "sk")},
                UpdateExpression="SET due_at = :now",
                ExpressionAttributeValues={":now": {"S": f"{_stamp(datetime.now(UTC))}#lease"}},
            )

    def settle(self, execution: str) -> None:
        """Wait until nothing that a stopped or failed execution had begun is still under way."""
        until(lambda: _is_idle(self.history(execution)), f"the rest of {execution}")

    def inject(self, service: str, operation: str, code: str, times: int = 1, status: int = 400) -> None:
        """Let the next calls of an operation of a fake fail."""
        fault = {"service": service, "operation": operation, "error_code": code, "times": times, "status": status}
        self.cloud.open("/_fakes/inject", fault).close()

    def calls(self) -> dict[str, dict[str, int]]:
        """How often each operation of the fakes was called since the last `forget_calls`."""
        with self.cloud.open("/_fakes/calls") as answer:
            return dict(json.load(answer))

    def forget_calls(self) -> None:
        """Count from here."""
        self.cloud.open("/_fakes/calls", method="DELETE").close()


def _stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(value: Record) -> Any:
    return next(iter(value.values()))


def _lasting(item: Record) -> Record:
    """An item without what differs from run to run; of times, that there is one."""
    plain = {name: "*" if name in _OF_ONE_RUN else value for name, value in item.items()}
    return plain | ({"told": _STAMP.sub("", plain["told"])} if "told" in plain else {})


def _is_idle(history: list[Record]) -> bool:
    kinds = [each["type"] for each in history]
    entered, exited = (sum(kind.endswith(end) for kind in kinds) for end in ("StateEntered", "StateExited"))
    return entered == exited or "ExecutionFailed" in kinds


def _children_of(pid: int) -> list[int]:
    """The ids of a process's children."""
    listed = [each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for each in listed for child in each.split()]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


# --- AWS, as a customer has filled it ---


def import_certificate(client: Any, built: Built, chain: str = "", **tags: str) -> str:
    """Import into ACM; returns the ARN."""
    request: Record = {"Certificate": built.pem.encode(), "PrivateKey": built.key_pem.encode()}
    if chain:
        request["CertificateChain"] = chain.encode()
    if tags:
        request["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    return str(client.import_certificate(**request)["CertificateArn"])


def listener(client: Any, name: str, certificate: str) -> str:
    """An HTTPS listener of a new load balancer; returns its ARN."""
    balancer = client.create_load_balancer(Name=name, Subnets=["subnet-11111111", "subnet-22222222"])
    group = client.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId="vpc-1")["TargetGroups"][0]
    made = client.create_listener(
        LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTPS",
        Port=443,
        SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        Certificates=[{"CertificateArn": certificate}],
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
    )
    return str(made["Listeners"][0]["ListenerArn"])


# --- the deployment ---


@contextmanager
def deployed_hub(directory: Path) -> Iterator[Hub]:
    """A local cloud of its own with both stacks, whose schedules are off: only tests start something."""
    cloud = Cloud(directory)
    with tls_server(marked().pem, marked().key_pem) as port:
        cloud.start(settings=SETTINGS)
        try:
            yield _deployed(cloud, f"localhost:{port}")
        finally:
            cloud.stop()


def _deployed(cloud: Cloud, endpoint: str) -> Hub:
    lists = {"accounts": ACCOUNTS, "regions": (REGION, OTHER_REGION), "endpoints": (endpoint,)}
    texts = {name: json.dumps(list(value)) for name, value in lists.items()}
    hub = deployed_as(cloud, CONFIGURATION.format(**texts, hub=HUB_ACCOUNT), endpoint)
    for account in ACCOUNTS:
        for region in (REGION, OTHER_REGION):
            cloud.client("securityhub", account, region).enable_security_hub()
    return hub


def deployed_as(cloud: Cloud, text: str, endpoint: str = "") -> Hub:
    """Deploy both stacks with this perennial.toml into a running cloud, their schedules off."""
    configuration = cloud.directory / "perennial.toml"
    configuration.write_text(text)
    app = App(REPOSITORY, context={"config": str(configuration)})
    outputs = deploy(cloud, app, HUB_ACCOUNT, REGION)["PerennialHub"]
    deploy(cloud, App(REPOSITORY, context={**app.context, "hub": outputs["BusArn"]}), MEMBER_ACCOUNT, REGION)
    _quiet(cloud)
    return Hub(cloud, outputs, endpoint, _functions(cloud))


def _quiet(cloud: Cloud) -> None:
    """Turn the schedules off."""
    events = cloud.client("events", HUB_ACCOUNT, REGION)
    for rule in events.list_rules()["Rules"]:
        if "ScheduleExpression" in rule:
            events.disable_rule(Name=rule["Name"])


def _functions(cloud: Cloud) -> dict[str, str]:
    names = [each["FunctionName"] for each in cloud.client("lambda", HUB_ACCOUNT, REGION).list_functions()["Functions"]]
    return {_construct(name): name for name in names}


def _construct(name: str) -> str:
    """`PerennialHub-DispatchTickFunction1A2B-…` → `DispatchTick`."""
    return name.removeprefix("PerennialHub-").partition("Function")[0]
