"""Where trust stores get their CA bundles from and where they hand them out: S3, as in AWS.

A trust store keeps a copy of the bundle that it read: changing or deleting the object later changes nothing. The copy
is handed out as a presigned URL of an object in a bucket of the load balancing service's own account.
"""

from __future__ import annotations

import functools
import os
from typing import Any, Protocol

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography import x509

from local_cloud.fakes.service import ServiceError

SERVICE_ACCOUNT = "127311923021"
"""The account that Elastic Load Balancing itself uses in us-east-1; the bucket of copies belongs to it."""
_BUCKET = "elasticloadbalancing-trust-store-bundles"
_ABSENT = ("NoSuchBucket", "NoSuchKey", "NoSuchVersion", "404")


class Bundles(Protocol):
    """What a trust store needs of S3."""

    def read(self, account: str, region: str, bucket: str, key: str, version: str | None) -> bytes | None:
        """The object with an account's credentials; None where there is no such object."""

    def location(self, name: str, bundle: bytes) -> str:
        """A URL from which anyone can get `bundle` for an hour; `name` identifies the trust store."""


class S3Bundles:
    """S3 at the endpoint of the environment, in other words that of the local cloud."""

    def read(self, account: str, region: str, bucket: str, key: str, version: str | None) -> bytes | None:
        named = {"Bucket": bucket, "Key": key} | ({"VersionId": version} if version else {})
        try:
            content: bytes = _s3(account, region).get_object(**named)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise
        return content

    def location(self, name: str, bundle: bytes) -> str:
        s3 = _s3(SERVICE_ACCOUNT, "us-east-1")
        s3.create_bucket(Bucket=_BUCKET)  # in us-east-1, one's own bucket may be created again
        s3.put_object(Bucket=_BUCKET, Key=name, Body=bundle, ContentType="application/x-pem-file")
        url: str = s3.generate_presigned_url("get_object", Params={"Bucket": _BUCKET, "Key": name}, ExpiresIn=3600)
        return url


@functools.cache
def _s3(account: str, region: str) -> Any:
    """A client in an account: its number is the access key id, its secret that of every account of the local cloud."""
    secret = os.environ.get("AWS_SECRET_ACCESS_KEY", "test")
    keys: dict[str, Any] = {"aws_access_key_id": account, "aws_secret_access_key": secret}
    config = Config(signature_version="s3v4")
    return botocore.session.get_session().create_client("s3", region_name=region, config=config, **keys)


def certificates_in(bundle: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM bundle. Raises ValueError where there is none, or something that is not one."""
    if b"PRIVATE KEY" in bundle:
        raise ValueError("the bundle holds a private key")
    return x509.load_pem_x509_certificates(bundle)


def required(bundle: bytes | None, missing: str, invalid: str) -> tuple[bytes, int]:
    """The bundle and how many certificates it holds. Raises ServiceError `missing` or `invalid`."""
    if bundle is None:
        raise ServiceError(missing, "The CA certificates bundle was not found in the S3 bucket")
    try:
        return bundle, len(certificates_in(bundle))
    except ValueError as error:
        raise ServiceError(invalid, f"The CA certificates bundle is not valid: {error}") from error
