"""Fakes of the AWS services that ministack lacks or takes too lightly.

`fakes()` are the fakes of this process, one object each; `register` puts them into ministack's tables; `admin` serves
the `/_fakes/…` paths; `references` knows which resources use a certificate. A new fake is one module and one line in
`_CLASSES`.
"""

import functools
from collections.abc import MutableMapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from local_cloud.fakes import ministack_state
from local_cloud.fakes.acm import Acm
from local_cloud.fakes.acm_pca import AcmPca
from local_cloud.fakes.admin import Admin
from local_cloud.fakes.controls import controls
from local_cloud.fakes.references import references
from local_cloud.fakes.service import FakeService, Handler, ServiceError
from local_cloud.fakes.wire import Response

__all__ = ["FakeService", "ServiceError", "admin", "controls", "fake", "fakes", "inject", "references", "register"]

_CLASSES = (
    ("security_hub", "SecurityHub"),
    ("elbv2", "Elbv2"),
    ("elb", "ClassicElb"),
    ("iam_server_certificates", "IamServerCertificates"),
    ("roles_anywhere", "RolesAnywhere"),
    ("apigateway_domains", "ApiGatewayDomains"),
    ("cloudfront_distributions", "CloudFrontDistributions"),
    ("cloudfront_trust_stores", "CloudFrontTrustStores"),
)

inject = controls.inject


@functools.cache
def fakes() -> tuple[FakeService[Any], ...]:
    """The fakes of this process, in the order in which they are registered."""
    ministack_state.register_users(references)
    pca = AcmPca()
    found = [(f"{__name__}.{module}", name) for module, name in _CLASSES if find_spec(f"{__name__}.{module}")]
    return (Acm(pca=pca), pca, *(getattr(import_module(module), name)() for module, name in found))


def fake(service: str) -> FakeService[Any]:
    """The fake of a service by botocore's name of it. Raises KeyError if there is none."""
    return {item.service: item for item in fakes()}[service]


def register(handlers: MutableMapping[str, Handler], patterns: MutableMapping[str, dict[str, Any]]) -> None:
    """Puts the fakes into ministack's `SERVICE_HANDLERS` and `SERVICE_PATTERNS`.

    A fake stands before whatever served its credential scope and hands on what it does not take, so that fakes of one
    scope (classic and new load balancers) form a chain that ends at ministack.
    """
    for item in fakes():
        item.fallback = handlers.get(item.credential_scope)
        handlers[item.credential_scope] = item
        pattern = patterns.setdefault(item.credential_scope, {"credential_scope": item.credential_scope})
        known = pattern.get("target_prefixes", [])
        pattern["target_prefixes"] = [*known, *(prefix for prefix in item.target_prefixes if prefix not in known)]


@functools.cache
def _admin() -> Admin:
    return Admin({item.service: item for item in fakes()}, controls)


def admin(method: str, path: str, body: bytes) -> Response:
    """Serves a request to `/_fakes/…`."""
    return _admin()(method, path, body)
