"""TLS contexts that trust, besides the public roots, the root of the local cloud: for AWS's own names, see `aws_hosts`.

The text of this module also runs inside the local cloud's Lambda workers, beside `lookup` (see `edge_hooks`): it needs
the standard library only, and nothing of this package. Whoever names roots of their own gets these and no others.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import pathlib
import ssl
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

PATH = "/_local_cloud/edge/root"
SECONDS = 10.0
"""The longest wait for the local cloud's answer."""

_PUBLIC = "cacert.pem"
"""The name of the file in which certifi, and so botocore and requests, keep the public roots."""


def install(endpoint: Callable[[], str | None]) -> Callable[[], None]:
    """Let the whole process trust the root of the cloud at this URL from now on; returns what undoes it."""
    kept: dict[str, str] = {}
    locations, defaults = ssl.SSLContext.load_verify_locations, ssl.SSLContext.load_default_certs

    def root() -> str | None:
        url = endpoint()
        if url and url not in kept and (asked := _asked(url)):
            kept[url] = asked
        return kept.get(url or "")

    def load_verify_locations(self: ssl.SSLContext, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        locations(self, cafile, capath, cadata)
        if cafile and pathlib.Path(os.fsdecode(cafile)).name == _PUBLIC and (more := root()):
            locations(self, cadata=more)

    def load_default_certs(self: ssl.SSLContext, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH) -> None:
        defaults(self, purpose)
        if purpose == ssl.Purpose.SERVER_AUTH and (more := root()):
            locations(self, cadata=more)

    def undo() -> None:
        _patch(locations, defaults)

    _patch(load_verify_locations, load_default_certs)
    return undo


@contextlib.contextmanager
def trusting(cloud: Any) -> Iterator[None]:
    """Let this process trust the root of a `Cloud` until the end of the block; for contexts that are made in it."""

    def endpoint() -> str | None:
        running = cloud.running()
        return running.url if running else None

    undo = install(endpoint)
    try:
        yield
    finally:
        undo()


def _patch(locations: Any, defaults: Any) -> None:
    ssl.SSLContext.load_verify_locations = locations  # type: ignore[method-assign]
    ssl.SSLContext.load_default_certs = defaults  # type: ignore[method-assign]


def _asked(url: str) -> str | None:
    """The root in PEM; None where no cloud answers."""
    cloud = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(cloud.hostname or "", cloud.port, timeout=SECONDS)
    try:
        connection.request("GET", PATH)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body.decode() if answer.status == 200 else None
