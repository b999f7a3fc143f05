"""Names that certificates are asked for: DNS names and IP addresses in one canonical text each, and rules over them.

Canonical is a DNS name in lower case as A-labels without a final dot (`xn--bcher-kva.example`), `*.` before a wildcard,
and an IP address in its shortest form (RFC 5952). Names in other forms are read by `canonical` and by nothing else.

The name rules: `shop.example.com` allows that name, `.example.com` every name below it (not itself, and no wildcard),
`*.example.com` that wildcard, `*..example.com` every wildcard below it (`*.example.com` too), `10.1.0.0/16` addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from perennial.errors import InvalidInput

MAX_TEXT = 1_000  # characters that are looked at; a DNS name in Unicode is far shorter
MAX_NAME = 253  # characters of a DNS name (RFC 1035 2.3.4, without the final dot and the root's length)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)  # what old resolvers take for a part of an IPv4 address
_JOINERS = (
    "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # invisible, and letters of some scripts (RFC 5892 A.1, A.2)
)
INTERNAL_DOMAINS = frozenset(
    {
        *("example", "invalid", "localhost", "test"),  # RFC 2606 2, RFC 6761 6
        *("local", "intranet", "private", "corp", "home", "lan"),  # RFC 6762 3 and appendix G
        *("internal", "mail"),  # ICANN keeps them out of the root: 2024-07-29 and 2018-02-04
        "alt",  # RFC 9476
        "onion",  # RFC 7686. Public CAs may certify it (Baseline Requirements appendix B); no solver here can prove it
        "localdomain",  # not in the root, and every other Unix host is below it
        "home.arpa",  # RFC 8375
        *("in-addr.arpa", "ip6.arpa"),  # reverse zones: CA/Browser Forum ballot SC-086
    }
)
# The Baseline Requirements (1.6.1, "Reserved IP Address") forbid every block of IANA's two special-purpose registries.
_RESERVED_4 = tuple(
    map(
        IPv4Network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"),
            *("192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            *("224.0.0.0/4", "240.0.0.0/4"),
        ),
    )
)
_GLOBAL_6 = IPv6Network("2000::/3")  # all global unicast addresses (IANA IPv6 address space); reserved within it:
_RESERVED_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")))


def canonical(text: str) -> str:
    """The canonical text of a DNS name, a wildcard or an IP address, as people write them (UTS #46, RFC 5891).

    Raises: InvalidInput.
    """
    _bounded(text)
    address = _address(text)
    if address is not None:
        return str(_certifiable(address, text))
    if text.startswith("*."):
        return _short_enough("*." + _domain(text[2:], text), text)
    return _domain(text, text)


def is_address(name: str) -> bool:
    """Whether a canonical name is an IP address."""
    return _address(name) is not None


def is_wildcard(name: str) -> bool:
    """Whether a canonical name stands for every label below a domain (RFC 9525 6.3)."""
    return name.startswith("*.")


def is_internal(name: str, suffixes: Iterable[str] = ()) -> bool:
    """Whether no public CA may certify a canonical name (Baseline Requirements 4.2.2, 7.1.2.7.12).

    That is: a single label, a name below a domain that is not in the public DNS (`INTERNAL_DOMAINS`), a reserved
    address, and whatever equals one of `suffixes` (canonical domains of the organisation's own) or is below it. A
    wildcard below a single label is not internal: that label may be a public top-level domain.
    """
    address = _address(name)
    if address is not None:
        return _reserved(address)
    if "." not in name:
        return True
    domain = name.removeprefix("*.")
    return any(_within(domain, suffix) for suffix in (*INTERNAL_DOMAINS, *suffixes))


def rule(text: str) -> str:
    """The canonical text of a name rule.

    Raises: InvalidInput.
    """
    _bounded(text)
    if "/" in text:
        return str(_network(text))
    for prefix in ("*..", "."):
        if text.startswith(prefix):
            return prefix + _domain(text.removeprefix(prefix), text)
    return canonical(text)


def matches(rule: str, name: str) -> bool:
    """Whether a rule, as `rule` returns it, allows a canonical name."""
    address = _address(name)
    if address is not None:
        return rule == name or ("/" in rule and address in ip_network(rule))
    below = rule.removeprefix("*.") if rule.startswith("*..") else rule
    if below.startswith("."):
        return name.endswith(below) and is_wildcard(name) == (below != rule)
    return rule == name


def shown(name: str) -> str:
    """A canonical name for people: an internationalised one with its U-labels, `xn--bcher-kva.example
    (bücher.example)`. A text that is no name comes back cut and escaped."""
    if len(name) > MAX_NAME or not (name.isascii() and name.isprintable()):
        return _quoted(name)
    if not any(label.startswith("xn--") for label in name.split(".")):
        return name
    import idna

    try:
        return f"{name} ({'*.' * is_wildcard(name)}{idna.decode(name.removeprefix('*.'))})"
    except UnicodeError:  # an A-label that stands for nothing
        return name


def _bounded(text: str) -> None:
    if not text:
        raise InvalidInput("a name is empty; write a DNS name such as shop.example.com, or an IP address")
    if len(text) > MAX_TEXT:
        raise InvalidInput(f"the name {_quoted(text)} has {len(text)} characters; a DNS name has at most {MAX_NAME}")
    if any(each.isspace() or not (each.isprintable() or each in _JOINERS) for each in text):
        raise InvalidInput(f"the name {_quoted(text)} holds a space or an invisible character; remove it")


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    if ":" not in text and not text[-1:].isdecimal():  # as most names; asking costs an exception
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def _certifiable(address: IPv4Address | IPv6Address, text: str) -> IPv4Address | IPv6Address:
    """The address, unless a certificate cannot hold it as such (RFC 5280 4.2.1.6: 4 or 16 octets and no more)."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise InvalidInput(f"the address {_quoted(text)} has a scope (%); write the address alone")
        if address.ipv4_mapped is not None:
            raise InvalidInput(f"the address {_quoted(text)} is an IPv4 address in IPv6; write {address.ipv4_mapped}")
    return address


def _domain(text: str, whole: str) -> str:
    """A DNS name as A-labels, none of them a reserved one (letters, digits and hyphens: RFC 5890 2.3.1)."""
    import idna

    if ":" in text or "[" in text:
        raise InvalidInput(f"{_quoted(whole)} is not an IP address; write it without brackets, port and prefix")
    if "_" in text:
        raise InvalidInput(f"the name {_quoted(whole)} holds an underscore; no certificate may name such a host")
    if "*" in text:
        raise InvalidInput(f"{_quoted(whole)} is not a DNS name: only its whole left-most label may be *")
    try:
        name = idna.encode(text, uts46=True, std3_rules=True).decode("ascii").removesuffix(".")
    except UnicodeError as error:  # every IDNAError is one
        raise InvalidInput(f"{_quoted(whole)} is not a DNS name: {str(error)[:120]}") from error
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        raise InvalidInput(f"{_quoted(whole)} ends in a number but is no IP address; write four numbers up to 255")
    return name


def _short_enough(name: str, whole: str) -> str:
    if len(name) > MAX_NAME:
        raise InvalidInput(f"the name {_quoted(whole)} has {len(name)} characters as A-labels; {MAX_NAME} are allowed")
    return name


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise InvalidInput(
            f"{_quoted(text)} is not a range of addresses; write 10.1.0.0/16 or 2001:db8::/32"
        ) from error
    if isinstance(network, IPv6Network):
        _certifiable(network.network_address, text)
    return network


def _reserved(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return any(address in each for each in _RESERVED_4)
    return address not in _GLOBAL_6 or any(address in each for each in _RESERVED_6)


def _within(domain: str, suffix: str) -> bool:
    return domain == suffix or domain.endswith("." + suffix)
