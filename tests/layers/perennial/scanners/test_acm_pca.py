from __future__ import annotations

from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from certificates import CA_NOT_AFTER, CA_NOT_BEFORE, build
from perennial.manifest import Role
from scanning import ACCOUNT, REGION, remembered, scan
from scripted_aws import Answer, ScriptedAws, refuse, turns

ROOT = build("Example Root", ca=True, key="RSA-2048")
ISSUING = build("Example Issuing", ca=True, issuer=ROOT, key="RSA-2048", path_length=0)
OTHER = "444455556666"


def arn(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:acm-pca:{REGION}:{account}:certificate-authority/{name}"


def authority(name: str = "issuing", account: str = ACCOUNT, **changed: Any) -> dict[str, Any]:
    serial = ISSUING.certificate.serial or ""
    told = {
        "Arn": arn(name, account),
        "OwnerAccount": account,
        "Type": "SUBORDINATE",
        "Serial": serial.zfill(len(serial) + len(serial) % 2),
        "Status": "ACTIVE",
        "NotBefore": CA_NOT_BEFORE,
        "NotAfter": CA_NOT_AFTER,
        "UsageMode": "SHORT_LIVED_CERTIFICATE",
        "CertificateAuthorityConfiguration": {
            "KeyAlgorithm": "RSA_2048",
            "SigningAlgorithm": "SHA256WITHRSA",
            "Subject": {"CommonName": "Example Issuing"},
        },
    }
    return told | changed


def script(*own: dict[str, Any], shared: tuple[dict[str, Any], ...] = (), get: Answer | None = None) -> ScriptedAws:
    """An account with its own CAs, one a page, and those shared with it."""

    def page(request: Any) -> dict[str, Any]:
        if request["ResourceOwner"] == "OTHER_ACCOUNTS":
            return {"CertificateAuthorities": list(shared)}
        number = int(request.get("NextToken", 0))
        following = {"NextToken": str(number + 1)} if number + 1 < len(own) else {}
        return {"CertificateAuthorities": list(own[number : number + 1]), **following}

    def issuing(request: Any) -> dict[str, Any]:
        return {"Certificate": ISSUING.pem, "CertificateChain": ROOT.pem}

    return ScriptedAws(
        {
            "acm-pca.ListCertificateAuthorities": page,
            "acm-pca.GetCertificateAuthorityCertificate": get or issuing,
        }
    )


def reads(made: ScriptedAws) -> int:
    return made.count("acm-pca.GetCertificateAuthorityCertificate")


def test_authority_is_read() -> None:
    """A CA's certificate is read with its chain; the sighting tells its kind, state, mode and whose it is."""
    tags = {"acm-pca:certificate-authority": {arn("issuing"): {"team": "pki"}}}
    (seen,) = scan("acm_pca", script(authority()), tags=tags)
    assert (seen.certificate, seen.chain) == (ISSUING.certificate, (ROOT.certificate,))
    assert (seen.sighting.location, seen.sighting.role) == (arn("issuing"), Role.AUTHORITY)
    expected = {
        "type": "SUBORDINATE",
        "status": "ACTIVE",
        "usage_mode": "SHORT_LIVED_CERTIFICATE",
        "shared": False,
        "tags": {"team": "pki"},
        "chain_status": "complete",
    }
    assert expected.items() <= seen.sighting.attributes.items()


@pytest.mark.parametrize("full", [True, False])
def test_own_and_shared_on_every_page(full: bool) -> None:
    """The account's CAs, page by page, and those that other accounts share with it, each once."""
    shared = (authority("theirs", OTHER), authority("one"))
    seen = scan("acm_pca", script(authority("one"), authority("two"), shared=shared), full=full)
    found = {each.sighting.location: each.sighting.attributes["shared"] for each in seen}
    assert len(seen) == 3
    assert found == {arn("one"): False, arn("two"): False, arn("theirs", OTHER): True}


def test_quick_facts_are_the_certificates() -> None:
    """A quick scan tells of a CA what its certificate says, without reading it."""
    made = script(authority())
    (seen,) = scan("acm_pca", made, full=False)
    told = ("serial", "subject", "common_name", "not_before", "not_after", "key_algorithm", "key_size", "is_ca")
    facts = {name: getattr(seen.certificate, name) for name in (*told, "self_issued")}
    assert facts == {name: getattr(ISSUING.certificate, name) for name in (*told, "self_issued")}
    assert reads(made) == 0


@pytest.mark.parametrize(
    ("algorithm", "key"), [("ML_DSA_65", "ML-DSA-65"), ("EC_secp384r1", "EC-384"), ("SM2", "SM2"), ("NEW_1", "NEW_1")]
)
def test_key_algorithms(algorithm: str, key: str) -> None:
    """Every key algorithm of ACM PCA has its word, and one that is not known stands as it is."""
    configuration = {"KeyAlgorithm": algorithm, "SigningAlgorithm": "ML_DSA_65", "Subject": {}}
    (seen,) = scan("acm_pca", script(authority(CertificateAuthorityConfiguration=configuration)), full=False)
    assert seen.certificate and seen.certificate.key == key


def test_unchanged_scan_reads_nothing() -> None:
    """A second scan is the two listings alone; a CA that was only disabled is not read either."""
    known = remembered(scan("acm_pca", script(authority("one"), authority("two"))), "acm_pca")
    made = script(authority("one"), authority("two", Status="DISABLED"))
    one, two = scan("acm_pca", made, known=known)
    assert reads(made) == 0
    assert one.sighting is known[arn("one")]
    assert (two.sighting.attributes["status"], two.sighting.fingerprint) == ("DISABLED", ISSUING.fingerprint)


@pytest.mark.parametrize(
    "change",
    [
        {"Serial": "0a0b"},
        {"NotAfter": CA_NOT_AFTER + timedelta(days=1)},
        {"NotBefore": CA_NOT_BEFORE + timedelta(days=1)},
    ],
)
def test_renewed_authority_is_read_again(change: dict[str, Any]) -> None:
    """A CA with a new certificate is read again."""
    known = remembered(scan("acm_pca", script(authority())), "acm_pca")
    made = script(authority(**change))
    scan("acm_pca", made, known=known)
    assert reads(made) == 1


@pytest.mark.parametrize("status", ["CREATING", "PENDING_CERTIFICATE", "FAILED"])
@pytest.mark.parametrize("full", [True, False])
def test_authority_without_certificate(status: str, full: bool) -> None:
    """A CA that has no certificate is a sighting with its state and the reason, and no call."""
    bare = {"NotBefore", "NotAfter", "Serial"}
    told = {name: value for name, value in authority(Status=status).items() if name not in bare}
    made = script(told)
    (seen,) = scan("acm_pca", made, full=full)
    assert (seen.certificate, seen.sighting.fingerprint) == (None, None)
    assert seen.sighting.attributes["status"] == status
    assert seen.sighting.attributes["problem"]
    assert reads(made) == 0


@pytest.mark.parametrize("code", ["AccessDeniedException", "InvalidStateException"])
def test_one_unreadable_authority(code: str) -> None:
    """An error about one CA (a share that does not allow reading, a deleted CA) stands in its sighting."""
    shared = (authority("theirs", OTHER),)
    answers = turns({"Certificate": ISSUING.pem}, refuse(code))
    one, theirs = scan("acm_pca", script(authority(), shared=shared, get=answers))
    assert one.sighting.fingerprint == ISSUING.fingerprint
    assert theirs.sighting.fingerprint is None and theirs.sighting.attributes["problem"]


def test_deleted_between_list_and_get() -> None:
    """A CA that is gone when it is read is not there."""
    assert scan("acm_pca", script(authority(), get=refuse("ResourceNotFoundException"))) == []


def test_throttling_raises() -> None:
    """Throttling makes the scope incomplete."""
    with pytest.raises(ClientError, match="ThrottlingException"):
        scan("acm_pca", script(authority(), get=refuse("ThrottlingException")))


def test_hostile_subject_survives() -> None:
    """Absurd subjects and missing structures are taken as they are."""
    configuration = {
        "KeyAlgorithm": "RSA_2048",
        "SigningAlgorithm": "SHA256WITHRSA",
        "Subject": {"CommonName": 'a,b+c"\0' * 50, "CustomAttributes": [{"ObjectIdentifier": "1.2.3", "Value": "#x "}]},
    }
    odd, bare = authority("odd", CertificateAuthorityConfiguration=configuration), {"Arn": arn("bare")}
    first, second = scan("acm_pca", script(odd, bare), full=False)
    assert first.certificate and (first.certificate.subject or "").endswith(",1.2.3=\\#x\\ ")
    assert second.certificate and second.certificate.title == "unknown"


@mock_aws
def test_real_authority_through_an_emulated_pca() -> None:
    """A root CA with an installed certificate is found and read once; one without is a problem."""
    pca: Any = boto3.client("acm-pca", region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
    configuration = {
        "KeyAlgorithm": "RSA_2048",
        "SigningAlgorithm": "SHA256WITHRSA",
        "Subject": {"CommonName": "Example Root"},
    }
    made = [
        pca.create_certificate_authority(
            CertificateAuthorityConfiguration=configuration, CertificateAuthorityType="ROOT"
        )["CertificateAuthorityArn"]
        for _ in range(2)
    ]
    pca.import_certificate_authority_certificate(CertificateAuthorityArn=made[0], Certificate=ROOT.pem.encode())
    first = scan("acm_pca", lambda service: pca)
    assert {each.sighting.location: each.sighting.fingerprint for each in first} == {
        made[0]: ROOT.fingerprint,
        made[1]: None,
    }
    second = scan("acm_pca", lambda service: pca, known=remembered(first, "acm_pca"))
    assert [each.sighting for each in second] == [each.sighting for each in first]
    assert all(each.certificate is None for each in second)
