"""The copy of a version in ACM, in one account and region: what listeners, domains and distributions there refer to.

All targets of one account and region share it (`shares`), so that a version is imported there once. ImportCertificate
has no idempotency token: after an interruption the copy is looked for by its serial number, and taken where its
fingerprint is the version's and its tag is the managed certificate's. A copy of somebody else is never taken: they may
re-import or delete it.

Sources: ACM API Reference (ImportCertificate, SearchCertificates), ACM User Guide, "Quotas".
"""

from __future__ import annotations

from typing import Any

from perennial.certificate import Certificate, parse
from perennial.clients import meaning
from perennial.errors import NotFit, NotFound
from perennial.issuers.aws_replies import answered, chain, code
from perennial.targets.interface import Bundle, Keep

KEYS = ("EC-256", "EC-384", "RSA-2048", "RSA-3072", "RSA-4096")
LOOKS = ("acm:DescribeCertificate", "acm:GetCertificate", "acm:ListTagsForCertificate", "acm:SearchCertificates")
CHANGES = ("acm:AddTagsToCertificate", "acm:ImportCertificate")  # an import with tags needs both
MANAGED_TAG, VERSION_TAG = "perennial:managed", "perennial:version"
MAX_CHAIN = 10
ADVICE = {
    "LimitExceededException": "delete certificates that nothing uses, or have ACM's quota raised; expired ones count too",
}


def shares(account: str, region: str) -> str:
    """What targets of an account and region share."""
    return f"acm/{account}/{region}"


def ensure(acm: Any, new: Bundle, placed: str, keep: Keep) -> str:
    """The ARN of a version in the account and region of a client of ACM: the one that ACM issued, the one that was
    placed, one that an interrupted call left, or one that is imported now.

    Raises: NotFit where there is no key to import.
    """
    arn = known(acm, new, placed)
    if arn is None:
        arn = _imported(acm, new)
    if arn != placed:
        keep(arn)
    return arn


def known(acm: Any, new: Bundle, placed: str) -> str | None:
    """The ARN of a version's copy where there is one. Changes nothing."""
    if new.arn.split(":")[3:4] == [acm.meta.region_name] and held(acm, new.arn) == new.fingerprint:
        return new.arn
    if placed and held(acm, placed) == new.fingerprint:
        return placed
    return _left_behind(acm, new)


def held(acm: Any, arn: str) -> str:
    """SHA-256 of the certificate that an ARN has now; "" where there is none."""
    found = certificate(acm, arn)
    return found.fingerprint or "" if found else ""


def certificate(acm: Any, arn: str) -> Certificate | None:
    """The certificate that an ARN has now; None where ACM has no such ARN, or nothing was issued under it yet."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = acm.get_certificate(CertificateArn=arn)
    except ClientError as error:
        if code(error) in ("ResourceNotFoundException", "RequestInProgressException"):
            return None
        raise meaning(error, f"acm:GetCertificate of {arn}") from error
    except BotoCoreError as error:
        raise meaning(error, f"acm:GetCertificate of {arn}") from error
    return parse(chain(answer["Certificate"], "", f"acm:GetCertificate of {arn}")[0])


def material(acm: Any, arn: str) -> tuple[bytes, ...]:
    """The certificate of an ARN and its chain, DER, the leaf first.

    Raises: NotFound.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    doing = f"acm:GetCertificate of {arn}"
    try:
        answer = acm.get_certificate(CertificateArn=arn)
    except (ClientError, BotoCoreError) as error:
        raise meaning(error, doing) from error
    return chain(answer["Certificate"], answer.get("CertificateChain", ""), doing)


def _left_behind(acm: Any, new: Bundle) -> str | None:
    """A copy that is there although nobody kept its ARN."""
    serial = _serial(new.certificate)
    with answered("acm:SearchCertificates", {}):
        pages = acm.get_paginator("search_certificates").paginate(
            FilterStatement={"Filter": {"X509AttributeFilter": {"SerialNumber": serial}}}
        )
        arns = [each["CertificateArn"] for page in pages for each in page.get("Results", ())]
    return next((arn for arn in arns if _ours(acm, arn, new)), None)


def _ours(acm: Any, arn: str, new: Bundle) -> bool:
    if held(acm, arn) != new.fingerprint:
        return False
    try:
        with answered(f"acm:ListTagsForCertificate of {arn}", {}):
            tags = acm.list_tags_for_certificate(CertificateArn=arn).get("Tags", ())
    except NotFound:  # deleted since it was found
        return False
    return any(each["Key"] == MANAGED_TAG and each.get("Value") == new.managed for each in tags)


def _serial(found: Certificate) -> str:
    """As ACM writes it: two hexadecimal digits a byte, with colons."""
    digits = found.serial or ""
    digits = digits.zfill(len(digits) + len(digits) % 2)
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def _imported(acm: Any, new: Bundle) -> str:
    if not new.private_key:
        raise NotFit(
            f"{new.reference}: ACM needs its private key, which Perennial does not hold; use a profile with "
            'key_home = "secret", or an issuer of kind acm'
        )
    tags = {MANAGED_TAG: new.managed, VERSION_TAG: str(new.version)}
    answer = call_import(acm, new, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    return str(answer["CertificateArn"])


def call_import(acm: Any, new: Bundle, **more: Any) -> Any:
    """ImportCertificate of a version. No error has the request as its context, as that holds the key."""
    above = {"CertificateChain": new.chain_pem.encode()} if new.chain else {}
    with answered(f"acm:ImportCertificate of {new.reference}", ADVICE):
        return acm.import_certificate(
            Certificate=new.certificate_pem.encode(), PrivateKey=new.private_key.encode(), **above, **more
        )
