"""Gathers the facts that the doctor judges, from AWS, the inventory, the issuers and DNS: reads only, all at once, and
no longer than its deadlines. What fails or does not answer becomes `Unknown` with the reason.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from perennial import (
    doctor_deployment,
    doctor_dns,
    doctor_gathering_aws,
    doctor_gathering_outside,
    doctor_issuers,
    doctor_permissions,
    doctor_schedules,
)
from perennial.doctor import Diagnosis, Unknown
from perennial.errors import PerennialError

if TYPE_CHECKING:
    from perennial.clients import Clients
    from perennial.doctor_resolver import Resolver
    from perennial.settings import Settings

T = TypeVar("T")
ACTIONS = (  # of who asks, all of them reads
    "acm-pca:DescribeCertificateAuthority",
    "acm:ListCertificates",
    "cloudformation:DescribeStackResources",
    "cloudformation:ListStackResources",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricData",
    "dynamodb:DescribeContinuousBackups",
    "dynamodb:DescribeTable",
    "dynamodb:Query",
    "events:DescribeRule",
    "execute-api:Invoke",
    "kms:Decrypt",  # of the table and of perennial.toml
    "kms:DescribeKey",
    "lambda:GetFunctionConfiguration",
    "route53:GetHostedZone",
    "route53:ListHostedZones",
    "route53:ListHostedZonesByName",
    "s3:GetObject",
    "sqs:GetQueueAttributes",
    "ssm:GetParameter",
    "ssm:GetParameters",
    "states:DescribeStateMachine",
    "states:ListExecutions",
    "sts:AssumeRole",
)
WORKERS = 16
SECONDS = 30.0  # for all questions of one round, of which there are four
Me = Callable[[], doctor_permissions.MeFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """With what the doctor asks: the caller's clients, the API as the caller, and a resolver."""

    clients: Clients
    me: Me
    resolver: Resolver | Unknown
    seconds: float = SECONDS


def examine(asked: Asked, now: datetime) -> list[Diagnosis]:
    """Every diagnosis of a deployment, topic by topic."""
    aws = doctor_gathering_aws
    first = gathered(
        {"caller": lambda: aws.caller(asked.clients), "parameters": lambda: aws.parameters(asked.clients)},
        asked.seconds,
    )
    parameters = first["parameters"]
    if isinstance(parameters, Unknown) or not parameters:
        return _nowhere(asked, first)
    second = gathered({**aws.questions(asked.clients, parameters, now), "me": asked.me}, asked.seconds)
    deployment = aws.deployment_facts(first["parameters"], second)
    found = [
        *doctor_deployment.judge(deployment, now),
        *doctor_schedules.judge(aws.schedule_facts(second), now),
    ]
    settings = second["settings"]
    if isinstance(settings, Unknown | str):  # nothing is known of what it would name
        return [*found, *doctor_permissions.judge(aws.permission_facts(first["caller"], second), "PerennialDiscovery")]
    permissions = aws.permission_facts(first["caller"], second, settings.discovery.accounts)
    found += doctor_permissions.judge(permissions, settings.discovery.role_name)
    return [*found, *_outside(asked, settings, first["caller"], now)]


def _nowhere(asked: Asked, first: Mapping[str, Any]) -> list[Diagnosis]:
    """Where no deployment is found, nothing can be said of its parts."""
    me = gathered({"me": asked.me}, asked.seconds)["me"]
    return [
        doctor_deployment.judge_parameters(first["parameters"]),
        doctor_deployment.TOPIC.unknown("everything else", "it is not known where the deployment is"),
        *doctor_permissions.judge_caller(first["caller"], me),
    ]


def _outside(asked: Asked, settings: Settings, caller: str | Unknown, now: datetime) -> list[Diagnosis]:
    """What lies outside the deployment: issuers and DNS."""
    outside = doctor_gathering_outside
    wanted = doctor_dns.wanted(settings.issuers, settings.profiles.values())
    own = caller.split(":")[4] if not isinstance(caller, Unknown) else ""
    facts = gathered(
        {
            **outside.questions(asked.clients, settings, wanted, asked.resolver, own),
            **outside.role_questions(asked.clients, settings, own),
        },
        asked.seconds,
    )
    facts |= gathered(outside.delegations(facts, asked.resolver), asked.seconds)
    issuers = {name: facts.get(f"issuer {name}", Unknown("it was not asked")) for name in settings.issuers}
    domains = outside.domain_facts(wanted, facts)
    identities = {name: outside.identities(settings.issuers[name], found) for name, found in issuers.items()}
    return [
        *map(doctor_permissions.judge_role, outside.role_facts(settings, own, facts)),
        *doctor_issuers.judge(settings.issuers.values(), settings.profiles.values(), issuers, now),
        *doctor_dns.judge(wanted, domains, identities, settings.solvers.delegations),
    ]


def gathered(questions: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, Any]:
    """The answer to each question, or `Unknown`. The threads end with the process: one that hangs keeps nobody."""
    left: queue.SimpleQueue[tuple[str, Callable[[], Any]]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    for item in questions.items():
        left.put(item)
    for _ in range(min(WORKERS, len(questions))):
        threading.Thread(target=_work, args=(left, done), daemon=True).start()
    found: dict[str, Any] = {}
    end = monotonic() + seconds
    while len(found) < len(questions):
        try:
            name, answer = done.get(timeout=max(0.0, end - monotonic()))
        except queue.Empty:
            break
        if isinstance(answer, BaseException):
            raise answer
        found[name] = answer
    late = Unknown(f"no answer within {seconds:g} s")
    return {name: found.get(name, late) for name in questions}


def _work(left: queue.SimpleQueue[Any], done: queue.SimpleQueue[Any]) -> None:
    while True:
        try:
            name, question = left.get_nowait()
        except queue.Empty:
            return
        try:
            done.put((name, _answer(question)))
        except Exception as error:  # noqa: BLE001 - a fault of this program: raised again in the thread that waits
            done.put((name, error))


def _answer(question: Callable[[], T]) -> T | Unknown:
    """The answer; `Unknown` for whatever a network, AWS or an issuer can cause."""
    from botocore.exceptions import BotoCoreError, ClientError
    from pynamodb.exceptions import PynamoDBException

    try:
        return question()
    except (PerennialError, BotoCoreError, ClientError, PynamoDBException, OSError) as error:
        return Unknown(_reason(error))


def _reason(error: Exception) -> str:
    """On one line, without the words that only a program reads."""
    from botocore.exceptions import BotoCoreError, ClientError

    from perennial.checks.wording import quoted
    from perennial.clients import meaning

    cause = getattr(error, "cause", None) or error
    if isinstance(cause, ClientError):
        return quoted(str(meaning(cause, f"AWS refused {cause.operation_name}")), 400)
    if isinstance(cause, BotoCoreError):
        return quoted(str(meaning(cause, "AWS did not answer")), 400)
    return quoted(" ".join(str(cause).split()) or type(cause).__name__, 400)
