"""Models that Lambda functions serve: what a line's requests turn to, and the function asked by itself."""

import base64
import json
from typing import Any

from smoke_tests.endpoints import EndpointState
from smoke_tests.faults import CheckFailed
from smoke_tests.sdk import DirectAnswer


def state(target: dict[str, Any], name: str) -> EndpointState:
    """The line called `name` in the words of endpoints; `target` is its item in lineage, empty without one.

    As configurations do, what it serves bears the name of its deployment.
    """
    if not target:
        return EndpointState(name)
    whole = int(target["share"]) == 100
    return EndpointState(name, "InService" if whole else "Updating", f"{name}-{target['deployment_id']}")


def ask(api: Any, function: str, target: dict[str, Any], pixels: bytes) -> DirectAnswer:
    """One image, as the model takes it, straight to the function. Raises CheckFailed when that fails."""
    asked = {
        "model": target["model"],
        "origin": {"model_version": target["package"]},
        "images": base64.b64encode(pixels).decode(),
    }
    answer = api.invoke(FunctionName=function, Payload=json.dumps(asked).encode())
    document = json.loads(answer["Payload"].read())
    if "FunctionError" in answer or "predictions" not in document:
        raise CheckFailed(f"function {function} answers {json.dumps(document)[:300]}")
    (first,) = document["predictions"]
    confidence = float(first["probabilities"][first["label"]])
    return DirectAnswer(first["label"], confidence, document["model_version"])
