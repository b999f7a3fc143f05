"""What the services of this process hold, asked through their operations, as any client would ask.

A fake is called directly, which counts no call and meets no injected fault: looking on must change nothing. Whatever
ministack serves itself is asked by an in-process client.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache, reduce
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from local_cloud import in_process
from local_cloud.fakes.service import FakeService, Handler, ServiceError

Where = tuple[str, str]
"""(account, region)."""
Json = Mapping[str, Any]

_ABSENT = frozenset(
    {
        "InvalidArnException",
        "ListenerNotFound",
        "LoadBalancerNotFound",
        "NoSuchDistribution",
        "NoSuchEntity",
        "NoSuchHostedZone",
        "NotFoundException",
        "PolicyNotFound",
        "ResourceNotFoundException",
        "SSLPolicyNotFound",
    }
)
_SCOPES = {  # service -> where the fakes of that scope and ministack keep what it holds
    "elbv2": ("elasticloadbalancing", "alb", ()),
    "elb": ("elasticloadbalancing", "alb", ()),
    "apigateway": ("apigateway", "apigateway_v1", ("_domain_names",)),
    "cloudfront": ("cloudfront", "cloudfront", ("_distributions",)),
    "route53": ("route53", "route53", ("_zones",)),
}
_GLOBAL = ("cloudfront", "route53")  # one store for each account, whatever the region


class Store:
    """The services of a process; `fakes` and `handlers` (ministack's) serve them, `scope` sets account and region."""

    def __init__(
        self,
        fakes: Sequence[FakeService[Any]],
        handlers: Mapping[str, Handler],
        scope: Callable[[str, str], AbstractContextManager[None]],
    ) -> None:
        self._fakes = fakes
        self._handlers = handlers
        self._scope = scope
        self._client = cache(self._made_client)

    def ask(self, service: str, operation: str, where: Where, **request: Any) -> Json | None:
        """The answer of an operation; None where what it asks about is not there."""
        try:
            with self._scope(*where):
                if fake := self._fake_of(service, operation):
                    return fake.call(operation, request, account=where[0], region=where[1])
                answer: Json = getattr(self._client(service), xform_name(operation))(**request)
                return answer
        except (ServiceError, ClientError) as error:
            code = error.code if isinstance(error, ServiceError) else error.response["Error"]["Code"]
            if code in _ABSENT:
                return None
            raise

    def listed(
        self, service: str, operation: str, where: Where, items: str, token: tuple[str, str], **request: Any
    ) -> Iterator[Json]:
        """Every item of a paged operation. `items` is their place in an answer (``DistributionList.Items``), `token`
        the request's and the answer's member that names the next page."""
        sent: dict[str, Any] = {}
        while True:
            answer = self.ask(service, operation, where, **request, **sent) or {}
            yield from _at(answer, items) or ()
            following = _at(answer, token[1])
            if not following:
                return
            sent = {token[0]: following}

    def scopes(self, service: str) -> list[Where]:
        """The accounts and regions in which the service may hold something."""
        scope, module, stores = _SCOPES[service]
        found = {key for fake in self._fakes if fake.credential_scope == scope for key in list(fake._states)}
        loaded = sys.modules.get(f"ministack.services.{module}")
        for name in stores if loaded else ():
            found |= {key[:2] for key in list(getattr(loaded, name)._data)}
        if service in _GLOBAL:
            return [(account, "us-east-1") for account in sorted({key[0] for key in found})]
        return sorted((account, region) for account, region in found)

    def fake(self, service: str) -> FakeService[Any]:
        """The fake of a service. Raises: KeyError where there is none."""
        return {each.service: each for each in self._fakes}[service]

    def _fake_of(self, service: str, operation: str) -> FakeService[Any] | None:
        for fake in self._fakes:
            taken = fake.service == service and (fake.operations is None or operation in fake.operations)
            if taken and hasattr(fake, xform_name(operation)):
                return fake
        return None

    def _made_client(self, service: str) -> Any:
        """One client for all accounts and regions: ministack takes those from the scope of the call."""
        return in_process.client(service, self._handlers[service], account="000000000000", region="us-east-1")


def _at(answer: Json, path: str) -> Any:
    return reduce(lambda value, name: value.get(name) or {}, path.split("."), answer)
