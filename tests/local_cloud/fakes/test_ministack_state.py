"""What the fakes read from ministack's own services, in the form in which ministack keeps it."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from ministack import app
from ministack.core import responses

from bundles import BEGINS, bundle
from local_cloud import fakes
from local_cloud.fakes import ministack_state, wire
from local_cloud.fakes.iam_server_certificates import IamServerCertificates
from local_cloud.fakes.loopback import client
from local_cloud.fakes.references import References

ACCOUNT, REGION = "777788889999", "us-east-1"
ARN = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/a"


class Ministack:
    """One of ministack's services, called as a fake is."""

    def __init__(self, service: str) -> None:
        self.service = service

    def handle(self, request: wire.HttpRequest) -> wire.Response:
        """Serves one request."""
        handler = app.SERVICE_HANDLERS[self.service]
        content = (request.method, request.path, dict(request.headers), request.body, dict(request.query))
        return app.call_service_handler_sync(handler, *content)


def ministack(service: str) -> Any:
    """A boto3 client of ministack's service."""
    return client(Ministack(service), REGION)


@pytest.fixture(autouse=True)
def place() -> Iterator[None]:
    """An account that no other test uses."""
    account, region = responses.get_account_id(), responses.get_region()
    responses.set_request_account_id(ACCOUNT)
    responses.set_request_region(REGION)
    yield
    responses.set_request_account_id(account)
    responses.set_request_region(region)


def test_a_cname_is_found_in_any_zone() -> None:
    """A CNAME in Route 53 is found by name, whatever its case and last dot."""
    route53 = ministack("route53")
    zone = route53.create_hosted_zone(Name="example.com", CallerReference="a")["HostedZone"]["Id"]
    record = {"Name": "_a.example.com.", "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "_B.target.aws."}]}
    change = {"Action": "UPSERT", "ResourceRecordSet": record}
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [change]})
    assert ministack_state.cname("_A.example.com") == "_b.target.aws"
    assert ministack_state.cname("_c.example.com") is None


def distribution() -> dict[str, Any]:
    """The configuration of a distribution with the certificate."""
    origin = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}
    return {
        "CallerReference": "a",
        "Comment": "",
        "Enabled": True,
        "Origins": {
            "Quantity": 1,
            "Items": [{"Id": "o", "DomainName": "o.example.com", "CustomOriginConfig": origin}],
        },
        "DefaultCacheBehavior": {
            "TargetOriginId": "o",
            "ViewerProtocolPolicy": "https-only",
            "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6",
        },
        "ViewerCertificate": {"ACMCertificateArn": ARN, "SSLSupportMethod": "sni-only"},
    }


def test_distributions_and_domain_names_use_certificates() -> None:
    """CloudFront distributions and API Gateway domain names are users of a certificate."""
    references = References()
    ministack_state.register_users(references)
    used = ministack("cloudfront").create_distribution(DistributionConfig=distribution())["Distribution"]["ARN"]
    ministack("apigateway").create_domain_name(
        domainName="api.example.com", regionalCertificateArn=ARN, endpointConfiguration={"types": ["REGIONAL"]}
    )
    domain = f"arn:aws:apigateway:{REGION}::/domainnames/api.example.com"
    assert references.users(ACCOUNT, REGION, ARN) == [domain, used]
    assert references.view(ACCOUNT, REGION)(ARN) == [domain, used]
    assert references.users("000000000000", REGION, ARN) == []


def test_distributions_use_server_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution names a server certificate of IAM by its id: IAM refuses to delete it until it names another."""
    references = References()
    ministack_state.register_users(references)
    iam = IamServerCertificates(where=lambda: (ACCOUNT, REGION), clock=lambda: BEGINS, users=references.users)
    monkeypatch.setattr(fakes, "fake", {"iam": iam}.__getitem__)
    api, version = client(iam, REGION), bundle(1)
    made = api.upload_server_certificate(
        ServerCertificateName="www", CertificateBody=version.certificate_pem, PrivateKey=version.private_key
    )["ServerCertificateMetadata"]
    shown = {"IAMCertificateId": made["ServerCertificateId"], "SSLSupportMethod": "sni-only"}
    cloudfront = ministack("cloudfront")
    configuration = {**distribution(), "CallerReference": "b", "ViewerCertificate": shown}
    used = cloudfront.create_distribution(DistributionConfig=configuration)
    assert references.users(ACCOUNT, "", made["Arn"]) == [used["Distribution"]["ARN"]]
    with pytest.raises(ClientError, match=f"DeleteConflict.*currently in use by {used['Distribution']['ARN']}"):
        api.delete_server_certificate(ServerCertificateName="www")
    default = {"CloudFrontDefaultCertificate": True}
    cloudfront.update_distribution(
        Id=used["Distribution"]["Id"],
        IfMatch=used["ETag"],
        DistributionConfig={**configuration, "ViewerCertificate": default},
    )
    api.delete_server_certificate(ServerCertificateName="www")
    assert references.users(ACCOUNT, "", made["Arn"]) == []


def test_an_object_is_written_to_s3() -> None:
    """An object goes into ministack's S3; a bucket that is not there is an HTTP error."""
    s3 = Ministack("s3")
    headers = {"host": "s3.amazonaws.com"}
    s3.handle(wire.HttpRequest("PUT", "/fakes-reports", headers, b"", {}))
    assert ministack_state.put_object("fakes-reports", "a/b.csv", b"x,y", "text/csv") == 200
    assert s3.handle(wire.HttpRequest("GET", "/fakes-reports/a/b.csv", headers, b"", {}))[2] == b"x,y"
    assert ministack_state.put_object("fakes-missing", "a", b"", "text/csv") == 404
