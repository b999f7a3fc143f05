from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from moto import mock_aws

from certificates import NOW, Built, build
from perennial import acm_words
from perennial.certificate import Certificate
from perennial.manifest import Role
from scanning import ACCOUNT, REGION, remembered, scan
from scripted_aws import Answer, ScriptedAws, pages, refuse, turns

LEAF = build("shop.example.com", names=("shop.example.com", "192.0.2.1"))
IMPORTED = datetime(2026, 10, 2, tzinfo=UTC)
KEYS = {"EC-256": "EC_prime256v1", "EC-384": "EC_secp384r1", "RSA-2048": "RSA_2048"}
FIELDS = {"CN": "CommonName", "O": "Organization", "OU": "OrganizationalUnit", "C": "Country"}
USAGES = {"digital_signature": "DIGITAL_SIGNATURE", "key_encipherment": "KEY_ENCIPHERMENT"}
METADATA = {"Status": "ISSUED", "Type": "IMPORTED", "InUse": True, "ImportedAt": IMPORTED}
UNKNOWN = refuse("UnknownOperationException")


def arn(name: str = "one") -> str:
    return f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/{name}"


def name(text: x509.Name) -> dict[str, Any]:
    return {FIELDS[part.rfc4514_attribute_name]: part.value for part in text}


def result(built: Built = LEAF, identifier: str = "one", **metadata: Any) -> dict[str, Any]:
    """A result of SearchCertificates about a certificate."""
    facts = built.certificate
    names = [{"DnsName": each} for each in facts.dns_names or ()] + [
        {"IpAddress": each} for each in facts.ip_addresses or ()
    ]
    serial = facts.serial or ""
    return {
        "CertificateArn": arn(identifier),
        "X509Attributes": {
            "Subject": name(built.x509.subject),
            "Issuer": name(built.x509.issuer),
            "SubjectAlternativeNames": names,
            "ExtendedKeyUsages": ["TLS_WEB_SERVER_AUTHENTICATION"] if facts.extended_key_usage else ["NONE"],
            "KeyUsages": [USAGES[each] for each in facts.key_usage or ()],
            "KeyAlgorithm": KEYS[facts.key or ""],
            "SerialNumber": bytes.fromhex(serial.zfill(len(serial) + len(serial) % 2)).hex(":"),
            "NotBefore": facts.not_before,
            "NotAfter": facts.not_after,
        },
        "CertificateMetadata": {"AcmCertificateMetadata": {**METADATA, **metadata}},
    }


def summary(built: Built = LEAF, identifier: str = "one", **metadata: Any) -> dict[str, Any]:
    """A summary of ListCertificates about the same certificate."""
    facts = built.certificate
    return {
        "CertificateArn": arn(identifier),
        "DomainName": facts.title,
        "SubjectAlternativeNameSummaries": list(facts.dns_names or ()),
        "HasAdditionalSubjectAlternativeNames": False,
        "KeyAlgorithm": KEYS[facts.key or ""].replace("_", "-", 1),
        "NotBefore": facts.not_before,
        "NotAfter": facts.not_after,
        **METADATA,
        **metadata,
    }


def pending(identifier: str = "new", status: str = "PENDING_VALIDATION") -> dict[str, Any]:
    return {
        "CertificateArn": arn(identifier),
        "X509Attributes": {"Subject": {"CommonName": "new.example.com"}, "KeyAlgorithm": "RSA_2048"},
        "CertificateMetadata": {"AcmCertificateMetadata": {"Status": status, "Type": "AMAZON_ISSUED"}},
    }


def script(*results: dict[str, Any], get: Answer | None = None, **more: Answer) -> ScriptedAws:
    """One page of search results; GetCertificate answers with LEAF unless told otherwise."""
    return ScriptedAws(
        {
            "acm.SearchCertificates": pages("Results", list(results)),
            "acm.GetCertificate": get or (lambda request: {"Certificate": LEAF.pem}),
            **more,
        }
    )


def fallen_back(*summaries: dict[str, Any], error: Answer = UNKNOWN) -> ScriptedAws:
    """An ACM without SearchCertificates that lists one certificate a page."""
    listed = pages("CertificateSummaryList", *([each] for each in summaries))
    return script(**{"acm.SearchCertificates": error, "acm.ListCertificates": listed})


def operations(made: ScriptedAws) -> list[str]:
    return [operation.removeprefix("acm.") for operation in made.calls]


