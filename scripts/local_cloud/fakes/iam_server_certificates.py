"""A fake of IAM's server certificates; every other operation of IAM stays with ministack.

Rules and their source ("Manage server certificates in IAM" in the IAM user guide, and the API reference): PEM only; the
certificate must be valid at the time of the upload; the key must be unencrypted and match; the chain starts with the
direct issuer and goes on in order; 20 certificates an account by default; no re-upload under the same name, whatever
its case; no deletion while a load balancer or distribution uses the certificate. Names are account-wide: IAM has no
regions. IAM is eventually consistent ("Troubleshoot IAM"): with `seen_after`, what was uploaded is found only some
seconds later.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from local_cloud.fakes.references import references
from local_cloud.fakes.service import FakeService, ServiceError
from local_cloud.fakes.tags import TagRules, Tags, without

QUOTA = 20
_PAGES: dict[str, Any] = {"token": "Marker", "size": "MaxItems", "default": 100, "maximum": 1000}
_TAGS = TagRules(too_many="LimitExceeded", duplicate="InvalidInput")
_ID_CHARACTERS = string.ascii_uppercase + string.digits

Users = Callable[[str, str, str], list[str]]


@dataclass
class ServerCertificate:
    """One uploaded certificate. The private key is checked and then forgotten: IAM never gives it out again."""

    account: str
    name: str
    path: str
    identifier: str
    body: str
    chain: str | None
    uploaded: datetime
    expires: datetime
    tags: Tags

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:server-certificate{self.path}{self.name}"

    def metadata(self) -> dict[str, Any]:
        """The certificate as ListServerCertificates shows it."""
        return {
            "Path": self.path,
            "ServerCertificateName": self.name,
            "ServerCertificateId": self.identifier,
            "Arn": self.arn,
            "UploadDate": self.uploaded,
            "Expiration": self.expires,
        }


@dataclass
class Account:
    """The server certificates of one account, by name."""

    account: str
    certificates: dict[str, ServerCertificate] = field(default_factory=dict)


class IamServerCertificates(FakeService[Account]):
    """The server certificate operations of IAM, API 2010-05-08; see the module's docstring for the rules."""

    service = "iam"
    credential_scope = "iam"
    is_global = True
    operations: ClassVar[frozenset[str] | None] = frozenset(
        {
            "UploadServerCertificate",
            "ListServerCertificates",
            "GetServerCertificate",
            "UpdateServerCertificate",
            "DeleteServerCertificate",
            "ListServerCertificateTags",
            "TagServerCertificate",
            "UntagServerCertificate",
        }
    )

    def __init__(
        self, *, quota: int = QUOTA, users: Users = references.users, seen_after: float = 0, **framework: Any
    ) -> None:
        """`quota`: certificates an account may have; `users`: who uses a certificate, asked before it is deleted;
        `seen_after`: seconds after an upload until anyone finds the certificate."""
        super().__init__(**framework)
        self._quota = quota
        self._seen_after = timedelta(seconds=seen_after)
        self._users = users

    def new_state(self, account: str, region: str) -> Account:
        return Account(account)

    def upload_server_certificate(self, state: Account, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ServerCertificateName"]
        _require_free(state, name)
        if len(state.certificates) >= self._quota:
            sentence = f"Cannot exceed quota for ServerCertificatesPerAccount: {self._quota}"
            raise ServiceError("LimitExceeded", sentence)
        leaf = _checked(request, self.now())
        made = ServerCertificate(
            account=state.account,
            name=name,
            path=request.get("Path", "/"),
            identifier="ASCA" + "".join(secrets.choice(_ID_CHARACTERS) for _ in range(17)),
            body=request["CertificateBody"].strip(),
            chain=request.get("CertificateChain"),
            uploaded=self.now(),
            expires=leaf.not_valid_after_utc,
            tags=_TAGS.merged({}, request.get("Tags", [])),
        )
        state.certificates[name] = made
        return {"ServerCertificateMetadata": made.metadata(), "Tags": _TAGS.listed(made.tags)}

    def list_server_certificates(self, state: Account, request: dict[str, Any]) -> dict[str, Any]:
        prefix = request.get("PathPrefix", "/")
        there = [item for _, item in sorted(state.certificates.items()) if self._seen(item)]
        matching = [item for item in there if item.path.startswith(prefix)]
        found, marker = self.page(matching, request, **_PAGES)
        listed = [item.metadata() for item in found]
        return {"ServerCertificateMetadataList": listed, "IsTruncated": marker is not None, "Marker": marker}

    def get_server_certificate(self, state: Account, request: dict[str, Any]) -> dict[str, Any]:
        found = self._found(state, request)
        certificate = {
            "ServerCertificateMetadata": found.metadata(),
            "CertificateBody": found.body,
            "CertificateChain": found.chain,
            "Tags": _TAGS.listed(found.tags),
        }
        return {"ServerCertificate": certificate}

    def update_server_certificate(self, state: Account, request: dict[str, Any]) -> dict[str, Any]:
        """Renames: the ARN changes with name and path, the certificate itself never does."""
        found = self._found(state, request)
        name = request.get("NewServerCertificateName", found.name)
        if name.lower() != found.name.lower():
            _require_free(state, name)
        del state.certificates[found.name]
        found.name, found.path = name, request.get("NewPath", found.path)
        state.certificates[name] = found
        return {}

    def delete_server_certificate(self, state: Account, request: dict[str, Any]) -> dict[str, Any]:
        found = self._found(state, request)
        if users := self._users(state.account, "", found.arn):
            sentence = f"Certificate: {found.identifier} is currently in use by {', '.join(users)}."
            raise ServiceError("DeleteConflict", f"{sentence} Please remove it first before deleting it from IAM.")
        del state.certificates[found.name]
        return {}

    def list_server_certificate_tags(self, state: Account, request: dict[str, Any]) -> dict[str, Any]:
        tags = _TAGS.listed(self._found(state, request).tags)
        page, marker = self.page(tags, request, **_PAGES)
        return {"Tags": page, "IsTruncated": marker is not None, "Marker": marker}

    def tag_server_certificate(self, state: Account, request: dict[str, Any]) -> dict[str, Any]:
        found = self._found(state, request)
        found.tags = _TAGS.merged(found.tags, request["Tags"])
        return {}

    def untag_server_certificate(self, state: Account, request: dict[str, Any]) -> dict[str, Any]:
        found = self._found(state, request)
        found.tags = without(found.tags, request["TagKeys"])
        return {}

    def _found(self, state: Account, request: dict[str, Any]) -> ServerCertificate:
        name = request["ServerCertificateName"]
        found = state.certificates.get(name)
        if found is None or not self._seen(found):
            raise ServiceError("NoSuchEntity", f"The Server Certificate with name {name} cannot be found.")
        return found

    def _seen(self, item: ServerCertificate) -> bool:
        return self.now() >= item.uploaded + self._seen_after


def _require_free(state: Account, name: str) -> None:
    if name.lower() in (each.lower() for each in state.certificates):
        raise ServiceError("EntityAlreadyExists", f"The Server Certificate with name {name} already exists.")


def _checked(request: dict[str, Any], now: datetime) -> x509.Certificate:
    """The certificate of an upload request. Raises ServiceError where IAM refuses certificate, key or chain."""
    leaf = _single(request["CertificateBody"])
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise ServiceError("MalformedCertificate", "The certificate is not valid at the time of the upload.")
    _check_key(leaf, request["PrivateKey"])
    if "CertificateChain" in request:
        _check_chain(leaf, _certificates(request["CertificateChain"]))
    return leaf


def _single(pem: str) -> x509.Certificate:
    found = _certificates(pem)
    if len(found) != 1:
        raise ServiceError("MalformedCertificate", "The certificate body must contain exactly one certificate.")
    return found[0]


def _certificates(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        sentence = "Unable to parse certificate. Please ensure the certificate is in PEM format."
        raise ServiceError("MalformedCertificate", sentence) from error


def _check_key(leaf: x509.Certificate, pem: str) -> None:
    try:
        key: Any = load_pem_private_key(pem.encode(), password=None)
    except (TypeError, ValueError) as error:
        raise ServiceError("MalformedCertificate", "Invalid private key: it must be unencrypted PEM.") from error
    encoding = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*encoding) != leaf.public_key().public_bytes(*encoding):
        raise ServiceError("KeyPairMismatch", "The private key does not match the certificate.")


def _check_chain(leaf: x509.Certificate, chain: list[x509.Certificate]) -> None:
    """Each certificate must be issued by the next; the index that IAM reports is -1 for the certificate itself."""
    for index, (issued, issuer) in enumerate(zip([leaf, *chain], chain, strict=False), -1):
        try:
            issued.verify_directly_issued_by(issuer)
        except (InvalidSignature, TypeError, ValueError) as error:
            sentence = (
                "Unable to validate certificate chain. The certificate chain must start with the immediate signing"
                " certificate, followed by any intermediaries in order. The index within the chain of the invalid"
                f" certificate is: {index}"
            )
            raise ServiceError("MalformedCertificate", sentence) from error
