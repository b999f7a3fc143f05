"""`perennial scan`: what it tells in which form, and how it exits."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from certificates import build, facts
from command import Run, Scripted
from perennial.manifest import Role, Seen, Sighting

ARN = "arn:aws:acm:eu-west-1:111122223333:certificate/one"
LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/shop/1/2"
NOW = datetime.now(UTC)
LEAF = build("shop.example.com", not_before=NOW - timedelta(days=80), not_after=NOW + timedelta(days=1))
DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListServerCertificates")
HOSTILE = "=cmd|'/c calc'!A0\x1b]8;;http://evil\x1b\\<script>alert(1)</script>\u202egnp.exe\x9b31m\"'\n[red]"


def _stored(name: str = "shop.example.com", location: str = ARN, **attributes: Any) -> Seen:
    certificate = facts(LEAF, common_name=name, dns_names=(name,), issuer=f"CN={name}")
    sighting = Sighting(location=location, role=Role.STORED, resource=location, attributes=attributes)
    return Seen(sighting, certificate)


def _attached(holder: str = ARN) -> Seen:
    return Seen(Sighting(location=f"{LISTENER}#{holder}", role=Role.ATTACHED, resource=LISTENER, holder=holder))


HEALTHY = build("quiet.example.com", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=60))


def _healthy() -> Seen:
    sighting = Sighting(location=ARN, role=Role.STORED, resource=ARN, attributes={"in_use": True})
    return Seen(sighting, HEALTHY.certificate)


def test_the_json_output_is_one_object_and_nothing_else(run: Run, scripted: Scripted) -> None:
    """Scopes, certificates with what is attached, findings, counts; notices go to stderr."""
    scripted(acm=[_stored()], elbv2=[_attached()])
    result = run("scan", "--json")
    found = json.loads(result.stdout)
    assert list(found) == [
        "scanned_at",
        "complete",
        "quick",
        "summary",
        "not_judged",
        "scopes",
        "certificates",
        "findings",
    ]
    (certificate,) = found["certificates"]
    assert certificate["title"] == "shop.example.com"
    assert [each["resource"] for each in certificate["attached"]] == [LISTENER]
    assert found["findings"][0]["check"] == "expiry.imminent"
    assert found["summary"]["findings"]["critical"] == 1
    assert found["scopes"][0]["scope"] == "111122223333/eu-west-1/acm"
    assert "perennial scan --full" in result.stderr


@pytest.mark.parametrize(
    ("options", "fails", "code"),
    [
        ((), False, 0),
        (("--fail-on", "critical"), False, 1),
        (("--fail-on", "informational"), False, 1),
        (("--fail-on", "critical"), True, 2),
        ((), True, 2),
    ],
)
def test_the_exit_code_tells_findings_and_incompleteness(
    run: Run, scripted: Scripted, options: tuple[str, ...], fails: bool, code: int
) -> None:
    """Findings matter only with --fail-on, an incomplete scan always, and its findings are told nevertheless."""
    scripted(acm=[_stored()], fails={"iam": DENIED} if fails else {})
    result = run("scan", "--json", *options, expect=code)
    assert json.loads(result.stdout)["findings"]
    assert ("AccessDenied" in result.stderr) is fails


def test_findings_below_the_level_do_not_fail(run: Run, scripted: Scripted) -> None:
    """A pipeline that fails on critical passes with anything less."""
    scripted(acm=[_healthy()])
    run("scan", "--json", "--fail-on", "critical")


def test_severity_hides_lesser_findings_but_not_from_fail_on(run: Run, scripted: Scripted) -> None:
    """What is shown and what fails are two choices, and what is hidden is counted."""
    weak = facts(HEALTHY, key_algorithm="RSA", key_size=2048)
    scripted(acm=[Seen(_healthy().sighting, weak)])
    every = json.loads(run("scan", "--json").stdout)["findings"]
    assert every
    assert "critical" not in {each["severity"] for each in every}
    result = run("scan", "--json", "--severity", "critical", "--fail-on", "informational", expect=1)
    assert json.loads(result.stdout)["findings"] == []
    assert f"{len(every)} findings of lesser severity" in result.stderr


def test_an_incomplete_scope_is_named_with_its_action(run: Run, scripted: Scripted) -> None:
    """The reader learns which permission is missing, in every form of output."""
    scripted(fails={"iam": DENIED})
    result = run("scan", "--source", "iam", "--source", "acm", "--output", "table", expect=2)
    assert "iam:ListServerCertificates in aws-global: AccessDenied: no (access-denied)" in result.stderr
    assert "/aws-global/iam (access-denied)" in result.stdout
    assert "iam:ListServerCertificates" in run("scan", "--output", "html", expect=2).stdout


def test_quick_scans_ask_the_sources_that_tell_something(run: Run, scripted: Scripted) -> None:
    """Secrets need a call each, endpoints a list; a global service is one scope."""
    scripted()
    quick = [each["scope"] for each in json.loads(run("scan", "--json").stdout)["scopes"]]
    assert "123456789012/aws-global/iam" in quick
    assert not [each for each in quick if each.endswith(("secretsmanager", "endpoints"))]


def test_the_csv_has_a_row_for_each_finding_and_each_place(run: Run, scripted: Scripted) -> None:
    """A certificate without findings is there as well."""
    scripted(acm=[_stored(), _stored("other.example.com", location=f"{ARN}2")], elbv2=[_attached("arn:other")])
    rows = list(csv.DictReader(io.StringIO(run("scan", "--output", "csv").stdout)))
    assert {row["location"] for row in rows} == {ARN, f"{ARN}2", f"{LISTENER}#arn:other"}
    assert rows[0]["severity"] == "critical"
    assert (rows[0]["account"], rows[0]["region"], rows[0]["source"]) == ("111122223333", "eu-west-1", "acm")


def test_no_spreadsheet_takes_a_hostile_name_for_a_formula(run: Run, scripted: Scripted) -> None:
    """No cell begins like a formula, and none holds a control character."""
    scripted(acm=[_stored(HOSTILE)])
    for row in csv.reader(io.StringIO(run("scan", "--output", "csv").stdout)):
        for cell in row:
            assert not cell.startswith(("=", "+", "-", "@"))
            assert cell.replace("\u202e", "\n").isprintable()


@pytest.mark.parametrize("output", ["table", "json", "csv", "html"])
def test_a_hostile_name_commands_no_terminal(run: Run, scripted: Scripted, output: str) -> None:
    """Escape sequences, C1 controls and marks that turn the direction never reach the output."""
    scripted(acm=[_stored(HOSTILE)], elbv2=[_attached("\x1b[2Jnowhere")])
    told = run("scan", "--output", output)
    for sign in ("\x1b", "\x9b", "\u202e"):
        assert sign not in told.stdout + told.stderr


def test_the_html_escapes_what_certificates_say(run: Run, scripted: Scripted) -> None:
    """A name that is markup stays text."""
    scripted(acm=[_stored(HOSTILE)])
    page = run("scan", "--output", "html").stdout
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_html_needs_nothing_else_and_allows_its_own_script_only(run: Run, scripted: Scripted) -> None:
    """The policy names the hashes of what is in the page; nothing is loaded from anywhere."""
    scripted(acm=[_stored()])
    page = run("scan", "--output", "html").stdout
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    for kind in ("style", "script"):
        (text,) = re.findall(f"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not re.findall(r"<(?:link|img|iframe|script [^>]*src)|url\(|style=", page)


def test_the_table_is_readable_without_a_terminal(run: Run, scripted: Scripted) -> None:
    """Eighty columns, no colour, severity and name and place."""
    scripted(acm=[_stored()])
    lines = run("scan").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("CRITICAL  ") for line in lines)
    assert any("certificate/one · acm eu-west-1" in line for line in lines)


def test_the_result_can_go_to_a_file(run: Run, scripted: Scripted, tmp_path: Path) -> None:
    """Then nothing is on stdout."""
    scripted(acm=[_stored()])
    for output in ("table", "json", "csv", "html"):
        target = tmp_path / output
        assert run("scan", "--output", output, "--out", str(target)).stdout == ""
        assert "shop.example.com" in target.read_text()


def test_quiet_says_nothing_on_stderr(run: Run, scripted: Scripted) -> None:
    """For scripts that log stderr."""
    scripted(acm=[_stored()])
    assert run("scan", "--json", "--quiet").stderr == ""


def test_endpoints_are_read_from_a_file_or_from_stdin(run: Run, scripted: Scripted, tmp_path: Path) -> None:
    """With a list, the endpoints are a scope of their own."""
    scripted()
    hosts = tmp_path / "hosts.txt"
    hosts.write_text("www.example.com # the shop\n\n[2001:db8::1]:8443\n")
    for arguments, stdin in (((str(hosts),), b""), (("-",), b"www.example.com:443\n")):
        result = run("scan", "--json", "--endpoints", *arguments, stdin=stdin)
        assert "/aws-global/endpoints" in result.stdout


def test_the_configuration_says_what_to_scan_and_what_to_expect(run: Run, scripted: Scripted, tmp_path: Path) -> None:
    """perennial.toml of the deployment serves a scan too; options come first."""
    scripted(acm=[_stored()])
    config = tmp_path / "perennial.toml"
    config.write_text(
        '[discovery]\nregions = ["eu-central-1"]\nsources = ["acm"]\n[ownership]\nnames = {"*.example.com" = "shop"}\n'
    )
    found = json.loads(run("scan", "--json", "--config", str(config)).stdout)
    assert [each["scope"] for each in found["scopes"]] == ["111122223333/eu-central-1/acm"]
    assert found["certificates"][0]["owner"] == "shop"
    found = json.loads(run("scan", "--json", "--config", str(config), "--region", "eu-west-1,eu-west-2").stdout)
    assert [each["scope"].split("/")[1] for each in found["scopes"]] == ["eu-west-1", "eu-west-2"]
