"""The hub: composes the constructs, and owns every grant between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import Duration, aws_iam, aws_s3_assets, aws_ssm
from constructs import Construct

from infra.acknowledge import acknowledge_wildcards
from infra.alarms import Alarms
from infra.alert_destinations import AlertDestinations
from infra.api import Api
from infra.approval import Approval, ApprovalFunctions, machine_arn
from infra.assessment import Assessment
from infra.audit_reports import let_acm_pca_report
from infra.audit_trail import AuditTrail, never_rewrite
from infra.bucket import ManifestsBucket
from infra.bus import EventBus
from infra.callback import Callback
from infra.dead_letters import DeadLetters
from infra.discovery import PLANS, Discovery, DiscoveryFunctions
from infra.dispatch import Dispatch
from infra.encryption import EncryptionKey
from infra.functions import Function, Runtime, runtime
from infra.http01 import Http01
from infra.issuance import Issuance, IssuanceFunctions
from infra.issuance_permissions import IssuancePermissions
from infra.names import (
    ACTIVATE_ROLE,
    ADVANCE_ROLE,
    CLEAN_UP_ROLE,
    PARAMETERS,
    PLAN_ROLE,
    PREFLIGHT_ROLE,
    PROVE_ROLE,
    PUBLISH_ROLE,
    RESTORE_ROLE,
    RETIRE_ROLE,
    SCAN_ROLE,
)
from infra.permissions import EVERYTHING, discovery_statements, resources
from infra.proof_key import ProofKey
from infra.renewal import Renewal, RenewalFunctions
from infra.retirement_permissions import RetirementPermissions
from infra.rollout import Rollout, RolloutFunctions
from infra.rollout_permissions import RolloutPermissions
from infra.schedules import Schedules
from infra.table import InventoryTable
from infra.topic import NotificationTopic
from perennial.publishing import FINDINGS_ROLE
from perennial.settings import Settings

READ = ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query")  # never Scan
WRITE = ("dynamodb:BatchWriteItem", "dynamodb:PutItem", "dynamodb:UpdateItem")
USE_KEY = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
BY_SCOPE = "Manifests are named after scopes, plans after runs: neither is known when the stack is deployed."
MEMBERS = "Every member account has a role of this one name; the configuration says which accounts there are."


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the context gives to a deployment, beside perennial.toml."""

    deps: Path
    architecture: str = "arm64"
    discovery_hours: int = 12
    organization: str | None = None


