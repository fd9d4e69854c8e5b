"""The change of model as states where functions serve: the new one is tried, then requests turn to it."""

from __future__ import annotations

from vision_platform.promotion_endpoints import BUSY, finding, stopped, waiting
from vision_platform.promotion_language import (
    CHAMPION_RECORD,
    PromotionParts,
    choose,
    failed,
    get_item,
    task,
)
from vision_platform.promotion_targets import below_the_folder, change_of_model
from vision_platform.states_language import State, caught

# Errors of the function serve_model, by the names of their classes.
_NOT_SERVED = ("ModelMissing", "ModelBroken")


def change_on_functions(parts: PromotionParts) -> dict[str, State]:
    """From FindEndpoint to Serving, or to a named failure.

    An endpoint can be there only of another hosting mode. It stays until the new model serves.
    """
    patience = parts.hosting.rollout.patience_seconds
    return {
        **finding(parts),
        "WhatServes": choose(
            (f"$found.status in {BUSY} and $waited >= {patience}", "EndpointBusy"),
            (f"$found.status in {BUSY}", "WaitUntilFree"),
            default="FindTarget",
        ),
        **waiting(),
        **change_of_model(parts),
        "Stopped": stopped(),
        "FindServed": get_item(
            parts,
            CHAMPION_RECORD,
            assign={"target": f"{{% {_served(parts)} %}}"},
            following="RecordPreviousModel",
        ),
        "TryModel": task(
            "lambda:invoke",
            {
                "FunctionName": "{% $name %}",
                "Payload": {"model": f"{{% $substringAfter($model_uri, {below_the_folder(parts)}) %}}"},
            },
            catch_first=[{"ErrorEquals": list(_NOT_SERVED), "Assign": caught(), "Next": "ModelNotServed"}],
            following="TurnToModel",
        ),
        "ModelNotServed": failed(
            "DeploymentFailed",
            "'Function ' & $name & ' does not serve ' & $package & ': ' & $failure.Cause",
        ),
    }


def _served(parts: PromotionParts) -> str:
    """The target that the record of the champion would have been: what the canary leaves the rest to."""
    item, below = "$states.result.Item", below_the_folder(parts)
    uri = f"{item}.model_uri.S"
    fields = {
        # One that lies elsewhere cannot be served here, and so there is nothing to go back to.
        "model": f"$contains({uri}, {below}) ? $substringAfter({uri}, {below}) : ''",
        "package": f"{item}.model_package_arn.S",
        "run_id": f"{item}.run_id.S",
        "dataset": f"{item}.dataset.S",
        "deployment_id": f"{item}.deployment_id.S",
        "share": "100",
    }
    return "{" + ", ".join(f"'{name}': {value}" for name, value in fields.items()) + "}"
