"""Proves what serves at a target: finds the addresses, asks each for each name, and says what that shows.

Two questions are kept apart. `observe` asks the network: which certificates are sent. `prove` decides whether that is
the proof. Nothing is trusted on the way: the certificate must be, byte for byte, the one that is expected, and a
handshake that ends well shows that the server has its key.

Where to ask: the place has a name of its own (of a load balancer, a distribution), and host names that lead there, or
to something that stands in front of it. A host name that shares an address with the place, or is all that is known,
adds its addresses; one that leads elsewhere is asked for at the place alone, and that is told.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from perennial import handshake, proof_signing
from perennial.certificate import fingerprint, parse
from perennial.checks.wording import listed, quoted
from perennial.handshake import Handshake, name_to_send
from perennial.names import MAX_NAME, is_wildcard
from perennial.proof import MAX_CHAIN, MAX_TEXT, Observation, Proof, document, of, statement, verdict
from perennial.resolution import LAST_PORT, Found, Place, host_port, resolve
from perennial.targets.interface import HANDSHAKE, READ_BACK, TargetSettings

ACTIONS = proof_signing.ACTIONS
MOST = 64  # handshakes of one call
CONCURRENCY = 32  # handshakes, and resolutions, at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What the addresses answered. `elsewhere` are names that lead to other addresses than the place has; `left_out`
    are names that were not asked for, as there would have been too many handshakes; `unasked` are addresses, as a name
    has too many, or this machine has no way to them."""

    observations: tuple[Observation, ...]
    elsewhere: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """The same in sentences, for the record."""
        told = {
            "These names lead to other addresses than the place has; they were asked for at the place": self.elsewhere,
            "These names were not asked for, as there are too many": self.left_out,
            "These addresses were not asked, as they are too many or not reached from here": self.unasked,
        }
        return tuple(f"{sentence}: {listed(those)}." for sentence, those in told.items() if those)


# --- what is asked ---


@dataclass(frozen=True, slots=True)
class _Question:
    """A name, and where it is asked for; `problem` where there is nowhere."""

    name: str
    places: tuple[Place, ...]
    problem: str = ""


def observe(names: Sequence[str], *, host: str, port: int, endpoints: Sequence[str], most: int = MOST) -> Observed:
    """Ask for each name (canonical, at least one) at each address, in at most `most` handshakes.

    `host` and `port` are where the place itself answers, "" where it has no name of its own. With `endpoints`
    (`host:port`) only those are asked, for every name. Takes at most 30 seconds, and as long as the system's resolver
    needs to give up. Never raises for what the network does: an address, or a name without one, that gives no
    handshake is an observation with a problem.
    """
    return asyncio.run(_observe(tuple(dict.fromkeys(names)), host, port, endpoints, max(1, most)))


