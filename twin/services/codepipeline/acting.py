"""Runs one action: with its role's session, its variables resolved, and its end put into words."""

import logging
import threading
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from twin import glue, lifecycle
from twin.json_service import ServiceError
from twin.services.codepipeline import events
from twin.services.codepipeline.actions import EXECUTORS
from twin.services.codepipeline.approvals import Approvals
from twin.services.codepipeline.context import ActionContext, Result
from twin.services.codepipeline.errors import Abandoned, ActionFailed, from_client_error
from twin.services.codepipeline.records import FAILED, SUCCEEDED, ActionRun, Execution
from twin.services.codepipeline.variables import VariableError, resolve

log = logging.getLogger("twin.codepipeline")
_MESSAGE_LIMIT = 5000


def act(  # noqa: PLR0917  # the target of a thread, which takes no keywords
    execution: Execution,
    declaration: dict[str, Any],
    action: dict[str, Any],
    run: ActionRun,
    abandoned: threading.Event,
    approvals: Approvals,
) -> None:
    """Run an action to its end, whatever that is: `run` and the execution say it afterwards."""
    events.action_changed(execution, run)
    try:
        context = _context(execution, declaration, action, run, abandoned=abandoned, approvals=approvals)
        run.set(inputs=[{"name": name, **context.locate(name)} for name in context.inputs()])
        kind = action["actionTypeId"]
        result = EXECUTORS[kind["category"], kind["provider"]](context)
        _succeed(execution, context, result)
    except Abandoned:
        run.set(status="Abandoned", token=None)
    except ActionFailed as fault:
        _fail(run, fault)
    except VariableError as fault:
        _fail(run, ActionFailed("ConfigurationError", str(fault)))
    except ServiceError as fault:
        _fail(run, ActionFailed("ConfigurationError", fault.message))
    except ClientError as fault:
        _fail(run, from_client_error(fault, f"{run.stage}/{run.action}"))
    except (BotoCoreError, OSError) as fault:
        _fail(run, ActionFailed("SystemUnavailable", f"{type(fault).__name__}: {fault}"))
    except Exception as fault:
        log.exception("action %s/%s failed in the twin itself", run.stage, run.action)
        message = f"the twin failed ({type(fault).__name__}: {fault}): see its log"
        _fail(run, ActionFailed("SystemUnavailable", message))
    events.action_changed(execution, run)


def _fail(run: ActionRun, fault: ActionFailed) -> None:
    if lifecycle.stopping.is_set():
        # It fails because the twin ends: that is what its next start says of whatever was running.
        threading.Event().wait()
    run.set(status=FAILED, token=None, error={"code": fault.code, "message": str(fault)[:_MESSAGE_LIMIT]})


def _succeed(execution: Execution, context: ActionContext, result: Result) -> None:
    execution.keep(context.produced, context.run.namespace, result.variables, result.revisions)
    context.run.set(
        status=SUCCEEDED,
        variables=result.variables,
        outputs=[{"name": name, **place} for name, place in context.produced.items()],
        summary=result.summary or context.run.summary,
    )


def _context(
    execution: Execution,
    declaration: dict[str, Any],
    action: dict[str, Any],
    run: ActionRun,
    *,
    abandoned: threading.Event,
    approvals: Approvals,
) -> ActionContext:
    here = glue.current_scope()
    session = execution.id[:32]
    arn = f"arn:aws:codepipeline:{here.region}:{here.account}:{execution.pipeline}"
    try:
        own = glue.service_session(declaration["roleArn"], "codepipeline.amazonaws.com", session, arn)
    except glue.TrustError as fault:
        message = f"CodePipeline cannot assume the pipeline's role: {fault}"
        raise ActionFailed("PermissionError", message) from fault
    resolved = resolve(action.get("configuration", {}), execution.spaces())
    run.set(resolved=resolved)
    role = action.get("roleArn")
    return ActionContext(
        execution=execution,
        declaration=declaration,
        action=action,
        run=run,
        configuration=resolved,
        credentials=_assume(own, role, session, here.region) if role else own,
        pipeline_credentials=own,
        pipeline_account=here.account,
        pipeline_region=here.region,
        account=(role or declaration["roleArn"]).split(":")[4],
        region=run.region or here.region,
        abandoned=abandoned,
        approvals=approvals,
    )


def _assume(own: dict[str, str], role: str, session: str, region: str) -> dict[str, str]:
    """Assume an action's role with the pipeline role's session, through STS, so that both policies count."""
    try:
        given = glue.client("sts", own, region).assume_role(RoleArn=role, RoleSessionName=session)[
            "Credentials"
        ]
    except ClientError as fault:
        raise from_client_error(fault, f"cannot assume the action's role {role}") from fault
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }
