"""REST APIs for the tests, and signed calls of them as a client makes them."""

import io
import json
import uuid
import zipfile
from typing import Any

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCOUNT = "222222222222"
REGION = "us-east-1"
ECHO = """
import base64, json, time
def handler(event, context):
    how = (event.get("queryStringParameters") or {}).get("how")
    if how == "raise":
        raise RuntimeError("secret detail")
    if how == "nonsense":
        return {"no": "status"}
    if how == "slow":
        time.sleep(3)
    if how == "binary":
        data = base64.b64encode(bytes(range(256))).decode()
        headers = {"Content-Type": "image/png"}
        return {"statusCode": 200, "body": data, "isBase64Encoded": True, "headers": headers}
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(event)}
"""


class Apis:
    """Makes functions, roles and REST APIs in one account, and calls the APIs."""

    account = ACCOUNT

    def __init__(self, twin: Any) -> None:
        self.twin = twin
        self.gateway = twin.client("apigateway", ACCOUNT)
        self.functions = twin.client("lambda", ACCOUNT)
        self.iam = twin.client("iam", ACCOUNT)
        self.function = self.make_function()

    def role(self, service: str | None, *statements: dict[str, Any]) -> str:
        name = f"api-{uuid.uuid4().hex[:8]}"
        principal = {"Service": service} if service else {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        arn = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            self.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
        return arn

    def make_function(self) -> str:
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as packed:
            packed.writestr("index.py", ECHO)
        return self.functions.create_function(
            FunctionName=f"echo-{uuid.uuid4().hex[:8]}",
            Runtime="python3.13",
            Handler="index.handler",
            Timeout=10,
            Role=self.role("lambda.amazonaws.com"),
            Code={"ZipFile": package.getvalue()},
        )["FunctionArn"]

    def allow(self, api: str, path: str = "*", function: str | None = None) -> None:
        self.functions.add_permission(
            FunctionName=function or self.function,
            StatementId=uuid.uuid4().hex,
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/*/{path}",
        )

    def make(self, *, allowed: bool = True, method: Any = None, **settings: Any) -> str:
        """A REST API with POST /v1/predictions in front of the echo function, deployed to stage live.

        `method` makes further settings of the method, from the API's id.
        """
        timeout = settings.pop("timeout_ms", 29_000)
        api = self.gateway.create_rest_api(name=f"api-{uuid.uuid4().hex[:8]}", **settings)["id"]
        root = self.gateway.get_resources(restApiId=api)["items"][0]["id"]
        version = self.gateway.create_resource(restApiId=api, parentId=root, pathPart="v1")["id"]
        resource = self.gateway.create_resource(restApiId=api, parentId=version, pathPart="predictions")["id"]
        where = {"restApiId": api, "resourceId": resource, "httpMethod": "POST"}
        self.gateway.put_method(**where, authorizationType="AWS_IAM", **(method(api) if method else {}))
        uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{self.function}/invocations"
        self.gateway.put_integration(
            **where, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri, timeoutInMillis=timeout
        )
        self.gateway.create_deployment(restApiId=api, stageName="live")
        if allowed:
            self.allow(api, "POST/v1/predictions")
        return api

    def call(
        self,
        api: str,
        body: bytes | str = b"{}",
        *,
        path: str = "/v1/predictions",
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        credentials: Any = ACCOUNT,
    ) -> requests.Response:
        """Call the API by its AWS name, signed (or not, without credentials), as through the proxy."""
        host = f"{api}.execute-api.{REGION}.amazonaws.com"
        sent = {"Content-Type": "application/json", **(headers or {})}
        request = AWSRequest("POST", f"https://{host}/live{path}", data=body, params=query, headers=sent)
        if credentials:
            SigV4Auth(self.keys(credentials), "execute-api", REGION).add_auth(request)
        prepared = request.prepare()
        address = prepared.url.replace(f"https://{host}", self.twin.endpoint)
        return requests.post(address, data=body, headers={**dict(prepared.headers), "Host": host}, timeout=60)

    def keys(self, credentials: Any) -> Credentials:
        if isinstance(credentials, Credentials):
            return credentials
        if isinstance(credentials, str) and credentials.startswith("arn:"):
            assumed = self.twin.client("sts", ACCOUNT).assume_role(
                RoleArn=credentials, RoleSessionName="test"
            )
            found = assumed["Credentials"]
            return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
        return Credentials(credentials, "test")


@pytest.fixture(scope="session")
def apis(twin: Any) -> Apis:
    return Apis(twin)
