"""Listeners of the Elastic Load Balancing (version 2) fake: protocol, security policy, default certificate, mutual TLS.

Sources: "Create an HTTPS listener for your Application Load Balancer", "TLS listeners for your Network Load Balancer",
"Mutual authentication with TLS" in the ELB user guides, and the documentation of CreateListener and ModifyListener.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from local_cloud.fakes.elbv2_state import (
    PAGES,
    SECURE,
    TAGS,
    Action,
    Listener,
    LoadBalancer,
    Region,
    Rule,
    forwarded_to,
    new_id,
)
from local_cloud.fakes.load_balancer_certificates import Refusal
from local_cloud.fakes.service import FakeService, ServiceError
from local_cloud.fakes.ssl_policies import DEFAULT_POLICY, POLICIES

MAX_LISTENERS = 50

_PROTOCOLS = {
    "application": ("HTTP", "HTTPS"),
    "network": ("TCP", "TLS", "UDP", "TCP_UDP", "QUIC", "TCP_QUIC"),
}
_ALPN = ("HTTP1Only", "HTTP2Only", "HTTP2Optional", "HTTP2Preferred", "None")
_ACTION_DETAILS = {
    "redirect": "RedirectConfig",
    "fixed-response": "FixedResponseConfig",
    "authenticate-oidc": "AuthenticateOidcConfig",
    "authenticate-cognito": "AuthenticateCognitoConfig",
    "jwt-validation": "JwtValidationConfig",
}


class Listeners(FakeService[Region]):
    """The operations on listeners."""

    certificate_refusal: Refusal

    def create_listener(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        """A repeat with the same settings gives the listener that is there: the operation is idempotent."""
        owner = state.load_balancer(request["LoadBalancerArn"])
        made = self._made(state, owner, request)
        there = next((item for item in state.listeners_of(owner.arn) if item.port == made.port), None)
        if there and shown(there) | {"ListenerArn": ""} == shown(made) | {"ListenerArn": ""}:
            return {"Listeners": [shown(there)]}
        if there:
            raise ServiceError("DuplicateListener", f"A listener already exists on this port for '{owner.arn}'")
        if len(state.listeners_of(owner.arn)) >= MAX_LISTENERS:
            raise ServiceError("TooManyListeners", f"A load balancer can have at most {MAX_LISTENERS} listeners")
        state.listeners[made.arn] = made
        return {"Listeners": [shown(made)]}

    def _made(self, state: Region, owner: LoadBalancer, request: dict[str, Any]) -> Listener:
        if "Protocol" not in request or "Port" not in request:
            raise ServiceError("ValidationError", "A listener protocol and port must be specified")
        suffix = owner.arn.split(":loadbalancer/", 1)[1]
        listener = Listener(
            arn=state.arn(f"listener/{suffix}/{new_id()}"),
            load_balancer=owner.arn,
            port=request["Port"],
            protocol=request["Protocol"],
            actions=[],
            tags=TAGS.merged({}, request.get("Tags", [])),
        )
        if listener.protocol in SECURE:
            listener.ssl_policy = DEFAULT_POLICY
        self._apply(state, owner, listener, request)
        rule = Rule(arn=listener.arn.replace(":listener/", ":listener-rule/") + "/" + new_id(), priority="default",
                    conditions=[], actions=listener.actions)  # fmt: skip
        listener.rules[rule.arn] = rule
        return listener

    def modify_listener(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        """Replaces what the request states; a change to a protocol without TLS drops policy and certificates."""
        listener = state.listener(request["ListenerArn"])
        changed = replace(listener)
        _change_protocol(changed, request)
        self._apply(state, state.load_balancer(listener.load_balancer), changed, request)
        taken = {item.port for item in state.listeners_of(listener.load_balancer) if item is not listener}
        if changed.port in taken:
            raise ServiceError("DuplicateListener", f"A listener already exists on port {changed.port}")
        for rule in changed.rules.values():
            if rule.priority == "default":
                rule.actions = changed.actions
        state.listeners[listener.arn] = changed
        return {"Listeners": [shown(changed)]}

    def _apply(self, state: Region, owner: LoadBalancer, listener: Listener, request: dict[str, Any]) -> None:
        """Puts the settings of a create or modify request into `listener`. Raises ServiceError where one is refused."""
        allowed = _PROTOCOLS[owner.type]
        if listener.protocol not in allowed:
            sentence = f"Listener protocol '{listener.protocol}' must be one of '{', '.join(allowed)}'"
            raise ServiceError("ValidationError", sentence)
        if "DefaultActions" in request:
            listener.actions = checked_actions(state, owner, request["DefaultActions"])
        self._apply_tls(state, listener, request)
        _apply_mutual_authentication(state, listener, request)

    def _apply_tls(self, state: Region, listener: Listener, request: dict[str, Any]) -> None:
        certificates, policy, alpn = (request.get(name) for name in ("Certificates", "SslPolicy", "AlpnPolicy"))
        if listener.protocol not in SECURE and (certificates or policy):
            sentence = f"Certificates and an SSL policy cannot be specified for {listener.protocol} listeners"
            raise ServiceError("ValidationError", sentence)
        if policy and policy not in POLICIES:
            raise ServiceError("SSLPolicyNotFound", f"SSL policy '{policy}' not found")
        if alpn and (listener.protocol != "TLS" or len(alpn) != 1 or alpn[0] not in _ALPN):
            raise ServiceError("ALPNPolicyNotSupportedException", f"ALPN policy {alpn} is not supported")
        listener.ssl_policy = policy or listener.ssl_policy
        listener.alpn = alpn or listener.alpn
        if certificates:
            listener.default = self.one_certificate(state, certificates)
        if listener.protocol in SECURE and not listener.default:
            raise ServiceError("ValidationError", f"A certificate must be specified for {listener.protocol} listeners")

    def one_certificate(self, state: Region, certificates: list[dict[str, Any]]) -> str:
        """The ARN of the one certificate that a request may give. Raises ServiceError for any other list."""
        if len(certificates) != 1:
            sentence = f"Up to '1' certificate ARNs can be specified, but '{len(certificates)}' were specified"
            raise ServiceError("ValidationError", sentence)
        if "IsDefault" in certificates[0]:
            raise ServiceError("ValidationError", "You cannot set the isDefault parameter for a certificate.")
        arn: str = certificates[0].get("CertificateArn", "")
        if code := self.certificate_refusal(state.account, state.region, arn):
            raise ServiceError(code, f"Certificate '{arn}' not found or not usable")
        return arn

    def describe_listeners(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        arns, owner = request.get("ListenerArns"), request.get("LoadBalancerArn")
        if bool(arns) == bool(owner):
            raise ServiceError("ValidationError", "You must specify either listener ARNs or a load balancer ARN")
        found = [state.listener(arn) for arn in arns] if arns else _listeners_of(state, owner)
        page, marker = self.page(found, request, **PAGES)
        return {"Listeners": [shown(listener) for listener in page], "NextMarker": marker}

    def delete_listener(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        del state.listeners[state.listener(request["ListenerArn"]).arn]
        return {}


def _listeners_of(state: Region, owner: str | None) -> list[Listener]:
    return state.listeners_of(state.load_balancer(owner or "").arn)


def shown(listener: Listener) -> dict[str, Any]:
    """The listener as every operation returns it: of its certificates, the default one only."""
    return {
        "ListenerArn": listener.arn,
        "LoadBalancerArn": listener.load_balancer,
        "Port": listener.port,
        "Protocol": listener.protocol,
        "Certificates": [{"CertificateArn": listener.default}] if listener.default else None,
        "SslPolicy": listener.ssl_policy,
        "DefaultActions": listener.actions,
        "AlpnPolicy": listener.alpn or None,
        "MutualAuthentication": listener.mutual or None,
    }


def _change_protocol(listener: Listener, request: dict[str, Any]) -> None:
    listener.port = request.get("Port", listener.port)
    before, listener.protocol = listener.protocol, request.get("Protocol", listener.protocol)
    if before in SECURE and listener.protocol not in SECURE:
        listener.default, listener.ssl_policy, listener.mutual = None, None, {}
        listener.more, listener.alpn = [], []
    if before not in SECURE and listener.protocol in SECURE and "SslPolicy" not in request:
        raise ServiceError("ValidationError", f"An SSL policy must be specified for {listener.protocol} listeners")


def _apply_mutual_authentication(state: Region, listener: Listener, request: dict[str, Any]) -> None:
    wanted = request.get("MutualAuthentication")
    if wanted is None:
        if listener.protocol == "HTTPS":
            listener.mutual = listener.mutual or {"Mode": "off"}
        return
    if listener.protocol != "HTTPS":
        raise ServiceError("ValidationError", "Mutual authentication can only be specified for HTTPS listeners")
    mode, store = wanted.get("Mode", "off"), wanted.get("TrustStoreArn")
    if mode not in ("off", "passthrough", "verify"):
        raise ServiceError("ValidationError", f"Mutual authentication mode '{mode}' must be off, passthrough or verify")
    if (mode == "verify") != bool(store):
        raise ServiceError("ValidationError", "A trust store must be specified with mode verify, and only with it")
    if store:
        state.trust_store(store)
    listener.mutual = _mutual(mode, wanted)


def _mutual(mode: str, wanted: dict[str, Any]) -> dict[str, Any]:
    if mode != "verify":
        return {"Mode": mode}
    return {
        "Mode": mode,
        "TrustStoreArn": wanted["TrustStoreArn"],
        "IgnoreClientCertificateExpiry": wanted.get("IgnoreClientCertificateExpiry", False),
        "TrustStoreAssociationStatus": "active",
        "AdvertiseTrustStoreCaNames": wanted.get("AdvertiseTrustStoreCaNames", "off"),
    }


def checked_actions(state: Region, owner: LoadBalancer, actions: list[Action]) -> list[Action]:
    """The actions of a listener or rule, where they are allowed: each complete, each target group there."""
    for action in actions:
        if owner.type == "network" and action["Type"] != "forward":
            raise ServiceError("InvalidLoadBalancerAction", "Network Load Balancers support forward actions only")
        detail = _ACTION_DETAILS.get(action["Type"])
        if detail and detail not in action:
            raise ServiceError("ValidationError", f"A {detail} must be specified for {action['Type']} actions")
        if not detail and not list(forwarded_to(action)):
            raise ServiceError("ValidationError", "A target group ARN must be specified for forward actions")
        for arn in forwarded_to(action):
            state.target_group(arn)
    return actions
