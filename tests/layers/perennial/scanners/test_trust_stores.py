from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from certificates import build, pem
from perennial.manifest import Role, Scope, Sighting
from perennial.scanners import trust_stores
from perennial.scanners.interface import Reading
from perennial.settings import Discovery
from scanning import remembered, scan
from scripted import Answers, Error, Script
from tls_servers import closed_port, server

ROOT = build("Example Root", ca=True)
OTHER = build("Other Root", ca=True)
BUNDLE = pem(ROOT, OTHER)
STORE = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:truststore/clients/73e2d6bc24d8a067"
LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/shop/1/2"
ANCHOR = "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/one"
CLOUDFRONT = "arn:aws:cloudfront::111122223333:trust-store/ts_1"
CA = "arn:aws:acm-pca:eu-west-1:111122223333:certificate-authority/one"
S3 = "https://elb-trust-stores.s3.eu-west-1.amazonaws.com/bundle?X-Amz-Signature=secret"
ELB_STORE = {"Name": "clients", "TrustStoreArn": STORE, "Status": "ACTIVE", "NumberOfCaCertificates": 2}
NOTHING: dict[str, Answers] = {"rolesanywhere.ListTrustAnchors": [{}], "elbv2.DescribeTrustStores": [{}]}


def anchor(source: Mapping[str, Any], kind: str = "CERTIFICATE_BUNDLE", **more: Any) -> dict[str, Any]:
    described = {"sourceType": kind} | ({"sourceData": source} if source else {})
    return {"trustAnchorArn": ANCHOR, "name": "plant", "enabled": True, "source": described} | more


def elb(location: str = S3) -> dict[str, Answers]:
    return NOTHING | {
        "elbv2.DescribeTrustStores": [{"TrustStores": [ELB_STORE]}],
        "elbv2.GetTrustStoreCaCertificatesBundle": [{"Location": location}],
        "elbv2.DescribeTrustStoreAssociations": [
            {"TrustStoreAssociations": [{"ResourceArn": LISTENER + "b"}], "NextMarker": "more"},
            {"TrustStoreAssociations": [{"ResourceArn": LISTENER + "a"}]},
        ],
    }


def roles_anywhere(*anchors: dict[str, Any]) -> Script:
    return Script(NOTHING | {"rolesanywhere.ListTrustAnchors": [{"trustAnchors": list(anchors)}]})


def sightings(script: Script, **options: Any) -> list[Sighting]:
    return [seen.sighting for seen in scan("trust_stores", script.client, **options)]


def in_region(script: Script, region: str, *, full: bool = True) -> list[Sighting]:
    reading = Reading(
        scope=Scope("111122223333", region, "trust_stores"),
        client=lambda service: script.client(service, region),
        known={},
        full=full,
        settings=Discovery(),
        tags=lambda _: {},
        now=datetime(2026, 11, 1, tzinfo=UTC),
    )
    return [seen.sighting for seen in trust_stores.SCANNER.scan(reading)]


@contextmanager
def bucket(answer: bytes) -> Iterator[str]:
    """An HTTP server that gives the same answer to every request; gives its address."""

    def handle(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    with server(handle) as port:
        yield f"http://127.0.0.1:{port}"


def ok(body: bytes, length: int | None = None) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body) if length is None else length, body)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Answers bundles without a network."""

    def answer(bundle: bytes) -> None:
        monkeypatch.setattr(trust_stores, "_fetch", lambda url, endpoint: bundle)

    return answer


def test_elb_store(fetched: Callable[[bytes], None]) -> None:
    """Each CA of a load balancer's trust store is an anchor with its state and who trusts it."""
    fetched(BUNDLE.encode())
    first, second = scan("trust_stores", Script(elb()).client)
    assert first.sighting == Sighting(
        location=f"{STORE}#{ROOT.fingerprint}",
        role=Role.ANCHOR,
        resource=STORE,
        fingerprint=ROOT.fingerprint,
        attributes={"store": "clients", "status": "ACTIVE", "trusted_by": [LISTENER + "a", LISTENER + "b"]},
    )
    assert (first.certificate, second.certificate) == (ROOT.certificate, OTHER.certificate)


def test_unchanged_store_is_not_parsed_again(fetched: Callable[[bytes], None]) -> None:
    """A second scan gives the same sightings and hands over no certificate that the manifest knows."""
    fetched(BUNDLE.encode())
    first = scan("trust_stores", Script(elb()).client)
    again = scan("trust_stores", Script(elb()).client, known=remembered(first, "trust_stores"))
    assert [each.sighting for each in again] == [each.sighting for each in first]
    assert [each.certificate for each in again] == [None, None]


