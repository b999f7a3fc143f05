"""Fetches a certificate chain from an ACME CA, and the alternate one that ends at a preferred root (RFC 8555 7.4.2)."""

from __future__ import annotations

from perennial.errors import InvalidReply, Unavailable
from perennial.issued import ends_at
from perennial.issuers.acme_chain import MAX_ALTERNATES, read_chain
from perennial.issuers.acme_network import PEM_CHAIN, Network, Reply, Signer


def fetch_chain(network: Network, account: Signer, url: str, root: str) -> tuple[bytes, ...]:
    """The chain at `url`, DER, the leaf first. Where it does not end at `root` (a common name, "" for any), the first
    alternate chain that does; where none does, the default one.

    Raises: PerennialError.
    """
    reply, chain = _chain(network, account, url)
    if not root or ends_at(chain, root):
        return chain
    for alternate in reply.alternates(MAX_ALTERNATES):
        other, found = _chain(network, account, alternate)
        if found[0] != chain[0]:
            raise InvalidReply(f"{other.doing}: the alternate chain is of another certificate")
        if ends_at(found, root):
            return found
    return chain


def _chain(network: Network, account: Signer, url: str) -> tuple[Reply, tuple[bytes, ...]]:
    reply = network.post(url, b"", account, "certificate", accept=PEM_CHAIN, tolerate=("404",))
    if reply.problem is not None:
        raise Unavailable(f"{reply.doing}: the order is valid, but its certificate is not there", retry_after=10)
    return reply, read_chain(reply.pem(), reply.doing)
