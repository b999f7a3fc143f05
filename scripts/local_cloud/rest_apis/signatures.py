"""Who signed a request of a REST API with AWS_IAM authorization, and may they invoke the method?

The principals are those of the local cloud's IAM and STS: users with access keys, sessions of roles, and the root of an
account, whose access key id is the account's id. ministack verifies and evaluates; this says for which key, account and
API, and adds what ministack leaves out: the scope of the signature, the hash of the body, root's own signature.

Source: IAM User Guide, "AWS Signature Version 4 for API requests" and "Cross-account policy evaluation logic"; API
Gateway Developer Guide, "Control access to a REST API with IAM permissions" (execute-api:Invoke).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

SERVICE = "execute-api"
ACTION = "execute-api:Invoke"
ROOT_SECRETS = ("any",)
"""Secrets of root besides the account's own id: `Cloud.env` hands these out."""

_ACCOUNT = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as it arrived: header names are in lower case, `raw_path` is what the request line has."""

    method: str
    raw_path: str
    headers: Mapping[str, str]
    query: Mapping[str, list[str]]
    body: bytes

    @property
    def is_signed(self) -> bool:
        """Whether it has credentials of any kind. One signed in its query string has none here."""
        return bool(self.headers.get("authorization"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What is invoked: the ARN of a method of an API, whose account and region are these."""

    arn: str
    account: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is refused. `code` is "" where the principal is known and has no permission."""

    code: str
    message: str


_UNKNOWN = Refusal(code="UnrecognizedClientException", message="The security token included in the request is invalid.")
_MISMATCH = Refusal(
    code="SignatureDoesNotMatch",
    message="The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """Verifies with ministack's modules of IAM (`iam_evaluator`) and signatures (`sigv4`); `sessions` are those of STS,
    `scope` sets account and region, `key_of` reads the access key id of a request."""

    iam: Any
    sigv4: Any
    sessions: Mapping[str, Mapping[str, Any]]
    scope: Any
    key_of: Any

    def account_of(self, key: str) -> str | None:
        """The account that an access key belongs to; None for a key that nobody has."""
        if _ACCOUNT.fullmatch(key):
            return key
        session = self.sessions.get(key)
        if session is not None:
            return str(session["Arn"]).split(":")[4]
        try:
            found: str | None = self.iam.find_iam_access_key_account(key)
        except self.iam.AmbiguousAccessKeyError:
            return None
        return found

    def refusal(self, call: Call, method: Method) -> Refusal | None:
        """Why a signed request may not invoke a method; None where it may."""
        problem, key = self._problem(call, method), self.key_of(call.headers, call.query)
        account = self.account_of(key) if key else None
        if problem or account is None:
            return problem or _UNKNOWN
        with self._in(account, method):
            if _ACCOUNT.fullmatch(key):
                return self._root(call, account) or self._foreign_root(account, method)
            self._pin(call)
            denied = self.iam.enforce(key, ACTION, "apigateway", method.region, resource_arn=method.arn)
        if denied is None:
            return None
        if isinstance(denied, self.iam.AuthError):
            return Refusal(code=denied.code, message=denied.message)
        return _no_permission(denied.principal_arn, method, explicit=denied.decision == "Deny")

    def _in(self, account: str, method: Method) -> AbstractContextManager[None]:
        scoped: AbstractContextManager[None] = self.scope(account, method.region)
        return scoped

    def _problem(self, call: Call, method: Method) -> Refusal | None:
        """Whether a signature cannot be read, or is for another service, region, host or body."""
        if not call.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256"):
            foreign = self.sigv4.foreign_authorization_failure(call.headers)
            return Refusal(code=foreign[0], message=foreign[1]) if foreign else _UNKNOWN
        signature = self.sigv4.parse_header_signature(call.headers)
        if isinstance(signature, tuple):
            return Refusal(code=signature[0], message=signature[1])
        problem = _out_of_scope(signature, call, method)
        return Refusal(code=_MISMATCH.code, message=problem) if problem else None

    def _pin(self, call: Call) -> None:
        """Show ministack the request whose signature it verifies."""
        headers = [(name.encode("latin-1"), value.encode()) for name, value in call.headers.items()]
        self.iam.pin_signed_request(call.method, call.raw_path, call.query, headers)
        self.iam.pin_signed_body(call.body)

    def _root(self, call: Call, account: str) -> Refusal | None:
        """Whether root's signature is wrong; ministack never looks at it."""
        signature = self.sigv4.parse_header_signature(call.headers)
        skewed = self.sigv4.request_time_failure(signature)
        if skewed:
            return Refusal(code=skewed[0], message=skewed[1])
        sent = (call.method, call.raw_path, call.query, call.headers, call.body)
        for secret in (account, *ROOT_SECRETS):
            if not self.sigv4.header_signature_failure(signature, secret, *sent):
                return None
        return _MISMATCH

    def _foreign_root(self, account: str, method: Method) -> Refusal | None:
        """Whether root of another account is not admitted by the API's resource policy; root of its own always is."""
        if account == method.account:
            return None
        arn = f"arn:aws:iam::{account}:root"
        policy, _ = self.iam._resource_policy("apigateway", method.arn) or ("", "")
        asked = self.iam.EvalContext(arn, "Root", account, ACTION, method.arn, method.region)
        decision = self.iam.evaluate_resource_policy(policy, asked).decision
        return None if decision == "Allow" else _no_permission(arn, method, explicit=decision == "Deny")


def _out_of_scope(signature: Any, call: Call, method: Method) -> str:
    claimed = call.headers.get("x-amz-content-sha256")
    if signature.service != SERVICE:
        return f"Credential should be scoped to correct service: '{SERVICE}'. "
    if signature.region != method.region:
        return f"Credential should be scoped to a valid region, not '{signature.region}'. "
    if "host" not in signature.signed_headers.lower().split(";"):
        return "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
    if claimed is not None and claimed != hashlib.sha256(call.body).hexdigest():
        return _MISMATCH.message
    return ""


def _no_permission(principal: str, method: Method, *, explicit: bool) -> Refusal:
    """API Gateway tells who may not do what, and shows only the end of its own account's id."""
    shown = method.arn.replace(f":{method.account}:", f":********{method.account[-4:]}:", 1)
    reason = " with an explicit deny" if explicit else f" because no identity-based policy allows the {ACTION} action"
    return Refusal(
        code="", message=f"User: {principal} is not authorized to perform: {ACTION} on resource: {shown}{reason}"
    )
