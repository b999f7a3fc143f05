"""One place of every kind of target, on the strict AWS of its kind's conformance test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from target_conformance import Stand

_TESTS = "layers.perennial.targets.test_"
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
Make = Callable[[], "Stand"]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A kind of target, as people call it here; `stand` is the class of its test, `aws` what that needs around it.

    `writes` are the calls that one rollout may make to change something, besides one import into ACM; `back` those of
    its way back; `changes` those that may change what serves, each way.
    """

    kind: str
    stand: str
    slot: str = ""
    aws: Callable[[], AbstractContextManager[object]] = nullcontext
    writes: int = 1
    back: int = 1
    changes: int = 1

    @property
    def words(self) -> str:
        return f"{self.kind}, {self.slot}" if self.slot else self.kind

    @contextmanager
    def made(self) -> Iterator[Stand]:
        """A fresh one."""
        with ExitStack() as stack:
            if self.kind == "webhook":
                yield _webhook(stack)
                return
            stack.enter_context(_environment(_CREDENTIALS))
            stack.enter_context(self.aws())
            make: Make = getattr(import_module(f"{_TESTS}{self.kind}"), self.stand)
            yield make()


def _moto() -> AbstractContextManager[object]:
    from moto import mock_aws

    return mock_aws()


def _secrets() -> AbstractContextManager[object]:
    from strict_secrets import strict_secrets

    return strict_secrets()


def _webhook(stack: ExitStack) -> Stand:
    """A receiver on loopback, and a hub in memory that has its record."""
    from layers.perennial.conftest import in_memory_hub
    from webhook_agent import agents

    estate, serve = stack.enter_context(in_memory_hub()), stack.enter_context(agents())
    made: Stand = import_module(f"{_TESTS}webhook").WebhookStand(estate, serve)
    return made


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These variables, and no endpoint of somebody's, for the length of the block."""
    before = dict(os.environ)
    os.environ.update(variables)
    os.environ.pop("AWS_ENDPOINT_URL", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


# Why more than one write: a certificate for SNI is put on the list before the former one is taken off. IAM shows an
# upload only after some seconds (8 here); until then it is uploaded again, which IAM refuses, as it has the name. A
# secret gets a version, then AWSCURRENT is moved to it, then AWSPENDING is taken off. A webhook's record in the table
# says that an event is to be sent, then that it was.
PLACES = (
    Place(kind="acm", stand="AcmStand", writes=0),
    Place(kind="apigateway", stand="DomainStand"),
    Place(kind="cloudfront", stand="DistributionStand"),
    Place(kind="elb", stand="Classic"),
    Place(kind="elbv2", stand="Listening", slot="default"),
    Place(kind="elbv2", stand="Sni", slot="SNI", writes=2, back=2, changes=2),
    Place(kind="iam", stand="Certificates", writes=2),
    Place(kind="s3", stand="ObjectStand", aws=_moto),
    Place(kind="secretsmanager", stand="SecretStand", aws=_secrets, writes=3),
    Place(kind="ssm_parameter", stand="ParameterStand", aws=_moto),
    Place(kind="webhook", stand="WebhookStand", writes=2, back=2),
)
