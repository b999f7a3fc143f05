"""Changes to ministack that give the local cloud its edge (see `edge`): its paths, its end, and the way to it from
inside a function, with the trust that it needs there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_cloud import fakes
from local_cloud.edge import lookup, trust
from local_cloud.patching import HookLostError, part, replace

if TYPE_CHECKING:
    from local_cloud.edge.paths import Edge

_PREFIX = "/_local_cloud/edge"
_READY = "    _ms_install_invoke_depth()\n"
_ENVIRONMENT = "    os.environ.update(env)\n"


@cache
def edge() -> Edge:
    """The edge of this process."""
    from local_cloud.edge.paths import Edge
    from local_cloud.edge.store import Store

    handlers = part("serve_edge", "ministack.app", "SERVICE_HANDLERS")
    scope = part("serve_edge", "ministack.core.responses", "request_scope")
    endpoint = ("127.0.0.1", int(os.environ.get("GATEWAY_PORT", "4566")))  # where ministack itself listens
    return Edge(Store(fakes.fakes(), handlers, scope), endpoint)


def serve_edge() -> None:
    """Serve ``/_local_cloud/edge…``, off the event loop, since the edge asks services that answer on it.

    The edge is made at once: from the first upload on it keeps the keys of IAM's server certificates.
    """
    hook, name = "serve_edge", "_handle_post_body_shortcuts"
    shortcuts = part(hook, "ministack.app", name)
    for module, store in (("apigateway_v1", "_domain_names"), ("cloudfront", "_distributions"), ("route53", "_zones")):
        part(hook, f"ministack.services.{module}", f"{store}._data")
    made = edge()

    @wraps(shortcuts)
    async def edge_first(method: str, path: str, headers: Any, body: bytes, query: Any, *rest: Any) -> Any:
        if path == _PREFIX or path.startswith(f"{_PREFIX}/"):
            from local_cloud.edge.paths import answer

            return await asyncio.to_thread(answer, made, method, path, query, body)
        return await shortcuts(method, path, headers, body, query, *rest)

    replace("ministack.app", name, edge_first)


def reset_edge() -> None:
    """Close all servers of the edge when ``/_ministack/reset`` empties the cloud."""
    hook, name = "reset_edge", "_reset_all_state"
    reset = part(hook, "ministack.app", name)

    @wraps(reset)
    def reset_and_close() -> None:
        reset()
        edge().servers.close()

    replace("ministack.app", name, reset_and_close)


def resolve_at_the_edge() -> None:
    """Let functions resolve the names that the edge knows, as if DNS told them: ``socket.getaddrinfo`` of a worker asks
    the endpoint first. A handshake that a function makes with a load balancer then ends at the edge.

    AWS's own names are shown there with a certificate of the cloud's root, which a worker trusts with the public ones.
    """
    hook, runtime, name = "resolve_at_the_edge", "ministack.core.lambda_runtime", "_PYTHON_WORKER_SCRIPT"
    script: str = part(hook, runtime, name)
    for line in (_ENVIRONMENT, _READY):
        if script.count(line) != 1:
            raise HookLostError(hook, f"the line {line.strip()} in {runtime}.{name}")
    install = (
        f"    _edge = {{'__name__': 'edge_lookup'}}\n    exec({Path(lookup.__file__).read_text()!r}, _edge)\n"
        "    _edge['install'](os.environ.get('AWS_ENDPOINT_URL'))\n"
        f"    _trust = {{'__name__': 'edge_trust'}}\n    exec({Path(trust.__file__).read_text()!r}, _trust)\n"
        "    _trust['install'](lambda: os.environ.get('AWS_ENDPOINT_URL'))\n"
    )
    replace(runtime, name, script.replace(_READY, _READY + install))


HOOKS: tuple[Callable[[], None], ...] = (serve_edge, reset_edge, resolve_at_the_edge)
