"""Api: two REST APIs before one function, one for IAM credentials and one for tokens, and who signs people in.

API Gateway lets in who has a signature of IAM or a token that the authorizer verifies; what they may do, the function
decides by their grants. A REST API takes one kind of authorization for a method, hence two. Where perennial.toml names
no issuer of tokens, people sign in at a user pool of Amazon Cognito.

A token's verdict is kept for at most `KEPT`. Bodies are bounded by the function (`perennial.api.arriving`): API Gateway
has no setting for that.

`GET /page` of the API for tokens is the one method that asks nobody who they are: the page where people sign in and
decide, the same for everybody, from a function without rights. Its URL is put together of the API's id, as the stage's
own URL would wait for the methods, they for the authorizer, and that for the client, which must know the URL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import Duration, aws_apigateway, aws_cognito, aws_dynamodb, aws_iam, aws_lambda, aws_logs
from constructs import Construct

from infra.acknowledge import acknowledge
from infra.functions import Function, Runtime
from perennial import api_settings, principal_tags, sign_in
from perennial.api.once import PARTITION
from perennial.api.routes import STAGE
from perennial.approval_page import PATH

RATE, BURST = 50, 100  # requests a second, and at once, of each API
KEPT = Duration.seconds(300)
TIMEOUT = Duration.seconds(29)  # as long as a REST API waits
PRINCIPALS = "Whoever may ask is not known when the stack is deployed: their roles' and users' tags say what they may."
LOGGED = {  # neither headers nor bodies
    "time": "$context.requestTime",
    "request": "$context.requestId",
    "address": "$context.identity.sourceIp",
    "caller": "$context.identity.userArn",
    "subject": "$context.authorizer.principalId",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "status": "$context.status",
    "milliseconds": "$context.responseLatency",
    "error": "$context.error.responseType",
}
_Type = aws_apigateway.ResponseType
REFUSALS: Mapping[str, tuple[aws_apigateway.ResponseType, int, str]] = {  # what API Gateway answers by itself
    "Unauthorized": (_Type.UNAUTHORIZED, 401, "Unauthorized"),
    "Denied": (_Type.ACCESS_DENIED, 403, "Forbidden"),
    "Unsigned": (_Type.MISSING_AUTHENTICATION_TOKEN, 403, "Forbidden"),
    "Expired": (_Type.EXPIRED_TOKEN, 403, "Forbidden"),
    "BadSignature": (_Type.INVALID_SIGNATURE, 403, "Forbidden"),
    "TooLarge": (_Type.REQUEST_TOO_LARGE, 413, "Content Too Large"),
    "Throttled": (_Type.THROTTLED, 429, "Too Many Requests"),
    "NoVerdict": (_Type.AUTHORIZER_FAILURE, 503, "Service Unavailable"),
    "Failed": (_Type.INTEGRATION_FAILURE, 503, "Service Unavailable"),
    "TimedOut": (_Type.INTEGRATION_TIMEOUT, 503, "Service Unavailable"),
}
OF_APIS = {
    "APIG2": "The function validates every request, and says every violation at once; API Gateway would say the first.",
}
OF_STAGES = {
    "APIG3": "Only who is signed in reaches the function; a web ACL costs each month, and can be put before the stage.",
    "APIG6": "Execution logs can hold parts of requests; the access log says who asked for what.",
}
OF_METHODS = {
    "COG4": "IAM or an authorizer of our own lets in; it takes tokens of any OIDC issuer, those of Cognito among them.",
}
FOR_EVERYBODY = (
    "The page where people sign in is there before they have: the same for everybody, and it decides nothing."
)
OF_PAGES = {"APIG4": FOR_EVERYBODY, "COG4": FOR_EVERYBODY}
OF_POOLS = {
    "COG2": "Each person turns on a second factor (TOTP); whom the pool requires it of is the organisation's decision.",
    "COG3": "Threat protection costs for each person; an organisation that wants it names an issuer of its own.",
    "COG8": "The essentials are enough to sign people in; the plus plan, for threat protection, costs more.",
}
ACCOUNT_WIDE = "API Gateway writes access logs with one role of the account; AWS maintains its policy for that."


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """The user pool that signs people in."""

    pool: aws_cognito.UserPool
    client: aws_cognito.UserPoolClient
    domain: aws_cognito.UserPoolDomain


class Api(Construct):
    """The APIs and their functions. `url` is for IAM credentials, `people_url` for tokens; `sign_in` is None where
    perennial.toml names an issuer of tokens. `page_url` is where people decide, "" where they sign in without us.

    The stack grants the functions the table, the key that encrypts it, and the settings.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        runtime: Runtime,
        table: aws_dynamodb.ITable,
        settings: api_settings.Api,
    ) -> None:
        super().__init__(scope, construct_id)
        self.handle = _handle(self, runtime, table)
        self._account = _may_log(self)
        self._log = _log(self, runtime)
        people = self._rest("People", "for tokens")
        page_url = _page_url(people)
        self.sign_in = None if settings.oidc else _sign_in(self, [page_url, *filter(None, [settings.page])])
        self.authorizer = _authorizer(self, runtime, self.sign_in)
        integration = aws_apigateway.LambdaIntegration(
            _published(self.handle), timeout=TIMEOUT, allow_test_invoke=False
        )
        machines = self._rest("Machines", "for IAM credentials", policy=_others(self, settings))
        self.url = self._serve(machines, integration).url
        self.people_url = self._serve(people, integration, self._tokens()).url
        self.page_url = page_url if self._show_page(people, runtime, settings) else ""

    def _tokens(self) -> aws_apigateway.RequestAuthorizer:
        return aws_apigateway.RequestAuthorizer(
            self,
            "Tokens",
            handler=self.authorizer.function,
            identity_sources=[aws_apigateway.IdentitySource.header("Authorization")],
            results_cache_ttl=KEPT,
        )

    def _show_page(self, api: aws_apigateway.RestApi, runtime: Runtime, settings: api_settings.Api) -> bool:
        """Serve the page where it is known how people sign in."""
        where = _where(self.sign_in, settings)
        if where is None:
            return False
        page = _page(self, runtime, where)
        integration = aws_apigateway.LambdaIntegration(page.function, timeout=TIMEOUT, allow_test_invoke=False)
        method = api.root.add_resource(PATH).add_method(
            "GET", integration, authorization_type=aws_apigateway.AuthorizationType.NONE
        )
        acknowledge(method, OF_PAGES)
        return True

    def _rest(
        self, construct_id: str, for_whom: str, *, policy: aws_iam.PolicyDocument | None = None
    ) -> aws_apigateway.RestApi:
        """An API that has no method yet."""
        api = aws_apigateway.RestApi(
            self,
            construct_id,
            description=f"Perennial: the API {for_whom}",
            endpoint_types=[aws_apigateway.EndpointType.REGIONAL],
            deploy_options=self._stage(),
            cloud_watch_role=False,
            policy=policy,
        )
        for name, (kind, status, title) in REFUSALS.items():
            api.add_gateway_response(
                name, type=kind, status_code=str(status), templates={"application/json": _problem(status, title)}
            )
        api.deployment_stage.node.add_dependency(self._account)
        acknowledge(api, OF_APIS)
        acknowledge(api.deployment_stage, OF_STAGES)
        return api

    def _serve(
        self,
        api: aws_apigateway.RestApi,
        integration: aws_apigateway.LambdaIntegration,
        authorizer: aws_apigateway.RequestAuthorizer | None = None,
    ) -> aws_apigateway.RestApi:
        """Hand every path on, of who has a token or, without an authorizer, a signature of IAM."""
        iam = aws_apigateway.AuthorizationType.IAM
        method = api.root.add_resource("{proxy+}").add_method(
            "ANY", integration, authorizer=authorizer, authorization_type=None if authorizer else iam
        )
        acknowledge(method, OF_METHODS)
        return api

    def _stage(self) -> aws_apigateway.StageOptions:
        return aws_apigateway.StageOptions(
            stage_name=STAGE,
            throttling_rate_limit=RATE,
            throttling_burst_limit=BURST,
            logging_level=aws_apigateway.MethodLoggingLevel.OFF,
            data_trace_enabled=False,
            access_log_destination=aws_apigateway.LogGroupLogDestination(self._log),
            access_log_format=aws_apigateway.AccessLogFormat.custom(json.dumps(LOGGED)),
        )


