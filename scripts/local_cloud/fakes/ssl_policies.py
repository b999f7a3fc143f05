"""The predefined TLS security policies of Elastic Load Balancing: protocols and ciphers, as DescribeSSLPolicies says.

Source: "Security policies for your Application Load Balancer" in the ELB user guide. All policies draw on one list of
ciphers in one order of preference, so each is written as the families of ciphers that it takes from that list. The
post-quantum (PQ) policies differ from their classical counterparts in key exchange only, which the API does not show.
"""

from __future__ import annotations

from dataclasses import dataclass

# (cipher, family) in the order in which every policy prefers them.
_CIPHERS = (
    ("TLS_AES_128_GCM_SHA256", "tls13"),
    ("TLS_AES_256_GCM_SHA384", "tls13"),
    ("TLS_CHACHA20_POLY1305_SHA256", "chacha"),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "ecdhe-gcm"),
    ("ECDHE-RSA-AES128-GCM-SHA256", "ecdhe-gcm"),
    ("ECDHE-ECDSA-AES128-SHA256", "ecdhe-cbc"),
    ("ECDHE-RSA-AES128-SHA256", "ecdhe-cbc"),
    ("ECDHE-ECDSA-AES128-SHA", "ecdhe-sha1"),
    ("ECDHE-RSA-AES128-SHA", "ecdhe-sha1"),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", "ecdhe-gcm"),
    ("ECDHE-RSA-AES256-GCM-SHA384", "ecdhe-gcm"),
    ("ECDHE-ECDSA-AES256-SHA384", "ecdhe-cbc"),
    ("ECDHE-RSA-AES256-SHA384", "ecdhe-cbc"),
    ("ECDHE-ECDSA-AES256-SHA", "ecdhe-sha1"),
    ("ECDHE-RSA-AES256-SHA", "ecdhe-sha1"),
    ("AES128-GCM-SHA256", "rsa"),
    ("AES128-SHA256", "rsa"),
    ("AES128-SHA", "rsa-sha1"),
    ("AES256-GCM-SHA384", "rsa"),
    ("AES256-SHA256", "rsa"),
    ("AES256-SHA", "rsa-sha1"),
    ("DES-CBC3-SHA", "3des"),
)
_TLS13_ONLY = ("tls13", "chacha")
_RESTRICTED = ("ecdhe-gcm",)
_FORWARD_SECRET = ("ecdhe-gcm", "ecdhe-cbc")
_FORWARD_SECRET_SHA1 = (*_FORWARD_SECRET, "ecdhe-sha1")
_NO_SHA1 = (*_FORWARD_SECRET, "rsa")
_COMPATIBLE = (*_FORWARD_SECRET_SHA1, "rsa", "rsa-sha1")
_PROTOCOLS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")

DEFAULT_POLICY = "ELBSecurityPolicy-2016-08"
"""What a listener gets that is created through the API without a policy."""


@dataclass(frozen=True)
class SslPolicy:
    """One predefined policy: its name, protocols from old to new, and ciphers by preference."""

    name: str
    protocols: tuple[str, ...]
    ciphers: tuple[str, ...]


def _policy(name: str, oldest: str, newest: str, families: tuple[str, ...]) -> SslPolicy:
    first, last = _PROTOCOLS.index(oldest), _PROTOCOLS.index(newest)
    ciphers = tuple(cipher for cipher, family in _CIPHERS if family in families)
    return SslPolicy("ELBSecurityPolicy-" + name, _PROTOCOLS[first : last + 1], ciphers)


def _tls13(name: str, oldest: str, families: tuple[str, ...] = ()) -> SslPolicy:
    return _policy("TLS13-" + name, oldest, "TLSv1.3", (*_TLS13_ONLY, *families))


def _fips(name: str, oldest: str, families: tuple[str, ...] = ()) -> SslPolicy:
    """The FIPS policies leave out ChaCha20, which FIPS 140 does not approve."""
    return _policy("TLS13-" + name, oldest, "TLSv1.3", ("tls13", *families))