async def _observe(names: tuple[str, ...], host: str, port: int, endpoints: Sequence[str], most: int) -> Observed:
    resolvers = ThreadPoolExecutor(CONCURRENCY)  # a name server that hangs must not hold up other names
    asyncio.get_running_loop().set_default_executor(resolvers)
    asked = _sample(names, most)
    every = await (_at_endpoints(asked, endpoints) if endpoints else _at_place(asked, host, port))
    questions = _bounded(every.questions, most)
    told = {each.name for each in questions}
    return Observed(
        observations=(*(_lost(each, port) for each in every.lost), *await _shaken(questions, port)),
        elsewhere=every.elsewhere,
        left_out=tuple(each for each in names if told and each not in told),
        unasked=tuple(sorted({*every.unasked, *_cut(every.questions, most)})),
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to ask; `lost` are hosts of the place itself without an address, which nothing makes up for."""

    questions: tuple[_Question, ...]
    lost: tuple[_Question, ...] = ()
    elsewhere: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()


async def _at_endpoints(names: tuple[str, ...], endpoints: Sequence[str]) -> _Plan:
    """Every name at every address of every endpoint."""
    found = await asyncio.gather(*(resolve(*host_port(each)) for each in endpoints))
    places = _union(*(each.places for each in found))
    lost = [_Question(where, (), each.problem) for where, each in zip(endpoints, found, strict=True) if each.problem]
    asked = [_Question(name, places) for name in names if places]
    return _Plan(tuple(asked), tuple(lost), unasked=_unasked(found))


async def _at_place(names: tuple[str, ...], host: str, port: int) -> _Plan:
    """Every name at the addresses of the place and, where they lead there or the place has no name, at its own. A host
    below a wildcard need not exist, so that its addresses say something only where there are no others."""
    resolved = [name for name in names if not (host and is_wildcard(name))]
    own, *theirs = await asyncio.gather(*(resolve(each, port) for each in (host, *map(_asked, resolved))))
    if host and not own.places:
        return _Plan((), (_Question(host, (), own.problem),))
    of_name = dict(zip(resolved, theirs, strict=True))
    questions, elsewhere = [], []
    for name in names:
        found = of_name.get(name, Found())
        away = bool(host) and not set(own.places) & set(found.places)
        places = own.places if away else _union(own.places, found.places)
        questions.append(_Question(name, places, "" if places else found.problem))
        if away and found.places:
            elsewhere.append(name)
    return _Plan(tuple(questions), (), tuple(elsewhere), _unasked((own, *theirs)))


def _union(*places: Iterable[Place]) -> tuple[Place, ...]:
    return tuple(sorted({place for each in places for place in each}))


def _unasked(found: Iterable[Found]) -> tuple[str, ...]:
    return tuple(sorted({address for each in found for address in each.unasked}))


def _sample(names: tuple[Any, ...], size: int) -> tuple[Any, ...]:
    """So many of them: the first ones and the last ones, always the same."""
    if len(names) <= size:
        return names
    first = (size + 1) // 2
    return (*names[:first], *names[len(names) - (size - first) :])


def _bounded(questions: tuple[_Question, ...], most: int) -> tuple[_Question, ...]:
    """As many questions as fit into a number of handshakes: at least one, with as many of its places."""
    short = tuple(replace(each, places=each.places[:most]) for each in questions)
    for size in range(len(short), 1, -1):
        chosen = _sample(short, size)
        if sum(max(1, len(each.places)) for each in chosen) <= most:
            return chosen
    return short[:1]


def _cut(questions: Iterable[_Question], most: int) -> Iterator[str]:
    """The addresses that `_bounded` leaves out."""
    return (address for each in questions for address, _ in each.places[most:])


# --- the network ---


async def _shaken(questions: Sequence[_Question], port: int) -> tuple[Observation, ...]:
    free = asyncio.Semaphore(CONCURRENCY)

    async def shake(place: Place, name: str) -> Observation:
        async with free:
            return _observation(await handshake.shake(*place, name))

    lost = [_lost(each, port) for each in questions if not each.places]
    asked = {(place, name_to_send(_asked(each.name))): _asked(each.name) for each in questions for place in each.places}
    made = await asyncio.gather(*(shake(place, name) for (place, _), name in asked.items()))
    return (*lost, *made)


def _asked(name: str) -> str:
    """The name that is asked for: a host below a wildcard."""
    if not is_wildcard(name):
        return name
    suffix = name.removeprefix("*.")
    below = f"perennial-proof.{suffix}"
    return below if len(below) <= MAX_NAME else f"a.{suffix}"


def _observation(seen: Handshake) -> Observation:
    """One handshake as a record: fingerprints in place of certificates, and bounded."""
    leaf = parse(seen.chain[0]) if seen.chain else None
    return Observation(
        address=quoted(seen.address, 300),
        port=seen.port,
        sni=quoted(seen.sni, 300) if seen.sni else None,
        protocol=seen.protocol,
        serial=(leaf.serial or "")[:80] if leaf else "",
        chain=tuple(map(fingerprint, seen.chain[:MAX_CHAIN])),
        problem=quoted(seen.problem, 500) if seen.problem is not None else None,
    )


def _lost(question: _Question, port: int) -> Observation:
    problem = f"{question.problem}; correct that, or give the target other endpoints"
    return Observation(address=quoted(question.name, 300), port=min(port, LAST_PORT), problem=quoted(problem, 500))


# --- what it shows ---


def shown(observations: Iterable[Observation]) -> str:
    """What handshakes showed, for people: each serial, or problem, and the addresses."""
    groups: dict[str, list[str]] = {}
    for each in observations:
        what = f"no handshake ({quoted(each.problem, 100)})" if each.problem is not None else f"serial {each.serial}"
        groups.setdefault(what, []).append(f"{each.address}:{each.port}")
    return "; ".join(f"{what} at {listed(dict.fromkeys(places))}" for what, places in list(groups.items())[:5])


def prove(
    *,
    managed: str,
    version: int,
    rollout: int,
    target: TargetSettings,
    purpose: str,
    expected: str,
    chain: Sequence[str],
    seen: Observed | None,
    began_at: datetime,
    now: datetime,
    asked_by: str,
    serial: str = "",
) -> tuple[Proof | None, str]:
    """The proof, not yet signed, and ""; or None and why what was seen is none.

    `expected` is the leaf's fingerprint, `chain` those of what is above it. Without `seen` it is a read-back: the
    caller has compared what AWS tells with `expected`. `serial` (hexadecimal) is needed only there.
    """
    observations = seen.observations if seen else ()
    reason = verdict(observations, expected, chain) if seen else ""
    if reason:
        return None, reason
    made = Proof(
        id="-",
        managed=managed,
        version=version,
        rollout=rollout,
        target=target.name,
        kind=target.kind,
        place=place(target),
        method=HANDSHAKE if seen else READ_BACK,
        purpose=purpose,
        expected=expected,
        serial=observations[0].serial if observations else serial,
        chain=tuple(chain[:MAX_CHAIN]),
        observations=observations,
        notes=seen.notes if seen else (),
        began_at=began_at,
        proven_at=now,
        asked_by=quoted(asked_by or "unknown", MAX_TEXT),
    )
    named = replace(made, id=hashlib.sha256(statement(made)).hexdigest()[:32])
    return of(document(named)), ""  # what cannot be read again is not kept


def place(target: TargetSettings) -> str:
    """Where a target is, in one text: what its settings name, and where to ask."""
    named: dict[str, Any] = {"account": target.account, "region": target.region, **target.fields}
    told = {name: ",".join(value) if isinstance(value, tuple) else value for name, value in named.items()}
    told["endpoints"] = ",".join(target.endpoints)
    return quoted("; ".join(f"{name}={value}" for name, value in told.items() if value), MAX_TEXT)


def signed(kms: Any, key_id: str, proof: Proof) -> Proof:
    """The proof with the signature of a KMS key (its ARN).

    Raises: see `proof_signing.sign`.
    """
    return proof_signing.sign(kms, key_id, proof)
