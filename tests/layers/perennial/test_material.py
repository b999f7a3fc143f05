from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from certificates import build
from perennial import material
from perennial.manifest import Role, Sighting

ROOT = build("Example Root", ca=True)
LEAF = build("shop.example.com", issuer=ROOT)


def listed(version: str = "1", **attributes: Any) -> Sighting:
    return Sighting(location="here", role=Role.STORED, resource="here", version=version, attributes=attributes)


def refusing(code: str) -> Any:
    def get() -> tuple[str, str | None]:
        raise ClientError({"Error": {"Code": code, "Message": ""}}, "GetCertificate")

    return get


def current(sighting: Sighting, known: Sighting | None, get: Any) -> Any:
    return material.current(sighting, known, get, gone="Gone", problems={"Denied": "it is denied"})


def test_read() -> None:
    """The first block is the certificate, the others its chain, wherever they lie."""
    for body, chain in ((LEAF.pem, ROOT.pem), (LEAF.pem + ROOT.pem, None)):
        seen = material.read(listed(status="ISSUED"), body, chain)
        assert (seen.certificate, seen.chain) == (LEAF.certificate, (ROOT.certificate,))
        assert seen.sighting.fingerprint == LEAF.fingerprint
        assert (seen.sighting.attributes["status"], seen.sighting.attributes["chain_status"]) == ("ISSUED", "complete")


@pytest.mark.parametrize("body", ["", "x" * 10_000, "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----"])
def test_read_without_a_certificate(body: str) -> None:
    """A text without a certificate is a problem, not an error."""
    seen = material.read(listed(), body)
    assert (seen.certificate, seen.sighting.fingerprint) == (None, None)
    assert "cannot be read" in seen.sighting.attributes["problem"]


def test_same_version_is_reused() -> None:
    """Of an unchanged version nothing is read; what the listing tells now stands beside what was read then."""
    known = material.read(listed(status="ISSUED"), LEAF.pem, ROOT.pem).sighting
    assert current(listed(status="ISSUED"), known, refusing("Fault")).sighting is known
    seen = current(listed(status="EXPIRED"), known, refusing("Fault"))
    assert seen.sighting.fingerprint == LEAF.fingerprint
    assert seen.sighting.attributes == {**known.attributes, "status": "EXPIRED"}


def test_other_version_is_read() -> None:
    """Another version, and one that could not be read before, are read."""
    known = material.read(listed("0"), ROOT.pem).sighting
    unread = material.unreadable(listed(), "it was denied").sighting
    for before in (known, unread, None):
        seen = current(listed(), before, lambda: (LEAF.pem, ROOT.pem))
        assert seen.sighting.fingerprint == LEAF.fingerprint
        assert "problem" not in seen.sighting.attributes


def test_errors() -> None:
    """What is gone is not there, what concerns one certificate is its problem, and everything else is raised."""
    assert current(listed(), None, refusing("Gone")) is None
    assert current(listed(), None, refusing("Denied")).sighting.attributes == {"problem": "it is denied"}
    with pytest.raises(ClientError):
        current(listed(), None, refusing("Throttling"))
