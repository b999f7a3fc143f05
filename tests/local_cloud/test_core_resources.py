"""The CloudFormation resource types that the local cloud adds: made by a stack, seen by an API, gone with the stack."""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import Any

import pytest

from certificates import build
from local_cloud import resources
from local_cloud.cloud import Cloud

pytestmark = pytest.mark.local_cloud

ROOT = build("Anchor", ca=True)


def get(resource: str, attribute: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [resource, attribute]}


def ref(resource: str) -> dict[str, str]:
    return {"Ref": resource}


def authority(changed: bool) -> dict[str, Any]:
    """A root CA, its certificate, its activation and a permission."""
    subject = {"CommonName": "Stack Root", "Organization": "Perennial"}
    key = {"KeyAlgorithm": "EC_prime256v1", "SigningAlgorithm": "SHA256WITHECDSA", "Subject": subject}
    revocation = {"OcspConfiguration": {"Enabled": changed}}
    issued = {
        "CertificateAuthorityArn": ref("Authority"),
        "CertificateSigningRequest": get("Authority", "CertificateSigningRequest"),
        "SigningAlgorithm": "SHA256WITHECDSA",
        "TemplateArn": "arn:aws:acm-pca:::template/RootCACertificate/V1",
        "Validity": {"Type": "YEARS", "Value": 5},
    }
    activation = {
        "CertificateAuthorityArn": ref("Authority"),
        "Certificate": get("AuthorityCertificate", "Certificate"),
    }
    permission = {
        "CertificateAuthorityArn": ref("Authority"),
        "Principal": "acm.amazonaws.com",
        "Actions": ["IssueCertificate", "GetCertificate", "ListPermissions"],
    }
    settings = {"Type": "ROOT", "RevocationConfiguration": revocation}
    return {
        "Authority": {"Type": "AWS::ACMPCA::CertificateAuthority", "Properties": {**settings, **key}},
        "AuthorityCertificate": {"Type": "AWS::ACMPCA::Certificate", "Properties": issued},
        "Activation": {"Type": "AWS::ACMPCA::CertificateAuthorityActivation", "Properties": activation},
        "Permission": {"Type": "AWS::ACMPCA::Permission", "Properties": permission},
    }


def certificates() -> dict[str, Any]:
    """A private certificate of ACM, a server certificate of IAM, a trust anchor of Roles Anywhere."""
    private = {"DomainName": "stack.example.com", "CertificateAuthorityArn": ref("Authority")}
    server = {"ServerCertificateName": "stack", "CertificateBody": ROOT.pem, "PrivateKey": ROOT.key_pem}
    source = {"SourceType": "CERTIFICATE_BUNDLE", "SourceData": {"X509CertificateData": ROOT.pem}}
    return {
        "Certificate": {
            "Type": "AWS::CertificateManager::Certificate",
            "Properties": private,
            "DependsOn": "Activation",
        },
        "ServerCertificate": {"Type": "AWS::IAM::ServerCertificate", "Properties": server},
        "Anchor": {
            "Type": "AWS::RolesAnywhere::TrustAnchor",
            "Properties": {"Name": "stack", "Enabled": True, "Source": source},
        },
    }


def load_balancer(changed: bool) -> dict[str, Any]:
    """A load balancer with a target group, a TLS listener with a second certificate, and a rule."""
    kind, forward = "AWS::ElasticLoadBalancingV2::", [{"Type": "forward", "TargetGroupArn": ref("Group")}]
    listener = {
        "LoadBalancerArn": ref("Balancer"),
        "Port": 8443 if changed else 443,
        "Protocol": "HTTPS",
        "Certificates": [{"CertificateArn": ref("Certificate")}],
        "DefaultActions": forward,
    }
    more = {"ListenerArn": ref("Listener"), "Certificates": [{"CertificateArn": get("ServerCertificate", "Arn")}]}
    rule = {
        "ListenerArn": ref("Listener"),
        "Priority": 5,
        "Conditions": [{"Field": "path-pattern", "Values": ["/x"]}],
        "Actions": forward,
    }
    group = {"Name": "stack", "Port": 80, "Protocol": "HTTP", "VpcId": "vpc-1"}
    return {
        "Balancer": {
            "Type": f"{kind}LoadBalancer",
            "Properties": {"Name": "stack", "Subnets": ["subnet-1", "subnet-2"]},
        },
        "Group": {"Type": f"{kind}TargetGroup", "Properties": group},
        "Listener": {"Type": f"{kind}Listener", "Properties": listener},
        "MoreCertificates": {"Type": f"{kind}ListenerCertificate", "Properties": more},
        "Rule": {"Type": f"{kind}ListenerRule", "Properties": rule},
    }


