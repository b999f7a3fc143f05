"""The copy of a version in ACM, in one account and region: what listeners, domains and distributions there refer to.

All targets of one account and region share it (`shares`), so that a version is imported there once. ImportCertificate
has no idempotency token: after an interruption the copy is looked for by its serial number, and taken where its
fingerprint is the version's and its tag is the managed certificate's. A copy of somebody else is never taken: they may
re-import or delete it. Nor is one deleted, or one that anything uses: ACM refuses that too.

Sources: ACM API Reference (ImportCertificate, SearchCertificates, DeleteCertificate), ACM User Guide, "Quotas".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perennial.certificate import Certificate, parse
from perennial.clients import meaning
from perennial.errors import ConcurrentChange, InvalidReply, NotFit, NotFound, PerennialError
from perennial.issuers.aws_replies import answered, chain, code, refused
from perennial.targets.interface import Bundle, Keep, Superseded

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

KEYS = ("EC-256", "EC-384", "RSA-2048", "RSA-3072", "RSA-4096")
LOOKS = (
    "acm:DescribeCertificate",
    "acm:GetCertificate",
    "acm:ListCertificates",
    "acm:ListTagsForCertificate",
    "acm:SearchCertificates",
)
CHANGES = ("acm:AddTagsToCertificate", "acm:ImportCertificate")  # an import with tags needs both
RETIRES = (*LOOKS, "acm:DeleteCertificate")
MANAGED_TAG, VERSION_TAG = "perennial:managed", "perennial:version"
MAX_CHAIN = 10
ADVICE = {
    "LimitExceededException": "delete certificates that nothing uses (expired ones count), or have the quota raised",
    "TagPolicyException": f"let the organization's tag policy allow {MANAGED_TAG} and {VERSION_TAG} on certificates",
}
_GONE = "ResourceNotFoundException"
_NO_OPERATION = ("UnknownOperationException", "UnknownOperation", "InvalidAction", "NotImplemented")
_KEY_TYPES = ("RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1")  # unnamed, the larger are left out
_SERIAL = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){1,19}")  # those that SearchCertificates takes
_QUOTED = re.compile(r"-----BEGIN.*|[A-Za-z0-9+/=]{24,}", re.DOTALL)  # what may be a piece of a key


def shares(account: str, region: str) -> str:
    """What targets of an account and region share."""
    return f"acm/{account}/{region}"


def refusals(new: Bundle, account: str, region: str) -> list[str]:
    """Why there can be no copy of a version in an account and region, a sentence each. Asks nobody."""
    if new.private_key or new.arn.split(":")[3:5] == [region, account]:
        return []
    return [_no_key(new)]


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
    """The certificate that an ARN has now; None where ACM has no such ARN, or nothing was issued under it yet.

    Raises: InvalidReply.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    doing = f"acm:GetCertificate of {arn}"
    try:
        answer = acm.get_certificate(CertificateArn=arn)
    except ClientError as error:
        if code(error) in (_GONE, "RequestInProgressException"):
            return None
        raise meaning(error, doing) from error
    except BotoCoreError as error:
        raise meaning(error, doing) from error
    return parse(chain(_told(answer, "Certificate", doing), "", doing)[0])


def material(acm: Any, arn: str) -> tuple[bytes, ...]:
    """The certificate of an ARN and its chain without the root, DER, the leaf first.

    Raises: NotFound, InvalidReply.
    """
    doing = f"acm:GetCertificate of {arn}"
    with answered(doing, {}):
        answer = acm.get_certificate(CertificateArn=arn)
    return chain(_told(answer, "Certificate", doing), answer.get("CertificateChain", ""), doing)


def _told(answer: Mapping[str, Any], member: str, doing: str) -> str:
    """A text in a reply, which no reply of ACM leaves out."""
    text = answer.get(member)
    if not text:
        raise InvalidReply(f"{doing}: the reply has no {member}")
    return str(text)


