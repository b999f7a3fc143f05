"""Which certificate a listener shows to a client.

By "SSL certificates for your Application Load Balancer" and "Server certificates for your Network Load Balancer" in the
ELB user guides: the default certificate is used where a client names no host, or where no certificate of the list is
for that name. Of several on the list that are, the load balancer takes the best one that the client supports: (1) ECDSA
before RSA, (2) not expired before expired, (3) the stronger hash, the highest SHA first and MD5 last, (4) the larger
key, (5) the validity period. The guides do not say which period is preferred; here it is the longer one, and of two
equally long the one that ends later. A wildcard is no worse than the exact name.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from local_cloud.edge.hello import Hello
from local_cloud.edge.material import Material

_SCHEMES = {  # signature schemes of TLS (RFC 8446 4.2.3) by the kind of key
    "ecdsa": frozenset({0x0203, 0x0403, 0x0503, 0x0603}),
    "rsa": frozenset({0x0201, 0x0401, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806}),
}
_CURVES = {"EC_prime256v1": 0x0403, "EC_secp384r1": 0x0503, "EC_secp521r1": 0x0603}  # TLS 1.3 ties a curve to a hash
_PSS = frozenset({0x0804, 0x0805, 0x0806})  # with RSA keys, TLS 1.3 signs with these only
_SIZE = re.compile(r"\d+")  # in ACM's names of keys: RSA_2048, EC_prime256v1
_HASHES = ("MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512")


def choose(
    hello: Hello,
    default: str,
    more: Sequence[str],
    material: Callable[[str], Material | None],
    protocols: Sequence[str],
    now: datetime,
) -> Material | None:
    """The certificate for a client; None where the default one would be shown and cannot be."""
    held = [found for arn in more if (found := material(arn))] if hello.server_name else []
    matching = [each for each in held if is_for(each, hello.server_name or "")]
    supported = [each for each in matching if supports(hello, each, protocols)]
    if not matching:
        return material(default)
    return max(supported or matching, key=lambda each: rank(each, now))


def is_for(material: Material, host: str) -> bool:
    """Whether a certificate is for a host name, by its exact name or by a wildcard in the place of the first label."""
    names = {name.lower().rstrip(".") for name in material.facts.names}
    return host in names or f"*.{host.partition('.')[2]}" in names


def rank(material: Material, now: datetime) -> tuple[Any, ...]:
    """The documented criteria in their order; the best certificate has the greatest."""
    facts = material.facts
    size = _SIZE.search(facts.key_algorithm)
    digest = facts.signature_algorithm.partition("WITH")[0]
    return (
        facts.key_algorithm.startswith("EC_"),
        facts.not_before <= now <= facts.not_after,
        _HASHES.index(digest) if digest in _HASHES else -1,
        int(size[0]) if size else 0,
        facts.not_after - facts.not_before,
        facts.not_after,
    )


def supports(hello: Hello, material: Material, protocols: Sequence[str]) -> bool:
    """Whether a client can take a certificate with this kind of key, in a version that it and the listener speak."""
    algorithm = material.facts.key_algorithm
    kind = "ecdsa" if algorithm.startswith("EC_") else "rsa"
    spoken = hello.versions & set(protocols)
    if "TLSv1.3" in spoken:
        needed = frozenset({_CURVES.get(algorithm, 0)}) if kind == "ecdsa" else _PSS
        return bool(hello.schemes & needed)
    schemes = not hello.schemes or bool(hello.schemes & _SCHEMES[kind])
    return bool(spoken) and schemes and bool(hello.ciphers & _ciphers(kind))


@cache
def _ciphers(kind: str) -> frozenset[int]:
    """The numbers of the cipher suites before TLS 1.3 whose server has a key of this kind."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    return frozenset(each["id"] & 0xFFFF for each in context.get_ciphers() if each["auth"] == f"auth-{kind}")