# --- functions ---


def _handle(scope: Construct, runtime: Runtime, table: aws_dynamodb.ITable) -> Function:
    made = Function(
        scope,
        "Handle",
        runtime=runtime,
        handler="api/handle",
        description="Answer the requests of the API",
        timeout=TIMEOUT,
        memory=1024,
    )
    made.role.add_to_principal_policy(
        aws_iam.PolicyStatement(  # a write that failed gives its Idempotency-Key back
            actions=["dynamodb:DeleteItem"],
            resources=[table.table_arn],
            conditions={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [PARTITION]}},
        )
    )
    stack = cdk.Stack.of(scope)
    place = f"arn:{stack.partition}:iam::{stack.account}"
    for action, kind in zip(principal_tags.ACTIONS, ("role", "user"), strict=True):
        made.may([action], [f"{place}:{kind}/*"], PRINCIPALS)
    return made


def _published(handle: Function) -> aws_lambda.Alias:
    """The function as it is deployed, from a snapshot of its memory after it was loaded (Lambda Developer Guide,
    "Improving startup performance with Lambda SnapStart": for published versions alone)."""
    plain = handle.function.node.default_child
    assert isinstance(plain, aws_lambda.CfnFunction)
    plain.snap_start = aws_lambda.CfnFunction.SnapStartProperty(apply_on="PublishedVersions")
    return aws_lambda.Alias(handle, "Live", alias_name="live", version=handle.function.current_version)


