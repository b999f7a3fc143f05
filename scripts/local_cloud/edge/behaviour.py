"""How an address of a place misbehaves on purpose, so that a rollout has something to find.

old           goes on showing the certificates that it had when it was told to, as an address that missed an update
wrong-chain   the right certificate and key, with a chain of a CA that has nothing to do with it
refuse        its port is closed
hang          takes a connection and says nothing
reset         ends a connection as soon as the client has said something
well          none of that
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from local_cloud.edge.listeners import Place
from local_cloud.edge.material import Material

KINDS = ("old", "wrong-chain", "refuse", "hang", "reset", "well")


@dataclass(frozen=True)
class Frozen:
    """A place and its certificates by ARN, as they were at one moment."""

    place: Place
    materials: Mapping[str, Material | None] = field(repr=False)


@dataclass(frozen=True)
class Behaviour:
    """One of `KINDS`, until a time of the monotonic clock or until it is told otherwise."""

    kind: str = "well"
    until: float | None = None
    frozen: Frozen | None = field(default=None, repr=False)

    def now(self, clock: float) -> str:
        """The kind that counts at this time."""
        return "well" if self.until is not None and clock >= self.until else self.kind


@cache
def foreign_chain() -> str:
    """A CA certificate, in PEM, that has signed nothing that the edge serves."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key, began = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Another CA, of the local edge")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(began - timedelta(days=1))
        .not_valid_after(began + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()
