"""The key that signs proofs: asymmetric, so that anyone with its public half can verify one, without AWS."""

from __future__ import annotations

from aws_cdk import RemovalPolicy, aws_kms
from constructs import Construct

from infra.acknowledge import acknowledge


class ProofKey(Construct):
    """A KMS key for ECDSA on P-256, kept when the stack goes: proofs are to be verified later too."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.key = aws_kms.Key(
            self,
            "Key",
            alias="perennial-proofs",
            description="Perennial: signs proofs that a certificate serves",
            key_spec=aws_kms.KeySpec.ECC_NIST_P256,
            key_usage=aws_kms.KeyUsage.SIGN_VERIFY,
            removal_policy=RemovalPolicy.RETAIN,
        )
        acknowledge(self.key, {"KMS5": "KMS rotates no asymmetric keys; each proof names the key that signed it."})