def test_repeated_and_broken_certificates(fetched: Callable[[bytes], None]) -> None:
    """A CA that a bundle repeats is one sighting; what cannot be decoded is a problem of the store."""
    fetched((ROOT.pem * 2 + "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").encode())
    first, second = sightings(Script(elb()))
    assert first.fingerprint == ROOT.fingerprint
    assert second.location == STORE
    assert "block 3" in second.attributes["problem"]


def test_store_that_is_deleted_meanwhile() -> None:
    """A store that is gone when its bundle is asked for is no sighting and no error."""
    answers = elb() | {"elbv2.GetTrustStoreCaCertificatesBundle": [Error("TrustStoreNotFound")]}
    assert sightings(Script(answers)) == []


def test_quick_scan() -> None:
    """A quick scan makes no call per store: it tells what the lists hold."""
    script = roles_anywhere(anchor({"x509CertificateData": ROOT.pem}))
    assert [each.fingerprint for each in sightings(script, full=False)] == [ROOT.fingerprint]
    assert [name for name, _ in script.calls] == ["rolesanywhere.ListTrustAnchors"]


def test_roles_anywhere_pages() -> None:
    """Trust anchors with certificates are read from all pages, in one scope with their state."""
    second = anchor({"x509CertificateData": OTHER.pem}, trustAnchorArn=ANCHOR + "2", enabled=False)
    script = Script(
        NOTHING
        | {
            "rolesanywhere.ListTrustAnchors": [
                {"trustAnchors": [anchor({"x509CertificateData": ROOT.pem})], "nextToken": "more"},
                {"trustAnchors": [second]},
            ]
        }
    )
    found = sightings(script)
    assert [each.location for each in found] == [f"{ANCHOR}#{ROOT.fingerprint}", f"{ANCHOR}2#{OTHER.fingerprint}"]
    assert [each.attributes for each in found] == [
        {"store": "plant", "status": "ENABLED"},
        {"store": "plant", "status": "DISABLED"},
    ]


def test_roles_anywhere_private_ca() -> None:
    """A trust anchor that names a private CA is attached to that CA."""
    (found,) = sightings(roles_anywhere(anchor({"acmPcaArn": CA}, "AWS_ACM_PCA")))
    assert (found.location, found.role, found.holder) == (f"{ANCHOR}#{CA}", Role.ATTACHED, CA)


def test_anchor_without_certificate() -> None:
    """A trust anchor whose source tells no certificate is reported, not dropped."""
    (found,) = sightings(roles_anywhere(anchor({}, "SELF_SIGNED_REPOSITORY")))
    assert (found.location, found.attributes["problem"]) == (ANCHOR, "the store holds no CA")


def test_cloudfront_stores_in_one_region() -> None:
    """CloudFront's stores are told in us-east-1 with who trusts them, and that their CAs are not given out."""
    store = {
        "Id": "ts_1",
        "Arn": CLOUDFRONT,
        "Name": "web",
        "Status": "active",
        "NumberOfCaCertificates": 3,
        "ETag": "E",
    }
    distributions = {"DistributionList": {"Items": [{"ARN": "arn:b"}, {"ARN": "arn:a"}]}}

    def script() -> Script:
        answers: dict[str, Answers] = {
            "cloudfront.ListTrustStores": [{"TrustStoreList": [store]}],
            "cloudfront.ListDistributionsByTrustStore": [distributions],
        }
        return Script(NOTHING | answers)

    (found,) = in_region(script(), "us-east-1")
    assert (found.location, found.version, found.fingerprint) == (CLOUDFRONT, "E", None)
    assert found.attributes["trusted_by"] == ["arn:a", "arn:b"]
    assert "3 CA certificates" in found.attributes["note"] and "problem" not in found.attributes
    assert in_region(script(), "eu-west-1") == []


@pytest.mark.parametrize(
    "operation",
    [
        "rolesanywhere.ListTrustAnchors",
        "elbv2.DescribeTrustStores",
        "elbv2.GetTrustStoreCaCertificatesBundle",
        "elbv2.DescribeTrustStoreAssociations",
    ],
)
def test_denied(operation: str) -> None:
    """A permission that is missing for one service leaves the whole scope incomplete."""
    with pytest.raises(ClientError):
        sightings(Script(elb() | {operation: [Error("AccessDenied", status=403)]}))