def _left_behind(acm: Any, new: Bundle) -> str | None:
    """A copy that is there although nobody kept its ARN."""
    return next((arn for arn in _alike(acm, new) if _ours(acm, arn, new)), None)


def _alike(acm: Any, new: Bundle) -> list[str]:
    """The ARNs of certificates that may be a version's copy. SearchCertificates is younger than some regions' ACM."""
    from botocore.exceptions import ClientError

    doing = "acm:SearchCertificates"
    with answered(doing, {}):
        try:
            filtered = {"Filter": {"X509AttributeFilter": _attribute(new.certificate)}}
            pages = acm.get_paginator("search_certificates").paginate(FilterStatement=filtered)
            results = [each for page in pages for each in page.get("Results", ())]
        except ClientError as error:
            if code(error) not in _NO_OPERATION:
                raise
            return _listed(acm, new)
    return [_told(each, "CertificateArn", doing) for each in results]


def _listed(acm: Any, new: Bundle) -> list[str]:
    """Those imported ones that end when the version does."""
    doing = "acm:ListCertificates"
    with answered(doing, {}):
        pages = acm.get_paginator("list_certificates").paginate(
            Includes={"keyTypes": list(_KEY_TYPES)}, CertificateKeyPairOrigins=["CUSTOMER_PROVIDED"]
        )
        found = [each for page in pages for each in page.get("CertificateSummaryList", ())]
    return [_told(each, "CertificateArn", doing) for each in found if each.get("NotAfter") == new.certificate.not_after]


def _attribute(found: Certificate) -> dict[str, Any]:
    """What SearchCertificates finds a certificate by: its serial number as ACM writes it, two hexadecimal digits a byte
    with colons. It takes no single byte and no more than 20: then the end of the validity."""
    digits = found.serial or ""
    digits = digits.zfill(len(digits) + len(digits) % 2)
    serial = ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
    if _SERIAL.fullmatch(serial):
        return {"SerialNumber": serial}
    return {"NotAfter": {"Start": found.not_after, "End": found.not_after}}


def _ours(acm: Any, arn: str, new: Bundle) -> bool:
    return held(acm, arn) == new.fingerprint and _tags(acm, arn).get(MANAGED_TAG) == new.managed


def _tags(acm: Any, arn: str) -> Mapping[str, str]:
    """The tags of an ARN; {} where it was deleted since it was found."""
    try:
        with answered(f"acm:ListTagsForCertificate of {arn}", {}):
            tags = acm.list_tags_for_certificate(CertificateArn=arn).get("Tags", ())
    except NotFound:
        return {}
    return {str(each["Key"]): str(each.get("Value", "")) for each in tags}


