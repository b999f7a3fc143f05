"""Who besides its owner may use a private CA: resource policies (AWS RAM) and permissions of services.

Source: AWS Private CA User Guide, "Resource-based policies"; API Reference "PutPolicy", "CreatePermission".
"""

import json
from typing import Any

from local_cloud.fakes.service import ServiceError

SERVICE_PRINCIPAL = "acm.amazonaws.com"
"""The only service that permissions can be granted to."""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidPolicyException", message)


def checked(policy: str) -> str:
    """The policy, if it can be read. Raises InvalidPolicyException."""
    try:
        content = json.loads(policy)
    except ValueError as error:
        raise _invalid("The policy is not JSON.") from error
    statements = _listed(content.get("Statement", [])) if isinstance(content, dict) else []
    if not statements:
        raise _invalid("The policy has no statement.")
    if any(not {"Effect", "Principal", "Action", "Resource"} <= statement.keys() for statement in statements):
        raise _invalid("A statement needs Effect, Principal, Action and Resource.")
    return policy


def allows(policy: str | None, account: str, action: str, template_arn: str | None = None) -> bool:
    """Whether a policy lets an account do something; a condition on the template counts, others are not evaluated."""
    statements = _listed(json.loads(policy)["Statement"]) if policy else []
    fitting = [item for item in statements if _names(item["Principal"], account) and _acts(item["Action"], action)]
    fitting = [item for item in fitting if _template_fits(item, template_arn)]
    return any(item["Effect"] == "Allow" for item in fitting) and all(item["Effect"] == "Allow" for item in fitting)


def _names(principal: Any, account: str) -> bool:
    names = _listed(principal.get("AWS", [])) if isinstance(principal, dict) else [principal]
    return any(name == "*" or account in name for name in names)


def _acts(actions: Any, action: str) -> bool:
    return any(item in ("*", "acm-pca:*", f"acm-pca:{action}") for item in _listed(actions))


def _template_fits(statement: dict[str, Any], template_arn: str | None) -> bool:
    wanted = statement.get("Condition", {}).get("StringEquals", {}).get("acm-pca:TemplateArn")
    return wanted is None or template_arn in _listed(wanted)


def permission(request: dict[str, Any], owner: str, created_at: Any) -> dict[str, Any]:
    """The permission of a CreatePermission request. Raises ServiceError."""
    if request["Principal"] != SERVICE_PRINCIPAL:
        raise ServiceError("InvalidArgsException", f"Permissions can be granted to {SERVICE_PRINCIPAL} only.")
    return {
        "CertificateAuthorityArn": request["CertificateAuthorityArn"],
        "CreatedAt": created_at,
        "Principal": request["Principal"],
        "SourceAccount": request.get("SourceAccount", owner),
        "Actions": request["Actions"],
    }
