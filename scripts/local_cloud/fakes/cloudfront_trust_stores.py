"""A fake of CloudFront's trust stores (mutual TLS of viewers); the other operations stay with ministack.

Source: the documentation of CreateTrustStore, GetTrustStore and ListTrustStores in the CloudFront API. A trust store is
made from a PEM bundle in S3; its name is unique in the account.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from local_cloud.fakes.service import LOCK, FakeService, ServiceError
from local_cloud.fakes.trust_store_bundles import Bundles, S3Bundles, required

_PAGES: dict[str, Any] = {"token": "Marker", "size": "MaxItems", "default": 100, "maximum": 100}


@dataclass
class TrustStore:
    """One trust store; its bundle is never given out again, only counted."""

    account: str
    identifier: str
    name: str
    certificates: int
    modified: datetime
    etag: str
    ocsp: bool

    @property
    def arn(self) -> str:
        return f"arn:aws:cloudfront::{self.account}:trust-store/{self.identifier}"

    def summary(self) -> dict[str, Any]:
        """What both the list and the single answer show."""
        return {
            "Id": self.identifier,
            "Arn": self.arn,
            "Name": self.name,
            "Status": "active",
            "NumberOfCaCertificates": self.certificates,
            "LastModifiedTime": self.modified,
        }

    def shown(self) -> dict[str, Any]:
        """The answer of an operation on this trust store."""
        return {"TrustStore": self.summary() | {"UseClientCertificateOCSPEndpoint": self.ocsp}, "ETag": self.etag}


@dataclass
class Account:
    """The trust stores of one account, by identifier."""

    account: str
    stores: dict[str, TrustStore] = field(default_factory=dict)


class CloudFrontTrustStores(FakeService[Account]):
    """The trust store operations of CloudFront, API 2020-05-31."""

    service = "cloudfront"
    credential_scope = "cloudfront"
    is_global = True
    validation_error = "InvalidArgument"
    operations: ClassVar[frozenset[str] | None] = frozenset({"CreateTrustStore", "GetTrustStore", "ListTrustStores"})

    def __init__(self, *, bundles: Bundles | None = None, **framework: Any) -> None:
        """`bundles`: where trust stores read CA bundles."""
        super().__init__(**framework)
        self._bundles = bundles or S3Bundles()

    def new_state(self, account: str, region: str) -> Account:
        return Account(account)

    def create_trust_store(self, state: Account, request: dict[str, Any]) -> dict[str, Any]:
        certificates = self._certificates(state, request["CaCertificatesBundleSource"])
        if request["Name"] in {store.name for store in state.stores.values()}:
            raise ServiceError("EntityAlreadyExists", f"A trust store named {request['Name']} already exists")
        made = TrustStore(
            account=state.account,
            identifier=f"ts_{secrets.token_hex(13)}",
            name=request["Name"],
            certificates=certificates,
            modified=self.now(),
            etag=f"E{secrets.token_hex(6).upper()}",
            ocsp=request.get("UseClientCertificateOCSPEndpoint", False),
        )
        state.stores[made.identifier] = made
        return made.shown()

    def _certificates(self, state: Account, source: dict[str, Any]) -> int:
        place = source.get("CaCertificatesBundleS3Location")
        if place is None:
            raise ServiceError("InvalidArgument", "The CA certificates bundle needs an S3 location")
        where = (state.account, place["Region"], place["Bucket"], place["Key"], place.get("Version"))
        with LOCK.released():
            bundle = self._bundles.read(*where)
        return required(bundle, "EntityNotFound", "InvalidArgument")[1]

    def get_trust_store(self, state: Account, request: dict[str, Any]) -> dict[str, Any]:
        """By identifier or ARN."""
        identifier = request["Identifier"].rsplit("/", 1)[-1]
        if identifier not in state.stores:
            raise ServiceError("EntityNotFound", f"The trust store {identifier} does not exist")
        return state.stores[identifier].shown()

    def list_trust_stores(self, state: Account, request: dict[str, Any]) -> dict[str, Any]:
        stores = list(state.stores.values())
        page, marker = self.page(stores, request, **_PAGES)
        return {"TrustStoreList": [store.summary() | {"ETag": store.etag} for store in page], "NextMarker": marker}