def _imported(acm: Any, new: Bundle) -> str:
    if not new.private_key:
        raise NotFit(_no_key(new))
    tags = {MANAGED_TAG: new.managed, VERSION_TAG: str(new.version)}
    answer = call_import(acm, new, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    return _told(answer, "CertificateArn", f"acm:ImportCertificate of {new.reference}")


def _no_key(new: Bundle) -> str:
    if new.arn:
        return (
            f"{new.reference}: ACM issued it as {new.arn} and keeps its key, so that only targets of that account and "
            'region can serve it; use an issuer of another kind, and a profile with key_home = "secret"'
        )
    return (
        f"{new.reference}: ACM needs its private key, which Perennial does not hold; use a profile with "
        'key_home = "secret", or an issuer of kind acm'
    )


def call_import(acm: Any, new: Bundle, **more: Any) -> Any:
    """ImportCertificate of a version; with `CertificateArn`, in the place of what that ARN has.

    Raises: ConcurrentChange where ACM is still at an earlier call; ServiceRefused for a quota that is used up.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    above = {"CertificateChain": new.chain_pem.encode()} if new.chain else {}
    doing = f"acm:ImportCertificate of {new.reference}"
    if "CertificateArn" in more:
        doing += f" as {more['CertificateArn']}"
    try:
        return acm.import_certificate(
            Certificate=new.certificate_pem.encode(), PrivateKey=new.private_key.encode(), **above, **more
        )
    except ClientError as error:
        problem = _refused(error, doing)
    except BotoCoreError as error:
        problem = _unquoted(meaning(error, doing), doing)
    raise problem  # out here, where AWS's error is neither its cause nor its context: that may quote the request


def _refused(error: ClientError, doing: str) -> PerennialError:
    told = _unquoted(refused(error, doing, ADVICE), doing)
    return ConcurrentChange(str(told)) if code(error) == "ConflictException" else told


def _unquoted(told: PerennialError, doing: str) -> PerennialError:
    """The same error without what may be a piece of a key, however AWS quotes it."""
    return type(told)(doing + _QUOTED.sub("…", str(told).removeprefix(doing)))


# --- retiring ---


def retire(client: Any, old: Superseded) -> list[str]:
    """See `interface.Retirer`. Copies that nobody kept, as an interrupted call leaves them, are looked for too."""
    arns = dict.fromkeys([*sorted(old.placed), *_alike(client, old.bundle)])
    told = [_retired(client, arn, old) for arn in arns if arn not in old.spared]
    return [sentence for sentence in told if sentence]


def _retired(acm: Any, arn: str, old: Superseded) -> str:
    """Delete one copy; why it still stands where it does."""
    there = held(acm, arn)
    if there != old.bundle.fingerprint:
        return _renewed(arn, old) if there and arn == old.bundle.arn else ""
    if not _made_here(acm, arn, old):
        return _unmarked(arn, old) if arn in old.placed else ""
    users = _users(acm, arn)
    if users is None:
        return ""
    return _in_use(arn, old, users) if users else _deleted(acm, arn, old)


def _made_here(acm: Any, arn: str, old: Superseded) -> bool:
    """Whether the tags say so: those of an import, or those of the request that this version was asked for with."""
    tags = _tags(acm, arn)
    requested = arn == old.bundle.arn and bool(old.ask) and tags.get(VERSION_TAG) == old.ask
    return requested or tags.get(MANAGED_TAG) == old.bundle.managed


def _users(acm: Any, arn: str) -> list[str] | None:
    """The ARNs of what uses it; None where it is not there any more."""
    try:
        with answered(f"acm:DescribeCertificate of {arn}", {}):
            told = acm.describe_certificate(CertificateArn=arn).get("Certificate", {})
    except NotFound:
        return None
    return [str(each) for each in told.get("InUseBy", ())]


def _deleted(acm: Any, arn: str, old: Superseded) -> str:
    from botocore.exceptions import ClientError

    doing = f"acm:DeleteCertificate of {arn}"
    with answered(doing, {}):
        try:
            acm.delete_certificate(CertificateArn=arn)
        except ClientError as error:
            if code(error) == "ResourceInUseException":
                return _in_use(arn, old, [])
            if code(error) == "ConflictException":
                raise ConcurrentChange(f"{meaning(error, doing)}; it is tried again") from error
            if code(error) != _GONE:
                raise
    return ""


def _in_use(arn: str, old: Superseded, users: Sequence[str]) -> str:
    named = ", ".join(each[:200] for each in users[:5]) or "something that ACM does not name"
    more = f" and {len(users) - 5} more" if len(users) > 5 else ""
    return f"{arn}, a copy of {old.bundle.reference}, is in use by {named}{more}: let that refer to a newer certificate"


def _unmarked(arn: str, old: Superseded) -> str:
    return (
        f"{arn} is a copy of {old.bundle.reference}, and its tag {MANAGED_TAG} is not {old.bundle.managed}: it is not "
        "deleted. Delete it, or set the tag"
    )


def _renewed(arn: str, old: Superseded) -> str:
    return (
        f"{arn}, which ACM issued as {old.bundle.reference}, has another certificate by now, as ACM renews by itself: "
        "it is not deleted. Delete it when nothing uses it"
    )
