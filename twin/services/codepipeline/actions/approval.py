"""The manual approval action: waits for a person, tells a topic about it, and keeps who decided what."""

import json
import time
import uuid

from botocore.exceptions import ClientError

from twin.services.codepipeline.approvals import EXPIRED
from twin.services.codepipeline.context import ActionContext, Result
from twin.services.codepipeline.errors import ActionFailed, from_client_error

_DEFAULT_TIMEOUT_MINUTES = 7 * 24 * 60
_LOOK_SECONDS = 0.5


def wait(context: ActionContext) -> Result:
    """Wait until the approval is decided, or its time is over."""
    expires = context.run.started + _minutes(context) * 60
    token = context.run.token or str(uuid.uuid4())
    asked_before = context.run.token is not None  # and the twin was restarted since
    # Before its token is seen: whoever sees it may decide.
    decision = context.approvals.open(context.execution.pipeline, context.run, token)
    # The state of the pipeline shows the text under review with its variables filled in.
    context.run.set(token=token, summary=context.configuration.get("CustomData"))
    if not asked_before:
        _notify(context, token, expires)
    try:
        while not decision.made.wait(_LOOK_SECONDS) and time.time() < expires:
            context.pause(0)
    finally:
        decision.close()
        context.run.set(token=None)
    if decision.status in ("", EXPIRED):
        raise ActionFailed(
            "JobFailed",
            f"Expired: nobody approved or rejected it within {_minutes(context)} minutes "
            f"(it was asked for at {_iso(context.run.started)})",
        )
    context.run.set(updated_by=decision.by, summary=decision.summary)
    if decision.status != "Approved":
        said = f": {decision.summary}" if decision.summary else ""
        raise ActionFailed("JobFailed", f"Rejected by {decision.by}{said}")
    return Result(summary=decision.summary)


def _minutes(context: ActionContext) -> int:
    return int(context.action.get("timeoutInMinutes") or _DEFAULT_TIMEOUT_MINUTES)


def _iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(at))


def _notify(context: ActionContext, token: str, expires: float) -> None:
    """Publish what AWS publishes to the topic of the action."""
    topic = context.configuration.get("NotificationArn")
    if not topic:
        return
    pipeline, region, run = context.declaration["name"], context.pipeline_region, context.run
    console = f"https://console.aws.amazon.com/codepipeline/home?region={region}#/view/{pipeline}"
    message = {
        "region": region,
        "consoleLink": console,
        "approval": {
            "pipelineName": pipeline,
            "stageName": run.stage,
            "actionName": run.action,
            "token": token,
            "expires": _iso(expires),
            "externalEntityLink": context.configuration.get("ExternalEntityLink"),
            "approvalReviewLink": f"{console}/{run.stage}/{run.action}/approve/{token}",
            "customData": context.configuration.get("CustomData"),
        },
    }
    subject = f"APPROVAL NEEDED: AWS CodePipeline {pipeline} for action {run.action}"
    try:
        context.client("sns", topic.split(":")[3]).publish(
            TopicArn=topic, Subject=subject[:100], Message=json.dumps(message)
        )
    except ClientError as fault:
        raise from_client_error(fault, f"cannot notify {topic}") from fault