def _authorizer(scope: Construct, runtime: Runtime, sign_in: SignIn | None) -> Function:
    names = (
        {
            "PERENNIAL_USER_POOL": sign_in.pool.user_pool_provider_url,
            "PERENNIAL_APP_CLIENT": sign_in.client.user_pool_client_id,
        }
        if sign_in
        else {}
    )
    return Function(
        scope,
        "Authorizer",
        runtime=runtime,
        handler="api/authorizer",
        description="Let in who has a token of the configured issuer",
        timeout=Duration.seconds(10),
        environment=names,
    )


def _page(scope: Construct, runtime: Runtime, where: sign_in.SignIn) -> Function:
    return Function(
        scope,
        "Page",
        runtime=runtime,
        handler="api/page",
        description="Answer with the page where people sign in and decide",
        timeout=Duration.seconds(10),
        memory=256,
        environment={"PERENNIAL_SIGN_IN": json.dumps(where.document())},
    )


# --- who asks ---


def _where(made: SignIn | None, settings: api_settings.Api) -> sign_in.SignIn | None:
    """Where people sign in: at the user pool, else at the issuer of perennial.toml, if that says how."""
    if made is None:
        return settings.oidc.sign_in if settings.oidc else None
    return sign_in.of_user_pool(
        issuer=made.pool.user_pool_provider_url,
        client=made.client.user_pool_client_id,
        domain=made.domain.base_url(),
    )


def _page_url(api: aws_apigateway.RestApi) -> str:
    stack = cdk.Stack.of(api)
    return f"https://{api.rest_api_id}.execute-api.{stack.region}.{stack.url_suffix}/{STAGE}/{PATH}"


def _sign_in(scope: Construct, pages: list[str]) -> SignIn:
    """The user pool; `pages` are the URLs of the page where people decide."""
    pool = aws_cognito.UserPool(
        scope,
        "UserPool",
        self_sign_up_enabled=False,
        sign_in_aliases=aws_cognito.SignInAliases(email=True),
        sign_in_case_sensitive=False,
        account_recovery=aws_cognito.AccountRecovery.EMAIL_ONLY,
        mfa=aws_cognito.Mfa.OPTIONAL,
        mfa_second_factor=aws_cognito.MfaSecondFactor(otp=True, sms=False),
        password_policy=aws_cognito.PasswordPolicy(
            min_length=14,
            require_digits=True,
            require_lowercase=True,
            require_uppercase=True,
            require_symbols=True,
            temp_password_validity=Duration.days(3),
        ),
        deletion_protection=True,
        removal_policy=cdk.RemovalPolicy.RETAIN,
    )
    acknowledge(pool, OF_POOLS)
    return SignIn(pool=pool, client=_client(pool, pages), domain=_domain(pool))


