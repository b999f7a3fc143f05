"""Scans of one estate at several sizes: the first, an unchanged one, and one after 1% was renewed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benches import child, fleet, table
from benches.report import Result, say
from local_cloud.cloud import Cloud

MEGABYTE = 1 << 20
MOST_MEGABYTES = 512
MOST_REWRITTEN = 1.0  # per cent of what the first scan wrote
LARGE = 100_000
RENEWED_EVERY = 100
_SETTINGS = "settings.json"


@dataclass(frozen=True)
class Scan:
    """What one scan told of itself."""

    told: Mapping[str, Any]

    @property
    def written(self) -> float:
        return float(self.told["written"])

    @property
    def megabytes(self) -> float:
        return float(self.told["peak_bytes"]) / MEGABYTE

    def per_certificate(self) -> int:
        """Calls that are made for one certificate each: what describes or gets one."""
        calls = self.told["calls"].items()
        return sum(number for name, number in calls if name.startswith(("acm.Describe", "acm.Get", "acm.ListTags")))


def run(cloud: Cloud, environment: Mapping[str, str], sizes: Sequence[int]) -> Iterator[Result]:
    """The figures of every size, each in a bucket and table of its own."""
    for size in sizes:
        cloud.reset()
        yield from _size(cloud, environment, size)


def _size(cloud: Cloud, environment: Mapping[str, str], size: int) -> Iterator[Result]:
    say(f"{size:,} certificates: seeding")
    arns = fleet.seed(cloud, fleet.fresh(size))
    place = _deployed(cloud, environment, size)
    first = _scan(cloud, place, f"{size:,} certificates: first scan")
    stored = _stored(cloud, place["PERENNIAL_BUCKET"])
    again = _scan(cloud, place, f"{size:,} certificates: unchanged re-scan")
    fleet.seed(cloud, fleet.renewed(arns, RENEWED_EVERY))
    changed = _scan(cloud, place, f"{size:,} certificates: re-scan with 1% renewed")
    _expect(first, size)
    _expect(again, 0)
    _expect(changed, len(range(0, size, RENEWED_EVERY)))
    yield Result(f"{size:,}: stored in S3", stored, "bytes")
    for name, scan in (("first scan", first), ("unchanged re-scan", again), ("re-scan, 1% renewed", changed)):
        yield from _figures(f"{size:,}: {name}", scan, size)
    yield from _targets(f"{size:,}: unchanged re-scan", first, again)
    table.drop(table.client(environment), place["PERENNIAL_TABLE"])


def _deployed(cloud: Cloud, environment: Mapping[str, str], size: int) -> dict[str, str]:
    """The table, the bucket and the settings of a deployment, and the variables that name them."""
    name = f"perennial-bench-{size}"
    table.made(environment, name)
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": cloud.region})
    s3.put_object(Bucket=name, Key=_SETTINGS, Body=b"{}")
    named = {"PERENNIAL_TABLE": name, "PERENNIAL_BUCKET": name}
    return {**environment, **named, "PERENNIAL_SETTINGS_BUCKET": name, "PERENNIAL_SETTINGS_KEY": _SETTINGS}


def _scan(cloud: Cloud, environment: Mapping[str, str], what: str) -> Scan:
    say(what)
    scope = f"{cloud.account}/{cloud.region}/acm"
    ran = child.module("benches.scan_process", scope, environment=environment).fine()
    return Scan(json.loads(ran.output))


def _expect(scan: Scan, changes: int) -> None:
    """A scan that did not do its work has no figures."""
    result = scan.told["result"]
    if result["status"] != "complete" or result["changes"] != changes:
        raise SystemExit(f"bench: the scan ended with {result} instead of {changes} changes")


def _stored(cloud: Cloud, bucket: str) -> int:
    listed = cloud.client("s3").list_objects_v2(Bucket=bucket, Prefix="manifests/")
    return sum(each["Size"] for each in listed["Contents"])


def _figures(name: str, scan: Scan, size: int) -> Iterator[Result]:
    for operation, number in sorted(scan.told["calls"].items()):
        yield Result(f"{name}: {operation}", number, "calls")
    yield Result(f"{name}: written to the table", scan.written, "write units")
    yield Result(f"{name}: read from the table", scan.told["read"], "read units")
    yield Result(f"{name}: put in S3", scan.told["put_bytes"], "bytes")
    yield Result(f"{name}: CPU", scan.told["cpu_seconds"], "s")
    yield Result(f"{name}: peak memory", scan.megabytes, "MB", MOST_MEGABYTES if size >= LARGE else None)


def _targets(name: str, first: Scan, again: Scan) -> Iterator[Result]:
    share = 100 * again.written / first.written
    yield Result(f"{name}: written, of what the first wrote", share, "%", MOST_REWRITTEN)
    yield Result(f"{name}: calls that describe or get one certificate", again.per_certificate(), "calls", 0)
