"""The audit trail's checkpoints: the bucket that locks them, the key that signs them, and what makes them each hour."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy, aws_dynamodb, aws_events, aws_iam, aws_kms, aws_s3, aws_sqs
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from infra.acknowledge import acknowledge
from infra.functions import Function, Runtime

EVERY = Duration.hours(1)
LOCKED = "checkpoints/*"
ITEMS = "AUDIT*"  # partition keys of the audit trail in the table
REWRITES = ("dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:UpdateItem")  # the trail is put, never changed


class AuditTrail(Construct):
    """Checkpoints can be put into the bucket, and nobody can remove one before its retention ends (Object Lock in
    compliance mode): the retention can be made longer, never shorter, not even by the root user."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        runtime: Runtime,
        table: aws_dynamodb.ITable,
        retention: Duration,
        dead_letters: aws_sqs.IQueue,
    ) -> None:
        super().__init__(scope, construct_id)
        self.key = self._signing_key()
        self.bucket = self._locked_bucket(retention)
        self.checkpoint = Function(
            self,
            "Checkpoint",
            runtime=runtime,
            handler="audit/checkpoint",
            description="Sign and lock away what the audit trail is",
            timeout=Duration.minutes(5),
            environment={
                "PERENNIAL_AUDIT_BUCKET": self.bucket.bucket_name,
                "PERENNIAL_AUDIT_KEY_ARN": self.key.key_arn,
                "PERENNIAL_AUDIT_RETENTION_DAYS": str(int(retention.to_days())),
            },
            dead_letters=dead_letters,
        )
        self._grant(table, runtime.key)
        target = targets.LambdaFunction(self.checkpoint.function, dead_letter_queue=dead_letters)
        aws_events.Rule(self, "Hourly", schedule=aws_events.Schedule.rate(EVERY), targets=[target])

    def _signing_key(self) -> aws_kms.Key:
        """For ECDSA on P-256, kept when the stack goes: exports are to be verified later too. A key of its own, so that
        who may sign proofs can sign no checkpoint."""
        key = aws_kms.Key(
            self,
            "Key",
            alias="perennial-audit",
            description="Perennial: signs checkpoints of the audit trail",
            key_spec=aws_kms.KeySpec.ECC_NIST_P256,
            key_usage=aws_kms.KeyUsage.SIGN_VERIFY,
            removal_policy=RemovalPolicy.RETAIN,
        )
        acknowledge(key, {"KMS5": "KMS rotates no asymmetric keys; each checkpoint names the key that signed it."})
        return key

    def _locked_bucket(self, retention: Duration) -> aws_s3.Bucket:
        """Encrypted by S3's own key: who deletes a key of the account would make unreadable what nobody can delete. A
        checkpoint holds counts and hashes, and no secret."""
        bucket = aws_s3.Bucket(
            self,
            "Bucket",
            block_public_access=aws_s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=aws_s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            encryption=aws_s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            object_lock_enabled=True,
            object_lock_default_retention=aws_s3.ObjectLockRetention.compliance(retention),
            removal_policy=RemovalPolicy.RETAIN,
        )
        acknowledge(
            bucket,
            {
                "S1": "No server access logs: one role of this stack puts a few objects an hour, none can be changed, "
                "and CloudTrail data events log the same calls where an organisation wants them."
            },
        )
        bucket.add_to_resource_policy(
            aws_iam.PolicyStatement(  # a marker in front of a locked version would let another one be put as the newest
                sid="NobodyDeletes",
                effect=aws_iam.Effect.DENY,
                principals=[aws_iam.StarPrincipal()],
                actions=["s3:DeleteObject", "s3:DeleteObjectVersion"],
                resources=[bucket.arn_for_objects("*")],
            )
        )
        return bucket

    def _grant(self, table: aws_dynamodb.ITable, key: aws_kms.IKey) -> None:
        """Read the chains, put checkpoints beside them and into the bucket, sign; nothing else."""
        own = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [ITEMS]}}
        self.checkpoint.role.add_to_principal_policy(
            aws_iam.PolicyStatement(
                actions=["dynamodb:Query", "dynamodb:PutItem"], resources=[table.table_arn], conditions=own
            )
        )
        objects = [self.bucket.arn_for_objects(LOCKED)]
        one_a_day = "One object for each checkpoint, named by its day and number."
        self.checkpoint.may(["s3:GetObject", "s3:PutObject", "s3:PutObjectRetention"], objects, one_a_day)
        self.checkpoint.may(["s3:ListBucket"], [self.bucket.bucket_arn])  # without it a missing object is a denial
        self.checkpoint.may(["kms:Sign"], [self.key.key_arn])
        self.checkpoint.may(["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"], [key.key_arn])


def never_rewrite(role: aws_iam.Role, table: aws_dynamodb.ITable) -> None:
    """Deny a role to change or delete items of the audit trail, whatever else it may do with the table. Putting stays
    allowed, as appending needs it; a put over an item breaks the chain, which checkpoints show."""
    role.add_to_principal_policy(
        aws_iam.PolicyStatement(
            effect=aws_iam.Effect.DENY,
            actions=list(REWRITES),
            resources=[table.table_arn],
            conditions={"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": [ITEMS]}},
        )
    )
