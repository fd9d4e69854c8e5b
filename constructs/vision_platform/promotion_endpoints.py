"""The deployment itself as states: from the endpoint as it is found to the one that serves the new model."""

from __future__ import annotations

from vision_platform import promotion_requests as requests
from vision_platform.model_lines import CHAMPION
from vision_platform.promotion_language import (
    LATER,
    PromotionParts,
    choose,
    failed,
    fresh_pauses,
    pause,
    refused,
    sagemaker,
    task,
    update_deployment,
)
from vision_platform.promotion_scaling import BACKLOG_ALARM, SCALABLE
from vision_platform.promotion_targets import change_of_model
from vision_platform.promotion_watch import watch
from vision_platform.states_language import State, texts

BUSY = "['Creating', 'Updating', 'SystemUpdating', 'RollingBack', 'Deleting']"
_FOUND = (
    "{% {'status': $states.result.EndpointStatus, 'config': $states.result.EndpointConfigName, "
    "'pending': $exists($states.result.PendingDeploymentSummary.EndpointConfigName) ? "
    "$states.result.PendingDeploymentSummary.EndpointConfigName : '', "
    "'count': $exists($states.result.ProductionVariants[0].DesiredInstanceCount) ? "
    "$states.result.ProductionVariants[0].DesiredInstanceCount : 0, "
    "'kind': $exists($states.result.ProductionVariants[0].CurrentServerlessConfig) ? 'serverless' : "
    "$exists($states.result.AsyncInferenceConfig) ? 'asynchronous' : 'real-time', "
    "'why': $exists($states.result.FailureReason) ? $states.result.FailureReason : ''} %}"
)
_MISSING = {"status": "Missing", "config": "", "pending": "", "count": 0, "kind": "", "why": ""}
MISSING = "$contains($failure.Cause, 'Could not find')"
_EXISTS = "$contains($failure.Cause, 'already existing')"
_PREVIOUS_CONFIG = "$found.config != '' ? $found.config : $replaced"


def describe(**more: object) -> State:
    """Look at the line's endpoint, and keep what it is like in the variable `found`."""
    return sagemaker(
        "describeEndpoint", {"EndpointName": "{% $endpoint %}"}, assign={"found": _FOUND}, **more
    )


def deployment(parts: PromotionParts) -> dict[str, State]:
    """From FindEndpoint to Serving, or to a named failure."""
    hosting = parts.hosting
    watching = {} if hosting.watched_by_sagemaker else watch(parts)
    if hosting.multi_model is not None:
        watching = change_of_model(parts)
    return {**_look(parts), **_make(parts), **_deploy(parts), **_wait(parts), **watching}


def finding(parts: PromotionParts) -> dict[str, State]:
    """From FindEndpoint to WhatServes: the line's endpoint as it is, or as it is not."""
    return {
        "FindEndpoint": describe(
            # SageMaker has no error of its own for an endpoint that does not exist.
            catch_first=[refused("EndpointMissing")],
            following="WhatServes",
        ),
        "EndpointMissing": choose(
            (MISSING, "NoEndpoint"), (_later(parts), "WaitUntilFree"), default="Failing"
        ),
        "NoEndpoint": {"Type": "Pass", "Assign": {"found": _MISSING}, "Next": "WhatServes"},
    }


def waiting() -> dict[str, State]:
    """WaitUntilFree, and EndpointBusy for when that took too long: somebody changes the endpoint."""
    return {
        "WaitUntilFree": pause("FindEndpoint"),
        "EndpointBusy": failed(
            "LineBusy",
            "'Endpoint ' & $endpoint & ' is still ' & $found.status & ' after ' & $waited & ' s: "
            "someone else changes it'",
        ),
    }


def without_backlog_alarm(*, following: str) -> dict[str, State]:
    """From BacklogAlarm on: an endpoint that goes leaves behind the alarm by which it came back from zero.

    SageMaker gives up its scaling; that alarm is this workflow's own.
    """
    return {
        "BacklogAlarm": choose(("$found.kind = 'asynchronous'", "RemoveBacklogAlarm"), default=following),
        "RemoveBacklogAlarm": task(
            "aws-sdk:cloudwatch:deleteAlarms",
            {"AlarmNames": [BACKLOG_ALARM]},
            following=following,
            on_error=following,
            keep_error=False,
        ),
    }


def stopped() -> State:
    """The failure of an execution that was stopped before it had changed what serves."""
    return failed(
        "Stopped",
        "'Execution ' & $after & ' was stopped, or ran out of time, before it gave the endpoint the new "
        "model; what it had made is removed'",
    )


def _look(parts: PromotionParts) -> dict[str, State]:
    patience = parts.hosting.rollout.patience_seconds
    return {
        **finding(parts),
        "WhatServes": choose(
            # What is on its way, or there already: an earlier execution of this deployment began it.
            ("$found.status != 'Failed' and $name in [$found.config, $found.pending]", "GoOnWaiting"),
            ("$after != ''", "Stopped"),
            ("$found.status = 'Failed'", "RemoveFailedEndpoint"),
            (f"$found.status in {BUSY} and $waited >= {patience}", "EndpointBusy"),
            (f"$found.status in {BUSY}", "WaitUntilFree"),
            (
                f"$found.status != 'Missing' and $found.kind != '{parts.hosting.kind}'",
                "RemoveOtherKind",
            ),
            default="CreateModel",
        ),
        "GoOnWaiting": {
            "Type": "Pass",
            "Assign": {"made": True, **fresh_pauses()},
            "Next": "EndpointReady",
        },
        "Stopped": stopped(),
        # It never served anything, and SageMaker does not update it.
        "RemoveFailedEndpoint": sagemaker(
            "deleteEndpoint", {"EndpointName": "{% $endpoint %}"}, following="WaitUntilFree"
        ),
        # The settings have another hosting mode now, and SageMaker updates no endpoint to another kind. What
        # it served goes with the clean-up after the promotion.
        "RemoveOtherKind": sagemaker(
            "deleteEndpoint",
            {"EndpointName": "{% $endpoint %}"},
            assign={"replaced": "{% $found.config %}"},
            following="BacklogAlarm",
        ),
        **without_backlog_alarm(following="WaitUntilFree"),
        **waiting(),
    }


