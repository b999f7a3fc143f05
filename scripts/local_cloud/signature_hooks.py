"""Changes to ministack's API Gateway: who may invoke a method with AWS_IAM (see `rest_apis.signatures`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from local_cloud.patching import part, replace
from local_cloud.rest_apis.requests import APP, CALL, IAM, RESPONSES, REST, responder, verifier
from local_cloud.rest_apis.signatures import Call, Method, Refusal

_HOST = re.compile(r"([a-z0-9]{8,10})\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?::\d+)?", re.IGNORECASE)


def find_apis_by_their_host() -> None:
    """Serve an API under the host name that AWS gives it, whatever account the caller is of.

    ministack knows hosts of its own alone, and looks for an API in the caller's account: who signs with credentials
    of another account would be told that there is none.
    """
    hook = "find_apis_by_their_host"
    parse = part(hook, APP, "_parse_execute_api_url")
    apis = part(hook, REST, "_rest_apis")
    part(hook, REST, "find_api_scope")

    @wraps(parse)
    def parse_hosts_of_aws(host: str, path: str) -> Any:
        found = _HOST.fullmatch(host)
        if not found:
            return parse(host, path)
        stage, _, rest = path.lstrip("/").partition("/")
        return found[1].lower(), stage or "$default", f"/{rest}"

    def scope_in_any_account(api_id: str) -> tuple[str, str] | None:
        return next(((account, region) for (account, region, known), _ in apis.all_items() if known == api_id), None)

    replace(APP, "_parse_execute_api_url", parse_hosts_of_aws)
    replace(REST, "find_api_scope", scope_in_any_account)


def know_accounts_of_users() -> None:
    """Let the access key of an IAM user act in the user's own account, for every service.

    ministack looks for the account of a key only where it enforces IAM everywhere, and takes the default one else.
    """
    hook, name = "know_accounts_of_users", "set_request_account_id"
    act_as = part(hook, APP, name)
    scope_of = part(hook, APP, "_request_account_scope")

    @wraps(act_as)
    def act_in_own_account(key: str) -> None:
        act_as(scope_of(key))

    replace(APP, name, act_in_own_account)


def keep_calls_of_apis() -> None:
    """Keep a request as it arrived for whoever verifies its signature; ministack hands on the decoded path."""
    hook, name = "keep_calls_of_apis", "_handle_execute_api_request"
    handle = part(hook, APP, name)

    @wraps(handle)
    async def handle_kept(
        host: str, path: str, method: str, headers: Any, body: bytes | None, query: Any, **raw: Any
    ) -> Any:
        raw_path = raw.get("raw_path") or path
        token = CALL.set(Call(method=method, raw_path=raw_path, headers=headers, query=query or {}, body=body or b""))
        try:
            return await handle(host, path, method, headers, body, query, **raw)
        finally:
            CALL.reset(token)

    replace(APP, name, handle_kept)


def verify_signatures_of_apis() -> None:
    """Refuse a request to a method with AWS_IAM whose signature is wrong, or whose principal may not invoke it.

    ministack does so only where it enforces IAM everywhere (AUTH), and then for its own root keys not at all.
    """
    hook, name = "verify_signatures_of_apis", "_enforce_execute_api"
    enforce = part(hook, APP, name)
    type_of, scope_of = part(hook, REST, "method_authorization_type"), part(hook, REST, "find_api_scope")
    fail, auth_error = part(hook, REST, "authentication_error_response"), part(hook, IAM, "AuthError")
    arn_of = part(hook, "ministack.core.arn", "execute_api_arn")
    respond, verified = responder(hook), verifier(hook)

    @wraps(enforce)
    def enforce_signatures(api: str, stage: str, method: str, path: str, headers: Any, query: Any, **more: Any) -> Any:
        call, where = CALL.get(), scope_of(api)
        if call is None or where is None or type_of(api, stage, method, path) != "AWS_IAM" or not call.is_signed:
            return enforce(api, stage, method, path, headers, query, **more)
        account, region = where
        arn = arn_of(region, account, api, stage, method, path)
        refusal: Refusal | None = verified.refusal(call, Method(arn=arn, account=account, region=region))
        if refusal is None:
            return None
        if refusal.code:
            return fail(api, stage, auth_error(refusal.code, refusal.message), headers, query)
        return respond(api, stage, "ACCESS_DENIED", refusal.message)

    replace(APP, name, enforce_signatures)


def name_callers_of_apis() -> None:
    """Tell a function who signed: the principal's own account, and its key wherever it is kept.

    ministack looks for the key in the API's account, and tells that one of a session of any other.
    """
    hook, name = "name_callers_of_apis", "_iam_caller_identity"
    identity = part(hook, REST, name)
    region = part(hook, RESPONSES, "get_region")
    verified = verifier(hook)

    @wraps(identity)
    def identity_in_own_account(headers: Any, query: Any) -> Any:
        account = verified.account_of(verified.key_of(headers, query))
        if account is None:
            return None
        with verified.scope(account, region()):
            return identity(headers, query)

    replace(REST, name, identity_in_own_account)


HOOKS: tuple[Callable[[], None], ...] = (
    find_apis_by_their_host,
    know_accounts_of_users,
    keep_calls_of_apis,
    verify_signatures_of_apis,
    name_callers_of_apis,
)
