"""Both templates, synthesised once a session, in this process, with cdk-nag."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HUB, MEMBER_REGION = "111122223333", "eu-central-1"
BUS = f"arn:aws:events:{MEMBER_REGION}:{HUB}:event-bus/perennial"
CONFIGURATION = """
[discovery]
accounts = "organization"
external_id = "perennial-1"
secret_prefixes = ["tls/"]
endpoints = ["www.example.com"]

[issuers.letsencrypt]
kind = "acme"
directory = "https://acme.example/directory"
eab_secret = "acme/binding"

[issuers.private]
kind = "acm_pca"
authority = "arn:aws:acm-pca:eu-central-1:111122223333:certificate-authority/11111111-2222-3333-4444-555555555555"

[issuers.amazon]
kind = "acm"

[profiles.web]
issuer = "letsencrypt"
names = [".example.com"]

[profiles.signing]
issuer = "private"
key_home = "kms"
names = [".svc.internal"]

[solvers]
zone_accounts = ["444455556666"]
listeners = ["arn:aws:elasticloadbalancing:eu-central-1:111122223333:listener/app/w/0123456789abcdef/fedcba9876543210"]

[targets]
kinds = [
    "acm", "apigateway", "cloudfront", "elb", "elbv2", "iam", "s3", "secretsmanager", "ssm_parameter", "webhook",
]
accounts = ["444455556666", "777788889999"]
buckets = ["trust-bundles"]
"""


@dataclass(frozen=True)
class Synthesised:
    """A synthesised stack: its template as CloudFormation gets it, and the file it stands in."""

    template: Mapping[str, Any]
    file: Path

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The resources of one type, by logical id."""
        return {name: each for name, each in self.template["Resources"].items() if each["Type"] == kind}

    def actions(self, role: str) -> set[str]:
        """What a role may do: by its logical id, in its own and in its attached policies."""
        resource = self.template["Resources"][role]
        documents = [each["PolicyDocument"] for each in resource["Properties"].get("Policies", ())]
        for policy in self.of("AWS::IAM::Policy").values():
            if {"Ref": role} in policy["Properties"]["Roles"]:
                documents.append(policy["Properties"]["PolicyDocument"])
        said = [each for document in documents for each in document["Statement"]]
        return {action for each in said if each["Effect"] == "Allow" for action in as_list(each["Action"])}

    def named_role(self, name: str) -> str:
        """The logical id of the role of a name."""
        return next(
            key for key, each in self.of("AWS::IAM::Role").items() if each["Properties"].get("RoleName") == name
        )

    def definition(self, name: str) -> dict[str, Any]:
        """The definition of a state machine, with `<Logical.Arn>` in the place of what is not known yet."""
        machines = self.of("AWS::StepFunctions::StateMachine").values()
        found = next(each for each in machines if each["Properties"]["StateMachineName"] == name)
        parts = found["Properties"]["DefinitionString"]["Fn::Join"][1]
        return dict(json.loads("".join(part if isinstance(part, str) else _reference(part) for part in parts)))


def _reference(value: Mapping[str, Any]) -> str:
    got = value.get("Fn::GetAtt")
    return f"<{'.'.join(got)}>" if got else f"<{value['Ref']}>"


def as_list(value: Any) -> list[Any]:
    """A policy's field that may hold one value or several."""
    return value if isinstance(value, list) else [value]


def synthesise(directory: Path, context: Mapping[str, str]) -> Synthesised:
    """The stack of the perennial.toml in a directory, with cdk-nag."""
    import aws_cdk as cdk
    from app import build

    flags = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = cdk.App(
        outdir=str(directory / "out"), context={**flags, "config": str(directory / "perennial.toml"), **context}
    )
    stack = build(app)
    app.synth()
    file = directory / "out" / f"{stack.stack_name}.template.json"
    return Synthesised(json.loads(file.read_text()), file)


@pytest.fixture(scope="session", autouse=True)
def _node() -> Iterator[None]:
    """CDK runs on the Node.js of this virtual environment, if it has one."""
    before = os.environ["PATH"]
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.prefix) / "bin"), before))
    yield
    os.environ["PATH"] = before


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cdk")
    (directory / "perennial.toml").write_text(CONFIGURATION)
    (directory / "deps" / "python").mkdir(parents=True)
    (directory / "deps" / "python" / "package.py").touch()
    return directory


@pytest.fixture(scope="session")
def hub(directory: Path) -> Synthesised:
    where = {"account": HUB, "region": MEMBER_REGION, "organization": "o-a1b2c3d4e5"}
    return synthesise(directory, {**where, "deps": str(directory / "deps")})


@pytest.fixture(scope="session")
def member(directory: Path) -> Synthesised:
    return synthesise(directory, {"hub": BUS})
