"""The quick scan on the estate of the peers: its calls beside the floor's, its CPU beside Prowler's and Custodian's."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benches import child, peer_estate
from benches.report import Result, say
from local_cloud.cloud import Cloud

SIZES = (500, 2_000)
COMPARED = 2_000
FLOOR = 44  # calls, as measured on a service that answers any list on one page
SHARE = 0.2  # of the better peer's CPU for each certificate
TURNS = 3
SOURCES = ("acm", "elbv2", "apigateway", "iam")
_POLICY = """policies:
  - name: expiring
    resource: acm-certificate
    filters:
      - {type: value, key: NotAfter, value_type: expiration, op: lt, value: 30}
"""


def run(cloud: Cloud, peers: Mapping[str, str | None]) -> Iterator[Result]:
    """The figures of every size, and of the peers at the size where they are compared."""
    for size in SIZES:
        cloud.reset()
        say(f"the peers' estate with {size:,} certificates")
        peer_estate.build_in(cloud, size)
        yield from _calls(cloud, size)
        ours = _cpu([_perennial(), *_arguments(cloud)], cloud)
        yield Result(f"{size:,}: quick scan: CPU for each certificate", 1_000 * ours / size, "ms")
        if size == COMPARED:
            yield from _compared(cloud, peers, size, ours)


def _perennial() -> str:
    return str(Path(sys.executable).with_name("perennial"))


def _arguments(cloud: Cloud, sources: Sequence[str] = SOURCES) -> list[str]:
    chosen = [word for source in sources for word in ("--source", source)]
    return ["scan", "--output", "json", "--quiet", "--region", cloud.region, *chosen]


def _calls(cloud: Cloud, size: int) -> Iterator[Result]:
    """Calls of the quick scan and of the floor. moto's floor of 44 knows no pages; a floor that pages is higher."""
    environment = cloud.env()
    ours = _told(child.module("benches.quick_process", *_arguments(cloud), environment=environment))
    floor = _told(child.module("benches.floor_process", environment=environment))
    for operation, number in sorted(ours["calls"].items()):
        yield Result(f"{size:,}: quick scan: {operation}", number, "calls")
    total, least = sum(ours["calls"].values()), sum(floor["calls"].values())
    yield Result(f"{size:,}: quick scan: all calls", total, "calls", FLOOR)
    yield Result(f"{size:,}: quick scan: all calls, beside the paged floor", total, "calls", least)


def _told(ran: child.Ran) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ran.fine().output)
    return found


def _cpu(command: list[str], cloud: Cloud, turns: int = TURNS) -> float:
    """The least CPU seconds of a program in some turns."""
    return min(child.program(command, environment=cloud.env()).fine(0, 3).cpu_seconds for _ in range(turns))


def _cpu_of_floor(cloud: Cloud) -> float:
    return min(child.module("benches.floor_process", environment=cloud.env()).fine().cpu_seconds for _ in range(TURNS))


def _compared(cloud: Cloud, peers: Mapping[str, str | None], size: int, ours: float) -> Iterator[Result]:
    """Each peer that is there on its own task about expiry in ACM: less than what our scan sees."""
    measured = {}
    for name, path in peers.items():
        if not path:
            say(f"{name} is not installed; name it with --{name} PATH")
            continue
        say(f"{name} on the same {size:,} certificates")
        measured[name], calls = _peer(name, path, cloud)
        yield Result(f"{size:,}: {name}: calls of ACM", calls, "calls")
        yield Result(f"{size:,}: {name}: CPU for each certificate", 1_000 * measured[name] / size, "ms")
    if measured:
        better = min(measured, key=lambda name: measured[name])
        yield Result(f"{size:,}: quick scan: CPU, of {better}'s", ours / measured[better], "x", SHARE)
        same = _cpu([_perennial(), *_arguments(cloud, ["acm"])], cloud)
        yield Result(f"{size:,}: quick scan of ACM alone, as {better}'s: CPU", same / measured[better], "x")
        yield Result(f"{size:,}: floor: CPU, of {better}'s", _cpu_of_floor(cloud) / measured[better], "x")


def _peer(name: str, path: str, cloud: Cloud) -> tuple[float, int]:
    """A peer's least CPU seconds, and its calls of ACM in one run."""
    with tempfile.TemporaryDirectory() as directory:
        command = {"prowler": _prowler, "custodian": _custodian}[name](path, Path(directory), cloud.region)
        cloud.open("/_fakes/calls", method="DELETE").close()
        seconds = _cpu(command, cloud, turns=1)
        with cloud.open("/_fakes/calls") as reply:
            calls = sum(json.load(reply).get("acm", {}).values())
        turns = 1 if name == "prowler" else TURNS  # it takes most of a minute
        return min(seconds, _cpu(command, cloud, turns)), calls


def _prowler(path: str, directory: Path, region: str) -> list[str]:
    """Told to look at certificates that nothing uses too: by default it leaves them out."""
    check = ["aws", "--check", "acm_certificates_expiration_check", "--region", region, "--scan-unused-services"]
    return [path, *check, "--no-banner", "--ignore-exit-code-3", "-M", "csv", "-o", str(directory)]


def _custodian(path: str, directory: Path, region: str) -> list[str]:
    policy = directory / "policy.yml"
    policy.write_text(_POLICY)
    return [path, "run", "--cache-period", "0", "--region", region, "-s", str(directory / "out"), str(policy)]
