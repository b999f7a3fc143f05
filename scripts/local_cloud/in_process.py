"""botocore clients that call a service of this very process, without a socket.

ministack provisions CloudFormation resources on its event loop, so a resource handler that called the local cloud over
HTTP would wait for itself. These clients give the serialized request straight to the service's handler instead. The
handler runs on a loop of its own in a worker thread, with the account and region of the current request.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.session import Session, get_session

from local_cloud.fakes.service import Handler
from local_cloud.fakes.wire import Response

_pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="in-process-call")


class _Body(io.BytesIO):
    """A response body with the ``stream`` method that botocore reads from."""

    def stream(self, **_: Any) -> Any:
        chunk = self.read()
        while chunk:
            yield chunk
            chunk = self.read()


def client(service: str, handler: Handler, *, account: str, region: str) -> Any:
    """A botocore client of ``service`` whose every call goes to ``handler``."""
    made = _session().create_client(
        service,
        region_name=region,
        endpoint_url="http://in-process.invalid",
        aws_access_key_id=account,
        aws_secret_access_key=account,
    )
    made.meta.events.register("before-send", partial(_send, handler))  # type: ignore[arg-type]
    return made


@cache
def _session() -> Session:
    """One session for all clients, because each session reads the service models anew."""
    return get_session()


def _send(handler: Handler, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
    url = urlsplit(request.url)
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    body = request.body or b""
    coroutine = handler(
        request.method,
        unquote(url.path) or "/",
        headers,
        body if isinstance(body, bytes) else str(body).encode(),
        parse_qs(url.query, keep_blank_values=True),
    )
    status, response_headers, content = _wait(coroutine)
    return AWSResponse(request.url, status, HTTPHeaders.from_dict(response_headers), _Body(content))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _wait(coroutine: Any) -> Response:
    context = contextvars.copy_context()
    run: Callable[[], Response] = partial(context.run, asyncio.run, coroutine)
    return _pool.submit(run).result()
