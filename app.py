#!/usr/bin/env python3
"""The CDK app: the hub, or with `-c hub=<ARN of the hub's event bus>` what a member account needs.

| context | meaning | default |
| --- | --- | --- |
| config | path of the organisation's configuration | perennial.toml |
| hub | ARN of the hub's event bus: synthesise PerennialMember instead of PerennialHub | |
| deps | directory that scripts/build-layer filled | layers/deps/build |
| architecture | arm64 or x86_64; that of the layer in `deps` | arm64 |
| organization | id of the AWS organization (o-…), where accounts = "organization" | |
| discovery_hours | hours between two full runs of Discovery | 12 |
| account, region | where to deploy | those of the credentials |
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "layers" / "perennial" / "python"))

import aws_cdk as cdk  # noqa: E402 - the library is not installed, but stands in its layer
from cdk_nag import AwsSolutionsChecks  # noqa: E402
from infra.member import PerennialMember  # noqa: E402
from infra.stack import Options, PerennialHub  # noqa: E402

from perennial.settings import load  # noqa: E402


def build(app: cdk.App) -> cdk.Stack:
    """Add the stack that the context asks for, checked by cdk-nag at synthesis."""
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    file = ROOT / (_context(app, "config") or "perennial.toml")
    settings = load(file.read_text("utf-8"))
    account, region = _context(app, "account"), _context(app, "region")
    if hub := _context(app, "hub"):  # one template fits every account and region, unless these are given
        environment = cdk.Environment(account=account, region=region)
        return PerennialMember(app, "PerennialMember", settings=settings, hub=hub, env=environment)
    environment = cdk.Environment(
        account=account or os.environ.get("CDK_DEFAULT_ACCOUNT"),
        region=region or os.environ.get("CDK_DEFAULT_REGION"),
    )
    return PerennialHub(
        app, "PerennialHub", settings=settings, settings_file=file, options=_options(app), env=environment
    )


def _options(app: cdk.App) -> Options:
    return Options(
        deps=ROOT / (_context(app, "deps") or "layers/deps/build"),
        architecture=_context(app, "architecture") or "arm64",
        discovery_hours=int(_context(app, "discovery_hours") or 12),
        organization=_context(app, "organization"),
    )


def _context(app: cdk.App, key: str) -> str | None:
    value = app.node.try_get_context(key)
    return None if value in (None, "") else str(value)


if __name__ == "__main__":
    application = cdk.App()
    build(application)
    application.synth()