def test_first_scan_reads_each_certificate() -> None:
    """A certificate that was never seen is read with its chain; its sighting carries what ACM and the chain tell."""
    root = build("Example Root", ca=True)
    leaf = build("shop.example.com", issuer=root, key="EC-256#chain")
    made = script(result(leaf), get=lambda request: {"Certificate": leaf.pem, "CertificateChain": root.pem})
    (seen,) = scan("acm", made, tags={"acm:certificate": {arn(): {"team": "shop"}}})
    assert seen.certificate == leaf.certificate and seen.chain == (root.certificate,)
    assert (seen.sighting.location, seen.sighting.resource, seen.sighting.role) == (arn(), arn(), Role.STORED)
    assert seen.sighting.fingerprint == leaf.fingerprint
    assert seen.sighting.attributes == {
        "type": "IMPORTED",
        "status": "ISSUED",
        "in_use": True,
        "changed_at": "2026-10-02T00:00:00+00:00",
        "tags": {"team": "shop"},
        "chain": [root.fingerprint],
        "chain_status": "complete",
        "chain_not_after": "2034-01-01T00:00:00+00:00",
        "public": False,
    }


def test_all_attributes() -> None:
    """Renewal, export, manager and origin stand in the sighting as ACM tells them."""
    told: dict[str, Any] = {
        "RenewalStatus": "PENDING_VALIDATION",
        "RenewalEligibility": "ELIGIBLE",
        "ExportOption": "DISABLED",
        "ManagedBy": "CLOUDFRONT",
        "CertificateKeyPairOrigin": "AWS_MANAGED",
        "InUse": False,
    }
    (seen,) = scan("acm", script(result(**told)), full=False)
    expected = {
        "renewal_status": "PENDING_VALIDATION",
        "renewal_eligible": True,
        "exportable": False,
        "managed_by": "CLOUDFRONT",
        "origin": "AWS_MANAGED",
        "in_use": False,
    }
    assert expected.items() <= seen.sighting.attributes.items()


@pytest.mark.parametrize("full", [True, False])
def test_pages_are_followed(full: bool) -> None:
    """All pages are read, each of 500."""
    one, two, three = (result(identifier=each) for each in ("one", "two", "three"))
    made = script(**{"acm.SearchCertificates": pages("Results", [one, two], [three])})
    seen = scan("acm", made, full=full)
    assert [each.sighting.location for each in seen] == [arn("one"), arn("two"), arn("three")]
    assert all(request["MaxResults"] == 500 for request in made.made("acm.SearchCertificates"))


def test_all_pages_come_before_the_first_read() -> None:
    """No page's token waits until the certificates of the page before were read."""
    found = pages("Results", [result(identifier="one")], [result(identifier="two")])
    made = script(**{"acm.SearchCertificates": found})
    scan("acm", made)
    assert operations(made) == ["SearchCertificates", "SearchCertificates", "GetCertificate", "GetCertificate"]


def test_unchanged_scan_reads_nothing() -> None:
    """A second scan of an unchanged account is one listing, and yields the very objects that it knew."""
    known = remembered(scan("acm", script(result(), pending())))
    made = script(result(), pending())
    seen = scan("acm", made, known=known)
    assert operations(made) == ["SearchCertificates"]
    assert len(seen) == 2
    assert all(each.sighting is known[each.sighting.location] and each.certificate is None for each in seen)


@pytest.mark.parametrize(
    "change",
    [
        {"ImportedAt": IMPORTED + timedelta(days=1)},
        {"Status": "REVOKED"},
        {"Type": "PRIVATE"},
        {"IssuedAt": IMPORTED},
    ],
)
def test_changed_certificate_is_read_again(change: Mapping[str, Any]) -> None:
    """Whatever tells that a certificate may be another one makes the scan read it, and only it."""
    before = scan("acm", script(result(identifier="one"), result(identifier="two")))
    made = script(result(identifier="one", **change), result(identifier="two"))
    scan("acm", made, known=remembered(before))
    assert [request["CertificateArn"] for request in made.made("acm.GetCertificate")] == [arn("one")]


@pytest.mark.parametrize("change", [{"InUse": False}, {"RenewalStatus": "FAILED"}, {"RenewalEligibility": "ELIGIBLE"}])
def test_changed_metadata_reads_nothing(change: Mapping[str, Any]) -> None:
    """What changes around a certificate changes the sighting without reading the certificate."""
    before = remembered(scan("acm", script(result())))
    made = script(result(**change))
    (seen,) = scan("acm", made, known=before)
    assert operations(made) == ["SearchCertificates"]
    assert seen.sighting != before[arn()]
    assert seen.sighting.fingerprint == LEAF.fingerprint
    assert seen.sighting.attributes["chain_status"] == "self-signed"


