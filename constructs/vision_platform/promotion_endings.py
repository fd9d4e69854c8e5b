"""How a promotion ends, as states: the new champion recorded and the old one cleared, or the other way round.

Either way the endpoint scales again, the lineage says what happened, people can hear of it, and the line is
free for the next promotion.
"""

from __future__ import annotations

from typing import Any

from vision_platform.model_lines import CHAMPION
from vision_platform.promotion_endpoints import MISSING, describe, without_backlog_alarm
from vision_platform.promotion_language import (
    CHAMPION_RECORD,
    PromotionParts,
    announce,
    choose,
    failed,
    put_item,
    refused,
    remove_lock,
    sagemaker,
    update_deployment,
)
from vision_platform.promotion_scaling import scaling
from vision_platform.states_language import CAUSE_LIMIT, CONDITION_FAILED, State, texts

_CAUSE = f"$substring($failure.Cause, 0, {CAUSE_LIMIT})"
_PREVIOUS = "{% $previous.package = '' ? null : $previous.package %}"


def success(parts: PromotionParts) -> dict[str, State]:
    """From Serving on: the endpoint serves the new model."""
    scales, functions = parts.hosting.scales, parts.hosting.functions is not None
    recorded = "Scale" if scales else "EndpointBefore" if functions else "Superseded"
    result = {
        "status": "Promoted",
        "line": "{% $line %}",
        "deployment_id": "{% $deployment_id %}",
        "endpoint_name": "{% $endpoint %}",
        "endpoint_config_name": "{% $name %}",
        "model_package_arn": "{% $package %}",
        "previous_model_package_arn": _PREVIOUS,
        "repeated": False,
    }
    return {
        "Serving": choose(
            # The smoke line has no champion: its endpoint goes when the test ends.
            (f"$line != '{CHAMPION}'", "EndpointBefore" if functions else "Superseded"),
            ("$champion.deployment_id = $deployment_id", recorded),
            default="RecordChampion",
        ),
        "RecordChampion": put_item(
            parts,
            {
                **CHAMPION_RECORD,
                **texts(
                    model_package_arn="$package",
                    model_uri="$model_uri",
                    run_id="$run_id",
                    dataset="$dataset",
                    deployment_id="$deployment_id",
                    evaluation_uri="$evaluation_uri",
                    baseline_uri="$replace($evaluation_uri, 'evaluation.json', 'baseline.json')",
                    promoted_at="$now()",
                    previous_model_package_arn="$previous.package",
                    previous_deployment_id="$previous.deployment_id",
                ),
            },
            # The one that was read: a replay or a race changes nothing.
            "attribute_not_exists(pk) OR deployment_id = :before",
            {":before": {"S": "{% $champion.deployment_id %}"}},
            catch_first=[{"ErrorEquals": [CONDITION_FAILED], "Next": "ChampionChanged"}],
            following=recorded,
        ),
        "ChampionChanged": failed(
            "ChampionChanged",
            "'The record of the champion was changed meanwhile, by someone who did not hold the line. ' & "
            "$endpoint & ' serves ' & $name & ': promote again'",
        ),
        **(scaling(parts, "Scale", following="Superseded") if scales else {}),
        **(_without_endpoint() if functions else {}),
        "Superseded": choose(
            (
                "$previous.config != $name and $contains($previous.config, $endpoint & '-')",
                "RemoveSupersededConfig",
            ),
            default="RecordPromoted",
        ),
        **_removal("Superseded", "$previous.config", following="RecordPromoted"),
        "RecordPromoted": update_deployment(
            parts,
            {
                "status": {"S": "PROMOTED"},
                **texts(
                    finished_at="$now()",
                    endpoint_config_name="$name",
                    previous_model_package_arn="$previous.package",
                    left_behind="$left_behind",
                ),
            },
            following="AnnouncePromoted",
        ),
        "AnnouncePromoted": announce(
            parts, "Model Promoted", {"previous_model_package_arn": _PREVIOUS}, following="ReleaseLine"
        ),
        "ReleaseLine": _release(parts, "Done"),
        "Done": {"Type": "Succeed", "Output": result},
    }