def _client(pool: aws_cognito.UserPool, pages: list[str]) -> aws_cognito.UserPoolClient:
    """A public client: command and page have no secret, and show by PKCE that they are who asked (RFC 7636, 8252)."""
    scopes = aws_cognito.OAuthScope
    return pool.add_client(
        "Command",
        generate_secret=False,
        prevent_user_existence_errors=True,
        enable_token_revocation=True,
        id_token_validity=Duration.hours(1),
        access_token_validity=Duration.hours(1),
        refresh_token_validity=Duration.hours(12),
        supported_identity_providers=[aws_cognito.UserPoolClientIdentityProvider.COGNITO],
        o_auth=aws_cognito.OAuthSettings(
            flows=aws_cognito.OAuthFlows(authorization_code_grant=True, implicit_code_grant=False),
            scopes=[scopes.OPENID, scopes.EMAIL, scopes.PROFILE],
            callback_urls=[sign_in.REDIRECT, *pages],
        ),
    )


def _domain(pool: aws_cognito.UserPool) -> aws_cognito.UserPoolDomain:
    stack = cdk.Stack.of(pool)
    prefix = f"perennial-{stack.account}-{stack.region}"  # unique among all accounts of a region
    return pool.add_domain("SignIn", cognito_domain=aws_cognito.CognitoDomainOptions(domain_prefix=prefix))


def _others(scope: Construct, settings: api_settings.Api) -> aws_iam.PolicyDocument | None:
    """Lets in accounts besides the hub's that `[api.principals]` names, as far as those let their principals; None
    where there are none: whose account it is needs no policy of the API."""
    accounts = sorted({each.split(":")[4] for each in settings.principals} - {cdk.Stack.of(scope).account})
    if not accounts:
        return None
    invoke = aws_iam.PolicyStatement(
        principals=[aws_iam.AccountPrincipal(each) for each in accounts],
        actions=["execute-api:Invoke"],
        resources=["execute-api:/*"],
    )
    return aws_iam.PolicyDocument(statements=[invoke])


# --- logs, and what API Gateway answers by itself ---


def _log(scope: Construct, runtime: Runtime) -> aws_logs.LogGroup:
    return aws_logs.LogGroup(
        scope,
        "Access",
        encryption_key=runtime.key,
        retention=aws_logs.RetentionDays.THREE_MONTHS,
        removal_policy=cdk.RemovalPolicy.DESTROY,
    )


def _may_log(scope: Construct) -> aws_apigateway.CfnAccount:
    """API Gateway's one role of the account for logs (API Gateway Developer Guide, "Set up CloudWatch logging"). It
    stays when the stack goes: other APIs of the account use it too."""
    policy = "service-role/AmazonAPIGatewayPushToCloudWatchLogs"
    role = aws_iam.Role(
        scope,
        "Logging",
        assumed_by=aws_iam.ServicePrincipal("apigateway.amazonaws.com"),
        managed_policies=[aws_iam.ManagedPolicy.from_aws_managed_policy_name(policy)],
    )
    account = aws_apigateway.CfnAccount(scope, "Account", cloud_watch_role_arn=role.role_arn)
    for each in (role, account):
        each.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
    acknowledge(role, {f"IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{policy}]": ACCOUNT_WIDE})
    return account


def _problem(status: int, title: str) -> str:
    """A problem as the function words it (RFC 9457); API Gateway fills in what it knows."""
    return (
        f'{{"type":"about:blank","title":"{title}","status":{status},"detail":$context.error.messageString,'
        '"instance":"urn:perennial:request:$context.requestId","violations":[]}'
    )
