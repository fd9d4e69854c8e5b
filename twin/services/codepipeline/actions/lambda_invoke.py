"""The Lambda action: invokes a function with a job, and waits until the function reports its result."""

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from twin import glue
from twin.services.codepipeline.context import ActionContext, Result
from twin.services.codepipeline.errors import ActionFailed, from_client_error

_REPORT_SECONDS = 20 * 60  # how long CodePipeline waits for a function's report


@dataclass
class Job:
    """One invocation that has not reported yet."""

    reported: threading.Event = field(default_factory=threading.Event)
    failure: dict[str, Any] | None = None
    variables: dict[str, str] = field(default_factory=dict[str, str])
    summary: str | None = None
    function_error: str | None = None


_jobs: dict[str, Job] = {}


def pending(job_id: str) -> Job | None:
    """Return a job that waits for its function's report, or None."""
    return _jobs.get(job_id)


def invoke(context: ActionContext) -> Result:
    """Invoke the function and take its report as the action's result."""
    function, job_id = context.configuration["FunctionName"], str(uuid.uuid4())
    job = _jobs[job_id] = Job()
    context.run.set(external_id=job_id)
    payload = json.dumps(_event(context, job_id)).encode()
    try:
        glue.spawn(_call, context, function, payload, job, name="pipeline-lambda")
        deadline = time.monotonic() + _REPORT_SECONDS
        while not job.reported.wait(0.1):
            context.pause(0)
            if job.function_error is not None:
                raise ActionFailed("JobFailed", f"function {function} failed: {job.function_error}")
            if time.monotonic() > deadline:
                raise ActionFailed(
                    "JobFailed", f"function {function} did not report a result for its job in time"
                )
    finally:
        del _jobs[job_id]
    if job.failure is not None:
        raise ActionFailed(job.failure.get("type", "JobFailed"), job.failure.get("message", ""))
    return Result(variables=job.variables, summary=job.summary)


def _call(context: ActionContext, function: str, payload: bytes, job: Job) -> None:
    try:
        answer = context.client("lambda").invoke(FunctionName=function, Payload=payload)
    except ClientError as fault:
        job.function_error = str(from_client_error(fault, "invoke"))
        return
    if "FunctionError" in answer and not job.reported.is_set():
        job.function_error = answer["Payload"].read().decode(errors="replace")[:1000]


def _event(context: ActionContext, job_id: str) -> dict[str, Any]:
    def artifact(name: str, place: dict[str, str]) -> dict[str, Any]:
        return {
            "name": name,
            "revision": None,
            "location": {
                "type": "S3",
                "s3Location": {"bucketName": place["bucket"], "objectKey": place["key"]},
            },
        }

    key = context.encryption_key()
    data = {
        "actionConfiguration": {"configuration": context.configuration},
        "inputArtifacts": [artifact(name, context.locate(name)) for name in context.inputs()],
        "outputArtifacts": [artifact(name, context.reserve(name)) for name in context.outputs()],
        "artifactCredentials": {
            "accessKeyId": context.credentials["AWS_ACCESS_KEY_ID"],
            "secretAccessKey": context.credentials["AWS_SECRET_ACCESS_KEY"],
            "sessionToken": context.credentials["AWS_SESSION_TOKEN"],
        },
        **({"encryptionKey": {"id": key, "type": "KMS"}} if key else {}),
    }
    return {"CodePipeline.job": {"id": job_id, "accountId": context.pipeline_account, "data": data}}