def failure(parts: PromotionParts) -> dict[str, State]:
    """From Failing on: what was made for nothing goes, unless the endpoint has it."""
    return {
        **({"Failing": _nothing_made()} if parts.hosting.functions else _removing(parts)),
        "RecordFailure": update_deployment(
            parts,
            {
                "status": {"S": "{% $failure.Error = 'RolledBack' ? 'ROLLED_BACK' : 'FAILED' %}"},
                **texts(
                    finished_at="$now()",
                    error="$failure.Error",
                    cause=_CAUSE,
                    left_behind="$left_behind",
                ),
            },
            following="AnnounceFailure",
            # What went wrong first is what people must hear, even when it cannot be recorded.
            on_error="AnnounceFailure",
            keep_error=False,
        ),
        "AnnounceFailure": choose(
            ("$failure.Error = 'RolledBack'", "AnnounceRolledBack"), default="AnnounceFailed"
        ),
        "AnnounceRolledBack": announce(
            parts,
            "Model Rolled Back",
            {
                "previous_model_package_arn": _PREVIOUS,
                "serving_model_package_arn": _PREVIOUS,
                "cause": f"{{% {_CAUSE} %}}",
            },
            following="GiveLineBack",
        ),
        "AnnounceFailed": announce(
            parts,
            "Promotion Failed",
            {"error": "{% $failure.Error %}", "cause": f"{{% {_CAUSE} %}}"},
            following="GiveLineBack",
        ),
        "GiveLineBack": _release(parts, "WhoseFailure"),
        # One that tidied up after another did what it was to do.
        "WhoseFailure": choose(("$after != ''", "Tidied"), default="Failed"),
        "Tidied": {"Type": "Succeed", "Output": {"status": "Tidied"}},
        "Failed": {"Type": "Fail", "Error": "{% $failure.Error %}", "Cause": "{% $failure.Cause %}"},
    }


def _nothing_made() -> State:
    """Where functions serve, a promotion makes nothing that could be left."""
    return {"Type": "Pass", "Next": "RecordFailure"}


def _removing(parts: PromotionParts) -> dict[str, State]:
    """From Failing to RecordFailure, where a promotion makes models and configurations."""
    scales = parts.hosting.scales
    return {
        "Failing": choose(("$made", "ExamineEndpoint"), default="RecordFailure"),
        "ExamineEndpoint": {
            **describe(
                catch_first=[{**refused("EndpointNeverThere"), "Assign": _looked()}],
                following="WhatToRemove",
                on_error="RecordFailure",
                keep_error=False,
            ),
        },
        "EndpointNeverThere": choose(
            (MISSING.replace("$failure", "$looked"), "RemoveRefusedConfig"), default="RecordFailure"
        ),
        "WhatToRemove": choose(
            ("$found.status = 'Failed' and $found.config = $name", "RemoveDeadEndpoint"),
            # It serves the new model, or is about to.
            ("$name in [$found.config, $found.pending]", "RecordFailure"),
            default="RemoveRefusedConfig",
        ),
        "RemoveDeadEndpoint": sagemaker(
            "deleteEndpoint",
            {"EndpointName": "{% $endpoint %}"},
            following="RemoveRefusedConfig",
            on_error="RemoveRefusedConfig",
            keep_error=False,
        ),
        **_removal("Refused", "$name", following="ScaledBefore" if scales else "RecordFailure"),
        **(_scaling_again(parts) if scales else {}),
    }


def _without_endpoint() -> dict[str, State]:
    """From EndpointBefore to Superseded: an endpoint may be left of another hosting mode, asked by nobody."""
    return {
        "EndpointBefore": choose(("$found.status = 'Missing'", "Superseded"), default="RemoveEndpoint"),
        "RemoveEndpoint": _remove("deleteEndpoint", "EndpointName", "$endpoint", following="BacklogAlarm"),
        **without_backlog_alarm(following="Superseded"),
    }


def _looked() -> dict[str, Any]:
    return {"looked": {"Cause": "{% $exists($states.errorOutput.Cause) ? $states.errorOutput.Cause : '' %}"}}


def _scaling_again(parts: PromotionParts) -> dict[str, State]:
    return {
        "ScaledBefore": choose(("$unscaled", "ScaleAgain"), default="RecordFailure"),
        **scaling(parts, "ScaleAgain", following="RecordFailure", quiet=True),
    }


def _removal(which: str, name: str, *, following: str) -> dict[str, State]:
    """Delete a configuration and its model, which bear one name; what cannot be deleted is written down."""
    config, model = f"Remove{which}Config", f"Remove{which}Model"
    return {
        config: _remove("deleteEndpointConfig", "EndpointConfigName", name, following=model),
        model: _remove("deleteModel", "ModelName", name, following=following),
    }


def _remove(action: str, field: str, name: str, *, following: str) -> State:
    gone = "$contains($states.errorOutput.Cause, 'Could not find')"
    kept = {"left_behind": f"{{% {gone} ? $left_behind : $left_behind & '{field} ' & {name} & ' ' %}}"}
    removal = sagemaker(action, {field: f"{{% {name} %}}"}, following=following)
    removal["Catch"] = [{"ErrorEquals": ["States.ALL"], "Assign": kept, "Next": following}]
    return removal


def _release(parts: PromotionParts, following: str) -> State:
    """Let the next promotion of the line begin; who does not hold it gives nothing back."""
    return remove_lock(parts, "$own", following=following, on_error=following, keep_error=False)
