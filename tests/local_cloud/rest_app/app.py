"""A CDK app as issue 6 has it: two REST APIs before one function, a user pool, a bucket with Object Lock."""

import os
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3

OTHER_ACCOUNT = "222222222222"


class Rest(cdk.Stack):
    """Everything is told in outputs."""

    def __init__(self, scope: cdk.App, name: str, **kwargs: Any) -> None:
        super().__init__(scope, name, **kwargs)
        code = lambda_.Code.from_asset("function")
        shown = self.function("Function", "index.handler", code)
        version = shown.current_version
        alias = lambda_.Alias(self, "Live", alias_name="live", version=version)
        authorizer = apigateway.RequestAuthorizer(
            self,
            "Authorizer",
            handler=self.function("AuthorizerFunction", "index.authorizer", code),
            identity_sources=[apigateway.IdentitySource.header("Authorization")],
            results_cache_ttl=cdk.Duration.seconds(300),
        )
        signed = self.api("Signed", alias, apigateway.AuthorizationType.IAM, policy=admitting(OTHER_ACCOUNT))
        people = self.api("People", alias, apigateway.AuthorizationType.CUSTOM, authorizer=authorizer)
        keys = self.function("Keys", "index.keys", code)
        pool = cognito.UserPool(self, "Pool", sign_in_aliases=cognito.SignInAliases(username=True, email=True))
        client = pool.add_client("Client", auth_flows=cognito.AuthFlow(admin_user_password=True, user_srp=True))
        bucket = s3.Bucket(
            self,
            "Locked",
            versioned=True,
            object_lock_default_retention=s3.ObjectLockRetention.compliance(cdk.Duration.days(30)),
        )
        self.outputs(
            SignedUrl=signed.url,
            PeopleUrl=people.url,
            Keys=keys.function_name,
            Function=shown.function_name,
            Version=version.version,
            Alias=alias.function_arn,
            Pool=pool.user_pool_id,
            Issuer=pool.user_pool_provider_url,
            Client=client.user_pool_client_id,
            Bucket=bucket.bucket_name,
        )

    def function(self, name: str, handler: str, code: lambda_.Code) -> lambda_.Function:
        return lambda_.Function(
            self,
            name,
            runtime=lambda_.Runtime.PYTHON_3_13,
            handler=handler,
            code=code,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if name == "Function" else None,
            timeout=cdk.Duration.seconds(20),
        )

    def api(
        self, name: str, function: lambda_.IFunction, kind: apigateway.AuthorizationType, **more: Any
    ) -> apigateway.RestApi:
        """One with all paths under one method, and with two resources of other limits."""
        authorizer = more.pop("authorizer", None)
        methods = {
            "/slow/GET": apigateway.MethodDeploymentOptions(throttling_rate_limit=0.01, throttling_burst_limit=2),
        }
        made = apigateway.RestApi(
            self,
            name,
            deploy_options=apigateway.StageOptions(
                stage_name="v1", throttling_rate_limit=200, throttling_burst_limit=400, method_options=methods
            ),
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            cloud_watch_role=False,
            default_method_options=apigateway.MethodOptions(authorization_type=kind, authorizer=authorizer),
            **more,
        )
        integration = apigateway.LambdaIntegration(function)
        made.root.add_proxy(default_integration=integration, any_method=True)
        made.root.add_resource("slow").add_method("GET", integration)
        short = apigateway.LambdaIntegration(function, timeout=cdk.Duration.millis(400))
        made.root.add_resource("short").add_resource("{proxy+}").add_method("GET", short)
        return made

    def outputs(self, **values: str) -> None:
        for name, value in values.items():
            cdk.CfnOutput(self, f"{name}Output", value=value)


def admitting(account: str) -> iam.PolicyDocument:
    """A resource policy that admits the principals of another account too."""
    statement = iam.PolicyStatement(
        principals=[iam.AccountPrincipal(account)], actions=["execute-api:Invoke"], resources=["execute-api:/*"]
    )
    return iam.PolicyDocument(statements=[statement])


app = cdk.App()
environment = cdk.Environment(account=os.environ["CDK_DEFAULT_ACCOUNT"], region=os.environ["CDK_DEFAULT_REGION"])
Rest(app, "Rest", env=environment)
app.synth()
