"""Resource types of the services that keep or issue certificates: ACM, ACM PCA, IAM, IAM Roles Anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from local_cloud.resources.interface import Made, Properties, ResourceType, Services, nothing, only, own_tags

_ISSUE_SECONDS = 10.0


def _acm_certificate(services: Services, name: str, properties: Properties) -> Made:
    request = only(
        properties,
        "DomainName",
        "SubjectAlternativeNames",
        "ValidationMethod",
        "CertificateAuthorityArn",
        "KeyAlgorithm",
    )
    arn = services.client("acm").request_certificate(**request, **own_tags(properties))["CertificateArn"]
    return arn, {"Id": arn}


def _delete_acm_certificate(services: Services, physical_id: str, properties: Properties) -> None:
    services.client("acm").delete_certificate(CertificateArn=physical_id)


def _authority(services: Services, name: str, properties: Properties) -> Made:
    pca = services.client("acm-pca")
    request = only(properties, "RevocationConfiguration", "KeyStorageSecurityStandard", "UsageMode")
    names = ("KeyAlgorithm", "SigningAlgorithm", "Subject", "CsrExtensions")
    arn = pca.create_certificate_authority(
        CertificateAuthorityConfiguration=only(properties, *names),
        CertificateAuthorityType=properties["Type"],
        **request,
        **own_tags(properties),
    )["CertificateAuthorityArn"]
    return _made_authority(pca, arn)


def _made_authority(pca: Any, arn: str) -> Made:
    csr = _poll(partial(pca.get_certificate_authority_csr, CertificateAuthorityArn=arn), pca)["Csr"]
    return arn, {"Arn": arn, "CertificateSigningRequest": csr}


def _update_authority(services: Services, physical_id: str, properties: Properties) -> Made:
    pca = services.client("acm-pca")
    request = only(properties, "RevocationConfiguration")
    if request:
        pca.update_certificate_authority(CertificateAuthorityArn=physical_id, **request)
    return _made_authority(pca, physical_id)


def _delete_authority(services: Services, physical_id: str, properties: Properties) -> None:
    pca = services.client("acm-pca")
    authority = pca.describe_certificate_authority(CertificateAuthorityArn=physical_id)["CertificateAuthority"]
    if authority["Status"] == "ACTIVE":
        pca.update_certificate_authority(CertificateAuthorityArn=physical_id, Status="DISABLED")
    pca.delete_certificate_authority(CertificateAuthorityArn=physical_id, PermanentDeletionTimeInDays=7)


def _issued_certificate(services: Services, name: str, properties: Properties) -> Made:
    pca = services.client("acm-pca")
    names = ("SigningAlgorithm", "TemplateArn", "Validity", "ValidityNotBefore", "ApiPassthrough")
    authority = properties["CertificateAuthorityArn"]
    csr = properties["CertificateSigningRequest"].encode()
    request = only(properties, *names)
    arn = pca.issue_certificate(CertificateAuthorityArn=authority, Csr=csr, **request)["CertificateArn"]
    issued = _poll(partial(pca.get_certificate, CertificateAuthorityArn=authority, CertificateArn=arn), pca)
    return arn, {"Arn": arn, "Certificate": issued["Certificate"]}


def _poll(get: Callable[[], Any], pca: Any) -> Any:
    """Ask again while ACM PCA says that it is still at work, as CloudFormation does."""
    end = time.monotonic() + _ISSUE_SECONDS
    while True:
        try:
            return get()
        except pca.exceptions.RequestInProgressException:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _activation(services: Services, name: str, properties: Properties) -> Made:
    pca = services.client("acm-pca")
    arn = properties["CertificateAuthorityArn"]
    chain = properties.get("CertificateChain", "")
    request = {"CertificateChain": chain.encode()} if chain else {}
    pca.import_certificate_authority_certificate(
        CertificateAuthorityArn=arn, Certificate=properties["Certificate"].encode(), **request
    )
    if properties.get("Status") == "DISABLED":
        pca.update_certificate_authority(CertificateAuthorityArn=arn, Status="DISABLED")
    return arn, {"CompleteCertificateChain": "\n".join(filter(None, (properties["Certificate"], chain)))}


def _deactivate(services: Services, physical_id: str, properties: Properties) -> None:
    pca = services.client("acm-pca")
    pca.update_certificate_authority(CertificateAuthorityArn=physical_id, Status="DISABLED")


def _permission(services: Services, name: str, properties: Properties) -> Made:
    request = only(properties, "Actions", "CertificateAuthorityArn", "Principal", "SourceAccount")
    services.client("acm-pca").create_permission(**request)
    return f"{properties['CertificateAuthorityArn']}|{properties['Principal']}", {}


def _delete_permission(services: Services, physical_id: str, properties: Properties) -> None:
    request = only(properties, "CertificateAuthorityArn", "Principal", "SourceAccount")
    services.client("acm-pca").delete_permission(**request)


def _server_certificate(services: Services, name: str, properties: Properties) -> Made:
    names = ("Path", "CertificateBody", "PrivateKey", "CertificateChain")
    name = properties.get("ServerCertificateName", name)
    request = {"ServerCertificateName": name, **only(properties, *names)}
    metadata = services.client("iam").upload_server_certificate(**request)["ServerCertificateMetadata"]
    return name, {"Arn": metadata["Arn"]}


def _delete_server_certificate(services: Services, physical_id: str, properties: Properties) -> None:
    services.client("iam").delete_server_certificate(ServerCertificateName=physical_id)


def _trust_anchor(services: Services, name: str, properties: Properties) -> Made:
    request = _camel(only(properties, "Name", "Enabled", "Source", "Tags", "NotificationSettings"))
    anchor = services.client("rolesanywhere").create_trust_anchor(**request)["trustAnchor"]
    number = anchor["trustAnchorId"]
    return number, {"TrustAnchorId": number, "TrustAnchorArn": anchor["trustAnchorArn"]}


def _delete_trust_anchor(services: Services, physical_id: str, properties: Properties) -> None:
    services.client("rolesanywhere").delete_trust_anchor(trustAnchorId=physical_id)


def _camel(value: Any) -> Any:
    """Property names as REST APIs of AWS write them: ``AcmPcaArn`` becomes ``acmPcaArn``."""
    if isinstance(value, dict):
        return {name[:1].lower() + name[1:]: _camel(item) for name, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list) else value


TYPES = {
    "AWS::ACMPCA::Certificate": ResourceType(_issued_certificate, nothing),
    "AWS::ACMPCA::CertificateAuthority": ResourceType(_authority, _delete_authority, _update_authority),
    "AWS::ACMPCA::CertificateAuthorityActivation": ResourceType.put(_activation, _deactivate),
    "AWS::ACMPCA::Permission": ResourceType(_permission, _delete_permission),
    "AWS::CertificateManager::Certificate": ResourceType(_acm_certificate, _delete_acm_certificate),
    "AWS::IAM::ServerCertificate": ResourceType(_server_certificate, _delete_server_certificate),
    "AWS::RolesAnywhere::TrustAnchor": ResourceType(_trust_anchor, _delete_trust_anchor),
}
