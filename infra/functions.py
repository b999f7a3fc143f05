"""Lambda functions: what all of them share, and one construct that makes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import Duration, aws_iam, aws_kms, aws_lambda, aws_logs, aws_sqs
from constructs import Construct

from infra.acknowledge import acknowledge, acknowledge_wildcards

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = aws_lambda.Runtime.PYTHON_3_13
ARCHITECTURES = {"arm64": aws_lambda.Architecture.ARM_64, "x86_64": aws_lambda.Architecture.X86_64}
JUNK = ["**/__pycache__", "**/*.pyc"]


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What every function runs on."""

    code: aws_lambda.Code
    layers: tuple[aws_lambda.ILayerVersion, ...]
    architecture: aws_lambda.Architecture
    key: aws_kms.IKey
    environment: Mapping[str, str]


def runtime(
    scope: Construct, *, deps: Path, architecture: str, key: aws_kms.IKey, environment: Mapping[str, str]
) -> Runtime:
    """The code of `functions/` on two layers: the library, and its locked dependencies as `scripts/build-layer` made
    them in `deps`."""
    if not deps.is_dir():
        raise FileNotFoundError(f"{deps} is missing: run scripts/build-layer first")
    chip = ARCHITECTURES[architecture]
    return Runtime(
        code=aws_lambda.Code.from_asset(str(ROOT / "functions"), exclude=JUNK),
        layers=(
            _layer(scope, "Library", ROOT / "layers" / "perennial", JUNK, None),
            _layer(scope, "Dependencies", deps, [], chip),
        ),
        architecture=chip,
        key=key,
        environment=environment,
    )


def _layer(
    scope: Construct, construct_id: str, path: Path, exclude: list[str], chip: aws_lambda.Architecture | None
) -> aws_lambda.LayerVersion:
    return aws_lambda.LayerVersion(
        scope,
        construct_id,
        code=aws_lambda.Code.from_asset(str(path), exclude=exclude),
        compatible_runtimes=[RUNTIME],
        compatible_architectures=None if chip is None else [chip],
        removal_policy=cdk.RemovalPolicy.DESTROY,
    )


class Function(Construct):
    """One Lambda with a role of its own, that may at first only write its log.

    `handler` is the file under functions/ (`discovery/plan`). `dead_letters` receives what was invoked asynchronously
    and failed for good.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        runtime: Runtime,
        handler: str,
        description: str,
        timeout: Duration,
        memory: int = 512,
        role_name: str | None = None,
        environment: Mapping[str, str] | None = None,
        dead_letters: aws_sqs.IQueue | None = None,
        retries: int | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = aws_iam.Role(
            self, "Role", role_name=role_name, assumed_by=aws_iam.ServicePrincipal("lambda.amazonaws.com")
        )
        self.log_group = _log_group(self, runtime.key)
        self.function = aws_lambda.Function(
            self,
            "Function",
            runtime=RUNTIME,
            architecture=runtime.architecture,
            handler=f"{handler}.handler",
            code=runtime.code,
            layers=list(runtime.layers),
            description=description,
            timeout=timeout,
            memory_size=memory,
            role=self.role,
            environment={**runtime.environment, **(environment or {})},
            log_group=self.log_group,
            logging_format=aws_lambda.LoggingFormat.JSON,
            dead_letter_queue=dead_letters,
            retry_attempts=retries,
        )
        self.may(["logs:CreateLogStream", "logs:PutLogEvents"], [self.log_group.log_group_arn])
        acknowledge(
            self.function,
            {"L1": "Python 3.13 is the version that the locked dependencies are resolved and tested for."},
        )

    def may(self, actions: Sequence[str], resources: Sequence[str], wildcards: str = "") -> None:
        """Allow actions. `wildcards` is the reason for wildcards in the resources: without one, synthesis fails."""
        self.role.add_to_principal_policy(aws_iam.PolicyStatement(actions=[*actions], resources=[*resources]))
        if wildcards:
            acknowledge_wildcards(self.role, resources, wildcards)


def _log_group(scope: Construct, key: aws_kms.IKey) -> aws_logs.LogGroup:
    return aws_logs.LogGroup(
        scope,
        "Logs",
        encryption_key=key,
        retention=aws_logs.RetentionDays.THREE_MONTHS,
        removal_policy=cdk.RemovalPolicy.DESTROY,
    )