def watching(changed: bool) -> dict[str, Any]:
    """An archive, a bus policy, a composite alarm, a hub, and a policy of a secret."""
    bus = {"Fn::Sub": "arn:aws:events:${AWS::Region}:${AWS::AccountId}:event-bus/default"}
    alarm = {
        "AlarmName": "one",
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": 1,
        "MetricName": "m",
        "Namespace": "n",
        "Period": 60,
        "Statistic": "Sum",
        "Threshold": 1,
    }
    math = {
        "AlarmName": "math",
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": 1,
        "Metrics": [{"Id": "sum", "Expression": "1 + 1"}],
        "Threshold": 1,
    }
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "*"}]}
    secret_policy = {"SecretId": ref("Secret"), "ResourcePolicy": policy}
    archive = {"ArchiveName": "stack", "SourceArn": bus, "RetentionDays": 2 if changed else 1}
    condition = {"StringEquals": {"aws:PrincipalOrgID": "o-stack"}}
    statement = {"Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": bus}
    admission = {"StatementId": "one", "Statement": {**statement, "Condition": condition}}
    return {
        "Archive": {"Type": "AWS::Events::Archive", "Properties": archive},
        "BusPolicy": {"Type": "AWS::Events::EventBusPolicy", "Properties": admission},
        "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm},
        "MathAlarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": math},
        "Any": {
            "Type": "AWS::CloudWatch::CompositeAlarm",
            "Properties": {"AlarmName": "any", "AlarmRule": "ALARM(one)"},
            "DependsOn": "Alarm",
        },
        "Hub": {"Type": "AWS::SecurityHub::Hub", "Properties": {"EnableDefaultStandards": False}},
        "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "stack"}},
        "SecretPolicy": {"Type": "AWS::SecretsManager::ResourcePolicy", "Properties": secret_policy},
    }


def template(changed: bool = False) -> dict[str, Any]:
    """A stack with one resource of every added type, before or after a change."""
    recorded = {
        f"Recorded{number}": {"Type": name, "Properties": {}} for number, name in enumerate(resources.RECORDED_ONLY)
    }
    return {"Resources": authority(changed) | certificates() | load_balancer(changed) | watching(changed) | recorded}


def settle(formation: Any, stack: str) -> str:
    """Wait until CloudFormation is done with a stack; its status, with the reasons where something failed."""
    described = formation.describe_stacks(StackName=stack)["Stacks"][0]
    while described["StackStatus"].endswith("IN_PROGRESS"):
        time.sleep(0.05)
        described = formation.describe_stacks(StackName=stack)["Stacks"][0]
    events = formation.describe_stack_events(StackName=stack)["StackEvents"]
    reasons = [event["ResourceStatusReason"] for event in events if event["ResourceStatus"].endswith("FAILED")]
    return " ".join([described["StackStatus"], *reasons])


@pytest.fixture
def account() -> str:
    """An account of the test's own."""
    return f"{uuid.uuid4().int % 10**12:012}"


@pytest.fixture
def stack(cloud: Cloud, account: str) -> str:
    """The id of a stack with every added type in the test's account."""
    formation = cloud.client("cloudformation", account)
    made = str(formation.create_stack(StackName="every-type", TemplateBody=json.dumps(template()))["StackId"])
    assert settle(formation, made) == "CREATE_COMPLETE"
    return made


def physical_ids(formation: Any, stack: str, *names: str) -> list[str]:
    """The physical ids of resources of the stack, by logical id."""
    found = formation.describe_stack_resources(StackName=stack)["StackResources"]
    by_name = {item["LogicalResourceId"]: item["PhysicalResourceId"] for item in found}
    return [by_name[name] for name in names]


