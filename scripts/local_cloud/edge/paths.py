"""The HTTP paths of the edge, on the local cloud's endpoint.

GET  /_local_cloud/edge             every address of every place: what it shows now, and how it behaves
GET  /_local_cloud/edge/resolve     ?host=…&port=…: [[address, port], …] of the servers, 404 for a name that it does
                                    not know; a port on which the host has no TLS listener leads to a closed one, and
                                    port 0 to addresses alone
GET  /_local_cloud/edge/root        the root of AWS's own names at the edge in PEM, see `aws_hosts`
POST /_local_cloud/edge/behaviour   {"host" | "place", "address"?, "behaviour", "seconds"?}, see `behaviour`; answers
                                    the addresses that now behave so
"""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from local_cloud.edge import aws_hosts, behaviour, resolve
from local_cloud.edge.domains import ApiDomains, Distributions
from local_cloud.edge.listeners import ClassicListeners, Listeners, Place, Places
from local_cloud.edge.material import Material, Materials
from local_cloud.edge.server import Door, Servers
from local_cloud.edge.store import Store
from local_cloud.fakes.wire import Response

PREFIX = "/_local_cloud/edge"
Row = dict[str, Any]


class Edge:
    """The edge of a process, whose services a store reads, and which answers HTTP at the endpoint."""

    def __init__(self, store: Store, endpoint: tuple[str, int] = ("127.0.0.1", 4566)) -> None:
        self._store = store
        self.aws_hosts = aws_hosts.AwsHosts(endpoint)
        self._materials = Materials(store)
        self._places = Places([kind(store) for kind in (Listeners, ClassicListeners, ApiDomains, Distributions)])
        self.servers = Servers(self._places.again, self._materials)

    def places(self) -> list[Place]:
        """Every place as it is now; the servers of all others are closed."""
        found = self._places.all()
        self.servers.sweep(found)
        return found

    def rows(self) -> list[Row]:
        """One row for each address of each place."""
        return [self._row(place, door) for place in self.places() for door in self.servers.doors(place)]

    def resolve(self, host: str, port: int) -> list[tuple[str, int]] | None:
        """(address, port) of the servers that a host name leads to; None for a name that the edge does not know."""
        if aws_hosts.is_served(host) and port in (0, aws_hosts.PORT):
            return [self.aws_hosts.address()]
        found = resolve.leading(self._store, self.places(), host)
        if not found:
            return None
        listening = next((place for place in found if place.port == port), None)
        if listening:
            return [(door.address, door.port) for door in self.servers.doors(listening)]
        addresses = [door.address for door in self.servers.doors(found[0])]
        return [(each, self.servers.closed_port(each) if port else 0) for each in dict.fromkeys(addresses)]

    def misbehave(self, order: Mapping[str, Any]) -> list[Row]:
        """Carry out an order of the path ``behaviour``. Raises: KeyError, ValueError where it cannot be."""
        kind, seconds = order["behaviour"], order.get("seconds")
        if kind not in behaviour.KINDS:
            raise ValueError(f"{kind!r} is no behaviour; there are {', '.join(behaviour.KINDS)}")
        doors = list(self._meant(order))
        if not doors:
            raise ValueError("no address of a place is meant")
        for _, door in doors:
            self.servers.behave(door, kind, None if seconds is None else float(seconds))
        return [self._row(place, door) for place, door in doors]

    def _meant(self, order: Mapping[str, Any]) -> Iterator[tuple[Place, Door]]:
        named = str(order.get("place") or order["host"])
        places = self.places()
        wanted = [each for each in places if each.place == named] or resolve.leading(self._store, places, named)
        for place in wanted:
            for door in self.servers.doors(place):
                if order.get("address") in (None, door.address):
                    yield place, door

    def _row(self, place: Place, door: Door) -> Row:
        shown = self.servers.shown(door)
        return {
            "place": place.place,
            "kind": place.kind,
            "account": place.where[0],
            "region": place.where[1],
            "name": place.name,
            "hosts": list(place.hosts),
            "listens": place.port,
            "address": door.address,
            "port": door.port,
            "behaviour": self.servers.kind(door),
            "protocols": list(place.protocols),
            "certificate": _told(shown) if shown else None,
            "certificates": [place.default, *place.more],
        }


def answer(edge: Edge, method: str, path: str, query: Mapping[str, Sequence[str]], body: bytes) -> Response:
    """Serve one request to `PREFIX`."""
    try:
        match method, path.removeprefix(PREFIX).strip("/"):
            case "GET", "":
                return _json(200, edge.rows())
            case "GET", "resolve":
                found = edge.resolve(query["host"][0], int(query.get("port", ["0"])[0]))
                return _json(404 if found is None else 200, found or {"message": "the edge does not know this host"})
            case "GET", "root":
                return 200, {"Content-Type": "application/x-pem-file"}, edge.aws_hosts.root().encode()
            case "POST", "behaviour":
                return _json(200, edge.misbehave(json.loads(body)))
    except (KeyError, TypeError, ValueError) as error:
        return _json(400, {"message": f"{type(error).__name__}: {error}"})
    return _json(404, {"message": f"{method} {path} is no path of the local edge"})


def _told(shown: Material) -> Row:
    """What a person wants to know of a certificate, and what a test compares."""
    facts = shown.facts
    return {
        "arn": shown.arn,
        "name": facts.domain_name,
        "serial": facts.serial,
        "not_after": facts.not_after.isoformat(),
        "fingerprint": hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown.leaf)).hexdigest(),
    }


def _json(status: int, content: Any) -> Response:
    return status, {"Content-Type": "application/json"}, json.dumps(content).encode()
