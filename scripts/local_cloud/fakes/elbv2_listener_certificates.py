"""The certificate list of a listener, for SNI, in the Elastic Load Balancing (version 2) fake.

Sources: "SSL certificates for your Application Load Balancer" and the documentation of AddListenerCertificates,
RemoveListenerCertificates and DescribeListenerCertificates. One certificate a call; 25 for each load balancer besides
the default ones; the default certificate may be on the list as well, and then appears twice.
"""

from __future__ import annotations

from typing import Any

from local_cloud.fakes.elbv2_listeners import Listeners
from local_cloud.fakes.elbv2_state import PAGES, SECURE, Listener, Region
from local_cloud.fakes.service import ServiceError

MAX_CERTIFICATES = 25


class ListenerCertificates(Listeners):
    """The operations on certificate lists."""

    def add_listener_certificates(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        listener = _secure_listener(state, request)
        arn = self.one_certificate(state, request["Certificates"])
        if arn not in listener.more:
            listed = sum(len(item.more) for item in state.listeners_of(listener.load_balancer))
            if listed >= MAX_CERTIFICATES:
                sentence = f"A load balancer can have at most {MAX_CERTIFICATES} certificates besides the default ones"
                raise ServiceError("TooManyCertificates", sentence)
            listener.more.append(arn)
        return {"Certificates": [{"CertificateArn": arn, "IsDefault": False}]}

    def remove_listener_certificates(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        listener = _secure_listener(state, request)
        certificates = request["Certificates"]
        if len(certificates) != 1 or "IsDefault" in certificates[0]:
            raise ServiceError("ValidationError", "Specify one certificate ARN, without the isDefault parameter.")
        arn = certificates[0].get("CertificateArn", "")
        if arn in listener.more:
            listener.more.remove(arn)
        elif arn == listener.default:
            raise ServiceError("OperationNotPermitted", "Default certificate cannot be removed")
        else:
            raise ServiceError("CertificateNotFound", f"Certificate '{arn}' not found")
        return {}

    def describe_listener_certificates(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        listener = state.listener(request["ListenerArn"])
        default = [{"CertificateArn": listener.default, "IsDefault": True}] if listener.default else []
        certificates = default + [{"CertificateArn": arn, "IsDefault": False} for arn in listener.more]
        page, marker = self.page(certificates, request, **PAGES)
        return {"Certificates": page, "NextMarker": marker}


def _secure_listener(state: Region, request: dict[str, Any]) -> Listener:
    listener = state.listener(request["ListenerArn"])
    if listener.protocol not in SECURE:
        sentence = f"{listener.protocol} listeners have no certificates"
        raise ServiceError("ValidationError", sentence)
    return listener