def _make(parts: PromotionParts) -> dict[str, State]:
    """Model and configuration bear the deployment's name: one of that name is this deployment's own."""
    later = _later(parts)
    return {
        "CreateModel": sagemaker(
            "createModel",
            requests.model(parts.hosting),
            assign={"made": True},
            catch_first=[refused("ModelRefused")],
            following="CreateEndpointConfig",
        ),
        "ModelRefused": choose(
            (_EXISTS, "CreateEndpointConfig"), (later, "WaitUntilFree"), default="Failing"
        ),
        "CreateEndpointConfig": sagemaker(
            "createEndpointConfig",
            requests.endpoint_config(parts.hosting),
            assign={"made": True},
            catch_first=[refused("EndpointConfigRefused")],
            following="RecordPrevious",
        ),
        "EndpointConfigRefused": choose(
            (_EXISTS, "RecordPrevious"), (later, "WaitUntilFree"), default="Failing"
        ),
        # Whoever goes on after the endpoint has changed reads here what it served before.
        "RecordPrevious": update_deployment(
            parts,
            texts(
                endpoint_config_name="$name",
                previous_config=_PREVIOUS_CONFIG,
                previous_model_package_arn="$champion.package",
                previous_deployment_id="$champion.deployment_id",
            ),
            assign={
                "previous": {
                    "config": f"{{% {_PREVIOUS_CONFIG} %}}",
                    "package": "{% $champion.package %}",
                    "deployment_id": "{% $champion.deployment_id %}",
                },
            },
            following="MayScale",
        ),
    }


def _deploy(parts: PromotionParts) -> dict[str, State]:
    patience, later = parts.hosting.rollout.patience_seconds, _later(parts)
    return {
        # SageMaker refuses some updates of endpoints that scale, and scaling disturbs a deployment.
        "MayScale": choose(
            ("$found.status = 'Missing'", "CreateEndpoint"),
            (f"$line = '{CHAMPION}'", "StopScaling"),
            default="UpdateEndpoint",
        ),
        "StopScaling": task(
            "aws-sdk:applicationautoscaling:deregisterScalableTarget",
            SCALABLE,
            assign={"unscaled": True},
            catch_first=[
                {
                    "ErrorEquals": ["ApplicationAutoScaling.ObjectNotFoundException"],
                    "Next": "UpdateEndpoint",
                }
            ],
            following="UpdateEndpoint",
        ),
        "CreateEndpoint": sagemaker(
            "createEndpoint",
            requests.create_endpoint(),
            assign=fresh_pauses(),
            catch_first=[refused("CreationRefused")],
            following="WaitForEndpoint",
        ),
        "CreationRefused": choose(
            (f"{_EXISTS} and $waited < {patience}", "WaitUntilFree"),
            (later, "WaitUntilFree"),
            default="Failing",
        ),
        "UpdateEndpoint": sagemaker(
            "updateEndpoint",
            requests.update_endpoint(parts.hosting),
            assign=fresh_pauses(),
            catch_first=[refused("UpdateRefused")],
            following="WaitForEndpoint",
        ),
        "UpdateRefused": choose((later, "WaitUntilFree"), default="Failing"),
    }


def _wait(parts: PromotionParts) -> dict[str, State]:
    patience = parts.hosting.rollout.patience_seconds
    return {
        "WaitForEndpoint": pause("LookAtEndpoint"),
        "LookAtEndpoint": describe(following="EndpointReady"),
        "EndpointReady": choose(
            # After a rollback an endpoint is in service too, with its old configuration.
            (
                "$found.status = 'InService' and $found.config = $name",
                _once_serving(parts),
            ),
            ("$found.status = 'InService'", "RolledBack"),
            (
                "$found.status in ['Failed', 'OutOfService', 'UpdateRollbackFailed', 'Deleting']",
                "DeploymentFailed",
            ),
            (f"$waited >= {patience}", "DeploymentTimedOut"),
            default="WaitForEndpoint",
        ),
        "RolledBack": failed(
            "RolledBack",
            "($ringing = '' ? 'SageMaker' : 'This workflow') & ' took the new model back: ' & $endpoint & "
            "' serves ' & $found.config & ' again. ' & "
            "($ringing = '' ? $found.why : 'In ALARM: ' & $ringing)",
        ),
        "DeploymentFailed": failed(
            "DeploymentFailed",
            "'Endpoint ' & $endpoint & ' is ' & $found.status & ' with configuration ' & $found.config & "
            "'. ' & $found.why",
        ),
        "DeploymentTimedOut": failed(
            "DeploymentTimedOut",
            "'Endpoint ' & $endpoint & ' is still ' & $found.status & ' after ' & $waited & ' s'",
        ),
    }


def _once_serving(parts: PromotionParts) -> str:
    """What follows when the endpoint has the wanted configuration."""
    if parts.hosting.multi_model is not None:
        return "FindTarget"
    return "Serving" if parts.hosting.watched_by_sagemaker else "NewModelServes"


def _later(parts: PromotionParts) -> str:
    """Whether what SageMaker refused is worth another look, and there is time left for one."""
    return f"{LATER} and $waited < {parts.hosting.rollout.patience_seconds}"
