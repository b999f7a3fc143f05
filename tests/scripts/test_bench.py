"""What scripts/bench prints, how it ends, and that it counts what was asked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from benches import child, coldstart, counting, discovery, fleet, inventory_fleet, report
from benches.report import Result
from certificates import NOW
from perennial.certificate import parse
from perennial.chain import judge

ROOT = Path(__file__).resolve().parents[2]
REACHED = Result("calls", 44, "calls", 44)
MISSED = Result("memory", 600.25, "MB", 512)
UNASKED = Result("units", 13, "units")
ENOUGH = Result("certificates a second", 40, "1/s", 30, at_least=True)


@pytest.mark.parametrize(
    ("result", "met"), [(REACHED, True), (MISSED, False), (UNASKED, None), (ENOUGH, True)], ids=lambda value: str(value)
)
def test_a_result_is_met_when_it_reaches_its_target(result: Result, met: bool | None) -> None:
    assert result.met is met


def test_json_is_one_object_with_the_members_that_were_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    report.show("discovery", [REACHED, UNASKED], as_json=True, strict=False)
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["bench", "machine", "results"]
    assert told["bench"] == "discovery"
    assert told["results"] == [
        {"name": "calls", "value": 44, "unit": "calls", "target": 44, "met": True},
        {"name": "units", "value": 13, "unit": "units", "target": None, "met": None},
    ]


def test_the_machine_tells_what_the_figures_depend_on() -> None:
    assert report.machine().keys() == {"cpus", "python", "dynamodb"}


def test_the_table_has_a_line_for_each_result_and_says_what_was_missed(capsys: pytest.CaptureFixture[str]) -> None:
    report.show("discovery", [REACHED, MISSED, ENOUGH], as_json=False, strict=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("discovery: ")
    assert lines[1].split() == ["result", "value", "unit", "target", "met"]
    assert lines[2].split() == ["calls", "44", "calls", "<=", "44", "yes"]
    assert lines[3].split() == ["memory", "600.2", "MB", "<=", "512", "NO"]
    assert lines[4].split()[-4:] == ["1/s", ">=", "30", "yes"]


@pytest.mark.parametrize(
    ("results", "strict", "code"),
    [([MISSED], False, 0), ([MISSED], True, 1), ([REACHED, UNASKED], True, 0), ([], True, 0)],
)
def test_only_strict_fails_and_only_for_a_missed_target(
    results: Sequence[Result], strict: bool, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.show("any", results, as_json=True, strict=strict) == code


@pytest.mark.parametrize(
    ("value", "shown"), [(1_234_567, 1_234_567), (12.0, 12), (0.123456, 0.1235), (1_234.567, 1_235.0), (0.0, 0)]
)
def test_figures_keep_four_significant_digits(value: float, shown: float) -> None:
    assert report.rounded(value) == shown


@pytest.mark.parametrize(
    "arguments", [["--help"], ["discovery", "--help"], ["coldstart", "--help"], ["issuance", "--help"]]
)
def test_help_needs_no_environment(arguments: list[str]) -> None:
    command = [sys.executable, "-I", str(ROOT / "scripts" / "bench"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: scripts/bench" in done.stdout


def test_an_unknown_bench_is_a_wrong_usage() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "bench"), "nothing"], capture_output=True, check=False
    )
    assert done.returncode == 2


def test_sizes_are_numbers_between_commas() -> None:
    assert discovery.sizes("1000,20000") == (1_000, 20_000)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> counting.Counts:
    monkeypatch.setattr(counting.Session, "create_client", counting.Session.create_client)  # put back afterwards
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    return counting.everywhere()


def test_every_call_of_every_client_is_counted_by_operation(counts: counting.Counts) -> None:
    with mock_aws():
        acm = boto3.client("acm", region_name="eu-west-1")
        acm.list_certificates()
        acm.list_certificates()
        boto3.client("sts", region_name="eu-west-1").get_caller_identity()
    assert counts.calls == {"acm.ListCertificates": 2, "sts.GetCallerIdentity": 1}


def test_the_bytes_put_in_s3_are_counted_whatever_the_body_is(counts: counting.Counts) -> None:
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="one")
        s3.put_object(Bucket="one", Key="bytes", Body=b"12345")
        s3.put_object(Bucket="one", Key="file", Body=BytesIO(b"123"))
    assert counts.put_bytes == 8


@pytest.mark.parametrize(
    ("operation", "reply", "written", "read"),
    [
        ("PutItem", {"ConsumedCapacity": {"CapacityUnits": 6.0}}, 6, 0),
        ("BatchWriteItem", {"ConsumedCapacity": [{"CapacityUnits": 6.0}, {"CapacityUnits": 1.0}]}, 7, 0),
        ("Query", {"ConsumedCapacity": {"CapacityUnits": 0.5}}, 0, 0.5),
        ("UpdateItem", {"Error": {"Code": "ConditionalCheckFailedException"}}, 1, 0),
        ("UpdateItem", {"Error": {"Code": "ProvisionedThroughputExceededException"}}, 0, 0),
        ("DescribeTable", {}, 0, 0),
    ],
)
def test_units_are_those_that_the_table_tells(operation: str, reply: Any, written: float, read: float) -> None:
    counts = counting.Counts()
    counts._answered(model=SimpleNamespace(name=operation), parsed=reply)
    assert (counts.written, counts.read) == (written, read)


def test_the_peak_of_memory_is_that_of_this_process() -> None:
    held = bytearray(50_000_000)
    assert counting.peak_bytes() > len(held)


def test_a_child_tells_its_output_and_its_own_cpu() -> None:
    ran = child.program([sys.executable, "-c", "sum(range(10**7)); print('done')"], environment={})
    assert ran.fine().output == "done\n"
    assert 0.01 < ran.cpu_seconds < 60


def test_a_child_that_fails_ends_the_bench_with_its_words() -> None:
    ran = child.program([sys.executable, "-c", "raise SystemExit('no table')"], environment={})
    with pytest.raises(SystemExit, match="no table"):
        ran.fine()


def test_certificates_of_the_fleet_are_whole_distinct_and_signed_by_their_authority() -> None:
    made = [parse(fleet.certificate(number, NOW)) for number in range(3)]
    assert not any(each.problems for each in made)
    assert len({(each.fingerprint, each.serial, each.names) for each in made}) == 3
    assert judge(made[0], (fleet.authority().certificate,)).attributes()["chain_status"] == "complete"


def test_a_renewal_has_the_names_and_another_serial() -> None:
    first, second = (parse(fleet.certificate(7, NOW, edition)) for edition in (0, 1))
    assert first.names == second.names
    assert first.serial != second.serial


def test_an_inventory_has_groups_of_known_sizes_and_as_many_certificates_as_asked() -> None:
    made = [item for item in inventory_fleet.items(2_000) if item.kind == "certificate"]
    assert len(made) == 2_000
    for answer in inventory_fleet.ANSWERS:
        group = inventory_fleet.Group(str(answer))
        assert sum(item.owner == group.owner and item.issuer == group.issuer for item in made) == answer


def test_cold_start_finds_the_handlers_and_measures_an_import() -> None:
    assert "discovery.scan" in coldstart.handlers()
    seconds, modules = coldstart.best(["json"], repeat=1)
    assert 0 < seconds["json"] < 60
    assert modules["json"] > 1
