"""What each step of issuance may do: the actions that the library's modules declare, on what the configuration names.

The step that talks to issuers may read no certificate's key, and the steps that hold keys may talk to no issuer but to
revoke.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import aws_cdk as cdk
from aws_cdk import aws_iam, aws_s3

from infra.acknowledge import acknowledge_wildcards
from infra.audit_reports import AUDIT_REPORTS
from infra.functions import Function
from perennial import key_store, kms_keys
from perennial.issuers import acm, acm_pca, acme_account
from perennial.profiles import AcmeIssuer, AcmIssuer, ChallengeKind, KeyHome, PcaIssuer
from perennial.settings import Settings
from perennial.solvers import route53

T = TypeVar("T")
CHANGE = "route53:ChangeResourceRecordSets"
ZONES = "The zones of names are found when a certificate is requested; listing them has no resource to name."
BY_NAME = "Secrets are named after managed certificates and issuers; Secrets Manager adds six characters to each."


@dataclass(frozen=True, kw_only=True)
class IssuancePermissions:
    """Grants to the functions of issuance."""

    stack: cdk.Stack
    settings: Settings
    bucket: aws_s3.IBucket

    @property
    def audits(self) -> bool:
        """Whether ACM PCA writes audit reports into the bucket."""
        return any(True for _ in self._issuers(PcaIssuer))

    def prepare(self, function: Function) -> None:
        """Make keys and store them."""
        self._keep(function)
        if any(each.key_home is KeyHome.KMS for each in self.settings.profiles.values()):
            function.may(kms_keys.ACTIONS, ["*"], "The keys of certificates do not exist when this is deployed.")

    def advance(self, function: Function) -> None:
        """Talk to issuers, and show challenges."""
        self._issue(function, (*acm_pca.ACTIONS, *acm.ACTIONS))
        self._show(function)

    def store(self, function: Function) -> None:
        """Put certificates beside their keys; export keys that ACM made; revoke what is not what was requested."""
        self._keep(function)
        self._issue(function, (*acm_pca.OF_STORING, *acm.OF_STORING))

    def revoke(self, function: Function) -> None:
        """Revoke at issuers, as what is not what was requested is revoked when it is stored; export no key."""
        of_storing = (*acm_pca.OF_STORING, *acm.OF_STORING)
        self._issue(function, [each for each in of_storing if each != "acm:ExportCertificate"])

    def clean(self, function: Function) -> None:
        """Remove challenges."""
        self._show(function)

    def _keep(self, function: Function) -> None:
        """Keys are encrypted with the key of the stack, which every function of issuance may use."""
        if self.settings.issuers:
            actions = _of("secretsmanager", key_store.ACTIONS)
            function.may(actions, [self._secret(f"{key_store.PREFIX}*")], BY_NAME)

    def _issue(self, function: Function, actions: Sequence[str]) -> None:
        if self._acme():
            names = [acme_account.secret_name(each.name) for each in self._acme()]
            accounts = _of("secretsmanager", acme_account.ACTIONS)
            function.may(accounts, [self._secret(name) for name in names], BY_NAME)
        bindings = sorted({self._secret(each.eab_secret) for each in self._acme() if each.eab_secret})
        if bindings:
            function.may(["secretsmanager:GetSecretValue"], bindings, BY_NAME)
        authorities = sorted({each.authority for each in self._issuers(PcaIssuer)})
        if authorities:
            function.may(_of("acm-pca", actions), authorities)
            self._may_audit(function, _of("s3", actions))
        if any(True for _ in self._issuers(AcmIssuer)):
            everywhere = "ACM's calls about new certificates have no resource to name."
            function.may([*_of("acm", actions), *_of("tag", actions)], ["*"], everywhere)

    def _may_audit(self, function: Function, actions: Sequence[str]) -> None:
        of_objects = [each for each in actions if each != "s3:ListBucket"]
        if of_objects:
            reports = self.bucket.arn_for_objects(AUDIT_REPORTS)
            function.may(of_objects, [reports], "ACM PCA names its audit reports by itself.")
            function.may(["s3:ListBucket"], [self.bucket.bucket_arn])

    def _show(self, function: Function) -> None:
        if not self._in_zones:
            return
        for statement in zone_statements(self.stack.partition):
            function.role.add_to_principal_policy(statement)
        acknowledge_wildcards(function.role, ["*", *zone_resources(self.stack.partition)], ZONES)
        for account in self.settings.solvers.zone_accounts:
            role = f"arn:{self.stack.partition}:iam::{account}:role/{self.settings.solvers.role_name}"
            function.may(["sts:AssumeRole"], [role])

    @property
    def _in_zones(self) -> bool:
        """Whether any issuer's challenges are shown in Route 53."""
        by_dns = (ChallengeKind.DNS, ChallengeKind.DNS_PERSIST)
        return any(each.challenge in by_dns for each in self._acme()) or any(True for _ in self._issuers(AcmIssuer))

    def _issuers(self, kind: type[T]) -> Iterable[T]:
        return (each for each in self.settings.issuers.values() if isinstance(each, kind))

    def _acme(self) -> list[AcmeIssuer]:
        return list(self._issuers(AcmeIssuer))

    def _secret(self, name: str) -> str:
        if name.startswith("arn:"):
            return name
        end = "" if name.endswith("*") else "-??????"
        return f"arn:{self.stack.partition}:secretsmanager:{self.stack.region}:{self.stack.account}:secret:{name}{end}"


def zone_resources(partition: str) -> list[str]:
    """The ARNs of all zones and changes of an account."""
    return [f"arn:{partition}:route53:::hostedzone/*", f"arn:{partition}:route53:::change/*"]


def zone_statements(partition: str) -> list[aws_iam.PolicyStatement]:
    """What showing a challenge needs in an account with zones: to find them, and to write TXT and CNAME records, no
    others (Service Authorization Reference, Route 53)."""
    actions = set(route53.ACTIONS)
    kinds = {"ForAllValues:StringEquals": {"route53:ChangeResourceRecordSetsRecordTypes": ["TXT", "CNAME"]}}
    lists = sorted(each for each in actions if each.startswith("route53:ListHostedZones"))
    reads = sorted(actions - {CHANGE, *lists})
    return [
        aws_iam.PolicyStatement(actions=lists, resources=["*"]),
        aws_iam.PolicyStatement(actions=reads, resources=zone_resources(partition)),
        aws_iam.PolicyStatement(actions=[CHANGE], resources=zone_resources(partition)[:1], conditions=kinds),
    ]


def _of(service: str, actions: Sequence[str]) -> list[str]:
    return sorted({each for each in actions if each.startswith(f"{service}:")})
