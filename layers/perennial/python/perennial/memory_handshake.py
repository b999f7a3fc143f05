"""A full TLS handshake in memory: a server that holds a version's key, certificate and chain, and a client that trusts
the expected roots and nothing else.

OpenSSL judges here, as in most clients, and not the library of the other rules of `preflight`. It judges by this
machine's clock. The standard library takes a server's key only from a file: the key is encrypted before it is written,
with a passphrase that is in memory alone, and the file is gone as soon as OpenSSL has read it.

Sources: RFC 8446, RFC 5246, RFC 9525; https://docs.python.org/3/library/ssl.html (SSLContext, MemoryBIO).
"""

from __future__ import annotations

import ssl
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from perennial import keys
from perennial.certificate import Certificate, pem
from perennial.checks.wording import listed, quoted
from perennial.errors import Unavailable
from perennial.names import is_wildcard

if TYPE_CHECKING:
    from perennial.targets.interface import Bundle

PROTOCOLS = {  # as `Found.protocols` has them
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
_POST_QUANTUM = "ML-DSA"  # keys that OpenSSL has from 3.5 on, and TLS in 1.3 alone
_ROUNDS = 10  # of messages; a handshake has three
_OTHER_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_PROBE = "probe.invalid"


def problems(
    new: Bundle, *, names: Sequence[str], protocols: Sequence[str], roots: Sequence[Certificate]
) -> tuple[str, ...]:
    """Why a client that trusts these roots (at least one) does not accept a version for each of these names, a sentence
    for each reason; () when it does. The lowest and the highest of `protocols` are used that this OpenSSL can do, TLS
    1.2 and 1.3 where none is known.

    Raises: Unavailable where the temporary directory cannot be written.
    """
    versions = _versions(protocols, post_quantum=_is_post_quantum(new.certificate))
    try:
        server = _server(versions, new.private_key, new.certificate_pem + new.chain_pem)
        clients = {version: _client(version, roots) for version in versions}
    except ssl.SSLError as error:
        return (f"OpenSSL does not take the key, the certificate or a root ({_reason(error)}); issue a new version.",)
    return tuple(_refusals(server, clients, names))


def unable(certificates: Sequence[Certificate]) -> str:
    """The key type among these certificates for which this OpenSSL cannot shake hands; "" where it can for all."""
    if ssl.OPENSSL_VERSION_INFO[:2] >= (3, 5):
        return ""
    return next((str(each.key) for each in certificates if _is_post_quantum(each)), "")


def _is_post_quantum(certificate: Certificate) -> bool:
    return str(certificate.key_algorithm).startswith(_POST_QUANTUM)


def _refusals(
    server: ssl.SSLContext, clients: dict[ssl.TLSVersion, ssl.SSLContext], names: Sequence[str]
) -> Iterator[str]:
    for version, client in clients.items():
        refused: dict[str, list[str]] = {}
        for name in names:
            reason = _failure(server, client, _asked(name))
            if reason:
                refused.setdefault(reason, []).append(name)
        for reason, those in refused.items():
            yield (
                f"In a handshake in memory ({_word(version)}) a client that trusts the expected roots does not accept "
                f"it for {listed(those)}: {reason}; correct that, or issue a new version."
            )


def _asked(name: str) -> str:
    """What a client asks for: a host below a wildcard, an IP address without brackets."""
    plain = f"a.{name.removeprefix('*.')}" if is_wildcard(name) else name
    return plain.removeprefix("[").removesuffix("]").removesuffix(".")


def _failure(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """Why one handshake fails; "" where both sides end it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        waiting = [
            client.wrap_bio(to_client, to_server, server_hostname=name),
            server.wrap_bio(to_server, to_client, server_side=True),
        ]
        for _ in range(_ROUNDS):
            waiting = [side for side in waiting if not _done(side)]
            if not waiting:
                return ""
    except ssl.SSLError as error:  # before ValueError: a failed verification is both
        return _reason(error)
    except (ValueError, TypeError) as error:  # a name that TLS cannot carry; TypeError: it has a zero byte
        return f"the name cannot be asked for ({quoted(error, 100)})"
    return "the handshake does not end"


def _done(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's words, without the name, so that many names with one reason are one sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OTHER_NAME:
            return "the certificate is not for this name"
        return quoted(error.verify_message, 200)
    return quoted((error.reason or "unknown reason").lower().replace("_", " "), 200)


# --- the two sides ---


def _versions(protocols: Sequence[str], *, post_quantum: bool) -> tuple[ssl.TLSVersion, ...]:
    known = sorted(version for word, version in PROTOCOLS.items() if word in protocols and _able(version))
    usual = [ssl.TLSVersion.TLSv1_3] if post_quantum else [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
    found = known or usual
    return tuple(sorted({found[0], found[-1]}))


def _word(version: ssl.TLSVersion) -> str:
    return next(word for word, each in PROTOCOLS.items() if each is version)


def _server(versions: Sequence[ssl.TLSVersion], private_key: str, chain_pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _limit(context, versions[0], versions[-1])
    context.num_tickets = 0  # nothing is resumed
    _load(context, private_key, chain_pem)
    return context


def _client(version: ssl.TLSVersion, roots: Sequence[Certificate]) -> ssl.SSLContext:
    """A client that verifies the chain and the name (check_hostname and CERT_REQUIRED are the protocol's defaults). An
    anchor need not be self-signed (RFC 5280 6.1.1 d), and the common name is no name (RFC 9525 2)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _limit(context, version, version)
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=b"".join(each.der for each in roots))
    return context


def _limit(context: ssl.SSLContext, lowest: ssl.TLSVersion, highest: ssl.TLSVersion) -> None:
    """What is older than TLS 1.2 signs with SHA-1, which OpenSSL has at security level 0 alone."""
    if lowest < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("ALL:!aNULL:!eNULL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = lowest, highest


def _load(context: ssl.SSLContext, private_key: str, chain_pem: str) -> None:
    """Give a server its key and its chain, through a file in which the key is encrypted."""
    import secrets

    passphrase = secrets.token_hex(32)
    content = _sealed(private_key, passphrase) + chain_pem.encode()
    try:
        with tempfile.TemporaryDirectory(prefix="perennial-") as folder:  # for its owner alone
            file = Path(folder, "server.pem")
            file.touch(0o600)
            file.write_bytes(content)
            context.load_cert_chain(file, password=passphrase)
    except ssl.SSLError:  # an OSError too
        raise
    except OSError as error:
        raise Unavailable(f"preflight: the temporary directory cannot be used ({error.strerror}); free it") from error


def _sealed(private_key: str, passphrase: str) -> bytes:
    """The key as PKCS #8, encrypted (RFC 5958 section 3)."""
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    encryption = BestAvailableEncryption(passphrase.encode())
    return keys.from_pem(private_key).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


# --- what this OpenSSL can do ---


@lru_cache
def _able(version: ssl.TLSVersion) -> bool:
    """Whether this OpenSSL still does a protocol. For old ones it is tried: they may be built in and yet be forbidden
    by the system's policy, or their signatures be."""
    if version >= ssl.TLSVersion.TLSv1_2:
        return True
    built_in = {ssl.TLSVersion.TLSv1: ssl.HAS_TLSv1, ssl.TLSVersion.TLSv1_1: ssl.HAS_TLSv1_1}
    return built_in[version] and _tried(version)


def _tried(version: ssl.TLSVersion) -> bool:
    from perennial.certificate import parse

    private, der = _probe()
    try:
        server = _server((version,), private, pem(der))
        return not _failure(server, _client(version, [parse(der)]), _PROBE)
    except (ssl.SSLError, ValueError):  # ValueError: the protocol cannot even be set
        return False


def _probe() -> tuple[str, bytes]:
    """A key, and a certificate that it signed for itself."""
    from datetime import UTC, datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    private = keys.generate("EC-256")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _PROBE)])
    builder = x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
    builder = builder.not_valid_after(datetime(2999, 1, 1, tzinfo=UTC))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(_PROBE)]), critical=False)
    signed = builder.sign(private, hashes.SHA256())
    return keys.to_pem(private), signed.public_bytes(Encoding.DER)
