"""A bare Lambda proxy function behind a REST API of its own with IAM authorization: what API Gateway and Lambda take by
themselves. It tells its process, so that it can be seen how many there are, and logs a line, as Perennial's does: the
local cloud waits 50 ms for one, which would hide what others take."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from local_cloud.cloud import Cloud

NAME, STAGE = "bench-bare", "v1"
PYTHON = "python3.13"
CODE = """import json, os

def handler(event, context):
    print("answered")
    body = json.dumps({"process": os.getpid()})
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": body}
"""


def deployed(cloud: Cloud) -> str:
    """Make the function and its API; returns the URL, as a stack tells it."""
    function = _function(cloud)
    apis = cloud.client("apigateway")
    api = apis.create_rest_api(name=NAME, endpointConfiguration={"types": ["REGIONAL"]})["id"]
    _method(apis, api, _uri(cloud, function))
    apis.create_deployment(restApiId=api, stageName=STAGE)
    _permit(cloud, function, api)
    return f"https://{api}.execute-api.{cloud.region}.amazonaws.com/{STAGE}/"


def _function(cloud: Cloud) -> str:
    """The ARN of the function."""
    trusted = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
    role = cloud.client("iam").create_role(RoleName=NAME, AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    made = cloud.client("lambda").create_function(
        FunctionName=NAME, Runtime=PYTHON, Handler="index.handler", Role=role, Code={"ZipFile": _zip()}, Timeout=29
    )
    return str(made["FunctionArn"])


def _zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("index.py", CODE)
    return content.getvalue()


def _uri(cloud: Cloud, function: str) -> str:
    return f"arn:aws:apigateway:{cloud.region}:lambda:path/2015-03-31/functions/{function}/invocations"


def _method(apis: Any, api: str, uri: str) -> None:
    """Every path and method, as Perennial's API has it."""
    root = apis.get_resources(restApiId=api)["items"][0]["id"]
    made = apis.create_resource(restApiId=api, parentId=root, pathPart="{proxy+}")["id"]
    at = {"restApiId": api, "resourceId": made, "httpMethod": "ANY"}
    apis.put_method(**at, authorizationType="AWS_IAM", requestParameters={"method.request.path.proxy": True})
    apis.put_integration(**at, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)


def _permit(cloud: Cloud, function: str, api: str) -> None:
    source = f"arn:aws:execute-api:{cloud.region}:{cloud.account}:{api}/*"
    cloud.client("lambda").add_permission(
        FunctionName=function,
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=source,
    )
