"""The steps that find a run again: in logs, metrics and traces, and as SageMaker's SDK shows it."""

import io
import json
from pathlib import Path

from PIL import Image

from smoke_tests import logs, metrics, traces
from smoke_tests.context import Context
from smoke_tests.faults import CheckFailed
from smoke_tests.journal import Check, require

_SPEC = Path(__file__).resolve().parents[1] / "model" / "spec.json"
_MODES = {1: "L", 3: "RGB"}
_TRAINING_LOG, _PROCESSING_LOG = "/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs"
# The API prepares images with more care than a plain resize; the answers differ by less than this.
_SAME_CONFIDENCE = 0.05


def training_job(run: Context, check: Check) -> None:
    """SageMaker describes the training job as completed, and the model as registered in the smoke group."""
    job = run.sdk.training_job(_job(run, "training"))
    run.evidence.job = job
    require(job.status == "Completed", f"training job {job.name} is {job.status}")
    expected = run.settings.training_instance_type
    require(
        job.instance_type == expected,
        f"training job {job.name} ran on {job.instance_type}, settings say {expected}",
    )
    package = run.sdk.model_package(run.outcome.model_package_arn)
    run.evidence.package = package
    group = run.settings.model_package_group
    require(package.group == group, f"{package.arn} is in group {package.group}, not in {group}")
    require(package.status == "Completed", f"{package.arn} is {package.status}")
    check.detail = (
        f"{job.name}: {job.billable_seconds:.0f} s on {job.instance_type}; model package {package.approval}"
    )


def job_logs(run: Context, check: Check) -> None:
    """Both jobs left lines in CloudWatch Logs."""
    for what, group in (("training", _TRAINING_LOG), ("evaluation", _PROCESSING_LOG)):
        found = logs.of_job(run.aws.logs, f"the {what} job", group, _job(run, what), run.budget)
        run.evidence.logs[what] = found
    check.detail = ", ".join(f"{found.what}: {found.lines} lines" for found in run.evidence.logs.values())


def workflow_log(run: Context, check: Check) -> None:
    """The workflow's log group tells this execution from its start to its success."""
    group = run.settings.workflow_log_group
    found = logs.of_workflow(run.aws.logs, group, run.run_id, run.began_ms, run.budget)
    run.evidence.logs["workflow"] = found
    check.detail = f"{found.lines} events"


def request_log(run: Context, check: Check) -> None:
    """The function's log has a line for each request that reached it, answered or refused."""
    ids = [one.request_id for one in run.evidence.predictions if one.request_id]
    require(bool(ids), "no answer had a request id to look for")
    found = logs.of_requests(
        run.aws.logs, run.settings.predict_log_group, [*ids, *_refused(run)], run.began_ms, run.budget
    )
    run.evidence.logs["requests"] = found
    check.detail = f"{found.lines} lines for {len(ids)} answers and {len(_refused(run))} refusals"


def training_metrics(run: Context, check: Check) -> None:
    """Loss and accuracy of this very training job are in CloudWatch."""
    found = metrics.of_training(run.aws.cloudwatch, _job(run, "training"), run.journal.started_at, run.budget)
    run.evidence.metrics["training"] = found
    check.detail = ", ".join(f"{one.name} {one.value:.3f}" for one in found)


def request_metrics(run: Context, check: Check) -> None:
    """The platform counted this run's predictions and refusals."""
    answered = sum(one.status == 200 for one in run.evidence.predictions)
    found = metrics.of_requests(
        run.aws.cloudwatch,
        answered=answered,
        refused=len(_refused(run)),
        since=run.journal.started_at,
        budget=run.budget,
    )
    run.evidence.metrics["requests"] = found
    check.detail = ", ".join(f"{one.name} {one.value:g}" for one in found)


def trace(run: Context, check: Check) -> None:
    """X-Ray follows one of this run's requests from the gateway to the model."""
    trace_id = next((one.trace_id for one in run.evidence.predictions if one.request_id), "")
    require(bool(trace_id), "no answer had an X-Amzn-Trace-Id")
    check.evidence["trace"] = trace_id
    function = run.settings.model_function
    asked = traces.of_function(function) if function else traces.of_endpoint(run.settings.endpoint_name)
    found = traces.find(run.aws.xray, trace_id, asked, run.budget)
    run.evidence.trace = found
    check.detail = f"{trace_id}: {len(found.hops)} parts, from {found.hops[0].name} to {found.hops[-1].name}"


def direct(run: Context, check: Check) -> None:
    """The model, asked without the API in front of it, says of one image what the API said of it."""
    through_api = next((one for one in run.evidence.predictions if one.request_id), None)
    if through_api is None:
        raise CheckFailed("no answer of the API to compare with")
    found = run.ask_directly(_model_input(through_api.sample.content))
    run.evidence.direct = found
    words = f"label {found.label} ({found.confidence:.3f}), through the API {through_api.label}"
    words += f" ({through_api.confidence:.3f})"
    require(found.label == through_api.label, f"{through_api.sample.key}: {words}")
    require(abs(found.confidence - through_api.confidence) <= _SAME_CONFIDENCE, words)
    require(
        found.model_version == run.outcome.model_package_arn,
        f"the smoke line serves {found.model_version}, not this run's model",
    )
    check.detail = words


def _job(run: Context, what: str) -> str:
    """The name of the run's job, as its workflow's history tells it."""
    execution = run.evidence.execution
    jobs = {"training": execution.training_job, "evaluation": execution.processing_job} if execution else {}
    name = jobs.get(what, "")
    require(bool(name), f"the workflow's history names no {what} job")
    return name


def _refused(run: Context) -> list[str]:
    """Ids of refused requests that reached the function: it gives its refusals a type of their own."""
    return [one.request_id for one in run.evidence.refusals.values() if one.by_function and one.request_id]


def _model_input(png: bytes) -> bytes:
    """An image as the model takes it, by the model's own declaration."""
    wanted = json.loads(_SPEC.read_text())["input"]
    image = Image.open(io.BytesIO(png)).convert(_MODES[wanted["channels"]])
    return image.resize((wanted["width"], wanted["height"]), Image.Resampling.BILINEAR).tobytes()
