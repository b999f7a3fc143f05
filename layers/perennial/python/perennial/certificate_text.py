"""A version's certificates as text, for those who get no key: trust bundles, pinned chains, what a server sends. Pure.

| content | what it is |
| --- | --- |
| certificate | the certificate alone |
| chain | the certificates above it |
| fullchain | the certificate, then those above it |

All of it is PEM. A chain is the same for many certificates, so it begins with a line that says whose it is: text
outside of the blocks is allowed (RFC 7468 section 2), and readers of bundles take lines with "#" as comments. The line
has no "-", with which simple readers see a block begin.
"""

from __future__ import annotations

import re

from perennial.certificate import broken_blocks, ders, fingerprint
from perennial.targets.interface import Bundle, Field

CONTENTS = ("certificate", "chain", "fullchain")
FIELD = Field(
    name="content",
    pattern="|".join(CONTENTS),
    words="what is put there: certificate (alone), chain (those above it), or fullchain (both)",
    default="fullchain",
)
_ISSUERS = "# Issuers of the certificate with the SHA256 fingerprint "
_ISSUERS_LINE = re.compile(re.escape(_ISSUERS) + r"([0-9a-f]{64})\n")
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


def text(content: str, new: Bundle) -> str:
    """What is put at a place, of one of `CONTENTS`."""
    if content == "certificate":
        return new.certificate_pem
    if content == "chain":
        return f"{_ISSUERS}{new.fingerprint}\n{new.chain_pem}"
    return new.certificate_pem + new.chain_pem


def refusals(content: str, new: Bundle) -> list[str]:
    """Why a version has no such text, a sentence each."""
    if content == "chain" and not new.chain:
        return ["the version has no certificates above it; use the content certificate"]
    return []


def leaf(content: str, held: str) -> str:
    """SHA-256 of the certificate that a text of a place is for; "" where it does not say."""
    if content == "chain":
        line = _ISSUERS_LINE.match(held)
        return line[1] if line and ders(held) else ""
    found = ders(held)
    return fingerprint(found[0]) if found else ""


def public(held: str) -> bool:
    """Whether a text is certificates in PEM and comments, and nothing else that might be secret."""
    if not ders(held) or broken_blocks(held):
        return False
    rest = _BLOCK.sub("", held).splitlines()
    return all(not line.strip() or line.startswith("#") for line in rest) and "PRIVATE KEY" not in held