class PerennialHub(cdk.Stack):
    """All of Perennial in one account and region."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        settings_file: Path,
        options: Options,
        **stack: Any,
    ) -> None:
        super().__init__(scope, construct_id, description="Perennial: certificate lifecycle management (hub)", **stack)
        self._settings = settings
        self._configuration = aws_s3_assets.Asset(self, "Configuration", path=str(settings_file))
        self._keep(options)
        on = self._runtime(options)
        steps = self._workflow_functions(on)
        issuing, deploying = self._issuance_functions(on), self._rollout_functions(on)
        renewing, deciding = self._renewal_functions(on), self._approval_functions(on)
        self._audit = AuditTrail(
            self,
            "Audit",
            runtime=on,
            table=self._inventory.table,
            retention=Duration.days(settings.audit.retention_days),
            dead_letters=self._dead_letters,
        )
        self._approve(deciding)
        self._work(on, steps, issuing, deploying, renewing, Duration.hours(options.discovery_hours))
        self._grant_workflow_functions(steps)
        self._grant_issuance(issuing)
        self._grant_rollout(deploying)
        self._grant_renewal(renewing)
        self._grant_approval(deciding)
        self._answer_http01(on)
        self._grant_dispatch()
        self._serve_api(on, (deciding.ask, steps.publish))
        self._tell_names()

    def _keep(self, options: Options) -> None:
        """What holds state, and what carries messages."""
        self._key = EncryptionKey(self, "Encryption").key
        self._proof_key = ProofKey(self, "Proofs").key
        self._inventory = InventoryTable(self, "Inventory", key=self._key)
        self._bucket = ManifestsBucket(self, "Manifests", key=self._key).bucket
        self._topic = NotificationTopic(self, "Notifications", key=self._key).topic
        self._bus = EventBus(self, "Events", settings=self._settings.discovery, organization=options.organization).bus
        self._dead_letters = DeadLetters(self, "DeadLetters").queue
        if destinations := self._settings.alerts.destinations:
            AlertDestinations(
                self, "AlertDestinations", destinations=destinations, bus=self._bus, dead_letters=self._dead_letters
            )

    def _work(
        self,
        on: Runtime,
        steps: DiscoveryFunctions,
        issuing: IssuanceFunctions,
        deploying: RolloutFunctions,
        renewing: RenewalFunctions,
        every: Duration,
    ) -> None:
        """What does the work, what starts it, and what watches it."""
        self.discovery = Discovery(
            self,
            "Discovery",
            functions=steps,
            bucket=self._bucket,
            concurrency=self._settings.discovery.concurrency,
            key=self._key,
        ).workflow.machine
        self.assessment = Assessment(
            self, "Assessment", assess=steps.assess, publish=steps.publish, key=self._key
        ).workflow.machine
        self.issuance = Issuance(self, "Issuance", functions=issuing, key=self._key).workflow.machine
        self.rollout = Rollout(self, "Rollout", functions=deploying, key=self._key).workflow.machine
        self.renewal = Renewal(
            self, "Renewal", functions=renewing, issuance=self.issuance, rollout=self.rollout, key=self._key
        ).workflow.machine
        self._dispatch = Dispatch(
            self,
            "Dispatch",
            runtime=on,
            discovery=self.discovery,
            assessment=self.assessment,
            issuance=self.issuance,
            rollout=self.rollout,
            renewal=self.renewal,
            approval=self.approval,
            bus=self._bus,
            dead_letters=self._dead_letters,
        )
        tick, dead_letters = self._dispatch.tick, self._dead_letters
        Schedules(self, "Schedules", discovery=self.discovery, every=every, tick=tick, dead_letters=dead_letters)
        workflows = {
            "Discovery": self.discovery,
            "Assessment": self.assessment,
            "Issuance": self.issuance,
            "Rollout": self.rollout,
            "Renewal": self.renewal,
            "Approval": self.approval,
        }
        Alarms(
            self,
            "Alarms",
            workflows=workflows,
            tick=tick,
            checkpoint=self._audit.checkpoint,
            dead_letters=dead_letters,
            topic=self._topic,
        )

    def _runtime(self, options: Options) -> Runtime:
        return runtime(
            self,
            deps=options.deps,
            architecture=options.architecture,
            key=self._key,
            environment=self._environment(),
        )

    def _environment(self) -> dict[str, str]:
        return {
            "PERENNIAL_TABLE": self._inventory.table.table_name,
            "PERENNIAL_BUCKET": self._bucket.bucket_name,
            "PERENNIAL_SETTINGS_BUCKET": self._configuration.s3_bucket_name,
            "PERENNIAL_SETTINGS_KEY": self._configuration.s3_object_key,
            "PERENNIAL_KEY_ID": self._key.key_arn,
        }

    def _workflow_functions(self, on: Runtime) -> DiscoveryFunctions:
        minutes = Duration.minutes
        tell = {"PERENNIAL_TOPIC_ARN": self._topic.topic_arn, "PERENNIAL_BUS_NAME": self._bus.event_bus_name}

        def function(name: str, handler: str, description: str, timeout: int, **more: Any) -> Function:
            return Function(
                self, name, runtime=on, handler=handler, description=description, timeout=minutes(timeout), **more
            )

        return DiscoveryFunctions(
            plan=function("Plan", "discovery/plan", "Decide what a run scans", 5, role_name=PLAN_ROLE),
            scan=function("Scan", "discovery/scan", "Scan one scope", 15, memory=1024, role_name=SCAN_ROLE),
            abandon=function("Abandon", "discovery/abandon", "Record a scope that could not be scanned", 1),
            collect=function("Collect", "discovery/collect", "Record how a run ended", 10),
            assess=function("Assess", "assessment/assess", "Assess the places that are due", 10, memory=1024),
            publish=function(
                "Publish",
                "assessment/publish",
                "Publish the findings that changed",
                10,
                role_name=PUBLISH_ROLE,
                environment=tell,
            ),
        )

    def _issuance_functions(self, on: Runtime) -> IssuanceFunctions:
        def function(name: str, handler: str, description: str, timeout: int, role_name: str | None = None) -> Function:
            return Function(
                self,
                name,
                runtime=on,
                handler=f"issuance/{handler}",
                description=description,
                timeout=Duration.minutes(timeout),
                role_name=role_name,
            )

        return IssuanceFunctions(
            prepare=function("Prepare", "prepare", "Judge a request, make its key and CSR", 2),
            advance=function("Advance", "advance", "Go on with an order at its issuer", 2, ADVANCE_ROLE),
            store=function("Store", "store", "Judge what was issued, and store it with its key", 2),
            clean=function("CleanUp", "clean", "Remove the challenges that a version shows", 5, CLEAN_UP_ROLE),
            give_up=function("GiveUp", "give_up", "Record why an issuance failed", 1),
        )

    def _rollout_functions(self, on: Runtime) -> RolloutFunctions:
        def function(name: str, handler: str, description: str, role_name: str | None = None) -> Function:
            return Function(
                self,
                name,
                runtime=on,
                handler=f"rollout/{handler}",
                description=description,
                timeout=Duration.minutes(5),
                role_name=role_name,
                environment={"PERENNIAL_PROOF_KEY_ID": self._proof_key.key_arn} if handler == "prove" else None,
            )

        functions = RolloutFunctions(
            preflight=function("Preflight", "preflight", "Judge whether a version fits its targets", PREFLIGHT_ROLE),
            activate=function("Activate", "activate", "Let a target serve a version", ACTIVATE_ROLE),
            prove=function("Prove", "prove", "Prove by handshakes what serves at a target", PROVE_ROLE),
            restore=function("Restore", "restore", "Bring back what was found at a target", RESTORE_ROLE),
            finish=function("Finish", "finish", "End a rollout"),
            give_up=function("GiveUpRollout", "give_up", "Record why a rollout failed"),
        )
        if "webhook" in self._settings.targets.kinds:
            self._take_reports(on, functions)
        return functions

    def _renewal_functions(self, on: Runtime) -> RenewalFunctions:
        tell = {"PERENNIAL_TOPIC_ARN": self._topic.topic_arn, "PERENNIAL_BUS_NAME": self._bus.event_bus_name}

        def function(name: str, handler: str, description: str, **more: Any) -> Function:
            minutes = Duration.minutes(5)
            return Function(
                self, name, runtime=on, handler=f"renewal/{handler}", description=description, timeout=minutes, **more
            )

        return RenewalFunctions(
            decide=function("Decide", "decide", "Decide what is next for a managed certificate", environment=tell),
            retire=function("Retire", "retire", "Remove what was made for a version", role_name=RETIRE_ROLE),
        )

    def _approval_functions(self, on: Runtime) -> ApprovalFunctions:
        tell = {"PERENNIAL_TOPIC_ARN": self._topic.topic_arn, "PERENNIAL_BUS_NAME": self._bus.event_bus_name}

        def function(name: str, handler: str, description: str, **more: Any) -> Function:
            minutes = Duration.minutes(2)
            return Function(
                self, name, runtime=on, handler=f"approval/{handler}", description=description, timeout=minutes, **more
            )

        return ApprovalFunctions(
            ask=function("AskApprovers", "ask", "Tell who may decide on a change request", environment=tell),
            apply=function("ApplyRequest", "apply", "Apply a change request that is approved"),
            expire=function("ExpireRequest", "expire", "End a change request that nobody decided"),
        )

    def _approve(self, functions: ApprovalFunctions) -> None:
        self.approval = Approval(self, "Approval", functions=functions, key=self._key).workflow.machine

    def _take_reports(self, on: Runtime, of: RolloutFunctions) -> None:
        """The API where receivers of webhooks report, and its address for those that send the events."""
        callback = Callback(self, "Callback", runtime=on, table=self._inventory.table)
        callback.report.may(USE_KEY, [self._key.key_arn])
        for each in (of.preflight, of.activate, of.restore):
            each.function.add_environment("PERENNIAL_CALLBACK_URL", callback.url)

    # --- grants ---

    def _grant_workflow_functions(self, of: DiscoveryFunctions) -> None:
        for each in of.all():
            self._may_use_table(each)
        for each in (of.plan, of.scan, of.assess, of.publish):
            self._may_read_settings(each)
        for each in (of.assess, of.publish):
            each.may(["dynamodb:Query"], self._inventory.index_arns)
        plans = self._bucket.arn_for_objects(PLANS)
        of.plan.may(["s3:PutObject"], [plans], BY_SCOPE)
        of.collect.may(["s3:GetObject"], [plans], BY_SCOPE)
        self._may_scan(of.scan, of.collect)
        self._may_plan(of.plan)
        self._may_publish(of.publish)

    def _may_plan(self, plan: Function) -> None:
        plan.may(["ec2:DescribeRegions"], ["*"], "ec2:DescribeRegions has no resource-level permission.")
        if self._settings.discovery.organization:
            plan.may(
                ["organizations:ListAccounts"], ["*"], "organizations:ListAccounts has no resource-level permission."
            )
        self._may_assume(plan, self._settings.discovery.role_name)

    def _may_scan(self, scan: Function, collect: Function) -> None:
        statements = discovery_statements(self._settings.discovery, partition=self.partition, hub=True)
        for each in statements:
            scan.role.add_to_principal_policy(each)
        acknowledge_wildcards(scan.role, resources(statements), EVERYTHING)
        self._may_assume(scan, self._settings.discovery.role_name)
        manifests = [self._bucket.arn_for_objects("manifests/*"), self._bucket.arn_for_objects("partial/*")]
        for function in (scan, collect):  # collecting retires the scopes that are no longer configured
            function.may(["s3:GetObject", "s3:PutObject"], manifests, BY_SCOPE)
        scan.may(["s3:DeleteObject"], manifests[1:], BY_SCOPE)
        for function in (scan, collect):
            function.may(["s3:ListBucket"], [self._bucket.bucket_arn])  # without it a missing manifest is a denial

    def _may_tell(self, function: Function) -> None:
        function.may(["sns:Publish"], [self._topic.topic_arn])
        function.may(["events:PutEvents"], [self._bus.event_bus_arn])

    def _may_publish(self, publish: Function) -> None:
        self._may_tell(publish)
        if not self._settings.findings.security_hub:
            return
        self._may_import(publish)
        self._may_suppress(publish)
        self._may_assume(publish, FINDINGS_ROLE)

    def _may_import(self, function: Function) -> None:
        product = f"arn:{self.partition}:securityhub:*:{self.account}:product/{self.account}/default"
        regional = "Findings are imported in the region of what they are about."
        function.may(["securityhub:BatchImportFindings"], [product], regional)

    def _may_suppress(self, function: Function) -> None:
        """Set the Workflow status and note of findings, while an exception covers them and when it ends."""
        hub = f"arn:{self.partition}:securityhub:*:{self.account}:hub/default"
        regional = "Findings are changed in the region of what they are about."
        function.may(["securityhub:BatchUpdateFindings"], [hub], regional)

    def _may_assume(self, function: Function, role_name: str) -> None:
        function.may(["sts:AssumeRole"], [f"arn:{self.partition}:iam::*:role/{role_name}"], MEMBERS)

    def _grant_issuance(self, of: IssuanceFunctions) -> None:
        for each in of.all():
            self._may_use_table(each)
        for each in (of.prepare, of.advance, of.store, of.clean):
            self._may_read_settings(each)
        permissions = IssuancePermissions(stack=self, settings=self._settings, bucket=self._bucket)
        permissions.prepare(of.prepare)
        permissions.advance(of.advance)
        permissions.store(of.store)
        permissions.clean(of.clean)
        of.clean.may(["dynamodb:DeleteItem"], [self._inventory.table.table_arn])
        waiting = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["ISSUER#*"]}}
        of.advance.role.add_to_principal_policy(
            aws_iam.PolicyStatement(
                actions=["dynamodb:DeleteItem"], resources=[self._inventory.table.table_arn], conditions=waiting
            )
        )
        if permissions.audits:
            let_acm_pca_report(self._bucket, self._key)

    def _grant_rollout(self, of: RolloutFunctions) -> None:
        for each in of.all():
            self._may_use_table(each)
        for each in (of.preflight, of.activate, of.prove, of.restore):
            self._may_read_settings(each)
        permissions = RolloutPermissions(stack=self, settings=self._settings, proof_key=self._proof_key)
        permissions.preflight(of.preflight)
        permissions.change(of.activate)
        permissions.change(of.restore)
        permissions.prove(of.prove)
        permissions.finish(of.finish)

    def _grant_renewal(self, of: RenewalFunctions) -> None:
        for each in of.all():
            self._may_use_table(each)
            self._may_read_settings(each)
        RolloutPermissions(stack=self, settings=self._settings, proof_key=self._proof_key).finish(of.decide)
        self._may_tell(of.decide)
        if self._settings.alerts.security_hub:
            self._may_import(of.decide)
        table = self._inventory.table
        RetirementPermissions(stack=self, settings=self._settings, table=table).retire(of.retire)

    def _grant_approval(self, of: ApprovalFunctions) -> None:
        for each in of.all():
            self._may_use_table(each)
            self._may_read_settings(each)
        self._may_tell(of.ask)
        self._may_wake(of.ask)
        IssuancePermissions(stack=self, settings=self._settings, bucket=self._bucket).revoke(of.apply)

    def _may_wake(self, function: Function) -> None:
        """Wake a workflow that waits for a decision: whoever decides on requests may. The machine is named, as its own
        function may wake it too, and would need it before it is there."""
        function.may(["states:SendTaskSuccess"], [machine_arn(self)])

    def _answer_http01(self, on: Runtime) -> None:
        if self._settings.solvers.listeners:
            answer = Http01(self, "Http01", runtime=on, solvers=self._settings.solvers).answer
            answer.may(READ, [self._inventory.table.table_arn])
            answer.may(["kms:Decrypt"], [self._key.key_arn])

    def _serve_api(self, on: Runtime, tell: Sequence[Function]) -> None:
        """The API for people and machines, its page, to which the messages that functions tell lead, and its names."""
        api = Api(self, "Api", runtime=on, table=self._inventory.table, settings=self._settings.api)
        self._may_use_table(api.handle)
        api.handle.may(["dynamodb:Query"], self._inventory.index_arns)
        self._may_wake(api.handle)
        for each in (api.handle, api.authorizer):
            self._may_read_settings(each)
        api.handle.function.add_environment("PERENNIAL_DISCOVERY_ARN", self.discovery.state_machine_arn)
        api.handle.may(["states:ListExecutions", "states:StartExecution"], [self.discovery.state_machine_arn])
        names = {"ApiUrl": ("api", api.url), "PeopleApiUrl": ("api-people", api.people_url)}
        if api.page_url:
            for each in tell:
                each.function.add_environment("PERENNIAL_PAGE", api.page_url)
            cdk.CfnOutput(self, "PageUrl", value=api.page_url)
        if api.sign_in:
            names["UserPoolId"] = ("user-pool", api.sign_in.pool.user_pool_id)
            names["AppClientId"] = ("app-client", api.sign_in.client.user_pool_client_id)
            names["SignInUrl"] = ("sign-in", api.sign_in.domain.base_url())
        for name, (parameter, value) in names.items():
            told = f"{PARAMETERS}/{parameter}"
            aws_ssm.StringParameter(self, f"{name}Parameter", parameter_name=told, string_value=value)
            cdk.CfnOutput(self, name, value=value)

    def _grant_dispatch(self) -> None:
        tick = self._dispatch.tick
        self._may_use_table(tick)
        self._may_use_table(self._dispatch.event)
        self._may_read_settings(self._dispatch.event)
        tick.may(["dynamodb:Query"], self._inventory.index_arns)
        machines = (self.discovery, self.assessment, self.issuance, self.rollout, self.renewal, self.approval)
        tick.may(["states:StartExecution"], [each.state_machine_arn for each in machines])
        tick.may(["states:ListExecutions"], [self.assessment.state_machine_arn])

    def _may_use_table(self, function: Function) -> None:
        function.may([*READ, *WRITE], [self._inventory.table.table_arn])
        never_rewrite(function.role, self._inventory.table)
        function.may(USE_KEY, [self._key.key_arn])

    def _may_read_settings(self, function: Function) -> None:
        file = self._configuration.bucket.arn_for_objects(self._configuration.s3_object_key)
        function.may(["s3:GetObject"], [file])

    # --- names, for people and for the command ---

    def _tell_names(self) -> None:
        names = {
            "TableName": self._inventory.table.table_name,
            "BucketName": self._bucket.bucket_name,
            "TopicArn": self._topic.topic_arn,
            "BusArn": self._bus.event_bus_arn,
            "DiscoveryArn": self.discovery.state_machine_arn,
            "AssessmentArn": self.assessment.state_machine_arn,
            "IssuanceArn": self.issuance.state_machine_arn,
            "RolloutArn": self.rollout.state_machine_arn,
            "RenewalArn": self.renewal.state_machine_arn,
            "ApprovalArn": self.approval.state_machine_arn,
        }
        for name, value in names.items():
            parameter = f"{PARAMETERS}/{name.removesuffix('Name').removesuffix('Arn').lower()}"
            aws_ssm.StringParameter(self, f"{name}Parameter", parameter_name=parameter, string_value=value)
            cdk.CfnOutput(self, name, value=value)
        file = f"{self._configuration.s3_bucket_name}/{self._configuration.s3_object_key}"
        further = {
            "Settings": ("settings", file),
            "Key": ("key", self._key.key_arn),
            "ProofKey": ("proof-key", self._proof_key.key_arn),
            "AuditBucket": ("audit-bucket", self._audit.bucket.bucket_name),
            "AuditKey": ("audit-key", self._audit.key.key_arn),
        }
        for name, (parameter, value) in further.items():
            path = f"{PARAMETERS}/{parameter}"
            aws_ssm.StringParameter(self, f"{name}Parameter", parameter_name=path, string_value=value)
        cdk.CfnOutput(self, "AuditBucketName", value=self._audit.bucket.bucket_name)
        cdk.CfnOutput(self, "AuditKeyArn", value=self._audit.key.key_arn)
