"""Every change that the local cloud makes to ministack's services: each hook is one function that says why it is there.

ministack promises none of the names used here. Each hook therefore checks what it is about to change, and raises
`HookLostError` in one sentence when it is not there, rather than start an emulator that is quietly wrong. The hooks
into Step Functions are in `workflow_hooks`, those into API Gateway in `signature_hooks`,
`integration_hooks` and `invoking_hooks`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import parse_qsl

from local_cloud import (
    admin,
    edge_hooks,
    fakes,
    integration_hooks,
    invoking_hooks,
    object_lock_hooks,
    resources,
    signature_hooks,
    tagging,
    unpacked,
    workflow_hooks,
)
from local_cloud.fakes.admin import PREFIX as FAKES_PREFIX
from local_cloud.fakes.service import Handler
from local_cloud.patching import HookLostError, part, replace

_ERROR_LINE = '"error": str(e), "trace": traceback.format_exc()'
_ERROR_LINE_WITH_TYPE = f'"errorType": type(e).__name__, {_ERROR_LINE}'


def install() -> None:
    """Apply every hook. Call once, before ministack serves its first request. Raises `HookLostError`."""
    for hook in HOOKS:
        hook()


def serve_fakes() -> None:
    """Send the requests of added services to the fakes, which hand on to ministack what they do not take."""
    handlers = part("serve_fakes", "ministack.app", "SERVICE_HANDLERS")
    patterns = part("serve_fakes", "ministack.core.router", "SERVICE_PATTERNS")
    fakes.register(handlers, patterns)


def serve_admin() -> None:
    """Serve ``/_fakes/…`` and ``/_local_cloud/…``, by which tests play AWS; ministack would take them for S3 keys."""
    name = "_handle_post_body_shortcuts"
    shortcuts = part("serve_admin", "ministack.app", name)

    @wraps(shortcuts)
    async def admin_first(method: str, path: str, headers: Any, body: bytes, *rest: Any) -> Any:
        if path.startswith(FAKES_PREFIX):
            return fakes.admin(method, path, body)
        if path.startswith(admin.PREFIX):
            return admin.admin(method, path, body)
        return await shortcuts(method, path, headers, body, *rest)

    replace("ministack.app", name, admin_first)


def reset_fakes() -> None:
    """Empty the fakes too when ``/_ministack/reset`` empties the cloud; ministack resets only modules of its own."""
    name = "_reset_all_state"
    reset = part("reset_fakes", "ministack.app", name)

    @wraps(reset)
    def reset_everything() -> None:
        reset()
        for fake in fakes.fakes():
            fake.reset()

    replace("ministack.app", name, reset_everything)


class _Failure(str):
    """The message of a failed invocation, carrying the exception's class name and trace to where they are needed."""

    error_type: str
    stack: list[str]

    @classmethod
    def of(cls, response: dict[str, Any]) -> _Failure:
        failure = cls(response["error"])
        failure.error_type = response["errorType"]
        failure.stack = str(response.get("trace", "")).splitlines()
        return failure


