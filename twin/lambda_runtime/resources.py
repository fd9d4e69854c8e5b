"""What must hold before a function exists: a role that Lambda can assume, and code that can run here."""

import contextlib
import json
from pathlib import Path
from typing import Any

from twin import environments, glue
from twin.glue import lambdas, resources
from twin.lambda_runtime import package
from twin.lambda_runtime.environment import LAMBDA_PRINCIPAL
from twin.lambda_runtime.execution import refusal_of
from twin.lambda_runtime.function import Function, from_record

_NOT_ASSUMABLE = "The role defined for the function cannot be assumed by Lambda."


def install() -> None:
    """Check new functions, and give inline functions what CloudFormation gives them."""
    resources.complete_cloudformation("AWS::Lambda::Function", _check_deployed)
    resources.add_to_inline_functions(
        "cfnresponse.py", Path(__file__).with_name("cfnresponse.py").read_text()
    )
    lambdas.install_create(_check_creation)


def _check_creation(data: dict[str, Any]) -> lambdas.Response | None:
    """Refuse a function whose role Lambda cannot assume."""
    try:
        glue.check_trust(str(data.get("Role", "")), LAMBDA_PRINCIPAL)
    except glue.TrustError:
        body = {"Type": "User", "message": _NOT_ASSUMABLE}
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": "InvalidParameterValueException"}
        return 400, headers, json.dumps(body).encode()
    return None


def _check_deployed(name: str, properties: dict[str, Any]) -> None:
    """Refuse a function without code, and one that could never run here; build what it needs ahead of use."""
    record = lambdas.function_record(name)
    if record is None:
        return
    code = properties.get("Code") or {}
    if not record.get("code_zip") and record["config"].get("PackageType") != "Image":
        place = f"s3://{code.get('S3Bucket')}/{code.get('S3Key')}"
        raise ValueError(f"Error occurred while GetObject. S3 Error Code: NoSuchKey. No code at {place}.")
    function = from_record(record, record["config"])
    if refusal := refusal_of(function):
        raise ValueError(refusal)
    try:
        package.check(function)
    except (package.PackageError, environments.EnvironmentBuildError) as fault:
        raise ValueError(str(fault)) from fault
    glue.spawn(_build_ahead, function, name="twin-lambda-build")


def _build_ahead(function: Function) -> None:
    """Build the function's environment, so that its first invocation need not; that one reports a failure."""
    with contextlib.suppress(package.PackageError, environments.EnvironmentBuildError):
        package.prepare(function)
