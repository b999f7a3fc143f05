"""Trust stores of the Elastic Load Balancing (version 2) fake.

Source: "Mutual authentication with TLS in Application Load Balancer". A trust store is made from a PEM bundle in S3
and cannot be deleted while a listener verifies clients with it. Revocation lists are not part of the fake.
"""

from __future__ import annotations

from typing import Any

from local_cloud.fakes.elbv2_state import PAGES, TAGS, Region, TrustStore, new_id
from local_cloud.fakes.service import LOCK, FakeService, ServiceError
from local_cloud.fakes.trust_store_bundles import Bundles, required

MAX_TRUST_STORES = 20


class TrustStores(FakeService[Region]):
    """The operations on trust stores."""

    bundles: Bundles

    def create_trust_store(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        name = request["Name"]
        bundle, certificates = self._bundle(state, request)
        if name in {store.name for store in state.trust_stores.values()}:
            raise ServiceError("DuplicateTrustStoreName", f"A trust store named '{name}' already exists")
        if len(state.trust_stores) >= MAX_TRUST_STORES:
            raise ServiceError("TooManyTrustStores", f"A region can have at most {MAX_TRUST_STORES} trust stores")
        tags = TAGS.merged({}, request.get("Tags", []))
        made = TrustStore(state.arn(f"truststore/{name}/{new_id()}"), name, bundle, certificates, tags)
        state.trust_stores[made.arn] = made
        return {"TrustStores": [_shown(made)]}

    def _bundle(self, state: Region, request: dict[str, Any]) -> tuple[bytes, int]:
        bucket, key = request["CaCertificatesBundleS3Bucket"], request["CaCertificatesBundleS3Key"]
        version = request.get("CaCertificatesBundleS3ObjectVersion")
        with LOCK.released():
            bundle = self.bundles.read(state.account, state.region, bucket, key, version)
        return required(bundle, "CaCertificatesBundleNotFound", "InvalidCaCertificatesBundle")

    def modify_trust_store(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        state.trust_store(request["TrustStoreArn"])
        bundle, certificates = self._bundle(state, request)
        store = state.trust_store(request["TrustStoreArn"])  # it may be gone by now
        store.bundle, store.certificates = bundle, certificates
        return {"TrustStores": [_shown(store)]}

    def describe_trust_stores(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        found = _selected(state, request.get("TrustStoreArns", []), request.get("Names", []))
        page, marker = self.page(found, request, **PAGES)
        return {"TrustStores": [_shown(store) for store in page], "NextMarker": marker}

    def get_trust_store_ca_certificates_bundle(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        store = state.trust_store(request["TrustStoreArn"])
        name = f"{state.account}/{state.region}/{store.arn.rsplit('/', 1)[1]}.pem"
        bundle = store.bundle
        with LOCK.released():
            return {"Location": self.bundles.location(name, bundle)}

    def describe_trust_store_associations(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        users = _users(state, state.trust_store(request["TrustStoreArn"]).arn)
        page, marker = self.page(users, request, **PAGES)
        return {"TrustStoreAssociations": [{"ResourceArn": arn} for arn in page], "NextMarker": marker}

    def delete_trust_store(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        store = state.trust_store(request["TrustStoreArn"])
        if _users(state, store.arn):
            raise ServiceError("TrustStoreInUse", f"Trust store '{store.arn}' is currently in use")
        del state.trust_stores[store.arn]
        return {}


def _users(state: Region, arn: str) -> list[str]:
    """The load balancers with a listener that verifies clients with the trust store."""
    return sorted({item.load_balancer for item in state.listeners.values() if item.mutual.get("TrustStoreArn") == arn})


def _selected(state: Region, arns: list[str], names: list[str]) -> list[TrustStore]:
    if arns:
        return [state.trust_store(arn) for arn in arns]
    by_name = {store.name: store for store in state.trust_stores.values()}
    if missing := set(names) - set(by_name):
        raise ServiceError("TrustStoreNotFound", f"Trust stores {sorted(missing)} not found")
    return [by_name[name] for name in names] or list(by_name.values())


def _shown(store: TrustStore) -> dict[str, Any]:
    return {
        "Name": store.name,
        "TrustStoreArn": store.arn,
        "Status": "ACTIVE",
        "NumberOfCaCertificates": store.certificates,
        "TotalRevokedEntries": 0,
    }
