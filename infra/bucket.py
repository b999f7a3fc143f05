"""The bucket of manifests: what each scan found, and what each run of Discovery plans to scan."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy, aws_kms, aws_s3
from constructs import Construct

from infra.acknowledge import acknowledge


class ManifestsBucket(Construct):
    """Private, TLS only, versioned. Plans of runs go after 30 days, as do superseded manifests."""

    def __init__(self, scope: Construct, construct_id: str, *, key: aws_kms.IKey) -> None:
        super().__init__(scope, construct_id)
        month = Duration.days(30)
        self.bucket = aws_s3.Bucket(
            self,
            "Bucket",
            block_public_access=aws_s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=aws_s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            encryption=aws_s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            removal_policy=RemovalPolicy.RETAIN,
            lifecycle_rules=[
                aws_s3.LifecycleRule(id="runs", prefix="runs/", expiration=month),
                aws_s3.LifecycleRule(id="audit-reports", prefix="audit-report/", expiration=month),
                aws_s3.LifecycleRule(
                    id="superseded",
                    noncurrent_version_expiration=month,
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                ),
            ],
        )
        acknowledge(
            self.bucket,
            {
                "S1": "No server access logs: the bucket holds what a scan can read again, only three roles of this "
                "stack may use it, and CloudTrail data events log the same calls where an organisation wants them."
            },
        )
