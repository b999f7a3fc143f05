"""Sends one webhook: one POST to a configured URL, one bounded answer.

As for ACME (`issuers.acme_http`): no redirect is followed, nothing is taken from the environment, TLS is verified, the
answer's size and time are bounded. Besides, the URL's host may lead neither to where AWS has credentials and metadata
nor, unless it says so itself, to this machine: the addresses are judged, and the connection is made to what was judged,
so that a name that resolves to something else a moment later leads nowhere.

Sources: RFC 3927 and RFC 4291 2.5.6 (link-local), EC2 User Guide, "Instance metadata" (169.254.169.254, fd00:ec2::254),
Standard Webhooks 1.0.0, "Server side request forgery".
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from perennial.errors import InvalidConfiguration, PerennialError, ServiceRefused, Throttled, Unavailable
from perennial.issuers.acme_http import Answer, Http
from perennial.issuers.acme_problem import retry_after
from perennial.issuers.acme_reading import bounded

MAX_ANSWER = 64 * 1024  # bytes
SECONDS = 10.0  # for a whole answer
PASSING = (408, 425)  # 4xx that a repetition may change
MAX_ADDRESSES = 3  # of one host that are tried
_AWS = ipaddress.ip_network("fd00:ec2::/32")  # metadata, credentials and DNS, over IPv6
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send JSON once.

    Raises: Unavailable, InvalidReply, InvalidConfiguration (an address that is not allowed, TLS that is not trusted).
    """
    sent = {"Content-Type": "application/json", "Accept": "application/json", **headers}
    return _Guarded().send("POST", url, body=body, headers=sent, limit=MAX_ANSWER)


def refused(answer: Answer, doing: str, now: datetime) -> PerennialError | None:
    """Why a receiver does not take what was sent; None for 2xx. `doing` begins the message."""
    text, wait = f"{doing}: the receiver answered {answer.status}", retry_after(answer.headers, now)
    if 200 <= answer.status < 300:
        return None
    if answer.status == 429:
        return Throttled(text, retry_after=wait)
    if answer.status >= 500 or answer.status in PASSING:
        return Unavailable(text, retry_after=wait)
    if 300 <= answer.status < 400:
        return ServiceRefused(f"{text}; redirects are not followed, let the url be the final one")
    told = bounded(answer.body.decode("utf-8", "replace"), 200)
    return ServiceRefused(f"{text} ({told or 'without a text'}); check the url, and that it has this secret's key")


def addresses(host: str, port: int) -> tuple[str, ...]:
    """The addresses of a host, in the resolver's order. It is looked up now.

    Raises: Unavailable where it does not resolve, InvalidConfiguration where one of them is not allowed.
    """
    try:
        answered = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"{bounded(host, 253)} does not resolve: {bounded(str(error), 100)}") from error
    found = tuple(dict.fromkeys(str(each[4][0]) for each in answered))
    for each in found:
        _check(host, each)
    return found[:MAX_ADDRESSES]


def check(url: str) -> None:
    """Whether a URL's host leads where it may now. Raises as `addresses` does."""
    parts = urlsplit(url)
    addresses(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def _check(host: str, address: str) -> None:
    found = _plain(address)
    inner = found.is_link_local or found.is_multicast or found.is_unspecified or found in _AWS
    if inner or (found.is_loopback and not _says_loopback(host)):
        raise InvalidConfiguration(
            f"{bounded(host, 253)} resolves to {found}, where no receiver of webhooks may be (link-local, metadata of "
            "AWS, this machine); let the target's url lead to the receiver"
        )


def _plain(address: str) -> _Address:
    """An address without its zone, as IPv4 where it holds one."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found in _NAT64:
            return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        return found.ipv4_mapped or found
    return found


def _says_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _connected(connection: HTTPConnection) -> socket.socket:
    """A connection to one of the addresses that were judged."""
    failed: OSError | None = None
    for address in addresses(connection.host, connection.port):
        try:
            return socket.create_connection((address, connection.port), timeout=_seconds(connection))
        except OSError as error:
            failed = error
    if isinstance(failed, TimeoutError):
        raise ConnectTimeoutError(connection, f"connecting took more than {connection.timeout} s") from failed
    raise NewConnectionError(connection, f"no connection: {failed}") from failed


def _seconds(connection: HTTPConnection) -> float:
    seconds: Any = connection.timeout
    return float(seconds)


class _Plain(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self)


class _Tls(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self)


class _Guarded(Http):
    """HTTP whose connections lead where they may."""

    def __init__(self) -> None:
        super().__init__("", field="url", reply_seconds=SECONDS)
        classes = self._pool.pool_classes_by_scheme
        connections: dict[str, type[HTTPConnection]] = {"http": _Plain, "https": _Tls}
        self._pool.pool_classes_by_scheme = {
            scheme: type(f"_Guarded_{scheme}", (pool,), {"ConnectionCls": connections[scheme]})
            for scheme, pool in classes.items()
        }

    def _untrusted(self, url: str, error: Any) -> Exception:
        text = bounded(f"{type(error).__name__}: {error}", 200)
        if "CERTIFICATE_VERIFY_FAILED" not in text:
            return Unavailable(f"{bounded(url)}: TLS failed: {text}")
        return InvalidConfiguration(
            f"{bounded(url)}: its TLS certificate is not trusted ({text}); give the receiver one of a public CA"
        )
