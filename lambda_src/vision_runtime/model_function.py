"""Asks a model that a Lambda function serves: which one stands in the lineage table."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from vision_runtime import environment
from vision_runtime.environment import ConfigurationError
from vision_runtime.targets import LineTargets

TABLE, FOLDER = "LINEAGE_TABLE", "MODELS_FOLDER"
LINES = ("champion", "smoke")
# Invoke takes 6 MB, of which base64 takes a third; names and origin of a model are far below 8 KiB.
_PAYLOAD_BYTES, _NAMES_BYTES = 6 * 1024 * 1024, 8 * 1024
MAX_IMAGES = (_PAYLOAD_BYTES - _NAMES_BYTES) // 4 * 3
# What passes by itself: the function is busy, is being changed, or gets its network.
_THROTTLED = {"TooManyRequestsException", "EC2ThrottledException"}
_PASSING = {
    "ENILimitReachedException",
    "ResourceConflictException",
    "ResourceNotFoundException",
    "ResourceNotReadyException",
    "ServiceException",
    "SubnetIPAddressLimitReachedException",
}


@dataclass(frozen=True)
class FunctionRuntime:
    """Stands for a client of SageMaker's runtime; `functions` has each line's function, by name."""

    client: Any
    functions: Mapping[str, str]
    targets: LineTargets

    @classmethod
    def of(cls, variables: Mapping[str, str], make: Callable[[str], Any]) -> FunctionRuntime:
        """Raises ConfigurationError naming the variable."""
        folder = environment.text(variables, FOLDER)
        if not folder.startswith("s3://"):
            raise ConfigurationError(f"the environment variable {FOLDER} is {folder!r}; it must be s3://...")
        functions = {line: environment.text(variables, f"{line.upper()}_FUNCTION") for line in LINES}
        targets = LineTargets(make("dynamodb"), environment.text(variables, TABLE), folder.rstrip("/"))
        return cls(make("lambda"), functions, targets)

    def invoke_endpoint(self, *, EndpointName: str, Body: bytes, **_: Any) -> dict[str, Any]:
        """The answer of the line's model, as InvokeEndpoint gives it, and its errors.

        Raises Problem (503) while the line has no model, and ValueError for more than MAX_IMAGES bytes.
        """
        if len(Body) > MAX_IMAGES:
            raise ValueError(f"{len(Body)} bytes of images; at most {MAX_IMAGES} fit into one invocation")
        target = self.targets.of(EndpointName).choose()
        asked = {
            "model": target.model,
            "origin": target.origin,
            "images": base64.b64encode(Body).decode(),
        }
        function = self.functions[EndpointName.rpartition("-")[2]]
        try:
            answer = self.client.invoke(FunctionName=function, Payload=json.dumps(asked).encode())
        except ClientError as error:
            raise _as_of_an_endpoint(error) from error
        content: bytes = answer["Payload"].read()
        if "FunctionError" in answer:
            raise _model_error(500, content)
        if "refused" in json.loads(content):
            raise _model_error(400, content)
        return {"Body": io.BytesIO(content)}


def _as_of_an_endpoint(error: ClientError) -> ClientError:
    """The error under the name that InvokeEndpoint has for it."""
    found: Mapping[str, Any] = error.response["Error"]
    code = str(found.get("Code", ""))
    told = "ThrottlingException" if code in _THROTTLED else "ServiceUnavailable"
    if code not in _THROTTLED | _PASSING:
        return error
    details: Any = {"Error": {"Code": told, "Message": f"{code}: {found.get('Message', '')}"}}
    return ClientError(details, "InvokeEndpoint")


def _model_error(status: int, content: bytes) -> ClientError:
    details: Any = {
        "Error": {"Code": "ModelError", "Message": content.decode(errors="replace")},
        "OriginalStatusCode": status,
    }
    return ClientError(details, "InvokeEndpoint")