def name_lambda_errors() -> None:
    """Report the class of a Python exception as ``errorType``, as Lambda does.

    ministack reports ``Runtime.HandlerError`` for all of them, so no ``ErrorEquals`` in a state machine would ever
    match. The worker script is taught to send the class name; the message, which ministack does pass on, carries it.
    """
    hook = "name_lambda_errors"
    runtime, functions = "ministack.core.lambda_runtime", "ministack.services.lambda_svc"
    script: str = part(hook, runtime, "_PYTHON_WORKER_SCRIPT")
    worker = part(hook, runtime, "Worker")
    invoke = part(hook, runtime, "Worker.invoke")
    execute = part(hook, functions, "_execute_function_warm")
    if _ERROR_LINE not in script:
        raise HookLostError(hook, f"the line {_ERROR_LINE} in {runtime}._PYTHON_WORKER_SCRIPT")

    @wraps(invoke)
    def invoke_and_keep_type(self: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        response: dict[str, Any] = invoke(self, *args, **kwargs)
        return {**response, "error": _Failure.of(response)} if "errorType" in response else response

    @wraps(execute)
    def execute_and_name_error(*args: Any, **kwargs: Any) -> dict[str, Any]:
        result: dict[str, Any] = execute(*args, **kwargs)
        message = result["body"].get("errorMessage") if result.get("error") else None
        if isinstance(message, _Failure):
            body = {"errorMessage": str(message), "errorType": message.error_type, "stackTrace": message.stack}
            return {**result, "body": {**result["body"], **body}}
        return result

    replace(runtime, "_PYTHON_WORKER_SCRIPT", script.replace(_ERROR_LINE, _ERROR_LINE_WITH_TYPE))
    replace(functions, "_execute_function_warm", execute_and_name_error)
    worker.invoke = invoke_and_keep_type


def share_layers() -> None:
    """Unpack a layer once for all workers instead of once for each.

    ministack unpacks every layer anew for each new worker, and a failed invocation ends its worker. With the Lambdas'
    third-party packages in a layer, most of a cold start would be unpacking and compiling them again.
    """
    hook, runtime, variable = "share_layers", "ministack.core.lambda_runtime", "_LAMBDA_LAYERS_DIRS"
    worker = part(hook, runtime, "Worker")
    spawn = part(hook, runtime, "Worker._spawn")
    layer_zip = part(hook, "ministack.services.lambda_svc", "_resolve_layer_zip")
    if variable not in part(hook, runtime, "_PYTHON_WORKER_SCRIPT"):
        raise HookLostError(hook, f"the variable {variable} in {runtime}._PYTHON_WORKER_SCRIPT")

    @wraps(spawn)
    def spawn_with_shared_layers(self: Any) -> None:
        config = self.config
        if not config.get("Layers") or not config.get("Runtime", "").startswith("python"):
            spawn(self)
            return
        directories = [str(unpacked.directory(layer_zip(layer))) for layer in config["Layers"]]
        variables = config.get("Environment", {}).get("Variables", {}) | {variable: os.pathsep.join(directories)}
        self.config = {**config, "Layers": [], "Environment": {"Variables": variables}}
        try:
            spawn(self)
        finally:
            self.config = config

    worker._spawn = spawn_with_shared_layers


def refuse_missing_roles() -> None:
    """Answer AccessDenied when the role to assume does not exist, as STS does.

    ministack hands out a session of any account for any role name, so an account without our role would look like an
    account without certificates.
    """
    hook, module, name = "refuse_missing_roles", "ministack.services.sts", "_assumed_role_arn"
    resolve = part(hook, module, name)
    error = part(hook, module, "_error")
    roles = part(hook, "ministack.services.iam", "_roles")

    @wraps(resolve)
    def resolve_existing(role_arn: str, session_name: str) -> Any:
        session_arn, problem = resolve(role_arn, session_name)
        if problem or _role_exists(roles, role_arn):
            return session_arn, problem
        denied = f"The caller is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
        return None, error(403, "AccessDenied", denied, ns="sts")

    replace(module, name, resolve_existing)


def _role_exists(roles: Any, role_arn: str) -> bool:
    account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    return roles.get_scoped(account, None, name) is not None


def deliver_to_other_buses() -> None:
    """Deliver what a rule sends to an event bus of another account or region, if that bus allows the sender.

    ministack looks for the bus in the sender's own account and drops the event with a warning.
    """
    hook, module, name = "deliver_to_other_buses", "ministack.services.eventbridge", "_dispatch_to_event_bus"
    dispatch = part(hook, module, name)
    policies = part(hook, module, "_event_bus_policies")
    account = part(hook, "ministack.core.responses", "get_account_id")
    scope = part(hook, "ministack.core.responses", "request_scope")

    @wraps(dispatch)
    def dispatch_anywhere(spec: Any, *args: Any, **kwargs: Any) -> None:
        sender = account()
        with scope(spec.account_id, spec.region):
            bus = spec.resource.partition("/")[2]
            if sender == spec.account_id or _admits(policies.get(bus), sender):
                dispatch(spec, *args, **kwargs)

    replace(module, name, dispatch_anywhere)


def _admits(policy: dict[str, Any] | None, sender: str) -> bool:
    """Whether a bus policy names the sending account, or everyone; conditions are not evaluated."""
    principals = [str(statement["Principal"]) for statement in (policy or {}).get("Statement", [])]
    return any(principal == "*" or sender in principal for principal in principals)


def accept_metric_math_alarms() -> None:
    """Create alarms on metric math without evaluating them, so that a stack with one can be deployed.

    ministack refuses them and the whole stack with them. Here such an alarm exists with its name and actions, and
    stays in INSUFFICIENT_DATA until SetAlarmState moves it, which sends its notifications.
    """
    hook, module = "accept_metric_math_alarms", "ministack.services.cloudformation.provisioners"
    record = part(hook, module, "_cw_metric_alarm_record")

    @wraps(record)
    def record_either(name: str, properties: dict[str, Any]) -> dict[str, Any]:
        plain = {key: value for key, value in properties.items() if key != "Metrics"}
        if properties.get("Metrics"):
            plain |= {"MetricName": name, "Namespace": "LocalCloud/MetricMath"}
        return dict(record(name, plain))

    replace(module, "_cw_metric_alarm_record", record_either)


def resolve_pseudo_parameters() -> None:
    """Let ``Conditions`` compare ``AWS::Region``, ``AWS::AccountId`` and ``AWS::Partition``, as CloudFormation does.

    ministack takes such a ``Ref`` there for its own name, so that a condition on the region never holds, and whatever
    depends on it is silently left out of the stack.
    """
    hook, package, name = "resolve_pseudo_parameters", "ministack.services.cloudformation", "_evaluate_conditions"
    evaluate = part(hook, f"{package}.engine", name)
    account = part(hook, "ministack.core.responses", "get_account_id")
    region = part(hook, "ministack.core.responses", "get_region")

    @wraps(evaluate)
    def evaluate_with_pseudo_parameters(template: dict[str, Any], params: dict[str, Any]) -> dict[str, bool]:
        known = {"AWS::Region": region(), "AWS::AccountId": account(), "AWS::Partition": "aws"}
        pseudo = {parameter: {"Value": value} for parameter, value in known.items()}
        return dict(evaluate(template, {**pseudo, **params}))

    for module in ("engine", "changesets", "handlers", "stacks"):  # each but the first has imported it by name
        part(hook, f"{package}.{module}", name)
        replace(f"{package}.{module}", name, evaluate_with_pseudo_parameters)


def add_resource_types() -> None:
    """Let CloudFormation create the resource types of `resources`, and keep them in the services that answer for them.

    A type that ministack does not know fails the whole change set; a type whose service is a fake would otherwise be
    created in ministack's own store, where no API call finds it.
    """
    hook = "add_resource_types"
    known = part(hook, "ministack.services.cloudformation.provisioners", "_RESOURCE_HANDLERS")
    account = part(hook, "ministack.core.responses", "get_account_id")
    region = part(hook, "ministack.core.responses", "get_region")
    handlers: dict[str, Handler] = part(hook, "ministack.app", "SERVICE_HANDLERS")
    known.update(resources.handlers(resources.Services(handlers, account, region)))


def tell_urls_of_user_pools() -> None:
    """Give a user pool of a stack its attribute ProviderURL, which ministack does not know."""
    module, name = "ministack.services.cloudformation.provisioners", "_cognito_user_pool_attributes"
    attributes = part("tell_urls_of_user_pools", module, name)

    @wraps(attributes)
    def with_url(pool: str) -> dict[str, Any]:
        found: dict[str, Any] = attributes(pool)
        return {**found, "ProviderURL": f"https://{found['ProviderName']}"}

    replace(module, name, with_url)


def revoke_tokens() -> None:
    """Serve POST /oauth2/revoke (RFC 7009) as a user pool's domain does: ministack revokes by RevokeToken alone."""
    hook, module, name = "revoke_tokens", "ministack.app", "_handle_cognito_body_request"
    plain = part(hook, module, name)
    revoke = part(hook, "ministack.services.cognito", "_revoke_token")

    @wraps(plain)
    async def with_revocation(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:
        if (method, path) != ("POST", "/oauth2/revoke"):
            return await plain(method, path, headers, body, query)
        form = dict(parse_qsl(body.decode(errors="replace")))
        if not form.get("token") or not form.get("client_id"):
            return 400, {"Content-Type": "application/json"}, b'{"error":"invalid_request"}'
        revoke({"Token": form["token"]})
        return 200, {"Content-Type": "application/json"}, b""

    replace(module, name, with_revocation)


HOOKS: tuple[Callable[[], None], ...] = (
    serve_fakes,
    serve_admin,
    reset_fakes,
    name_lambda_errors,
    share_layers,
    refuse_missing_roles,
    deliver_to_other_buses,
    accept_metric_math_alarms,
    resolve_pseudo_parameters,
    add_resource_types,
    tell_urls_of_user_pools,
    revoke_tokens,
    tagging.tag_fakes,
    *workflow_hooks.HOOKS,
    *edge_hooks.HOOKS,
    *signature_hooks.HOOKS,
    *integration_hooks.HOOKS,
    *invoking_hooks.HOOKS,
    *object_lock_hooks.HOOKS,
)
