"""The process of acme2certifier: its own WSGI application on loopback.

Run by the interpreter of acme2certifier's environment, with ``-I`` (a neighbouring file has the package's name) and
with ACME_SRV_CONFIGFILE set. It asks DNS on port 53 and fetches http-01 on port 80, without an option for either, so
those two ports are exchanged here, and nobody needs the right to bind them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import make_server


def main() -> None:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser(description="Serve acme2certifier on 127.0.0.1.")
    for name in ("--port", "--dns-port", "--http-port"):
        parser.add_argument(name, type=int, required=True)
    options = parser.parse_args()
    ask_dns_on(options.dns_port)
    fetch_http_on(options.http_port)

    from acme2certifier.share.acme2certifier_wsgi import (  # type: ignore[import-not-found]
        application,
        get_handler_cls,
    )

    make_server("127.0.0.1", options.port, told(application), handler_class=get_handler_cls()).serve_forever()


def told(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The application, which logs each request before it is answered: the server's own line comes after the reply,
    and who has the reply would count one request too few."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        print(f"received {environ['REQUEST_METHOD']} {environ['PATH_INFO']}", flush=True)
        return application(environ, start_response)

    return answer


def ask_dns_on(port: int) -> None:
    """Let every new resolver ask its name servers on this port."""
    import dns.resolver  # type: ignore[import-not-found]

    class Resolver(dns.resolver.Resolver):  # type: ignore[misc]
        def reset(self) -> None:
            super().reset()
            self.port = port

    dns.resolver.Resolver = Resolver


def fetch_http_on(port: int) -> None:
    """Let every HTTP connection to port 80 go to this port."""
    from urllib3.util import connection

    connect = connection.create_connection

    def exchanged(address: tuple[str, int], *rest: Any, **options: Any) -> Any:
        host, wanted = address
        return connect((host, port if wanted == 80 else wanted), *rest, **options)

    connection.create_connection = exchanged


if __name__ == "__main__":
    main()
