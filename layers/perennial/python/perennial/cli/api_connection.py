"""One request to the deployed API, and its bounded reply: no redirect is followed, no body is unpacked or read beyond
a limit, and a reply that comes byte by byte ends at a deadline (`acme_http`, which trusts no server either).

Unlike an issuer's, this connection goes where boto3's go: through the proxy of the environment (`HTTPS_PROXY`,
`NO_PROXY`), and with the roots of `AWS_CA_BUNDLE`. In the local cloud it leads to the endpoint that the standard AWS
variables name, with the API's own name as Host.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

import urllib3

from perennial.errors import InvalidConfiguration, InvalidInput, Unavailable
from perennial.issuers.acme_http import Answer, Http

if TYPE_CHECKING:
    from perennial.clients import Clients

REPLY_SECONDS = 35.0  # API Gateway gives an integration 29 s
STAGE = "/v1"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ENDPOINTS = {  # what is in the host names of APIs and user pools without a domain of their own, and moves them
    ".execute-api.": "AWS_ENDPOINT_URL_EXECUTE_API",
    ".amazoncognito.com": "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the API is: `url` is what a signature is about, `through` the server that is connected to."""

    url: str
    through: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


def address(url: str, environment: Mapping[str, str]) -> Address:
    """The address of an API, the stage included.

    Raises: InvalidInput where a request with credentials may not go there.
    """
    parts = _parts(url)
    base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    base = base if base.endswith(STAGE) else f"{base}{STAGE}"
    return Address(base, through(base, environment))


def through(url: str, environment: Mapping[str, str]) -> str:
    """Where a request for a URL goes: to the endpoint of the environment, where the URL is one of AWS's own.

    Raises: InvalidInput where the endpoint is none.
    """
    parts = urlsplit(url)
    own = [variable for part, variable in _ENDPOINTS.items() if part in (parts.hostname or "")]
    names = (*own, "AWS_ENDPOINT_URL") if own else ()
    endpoint = next((environment[name] for name in names if environment.get(name)), "")
    if not endpoint:
        return url
    _parts(endpoint)
    return f"{endpoint.rstrip('/')}{parts.path}"


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
        fits = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc and not parts.query
    except ValueError:
        fits = plain = False
    if not fits or not (plain or parts.scheme == "https") or len(url) > 1_000 or not url.isprintable() or " " in url:
        raise InvalidInput(f"{url[:100]!r} is no address of an API: it begins with https:// and has no query")
    return parts


class Connection(Http):
    """Connections to one API. `roots` is PEM, "" for the public roots.

    Raises: InvalidConfiguration.
    """

    def __init__(self, roots: str = "", *, reply_seconds: float = REPLY_SECONDS) -> None:
        super().__init__(roots, field="AWS_CA_BUNDLE", reply_seconds=reply_seconds)
        self._direct = self._pool

    def send(self, method: str, url: str, *, body: bytes | None, headers: Mapping[str, str], limit: int) -> Answer:
        """See `acme_http.Http`; through the environment's proxy, where there is one for the URL."""
        self._pool = self._way(url)
        answer = super().send(method, url, body=body, headers=headers, limit=limit)
        promised = answer.headers.get("content-length", "")
        if promised.isdecimal() and int(promised[:12]) != len(answer.body):
            raise Unavailable(f"the API's reply broke off: {len(answer.body)} of {promised[:12]} bytes came")
        return answer

    def _way(self, url: str) -> urllib3.PoolManager:
        from botocore.utils import get_environ_proxies

        parts = urlsplit(url)
        proxy = "" if parts.hostname in _LOOPBACK else get_environ_proxies(url).get(parts.scheme, "")
        if not proxy:
            return self._direct
        given = self._direct.connection_pool_kw
        proxied = urllib3.ProxyManager(_with_scheme(proxy), ssl_context=given["ssl_context"], retries=False)
        proxied.pool_classes_by_scheme = self._direct.pool_classes_by_scheme
        return proxied


def _with_scheme(proxy: str) -> str:
    """A proxy as a URL: variables name it with a scheme or without."""
    return proxy if "://" in proxy else f"http://{proxy}"


def roots_of(clients: Clients | None) -> str:
    """The roots that the AWS configuration names (`AWS_CA_BUNDLE`, `ca_bundle`); "" for the public ones.

    Raises: InvalidConfiguration.
    """
    configured = clients.session._session.get_config_variable("ca_bundle") if clients else None
    name = configured or os.environ.get("AWS_CA_BUNDLE", "")
    try:
        return Path(str(name)).read_text("ascii") if name else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(f"AWS_CA_BUNDLE: {str(name)[:300]} cannot be read as PEM") from error
