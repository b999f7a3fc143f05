"""The copy of a version in IAM, the old store of server certificates, which has no regions.

What was uploaded under a name never changes: a version has a name of its own, made of its number and the beginning of
its fingerprint, so that an upload that is repeated meets itself. IAM is eventually consistent: what was uploaded may
not be found for some seconds.

IAM refuses to delete what it knows to be in use (DeleteConflict), but Elastic Load Balancing may not tell it: such a
load balancer may stop to accept traffic. Who deletes asks before where the certificate serves (`retirement`).

Sources: IAM API Reference (UploadServerCertificate, GetServerCertificate, DeleteServerCertificate); IAM User Guide,
"Manage server certificates in IAM", "IAM and AWS STS quotas".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from perennial.certificate import Certificate, parse
from perennial.clients import meaning
from perennial.errors import NotFit, ServiceRefused
from perennial.issuers.aws_replies import answered, chain, code, refused
from perennial.targets.acm_copy import MANAGED_TAG, VERSION_TAG
from perennial.targets.interface import Bundle, Later, Superseded
from perennial.targets.reply_members import inner, text

KEYS = ("EC-256", "EC-384", "RSA-2048", "RSA-3072", "RSA-4096")
LOOKS = ("iam:GetServerCertificate",)
CHANGES = ("iam:TagServerCertificate", "iam:UploadServerCertificate")  # an upload with tags needs both
RETIRES = (*LOOKS, "iam:DeleteServerCertificate", "iam:ListServerCertificates")
PATH = "/perennial/"
MAX_NAME = 128  # characters
MAX_BODY = 16_384  # characters of PEM, of the certificate and of its key
MAX_CHAIN = 2_097_152  # characters of PEM
PAUSE = 5  # seconds until what was uploaded is looked for again
EXISTS = ("EntityAlreadyExists", "ConcurrentModification")
ADVICE = {
    "LimitExceeded": "delete server certificates that nothing uses, or have the quota raised (20 at first)",
    "MalformedCertificate": "IAM does not take this certificate, key or chain: see IAM User Guide, Manage server"
    " certificates",
}
_QUOTED = re.compile(r"-----BEGIN.*|[A-Za-z0-9+/=]{24,}", re.DOTALL)  # what may be a piece of a key


def shares(account: str) -> str:
    """What targets of an account share."""
    return f"iam/{account}"


def name(prefix: str, new: Bundle) -> str:
    """The name of a version: `<prefix>-<version>-<8 hexadecimal digits of its fingerprint>`."""
    return f"{prefix}-{new.version}-{new.fingerprint[:8]}"


def certificate(iam: Any, called: str) -> Certificate | None:
    """The server certificate of a name; None where IAM has none."""
    found = _get(iam, called)
    return found[1] if found else None


def held(iam: Any, called: str) -> str:
    """SHA-256 of the server certificate of a name; "" where there is none."""
    found = certificate(iam, called)
    return found.fingerprint or "" if found else ""


def known(iam: Any, prefix: str, new: Bundle) -> str | None:
    """The ARN of a version's copy where there is one. Changes nothing.

    Raises: ServiceRefused where its name holds something else.
    """
    called = name(prefix, new)
    found = _get(iam, called)
    if found is None:
        return None
    arn, there, _ = found
    if there.fingerprint != new.fingerprint:
        raise ServiceRefused(f"{arn} is not {new.reference}, whose name it has: rename or delete it")
    return arn


def ensure(iam: Any, prefix: str, path: str, new: Bundle) -> str | Later:
    """The ARN of a version in IAM: of what an earlier call uploaded, or what is uploaded now; Later where it was
    uploaded and is not found yet.

    Raises: NotFit where there is no key to upload; ServiceRefused.
    """
    return known(iam, prefix, new) or _uploaded(iam, prefix, path, new)


def unfit(prefix: str, new: Bundle) -> list[str]:
    """Why IAM could not have a version, a sentence each."""
    named, larger = name(prefix, new), f"{new.reference} is larger than IAM takes: "
    wrong = {
        f"{new.reference} has no private key that Perennial holds, and IAM needs it": not new.private_key,
        f"{larger}its certificate has more than {MAX_BODY} characters": len(new.certificate_pem) > MAX_BODY,
        f"{larger}its key has more than {MAX_BODY} characters": len(new.private_key) > MAX_BODY,
        f"{larger}its chain has more than {MAX_CHAIN} characters": len(new.chain_pem) > MAX_CHAIN,
        f"the name {named} has more than {MAX_NAME} characters: use a shorter prefix": len(named) > MAX_NAME,
    }
    return [sentence for sentence, is_so in wrong.items() if is_so]


def _get(iam: Any, called: str) -> tuple[str, Certificate, Mapping[str, str]] | None:
    """ARN, certificate and tags of a name."""
    from botocore.exceptions import BotoCoreError, ClientError

    doing = f"iam:GetServerCertificate of {called}"
    try:
        answer = iam.get_server_certificate(ServerCertificateName=called)
    except ClientError as error:
        if code(error) == "NoSuchEntity":
            return None
        raise meaning(error, doing) from error
    except BotoCoreError as error:
        raise meaning(error, doing) from error
    found = inner(answer, "ServerCertificate", doing)
    arn = text(inner(found, "ServerCertificateMetadata", doing), "Arn", doing)
    tags = {str(each.get("Key")): str(each.get("Value", "")) for each in found.get("Tags", ())}
    return arn, parse(chain(text(found, "CertificateBody", doing), "", doing)[0]), tags


def _uploaded(iam: Any, prefix: str, path: str, new: Bundle) -> str | Later:
    from botocore.exceptions import BotoCoreError, ClientError

    if not new.private_key:
        raise NotFit(f'{unfit(prefix, new)[0]}; use a profile with key_home = "secret"')
    doing = f"iam:UploadServerCertificate of {new.reference}"
    try:
        answer = iam.upload_server_certificate(**_request(prefix, path, new))
        return text(inner(answer, "ServerCertificateMetadata", doing), "Arn", doing)
    except ClientError as error:
        if code(error) in EXISTS:
            return Later(PAUSE, f"IAM to show {name(prefix, new)}")
        problem = refused(error, doing, ADVICE)
    except BotoCoreError as error:
        problem = meaning(error, doing)
    # Raised out here, it has AWS's error neither as its cause nor as its context: that may quote the request.
    raise type(problem)(doing + _QUOTED.sub("…", str(problem).removeprefix(doing)))


def _request(prefix: str, path: str, new: Bundle) -> dict[str, Any]:
    tags = {MANAGED_TAG: new.managed, VERSION_TAG: str(new.version)}
    return {
        "ServerCertificateName": name(prefix, new),
        "Path": path,
        "CertificateBody": new.certificate_pem,
        "PrivateKey": new.private_key,
        **({"CertificateChain": new.chain_pem} if new.chain else {}),
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }


# --- retiring ---


def retire(client: Any, old: Superseded) -> list[str]:
    """See `interface.Retirer`. Copies that an interrupted call left are found by their names."""
    kept = [arn.rsplit("/", 1)[-1] for arn in sorted(old.placed)]
    told = [_retired(client, each, old) for each in dict.fromkeys([*kept, *_named_so(client, old.bundle)])]
    return [sentence for sentence in told if sentence]


def _named_so(iam: Any, version: Bundle) -> list[str]:
    """The names that end as a version's does, whatever their prefix and path."""
    doing, end = "iam:ListServerCertificates", name("", version)
    with answered(doing, {}):
        pages = iam.get_paginator("list_server_certificates").paginate(PaginationConfig={"PageSize": 1000})
        listed = [each for page in pages for each in page.get("ServerCertificateMetadataList", ())]
    return [found for found in (text(each, "ServerCertificateName", doing) for each in listed) if found.endswith(end)]


def _retired(iam: Any, called: str, old: Superseded) -> str:
    """Delete one copy; why it still stands where it does."""
    found = _get(iam, called)
    if found is None:
        return ""
    arn, there, tags = found
    if there.fingerprint != old.bundle.fingerprint or arn in old.spared:
        return ""
    if tags.get(MANAGED_TAG) == old.bundle.managed:
        return _deleted(iam, arn, called, old)
    return _unmarked(arn, old) if arn in old.placed else ""


def _deleted(iam: Any, arn: str, called: str, old: Superseded) -> str:
    from botocore.exceptions import ClientError

    doing = f"iam:DeleteServerCertificate of {called}"
    with answered(doing, {}):
        try:
            iam.delete_server_certificate(ServerCertificateName=called)
        except ClientError as error:
            if code(error) == "DeleteConflict":
                return f"{arn}, a copy of {old.bundle.reference}, is in use: {meaning(error, doing)}"
            if code(error) != "NoSuchEntity":
                raise
    return ""


def _unmarked(arn: str, old: Superseded) -> str:
    return (
        f"{arn} is a copy of {old.bundle.reference}, and its tag {MANAGED_TAG} is not {old.bundle.managed}: it is not "
        "deleted. Delete it, or set the tag"
    )