def test_changed_tags_read_nothing() -> None:
    """New tags change the sighting without a call for the certificate."""
    before = remembered(scan("acm", script(result())))
    made = script(result())
    (seen,) = scan("acm", made, known=before, tags={"acm:certificate": {arn(): {"owner": "web"}}})
    assert operations(made) == ["SearchCertificates"]
    assert seen.sighting.attributes["tags"] == {"owner": "web"}


def test_deleted_between_list_and_get() -> None:
    """A certificate that is deleted after it was listed is not there; the others are."""

    get = turns(refuse("ResourceNotFoundException"), {"Certificate": LEAF.pem})
    seen = scan("acm", script(result(identifier="gone"), result(identifier="here"), get=get))
    assert [each.sighting.location for each in seen] == [arn("here")]


@pytest.mark.parametrize("code", ["AccessDeniedException", "RequestInProgressException"])
def test_one_unreadable_certificate(code: str) -> None:
    """An error about one certificate stands in its sighting, and the certificate is tried again by the next scan."""
    seen = scan("acm", script(result(), get=refuse(code)))
    assert seen[0].sighting.fingerprint is None
    assert seen[0].sighting.attributes["problem"]
    again = scan("acm", script(result()), known=remembered(seen))
    assert again[0].sighting.fingerprint == LEAF.fingerprint
    assert "problem" not in again[0].sighting.attributes


@pytest.mark.parametrize(
    ("code", "status"), [("ThrottlingException", 400), ("InternalFailure", 500), ("ExpiredTokenException", 403)]
)
def test_scope_errors_of_get_raise(code: str, status: int) -> None:
    """Throttling, faults and dead credentials make the scope incomplete, never a certificate unreadable."""
    with pytest.raises(ClientError, match=code):
        scan("acm", script(result(), get=refuse(code, status=status)))


@pytest.mark.parametrize("status", ["PENDING_VALIDATION", "VALIDATION_TIMED_OUT", "FAILED"])
@pytest.mark.parametrize("full", [True, False])
def test_not_issued(status: str, full: bool) -> None:
    """A request without a certificate is a sighting with its status and a sentence that names it, and no call."""
    made = script(pending(status=status))
    (seen,) = scan("acm", made, full=full)
    assert (seen.sighting.fingerprint, seen.certificate) == (None, None)
    assert seen.sighting.attributes["status"] == status
    assert "new.example.com" in seen.sighting.attributes["problem"]
    assert operations(made) == ["SearchCertificates"]


def test_issued_at_last() -> None:
    """A request that was pending is read as soon as it is issued, and its problem is gone."""
    known = remembered(scan("acm", script(pending("one"))))
    (seen,) = scan("acm", script(result(Type="AMAZON_ISSUED")), known=known)
    assert seen.sighting.fingerprint == LEAF.fingerprint
    assert "problem" not in seen.sighting.attributes


