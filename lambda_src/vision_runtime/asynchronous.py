"""Asks an asynchronous endpoint, and waits for its answer: the images and the answer travel through S3."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from vision_runtime import environment
from vision_runtime.environment import ConfigurationError
from vision_runtime.problem import Problem

FOLDER, WAIT = "ASYNCHRONOUS_FOLDER", "ASYNCHRONOUS_WAIT_SECONDS"
# Within what the API's function and the consumer have for one answer.
DEFAULT_WAIT_SECONDS = 12
# SageMaker keeps what nobody waits for any more so long: it is what brings an instance back from zero.
_KEPT_SECONDS = 600
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.03, 0.5
# An instance that comes from zero takes minutes.
_RETRY_SECONDS = 60
_NOT_THERE = {"NoSuchKey", "404"}


@dataclass(frozen=True)
class AsynchronousRuntime:
    """Stands for a client of SageMaker's runtime; endpoints are called `<platform>-<environment>-<line>`."""

    runtime: Any
    s3: Any
    bucket: str
    prefix: str
    wait_seconds: float

    @classmethod
    def of(cls, variables: Mapping[str, str], make: Callable[[str], Any]) -> AsynchronousRuntime:
        """Raises ConfigurationError naming the variable."""
        folder = environment.text(variables, FOLDER)
        bucket, _, prefix = folder.removeprefix("s3://").partition("/")
        if not folder.startswith("s3://") or not prefix:
            raise ConfigurationError(f"the environment variable {FOLDER} is {folder!r}; it must be s3://...")
        wait = environment.positive(variables, WAIT, DEFAULT_WAIT_SECONDS)
        return cls(make("sagemaker-runtime"), make("s3"), bucket, prefix.rstrip("/"), wait)

    def invoke_endpoint(
        self, *, EndpointName: str, ContentType: str, Accept: str, Body: bytes
    ) -> dict[str, Any]:
        """The answer, as InvokeEndpoint gives it.

        Raises what InvokeEndpoint raises, and Problem (503) when there is no answer in time.
        """
        line = EndpointName.rpartition("-")[2]
        key = f"{self.prefix}/{line}/input/{uuid.uuid4().hex}"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=Body, ContentType=ContentType)
        accepted = self.runtime.invoke_endpoint_async(
            EndpointName=EndpointName,
            InputLocation=f"s3://{self.bucket}/{key}",
            ContentType=ContentType,
            Accept=Accept,
            RequestTTLSeconds=_KEPT_SECONDS,
        )
        return {"Body": io.BytesIO(self._wait(accepted["OutputLocation"], accepted["FailureLocation"]))}

    def _wait(self, output: str, failure: str) -> bytes:
        ends, pause = time.monotonic() + self.wait_seconds, _FIRST_PAUSE_SECONDS
        while True:
            answer = self._read(output)
            if answer is not None:
                return answer
            reason = self._read(failure)
            if reason is not None:
                raise _model_error(reason.decode(errors="replace"))
            if time.monotonic() + pause > ends:
                raise Problem(
                    "model-unavailable",
                    "The model is not available",
                    503,
                    f"the model did not answer within {self.wait_seconds:g} s: it has too much to do, or "
                    "rested and comes back; try again, or submit the image and ask for its result later",
                    retry_after=_RETRY_SECONDS,
                )
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)

    def _read(self, location: str) -> bytes | None:
        bucket, _, key = location.removeprefix("s3://").partition("/")
        try:
            return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in _NOT_THERE:
                return None
            raise


def _model_error(reason: str) -> ClientError:
    """What InvokeEndpoint raises when the model fails a request."""
    status = 400 if "client error" in reason else 500
    details: Any = {"Error": {"Code": "ModelError", "Message": reason}, "OriginalStatusCode": status}
    return ClientError(details, "InvokeEndpointAsync")