_ALL = (
    _tls13("1-3-2021-06", "TLSv1.3"),
    _tls13("1-3-PQ-2025-09", "TLSv1.3"),
    _tls13("1-2-Res-2021-06", "TLSv1.2", _RESTRICTED),
    _tls13("1-2-Res-PQ-2025-09", "TLSv1.2", _RESTRICTED),
    _tls13("1-2-2021-06", "TLSv1.2", _FORWARD_SECRET),
    _tls13("1-2-PQ-2025-09", "TLSv1.2", _FORWARD_SECRET),
    _tls13("1-2-Ext1-2021-06", "TLSv1.2", _NO_SHA1),
    _tls13("1-2-Ext1-PQ-2025-09", "TLSv1.2", _NO_SHA1),
    _tls13("1-2-Ext2-2021-06", "TLSv1.2", _COMPATIBLE),
    _tls13("1-2-Ext2-PQ-2025-09", "TLSv1.2", _COMPATIBLE),
    _tls13("1-1-2021-06", "TLSv1.1", _COMPATIBLE),
    _tls13("1-0-2021-06", "TLSv1", _COMPATIBLE),
    _tls13("1-0-PQ-2025-09", "TLSv1", _COMPATIBLE),
    _fips("1-3-FIPS-2023-04", "TLSv1.3"),
    _fips("1-2-Res-FIPS-2023-04", "TLSv1.2", _RESTRICTED),
    _fips("1-2-FIPS-2023-04", "TLSv1.2", _FORWARD_SECRET),
    _policy("2016-08", "TLSv1", "TLSv1.2", _COMPATIBLE),
    _policy("TLS-1-0-2015-04", "TLSv1", "TLSv1.2", (*_COMPATIBLE, "3des")),
    _policy("TLS-1-1-2017-01", "TLSv1.1", "TLSv1.2", _COMPATIBLE),
    _policy("TLS-1-2-2017-01", "TLSv1.2", "TLSv1.2", _NO_SHA1),
    _policy("TLS-1-2-Ext-2018-06", "TLSv1.2", "TLSv1.2", _COMPATIBLE),
    _policy("FS-2018-06", "TLSv1", "TLSv1.2", _FORWARD_SECRET_SHA1),
    _policy("FS-1-1-2019-08", "TLSv1.1", "TLSv1.2", _FORWARD_SECRET_SHA1),
    _policy("FS-1-2-2019-08", "TLSv1.2", "TLSv1.2", _FORWARD_SECRET_SHA1),
    _policy("FS-1-2-Res-2019-08", "TLSv1.2", "TLSv1.2", _FORWARD_SECRET),
    _policy("FS-1-2-Res-2020-10", "TLSv1.2", "TLSv1.2", _RESTRICTED),
)
POLICIES = {policy.name: policy for policy in _ALL}
"""The policies of Application and Network Load Balancers by name."""

_CLASSIC_2015_05 = _policy("2015-05", "TLSv1", "TLSv1.2", (*_COMPATIBLE, "3des"))
CLASSIC_POLICIES = {
    policy.name: policy
    for policy in (
        POLICIES["ELBSecurityPolicy-2016-08"],
        POLICIES["ELBSecurityPolicy-TLS-1-2-2017-01"],
        POLICIES["ELBSecurityPolicy-TLS-1-1-2017-01"],
        _CLASSIC_2015_05,
    )
}
"""The predefined policies that a Classic Load Balancer can still be given, by name."""


def classic_attributes(policy: SslPolicy) -> list[dict[str, str]]:
    """The policy as the attribute list of an SSLNegotiationPolicyType (every protocol and cipher, on or off)."""
    switches = [(f"Protocol-{protocol}", protocol in policy.protocols) for protocol in _PROTOCOLS[:3]]
    switches += [("Protocol-SSLv3", False), ("Server-Defined-Cipher-Order", True)]
    switches += [(cipher, cipher in policy.ciphers) for cipher, family in _CIPHERS if family not in _TLS13_ONLY]
    return [{"AttributeName": name, "AttributeValue": str(on).lower()} for name, on in switches]