def state(cloud: Cloud, account: str) -> dict[str, Any]:
    """What the APIs of the services show of the stack."""
    elbv2, events = cloud.client("elbv2", account), cloud.client("events", account)
    pca, secrets = cloud.client("acm-pca", account), cloud.client("secretsmanager", account)
    alarms = cloud.client("cloudwatch", account).describe_alarms(AlarmTypes=["CompositeAlarm", "MetricAlarm"])
    acm = cloud.client("acm", account).list_certificates(Includes={"keyTypes": ["RSA_2048", "EC_prime256v1"]})
    balancers = elbv2.describe_load_balancers()["LoadBalancers"]
    listeners = [
        listener
        for balancer in balancers
        for listener in elbv2.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    ]
    shown = [
        certificate
        for listener in listeners
        for certificate in elbv2.describe_listener_certificates(ListenerArn=listener["ListenerArn"])["Certificates"]
    ]
    authorities = pca.list_certificate_authorities()["CertificateAuthorities"]
    return {
        "acm": [item["DomainName"] for item in acm["CertificateSummaryList"]],
        "iam": [
            item["ServerCertificateName"]
            for item in cloud.client("iam", account).list_server_certificates()["ServerCertificateMetadataList"]
        ],
        "anchors": [
            item["name"] for item in cloud.client("rolesanywhere", account).list_trust_anchors()["trustAnchors"]
        ],
        "authorities": [(item["Type"], item["Status"]) for item in authorities],
        "listeners": [listener["Port"] for listener in listeners],
        "listener certificates": len(shown),
        "admitted": re.findall("o-[a-z]+", events.describe_event_bus().get("Policy", "")),
        "archives": [(item["ArchiveName"], item["RetentionDays"]) for item in events.list_archives()["Archives"]],
        "alarms": sorted(alarm["AlarmName"] for kind in ("CompositeAlarms", "MetricAlarms") for alarm in alarms[kind]),
        "policies": [
            "ResourcePolicy" in secrets.get_resource_policy(SecretId=item["Name"])
            for item in secrets.list_secrets()["SecretList"]
        ],
    }


def test_template_has_every_added_type() -> None:
    """No type is added without being tried here."""
    assert {item["Type"] for item in template()["Resources"].values()} >= set(resources.TYPES)


def test_resources_of_a_stack_are_real(cloud: Cloud, account: str, stack: str) -> None:
    """Every service shows what the stack made, as if a person had called it."""
    assert state(cloud, account) == {
        "acm": ["stack.example.com"],
        "iam": ["stack"],
        "anchors": ["stack"],
        "authorities": [("ROOT", "ACTIVE")],
        "listeners": [443],
        "listener certificates": 2,
        "admitted": ["o-stack"],
        "archives": [("stack", 1)],
        "alarms": ["any", "math", "one"],
        "policies": [True],
    }


def test_changed_stack_changes_its_resources_in_place(cloud: Cloud, account: str, stack: str) -> None:
    """A changed listener, archive and authority keep their identity and take the new settings."""
    formation, kept = cloud.client("cloudformation", account), ("Authority", "Listener", "Archive")
    before = physical_ids(formation, stack, *kept)
    formation.update_stack(StackName=stack, TemplateBody=json.dumps(template(changed=True)))
    assert settle(formation, stack) == "UPDATE_COMPLETE"
    assert physical_ids(formation, stack, *kept) == before
    now = state(cloud, account)
    assert (now["listeners"], now["archives"]) == ([8443], [("stack", 2)])


def test_deleted_stack_leaves_nothing(cloud: Cloud, account: str, stack: str) -> None:
    """With the stack everything goes that it made; of a CA remains, as in AWS, that it can be restored."""
    formation = cloud.client("cloudformation", account)
    formation.delete_stack(StackName=stack)
    assert settle(formation, stack) == "DELETE_COMPLETE"
    left = state(cloud, account)
    assert left.pop("authorities") == [("ROOT", "DELETED")]
    assert not any(left.values())
