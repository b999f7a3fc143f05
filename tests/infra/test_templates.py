"""The templates satisfy cdk-nag (at synthesis, by the fixtures) and cfn-lint, and fit into CloudFormation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

W3005 = "W3005"  # CDK names dependencies that a GetAtt implies


@pytest.mark.parametrize("which", ["hub", "member"])
def test_cfn_lint(which: str, request: pytest.FixtureRequest) -> None:
    """cfn-lint finds nothing in a template."""
    stack = request.getfixturevalue(which)
    linter = Path(sys.executable).with_name("cfn-lint")
    result = subprocess.run([linter, "-i", W3005, "--", stack.file], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_nag_refuses_what_nobody_acknowledged(directory: Path) -> None:
    """The pack is at work: a bucket that is open to plain HTTP fails the synthesis."""
    import aws_cdk as cdk
    from aws_cdk import aws_s3
    from cdk_nag import AwsSolutionsChecks

    app = cdk.App(outdir=str(directory / "nag"))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    aws_s3.Bucket(cdk.Stack(app, "Open"), "Bucket")
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()


@pytest.mark.parametrize("which", ["hub", "member"])
def test_acknowledgements_have_reasons(which: str, request: pytest.FixtureRequest) -> None:
    """Every acknowledged finding says why, in a sentence; wildcards are acknowledged one by one."""
    file = request.getfixturevalue(which).file
    metadata = json.loads(file.with_name(file.name.replace(".template.", ".metadata.")).read_text())
    acknowledged = [
        (rule, reason)
        for entries in metadata.values()
        for entry in entries
        if entry["type"] == "aws:cdk:acknowledged-rules"
        for rule, reason in entry["data"].items()
    ]
    assert acknowledged
    assert all(len(reason.split()) > 4 and reason.endswith(".") for _, reason in acknowledged)
    assert not [rule for rule, _ in acknowledged if rule.endswith("IAM5")]


def test_member_template_fits_every_account(member: Any) -> None:
    """The member's template names no account or region but the hub's, and needs no bootstrap: a StackSet can use it."""
    assert set(member.template["Parameters"]) == {"HubBus", "RolesRegion"}
    assert "Rules" not in member.template
    assert len(member.file.read_text()) < 51_200
