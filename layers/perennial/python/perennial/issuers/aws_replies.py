"""What ACM and ACM PCA take and answer: PEM and DER, and errors with what to do about them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING

from perennial import clients
from perennial.certificate import broken_blocks, ders, parse
from perennial.errors import InvalidReply, PerennialError, ServiceRefused

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

MAX_PEM = 2_097_152  # characters; what ACM's model allows for a chain
MAX_CHAIN = 10  # certificates; a private CA is at most five levels deep


def code(error: ClientError) -> str:
    """The error code of a reply."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def answered(doing: str, advice: Mapping[str, str]) -> Iterator[None]:
    """Raise what AWS's errors mean in the block; `advice` has, by error code, what to do about those that are final.

    Raises: PerennialError.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise refused(error, doing, advice) from error
    except BotoCoreError as error:
        raise clients.meaning(error, doing) from error


def refused(error: ClientError, doing: str, advice: Mapping[str, str]) -> PerennialError:
    """What one error means. LimitExceededException is a quota here, where other services throttle with it."""
    meaning = clients.meaning(error, doing)
    told = advice.get(code(error))
    if told is None:
        return meaning
    kind = type(meaning) if not meaning.retry else ServiceRefused
    return kind(f"{meaning}; {told}")


def chain(certificate: str, above: str, doing: str) -> tuple[bytes, ...]:
    """The certificate and what is above it, in DER, without the root: who verifies has it, and a server that sends it
    wastes the handshake's bytes (RFC 8446 4.4.2 allows leaving it out).

    Raises: InvalidReply.
    """
    if len(certificate) + len(above) > MAX_PEM:
        raise InvalidReply(f"{doing}: more than {MAX_PEM} characters of PEM")
    leaf, issuers = ders(certificate), ders(above)
    if broken := broken_blocks(certificate) + broken_blocks(above):
        raise InvalidReply(f"{doing}: the PEM cannot be read: {broken[0][:200]}")
    if len(leaf) != 1 or len(issuers) > MAX_CHAIN:
        raise InvalidReply(f"{doing}: {len(leaf)} certificates with a chain of {len(issuers)}; one was asked for")
    return (leaf[0], *(der for der in issuers if not parse(der).self_issued))


def pem(label: str, der: bytes) -> str:
    """DER as PEM (RFC 7468), as requests send it."""
    body = "\n".join(wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"
