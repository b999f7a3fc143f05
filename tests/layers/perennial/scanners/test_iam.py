from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from certificates import NOT_AFTER, build
from perennial.certificate import Certificate
from perennial.manifest import Role
from perennial.scanners.iam import SCANNER
from scanning import ACCOUNT, remembered, scan
from scripted_aws import Answer, ScriptedAws, refuse, turns

ROOT = build("Example Root", ca=True)
LEAF = build("old.example.com", issuer=ROOT, key="RSA-2048")
UPLOADED = datetime(2026, 10, 3, tzinfo=UTC)


def arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:server-certificate/cloudfront/{name}"


def metadata(name: str = "old", **changed: Any) -> dict[str, Any]:
    told = {
        "Path": "/cloudfront/",
        "ServerCertificateName": name,
        "ServerCertificateId": f"ASCA{name.upper():X<16}",
        "Arn": arn(name),
        "UploadDate": UPLOADED,
        "Expiration": NOT_AFTER,
    }
    return told | changed


def body(chain: bool = True, **changed: Any) -> dict[str, Any]:
    found = {"ServerCertificateMetadata": metadata(**changed), "CertificateBody": LEAF.pem}
    return {"ServerCertificate": found | ({"CertificateChain": ROOT.pem} if chain else {})}


def script(*listed: dict[str, Any], get: Answer | None = None) -> ScriptedAws:
    """An account with these certificates, one a page."""

    def page(request: Any) -> dict[str, Any]:
        number = int(request.get("Marker", 0))
        more = number + 1 < len(listed)
        following = {"Marker": str(number + 1)} if more else {}
        return {"ServerCertificateMetadataList": [listed[number]], "IsTruncated": more, **following}

    return ScriptedAws(
        {"iam.ListServerCertificates": page, "iam.GetServerCertificate": get or (lambda request: body())}
    )


def test_certificate_and_chain_are_read() -> None:
    """A server certificate is read with its chain; its sighting tells when it was uploaded."""
    made = script(metadata())
    (seen,) = scan("iam", made, tags={"iam:server-certificate": {arn("old"): {"team": "web"}}})
    assert (seen.certificate, seen.chain) == (LEAF.certificate, (ROOT.certificate,))
    assert (seen.sighting.location, seen.sighting.role) == (arn("old"), Role.STORED)
    assert seen.sighting.fingerprint == LEAF.fingerprint
    expected = {"changed_at": "2026-10-03T00:00:00+00:00", "tags": {"team": "web"}, "chain_status": "complete"}
    assert expected.items() <= seen.sighting.attributes.items()


@pytest.mark.parametrize("full", [True, False])
def test_pages_are_followed(full: bool) -> None:
    """Every page of the listing is read, under every path."""
    made = script(metadata("one"), metadata("two"), metadata("three"))
    assert [each.sighting.location for each in scan("iam", made, full=full)] == [
        arn(n) for n in ("one", "two", "three")
    ]
    assert all("PathPrefix" not in request for request in made.made("iam.ListServerCertificates"))


def test_quick_scan_reads_no_certificate() -> None:
    """A quick scan tells when a certificate ends, and calls nothing for it."""
    made = script(metadata())
    (seen,) = scan("iam", made, full=False)
    assert seen.certificate == Certificate(fingerprint=None, not_after=NOT_AFTER)
    assert made.calls == ["iam.ListServerCertificates"]


def test_unchanged_scan_reads_nothing() -> None:
    """A second scan is the listing alone, and yields the objects that it knew."""
    known = remembered(scan("iam", script(metadata())), "iam")
    made = script(metadata())
    (seen,) = scan("iam", made, known=known)
    assert made.calls == ["iam.ListServerCertificates"]
    assert seen.sighting is known[arn("old")]


@pytest.mark.parametrize(
    "change",
    [
        {"ServerCertificateId": "ASCAANOTHERONE12"},
        {"Expiration": NOT_AFTER + timedelta(days=1)},
        {"UploadDate": UPLOADED + timedelta(seconds=1)},
    ],
)
def test_changed_certificate_is_read_again(change: dict[str, Any]) -> None:
    """A certificate that was deleted and uploaded again under its old name is read again; others are not."""
    known = remembered(scan("iam", script(metadata("one"), metadata("two"))), "iam")
    made = script(metadata("one", **change), metadata("two"))
    scan("iam", made, known=known)
    assert [request["ServerCertificateName"] for request in made.made("iam.GetServerCertificate")] == ["one"]


def test_deleted_between_list_and_get() -> None:
    """A certificate that is deleted after it was listed is not there; the others are."""
    made = script(metadata("gone"), metadata("here"), get=turns(refuse("NoSuchEntity", status=404), body()))
    assert [each.sighting.location for each in scan("iam", made)] == [arn("here")]


def test_denied_certificate_is_a_problem() -> None:
    """Where one certificate may not be read, its sighting says so."""
    (seen,) = scan("iam", script(metadata(), get=refuse("AccessDenied", status=403)))
    assert seen.sighting.fingerprint is None
    assert "iam:GetServerCertificate" in seen.sighting.attributes["problem"]


@pytest.mark.parametrize(("code", "status"), [("Throttling", 400), ("ServiceFailure", 500)])
def test_scope_errors_raise(code: str, status: int) -> None:
    """Throttling and faults make the scope incomplete."""
    with pytest.raises(ClientError, match=code):
        scan("iam", script(metadata(), get=refuse(code, status=status)))


def test_hostile_body_survives() -> None:
    """A body that is no certificate, and one that holds the chain too, are taken for what they are."""
    odd = body()
    odd["ServerCertificate"]["CertificateBody"] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
    both = body(chain=False)
    both["ServerCertificate"]["CertificateBody"] = LEAF.pem + ROOT.pem
    first, second = scan("iam", script(metadata("odd"), metadata("both"), get=turns(odd, both)))
    assert first.certificate and first.certificate.problems
    assert (second.certificate, second.chain) == (LEAF.certificate, (ROOT.certificate,))


def test_global_service() -> None:
    """IAM is scanned once an account."""
    assert not SCANNER.everywhere


@mock_aws
def test_real_certificate_through_an_emulated_iam() -> None:
    """An uploaded certificate is found, read once and known after."""
    iam: Any = boto3.client("iam", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    iam.upload_server_certificate(
        ServerCertificateName="old", CertificateBody=LEAF.pem, PrivateKey=LEAF.key_pem, CertificateChain=ROOT.pem
    )
    first = scan("iam", lambda service: iam)
    assert [(each.certificate, each.chain) for each in first] == [(LEAF.certificate, (ROOT.certificate,))]
    second = scan("iam", lambda service: iam, known=remembered(first, "iam"))
    assert [(each.sighting, each.certificate) for each in second] == [(first[0].sighting, None)]