@pytest.mark.parametrize(
    "error",
    [
        UNKNOWN,
        refuse("InvalidAction"),
        refuse("AccessDeniedException"),
        refuse("NotImplemented", status=501),
        refuse("405", status=405),
        refuse("ValidationException", "Unknown operation SearchCertificates"),
    ],
)
@pytest.mark.parametrize("full", [True, False])
def test_fallback(error: Answer, full: bool) -> None:
    """Where SearchCertificates is not to be had, ListCertificates is asked for every key type and origin, paged."""
    made = fallen_back(summary(identifier="one"), summary(identifier="two"), error=error)
    seen = scan("acm", made, full=full)
    assert [each.sighting.location for each in seen] == [arn("one"), arn("two")]
    acm = boto3.client("acm", region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
    model: Any = acm.meta.service_model.operation_model("ListCertificates")
    request = model.input_shape.members
    for asked in made.made("acm.ListCertificates"):
        assert asked["Includes"]["keyTypes"] == request["Includes"].members["keyTypes"].member.enum
        assert asked["CertificateKeyPairOrigins"] == request["CertificateKeyPairOrigins"].member.enum
        assert asked["MaxItems"] == 1000


@pytest.mark.parametrize(
    "error",
    [
        ("ThrottlingException", "slow down", 400),
        ("InternalFailure", "sorry", 500),
        ("ValidationException", "NextToken is not valid", 400),
        ("ExpiredTokenException", "expired", 403),
    ],
)
def test_no_fallback(error: tuple[str, str, int]) -> None:
    """Throttling, faults and refused requests are raised: another call would not do better, or would hide them."""
    with pytest.raises(ClientError, match=error[0]):
        scan("acm", script(**{"acm.SearchCertificates": refuse(*error)}))


def test_error_on_a_later_page_raises() -> None:
    """A listing that breaks off is never taken for the whole."""
    found = turns({"Results": [result()], "NextToken": "2"}, UNKNOWN)
    with pytest.raises(ClientError):
        scan("acm", script(**{"acm.SearchCertificates": found}))


def test_change_of_call_reads_nothing_again() -> None:
    """Going from SearchCertificates to ListCertificates and back reads no certificate again."""
    known = remembered(scan("acm", script(result())))
    made = fallen_back(summary())
    (seen,) = scan("acm", made, known=known)
    assert operations(made) == ["SearchCertificates", "ListCertificates"]
    assert seen.sighting is known[arn()]


def facts(certificate: Certificate | None, told: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(certificate, name) for name in told}


@pytest.mark.parametrize("key", list(KEYS))
@pytest.mark.parametrize(
    "subject", ["CN=shop.example.com,O=Example\\, Inc.,C=DE", "CN=shop.example.com,OU=\\#1 \\+ a\\;b,O=\\<x\\>"]
)
def test_quick_facts_are_the_certificates(key: str, subject: str) -> None:
    """What a quick scan tells of a certificate is what its DER says, in the same words."""
    issuer = build("Example CA", ca=True)
    leaf = build(
        "shop", subject=subject, names=("shop.example.com", "192.0.2.1"), key=key, issuer=issuer, serial=0x0ABC
    )
    (seen,) = scan("acm", script(result(leaf)), full=False)
    told = (
        *("serial", "subject", "issuer", "common_name", "not_before", "not_after", "dns_names", "ip_addresses"),
        *("other_names", "key_algorithm", "key_size", "curve", "key_usage", "extended_key_usage", "self_issued"),
    )
    assert facts(seen.certificate, told) == facts(leaf.certificate, told)
    assert seen.certificate and seen.certificate.fingerprint is None and seen.sighting.fingerprint is None


def test_quick_scan_calls_nothing_per_certificate() -> None:
    """A quick scan of 1,000 certificates is two calls."""
    many = [result(identifier=f"c{number}") for number in range(1000)]
    made = script(**{"acm.SearchCertificates": pages("Results", many[:500], many[500:])})
    assert len(scan("acm", made, full=False)) == 1000
    assert operations(made) == ["SearchCertificates"] * 2


@pytest.mark.parametrize(("kind", "public"), [("AMAZON_ISSUED", True), ("PRIVATE", False), ("IMPORTED", None)])
def test_quick_public(kind: str, public: bool | None) -> None:
    """Without the chain, a certificate's type tells whether its root is public; an imported one's does not."""
    (seen,) = scan("acm", script(result(Type=kind)), full=False)
    assert seen.sighting.attributes.get("public") is public


def test_quick_fallback_does_not_claim_truncated_names() -> None:
    """A list of names that ListCertificates cut off is unknown, not short."""
    cut = summary(HasAdditionalSubjectAlternativeNames=True)
    (seen,) = scan("acm", fallen_back(cut), full=False)
    assert seen.certificate and seen.certificate.dns_names is None
    assert (seen.certificate.title, seen.certificate.key) == ("shop.example.com", "EC-256")


def test_hostile_values_survive() -> None:
    """Absurd names, empty structures and values of the future are taken as they are, in both kinds of scan."""
    absurd = "\0<script>alert(1)</script>,CN=x\\\u202e" + "a" * 5000
    odd = result()
    odd["X509Attributes"] = {
        "Subject": {"CommonName": absurd, "DomainComponents": ["com", "example"], "CustomAttributes": [{"Value": " "}]},
        "Issuer": {},
        "SubjectAlternativeNames": [
            {"DnsName": absurd},
            {"DirectoryName": {"CommonName": "x"}},
            {"OtherName": {"ObjectIdentifier": "1.2.3", "Value": "y"}},
            {"RegisteredId": "1.2.3"},
        ],
        "KeyAlgorithm": "QUANTUM_9000",
        "KeyUsages": ["CUSTOM"],
        "ExtendedKeyUsages": ["CUSTOM", "SOMETHING_NEW"],
        "SerialNumber": "00",
    }
    bare = {"CertificateArn": arn("bare")}
    (first, second) = scan("acm", script(odd, bare), full=False)
    assert first.certificate and first.certificate.common_name == absurd
    assert first.certificate.serial == "0" and first.certificate.key == "QUANTUM_9000"
    assert first.certificate.key_usage is None
    assert first.certificate.extended_key_usage == ("custom", "SOMETHING_NEW")
    assert first.certificate.other_names == ("other:CN=x", "other:1.2.3:y", "other:1.2.3")
    assert second.certificate == Certificate(fingerprint=None)
    get = turns({"Certificate": "no PEM at all"}, {"Certificate": LEAF.pem, "CertificateChain": "-----BEGIN X-----"})
    (first, second) = scan("acm", script(odd, bare, get=get))
    assert "cannot be read" in first.sighting.attributes["problem"]
    assert second.sighting.fingerprint == LEAF.fingerprint


def test_unreadable_chain_is_unknown() -> None:
    """A chain of which a block cannot be decoded is called unknown, not incomplete."""
    chain = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"
    (seen,) = scan("acm", script(result(), get=turns({"Certificate": LEAF.pem, "CertificateChain": chain})))
    assert seen.sighting.attributes["chain_status"] == "unknown"


def test_quick_scan_does_not_import_cryptography() -> None:
    """The module, and what a quick scan needs of the library, load without cryptography."""
    program = (
        "import sys; from perennial.scanners import acm; from perennial import acm_words;"
        "acm_words.searched({'X509Attributes': {'Subject': {'CommonName': 'x'}}});"
        "assert 'cryptography' not in sys.modules"
    )
    library = str(Path(acm_words.__file__).parents[1])
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": library})


@mock_aws
def test_real_certificates_through_an_emulated_acm() -> None:
    """Imported certificates are found through the fallback, read once, and read again when they are re-imported."""
    acm: Any = boto3.client("acm", region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
    now = datetime.now(UTC).replace(microsecond=0)
    dates: dict[str, Any] = {"not_before": now - timedelta(days=1), "not_after": now + timedelta(days=30)}
    root = build("Emulated Root", ca=True)
    leaves = [build(f"{key.lower()}.example.com", key=key, issuer=root, **dates) for key in ("EC-384", "RSA-2048")]
    arns = [
        acm.import_certificate(Certificate=each.pem, PrivateKey=each.key_pem, CertificateChain=root.pem)[
            "CertificateArn"
        ]
        for each in leaves
    ]
    calls: list[str] = []
    acm.meta.events.register("before-parameter-build.acm", lambda model, **_: calls.append(model.name))
    acm.meta.events.register("before-call.acm.SearchCertificates", lambda **_: _unknown())
    first = scan("acm", lambda service: acm)
    assert {each.sighting.location: each.certificate for each in first} == dict(
        zip(arns, [each.certificate for each in leaves], strict=True)
    )
    assert all(each.sighting.attributes["chain_status"] == "complete" for each in first)
    calls.clear()
    second = scan("acm", lambda service: acm, known=remembered(first))
    assert calls == ["SearchCertificates", "ListCertificates"]
    assert [each.sighting for each in second] == [each.sighting for each in first]
    new = build("ec-384.example.com", key="EC-384", issuer=root, serial=7, **dates | {"not_before": now})
    acm.import_certificate(
        CertificateArn=arns[0], Certificate=new.pem, PrivateKey=new.key_pem, CertificateChain=root.pem
    )
    calls.clear()
    third = scan("acm", lambda service: acm, known=remembered(first))
    assert calls == ["SearchCertificates", "ListCertificates", "GetCertificate"]
    assert {each.sighting.fingerprint for each in third} == {new.fingerprint, leaves[1].fingerprint}


def _unknown() -> tuple[Any, dict[str, Any]]:
    """What an endpoint answers that does not have the operation."""
    error = {"Code": "UnknownOperationException", "Message": ""}
    return SimpleNamespace(status_code=400), {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}}


def test_now_is_fixed() -> None:
    """The tests' clock does not move: a certificate built by them is valid at it."""
    begin, end = LEAF.certificate.not_before, LEAF.certificate.not_after
    assert begin is not None and end is not None and begin < NOW < end
