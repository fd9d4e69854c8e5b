"""What a model is asked through, by hosting mode: a client of SageMaker's runtime, or what stands for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vision_runtime.asking import MAX_BODY
from vision_runtime.environment import ConfigurationError

MODE = "HOSTING_MODE"
AT_ONCE = ("real-time", "serverless")
# What a serverless endpoint takes in one request (SageMaker developer guide, Invoke a serverless endpoint).
SERVERLESS_BYTES = 4_000_000
# What a trace shows of a question: the parameters that name who is asked, and how they are called there.
SHOWN = {"EndpointName": "endpoint_name", "FunctionName": "function_name"}
# Makes a client of an AWS service (`sagemaker-runtime`), with the time limits that the caller has.
Make = Callable[[str], Any]


def model_runtime(variables: Mapping[str, str], make: Make) -> Any:
    """What `asking.ask` and `asking.ask_many` take as their runtime, by the variable HOSTING_MODE.

    Whatever it is, it has `invoke_endpoint` as the client of `sagemaker-runtime` has it, and its errors.
    Raises ConfigurationError for a mode that is none, or that lacks one of its variables.
    """
    mode = variables.get(MODE, AT_ONCE[0])
    if mode in AT_ONCE:
        return make("sagemaker-runtime")
    if mode == "asynchronous":
        # Imported here: other modes' functions start without what they do not need.
        from vision_runtime.asynchronous import AsynchronousRuntime  # noqa: PLC0415

        return AsynchronousRuntime.of(variables, make)
    if mode == "multi-model":
        from vision_runtime.multi_model import MultiModelRuntime  # noqa: PLC0415

        return MultiModelRuntime.of(variables, make)
    if mode == "lambda":
        from vision_runtime.model_function import FunctionRuntime  # noqa: PLC0415

        return FunctionRuntime.of(variables, make)
    raise ConfigurationError(f"the environment variable {MODE} is {mode!r}, which is no hosting mode")


def most_bytes(variables: Mapping[str, str]) -> int:
    """How many bytes of images fit into one question, by the variable HOSTING_MODE."""
    mode = variables.get(MODE)
    if mode == "serverless":
        return SERVERLESS_BYTES
    if mode == "lambda":
        from vision_runtime.model_function import MAX_IMAGES  # noqa: PLC0415

        return MAX_IMAGES
    return MAX_BODY
