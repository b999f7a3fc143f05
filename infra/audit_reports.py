"""Audit reports of ACM PCA: the only list of what a CA has issued, and so the only way to learn whether a request whose
reply was lost became a certificate."""

from __future__ import annotations

from aws_cdk import Stack, aws_iam, aws_kms, aws_s3

AUDIT_REPORTS = "audit-report/*"  # the prefix is ACM PCA's own


def let_acm_pca_report(bucket: aws_s3.Bucket, key: aws_kms.Key) -> None:
    """Let ACM PCA, for CAs of this account, put its reports into the bucket, encrypted with its key.

    AWS Private CA user guide, "Using audit reports with your private CA".
    """
    account = {"StringEquals": {"aws:SourceAccount": Stack.of(bucket).account}}
    service = aws_iam.ServicePrincipal("acm-pca.amazonaws.com")
    bucket.add_to_resource_policy(
        aws_iam.PolicyStatement(
            principals=[service],
            actions=["s3:PutObject", "s3:PutObjectAcl"],
            resources=[bucket.arn_for_objects(AUDIT_REPORTS)],
            conditions=account,
        )
    )
    bucket.add_to_resource_policy(
        aws_iam.PolicyStatement(
            principals=[service],
            actions=["s3:GetBucketAcl", "s3:GetBucketLocation"],
            resources=[bucket.bucket_arn],
            conditions=account,
        )
    )
    key.add_to_resource_policy(
        aws_iam.PolicyStatement(
            principals=[service], actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=["*"], conditions=account
        )
    )
