"""Endpoints: what the organisation's host:port serve, seen by a TLS handshake with each of their addresses.

A location is `host:port`. Where the addresses of a host serve different certificates, `host:port` is the one that most
of them serve, and every other one is `host:port#<address>` with the first address that serves it. An endpoint that does
not answer stays in the manifest with a problem. Addresses are told only where they differ: names of load balancers and
CDNs resolve to other addresses all the time, and an unchanged estate must not differ between scans.

A quick scan shakes hands too: there is no cheaper way to look, and the list is the organisation's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from perennial import handshake
from perennial.certificate import Certificate, fingerprint, parse
from perennial.chain import judge
from perennial.handshake import Handshake
from perennial.manifest import Role, Seen, Sighting
from perennial.material import MAX_CHAIN
from perennial.scanners.interface import Reading, Scanner
from perennial.settings import HOST_PORT

CONCURRENCY = 100  # handshakes (and resolutions) at once
MAX_ADDRESSES = 8  # of one host
_HTTPS = 443
_LAST_PORT = 65_535
_VERDICT = ("chain", "chain_status", "chain_not_after", "public")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host (name or IP address, without brackets) and a port."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Endpoint:
        """From `host`, `host:port` or `[IPv6]:port`, as the settings accept it."""
        match = HOST_PORT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text[:100]!r} is not host:port")
        return cls(match["host"].strip("[]").lower(), int(match["port"] or _HTTPS))

    @property
    def location(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the addresses of one endpoint answered; `problem` says why there are no addresses."""

    endpoint: Endpoint
    handshakes: tuple[Handshake, ...] = ()
    problem: str | None = None


def scan(reading: Reading) -> Iterator[Seen]:
    """Every endpoint of the settings: its certificates, or why there are none."""
    endpoints = dict.fromkeys(map(Endpoint.of, reading.settings.endpoints))
    for answer in asyncio.run(_look(list(endpoints))):
        yield from _sightings(answer, reading.known)


async def _look(endpoints: Sequence[Endpoint]) -> list[Answer]:
    """Look at all endpoints, at most CONCURRENCY at once."""
    free = asyncio.Semaphore(CONCURRENCY)
    resolvers = ThreadPoolExecutor(CONCURRENCY)  # a name server that hangs must not hold up other names
    asyncio.get_running_loop().set_default_executor(resolvers)
    return await asyncio.gather(*(_answer(endpoint, free) for endpoint in endpoints))


async def _answer(endpoint: Endpoint, free: asyncio.Semaphore) -> Answer:
    if endpoint.port > _LAST_PORT:
        return Answer(endpoint, problem=f"there is no port {endpoint.port}")
    try:
        async with free:
            found = await handshake.addresses(endpoint.host, endpoint.port, MAX_ADDRESSES)
    except TimeoutError:
        return Answer(endpoint, problem="the name was not resolved in time")
    except (OSError, UnicodeError) as error:  # UnicodeError: a label is empty or too long
        return Answer(endpoint, problem=f"the name does not resolve: {getattr(error, 'strerror', None) or error}")
    return Answer(endpoint, tuple(await asyncio.gather(*(_shake(endpoint, address, free) for address in found))))


async def _shake(endpoint: Endpoint, address: str, free: asyncio.Semaphore) -> Handshake:
    async with free:
        return await handshake.shake(address, endpoint.port, endpoint.host)


def _sightings(answer: Answer, known: Mapping[str, Sighting]) -> Iterator[Seen]:
    """One sighting per distinct certificate; for known places that gave none now, one with a problem."""
    place = answer.endpoint.location
    serving = _by_leaf(answer.handshakes)
    used = set()
    for number, group in enumerate(serving):
        location = place if number == 0 else f"{place}#{group[0].address}"
        used.add(location)
        addresses = [each.address for each in group] if len(serving) > 1 else []
        yield _served(location, answer.endpoint, group[0], addresses, known.get(location))
    failed = {f"{place}#{each.address}": each.problem for each in answer.handshakes if not each.chain}
    if not serving:
        problem = answer.problem or _common(answer.handshakes)
        expected = [place, *(each for each in known if each.startswith(f"{place}#"))]
        yield from (_problem(location, answer.endpoint, failed.get(location) or problem) for location in expected)
    else:
        missing = [location for location in failed if location in known and location not in used]
        yield from (_problem(location, answer.endpoint, failed[location] or "") for location in missing)


def _by_leaf(handshakes: Sequence[Handshake]) -> list[list[Handshake]]:
    """Handshakes by the leaf that was served: the most frequent first, then by address."""
    groups: dict[bytes, list[Handshake]] = {}
    for each in handshakes:
        if each.chain:
            groups.setdefault(each.chain[0], []).append(each)
    return sorted(groups.values(), key=lambda group: (-len(group), group[0].address))


def _common(handshakes: Sequence[Handshake]) -> str:
    """The problems of all addresses, in one sentence."""
    problems = sorted({each.problem or "no certificate" for each in handshakes})
    return "; ".join(problems)[:300] or "the name has no address"


def _served(location: str, endpoint: Endpoint, shaken: Handshake, addresses: list[str], known: Sighting | None) -> Seen:
    told = {"protocol": shaken.protocol, "addresses": addresses, "handshake": shaken.problem}
    attributes: dict[str, Any] = {"names": [endpoint.host]} | {name: value for name, value in told.items() if value}
    sent = _known_chain(shaken, known) or _judged_chain(shaken)
    sighting = Sighting(
        location=location,
        role=Role.SERVED,
        resource=endpoint.location,
        fingerprint=fingerprint(shaken.chain[0]),
        attributes=attributes | dict(sent.verdict),
    )
    return Seen(sighting, sent.certificate, sent.chain)


@dataclass(frozen=True, slots=True)
class _Chain:
    """A chain's verdict, and its certificates where they are not known yet."""

    verdict: Mapping[str, Any]
    certificate: Certificate | None = None
    chain: tuple[Certificate, ...] = ()


def _known_chain(shaken: Handshake, known: Sighting | None) -> _Chain | None:
    """The verdict of the scan before, where the same certificates were sent: judging costs as much as a handshake."""
    leaf, *others = map(fingerprint, shaken.chain[: MAX_CHAIN + 1])
    if known is None or known.fingerprint != leaf:
        return None
    if known.attributes.get("chain") != [each for each in others if each != leaf]:
        return None
    return _Chain({name: value for name, value in known.attributes.items() if name in _VERDICT})


def _judged_chain(shaken: Handshake) -> _Chain:
    certificate, *others = map(parse, shaken.chain[: MAX_CHAIN + 1])
    return _Chain(judge(certificate, others).attributes(), certificate, tuple(others))


def _problem(location: str, endpoint: Endpoint, problem: str) -> Seen:
    attributes = {"names": [endpoint.host], "problem": problem}
    return Seen(Sighting(location=location, role=Role.SERVED, resource=endpoint.location, attributes=attributes))


SCANNER = Scanner(
    source="endpoints",
    title="host:port over TLS",
    actions=(),
    scan=scan,
    everywhere=False,
    hub_only=True,
)