def test_service_that_the_region_does_not_have() -> None:
    """A service is left out only where AWS does not run it; elsewhere the same error leaves the scope incomplete."""
    answers = NOTHING | {"rolesanywhere.ListTrustAnchors": [Error("UnknownOperationException")]}
    assert in_region(Script(answers), "xx-nowhere-1") == []
    with pytest.raises(ClientError):
        in_region(Script(answers), "eu-west-1")


def test_endpoint_that_does_not_answer() -> None:
    """A known endpoint that cannot be reached leaves the scope incomplete; one that does not exist is left out."""

    def unreachable(_: Mapping[str, Any]) -> dict[str, Any]:
        raise EndpointConnectionError(endpoint_url="https://rolesanywhere")

    answers = NOTHING | {"rolesanywhere.ListTrustAnchors": unreachable}
    assert in_region(Script(answers), "xx-nowhere-1") == []
    with pytest.raises(EndpointConnectionError):
        in_region(Script(answers), "eu-west-1")


@pytest.mark.parametrize(
    "url",
    [
        "http://bucket.s3.eu-west-1.amazonaws.com/x",
        "file:///etc/passwd",
        "https://169.254.169.254/latest/meta-data",
        "https://s3-123.us-east-1.elb.amazonaws.com/x",
        "https://ec2-1-2-3-4.compute.amazonaws.com/x",
        "https://bucket.s3.eu-west-1.amazonaws.com.evil.example/x",
        "https://bucket.s3.eu-west-1.amazonaws.com@evil.example/x",
        "https://bucket.s3.eu-west-1.amazonaws.com:8443/x",
        "https://evil.example\\.s3.amazonaws.com/x",
    ],
)
def test_addresses_that_are_not_fetched(url: str) -> None:
    """A bundle is fetched from S3 over HTTPS and from nowhere else; any other address is a problem of the store."""
    (found,) = sightings(Script(elb(url)))
    assert found.attributes["problem"] == "the CA bundle cannot be fetched: its address is not one of Amazon S3"


@pytest.mark.parametrize(
    "host",
    [
        "s3.amazonaws.com",
        "a.b-c.s3.eu-west-1.amazonaws.com",
        "bucket.s3-us-west-2.amazonaws.com",
        "s3.dualstack.us-gov-west-1.amazonaws.com",
        "bucket.s3-fips.us-east-1.amazonaws.com",
        "bucket.s3.cn-north-1.amazonaws.com.cn",
        "bucket.s3.eusc-de-east-1.amazonaws.eu",
    ],
)
def test_hosts_of_s3(host: str) -> None:
    """S3's hosts are known in all their forms and partitions."""
    assert trust_stores._S3_HOST.fullmatch(host)


def test_bundle_from_the_clients_own_endpoint() -> None:
    """Where the client talks to an endpoint of its own, bundles come from there too."""
    with bucket(ok(BUNDLE.encode())) as address:
        assert trust_stores._fetch(f"{address}/bundle", address) == BUNDLE.encode()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "HTTP Error 403"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", "HTTP Error 302"),
        (ok(b"x" * 2_000), "larger than 1000 bytes"),
        (ok(b"-----BEGIN", 500), "ended after 10 of 500 bytes"),
        (b"nonsense\r\n\r\n", "BadStatusLine"),
        (b"", "RemoteDisconnected"),
    ],
)
def test_bundle_that_cannot_be_fetched(answer: bytes, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal, a redirect, a huge, short or nonsensical answer is a problem of the store, without the address."""
    monkeypatch.setattr(trust_stores, "_MAX_BUNDLE", 1_000)
    fetch = trust_stores._fetch
    with bucket(answer) as address:
        monkeypatch.setattr(trust_stores, "_fetch", lambda url, endpoint: fetch(url, address))
        (found,) = sightings(Script(elb(f"{address}/bundle?X-Amz-Signature=secret")))
    assert reason in found.attributes["problem"]
    assert "secret" not in str(found)


def test_bundle_host_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that refuses connections is a problem of the store."""
    address = f"http://127.0.0.1:{closed_port()}"
    fetch = trust_stores._fetch
    monkeypatch.setattr(trust_stores, "_fetch", lambda url, endpoint: fetch(url, address))
    (found,) = sightings(Script(elb(f"{address}/bundle")))
    assert "refused" in found.attributes["problem"].lower()
