"""The inventory's table for a bench: on DynamoDB Local where Java and Maven are present, else the local cloud's."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benches.report import machine, say

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".local" / "dynamodb-local"
VERSION = "2.6.1"
HEAP = "-Xmx1g"
START_SECONDS = 60
_PROJECT = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>perennial</groupId><artifactId>dynamodb-local</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>com.amazonaws</groupId><artifactId>DynamoDBLocal</artifactId><version>{VERSION}</version></dependency>
  </dependencies>
</project>
"""


@contextmanager
def tables(cloud: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Variables that lead to tables: `cloud`, those of a local cloud, and DynamoDB Local's where it is to be had."""
    if not machine()["java"]:
        say("without Java and Maven the table is the local cloud's")
        yield cloud
        return
    with dynamodb_local() as url:
        yield {**cloud, "AWS_ENDPOINT_URL_DYNAMODB": url}


@contextmanager
def dynamodb_local() -> Iterator[str]:
    """A DynamoDB Local, empty and in memory, on 127.0.0.1 while it is needed."""
    libraries = _fetched()
    port = _free_port()
    launcher = str(Path(__file__).with_name("Loopback.java"))
    memory = [HEAP, f"-Djava.library.path={libraries}", "-cp", f"{libraries}/*", launcher]
    command = ["java", *memory, "-inMemory", "-disableTelemetry", "-port", str(port)]
    with (HOME / "server.log").open("wb") as log:
        environment = {**os.environ, "DDB_LOCAL_TELEMETRY": "0"}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    try:
        _await_answer(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()  # it has nothing to keep
        process.wait()


def _fetched() -> Path:
    """The directory with DynamoDB Local, taken by Maven the first time."""
    libraries = HOME / VERSION
    if not libraries.exists():
        say("fetching DynamoDB Local with Maven")
        HOME.mkdir(parents=True, exist_ok=True)
        (HOME / "pom.xml").write_text(_PROJECT)
        part = HOME / f"{VERSION}.part"
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={part}"]
        subprocess.run(["mvn", "-q", "-B", *goal], cwd=HOME, check=True, stdout=subprocess.DEVNULL)
        part.rename(libraries)
    return libraries


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_answer(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"bench: DynamoDB Local did not start; its log is {HOME / 'server.log'}")


def made(environment: Mapping[str, str], name: str) -> Any:
    """Create the inventory's table and its indexes; returns a client for it."""
    import boto3

    from inventory_table import create_table

    url = environment.get("AWS_ENDPOINT_URL_DYNAMODB", environment["AWS_ENDPOINT_URL"])
    client = boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    create_table(client, name)
    return client
