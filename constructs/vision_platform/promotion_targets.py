"""The change of the model that requests name, as states: they turn to another one, step by step.

An item of the line says which model its requests name, and which one before it has the rest of them. What
serves stays, a fleet for many models or a function: deployment guardrails watch fleets that come, and so this
workflow watches the alarms itself.
"""

from __future__ import annotations

from typing import Any

from vision_platform.model_lines import CHAMPION
from vision_platform.promotion_language import (
    PromotionParts,
    choose,
    failed,
    fresh_pauses,
    get_item,
    look_at_alarms,
    put_item,
    task,
    update_deployment,
)
from vision_platform.promotion_plan import HostingMode
from vision_platform.states_language import State, key, numbers, setting, texts

TARGET = key("'LINE#' & $line", "'TARGET'")
_LOOK_SECONDS = 10
_FIELDS = ("model", "package", "run_id", "dataset", "deployment_id")
_READ = "$exists($states.result.Item.{0}.S) ? $states.result.Item.{0}.S : ''"
# As with guardrails, a line's first model is not watched, and neither is the way back to an older one.
_UNWATCHED = f"$line != '{CHAMPION}' or $reason = 'rollback' or $target.model = ''"
# The target of before another hosting mode, or of a promotion that never came to its end.
_NOT_THE_CHAMPIONS = (
    f"$line = '{CHAMPION}' and $champion.deployment_id != '' and "
    "$target.deployment_id != $champion.deployment_id"
)


def below_the_folder(parts: PromotionParts) -> str:
    """What the addresses of the line's models begin with, as JSONata."""
    return f"'{_folder(parts)}/' & $line & '/'"


def change_of_model(parts: PromotionParts) -> dict[str, State]:
    """From FindTarget, when the fleet serves, to Serving, or back to the model before and to RolledBack."""
    return {**_begin(parts), **_steps(parts), **_back(parts)}


def _begin(parts: PromotionParts) -> dict[str, State]:
    prefix = below_the_folder(parts)
    names = (*_FIELDS, *(f"previous_{name}" for name in _FIELDS))
    read = ", ".join(f"'{name}': {_READ.format(name)}" for name in names)
    share = "'share': $exists($states.result.Item.share.N) ? $number($states.result.Item.share.N) : 0"
    on_functions = parts.hosting.functions is not None
    config = "$found.config" if on_functions else "$previous.config"
    return {
        "FindTarget": get_item(
            parts,
            TARGET,
            assign={
                "target": f"{{% {{{read}, {share}}} %}}",
                **({"standing": f"{{% {_READ.format('deployment_id')} %}}"} if on_functions else {}),
            },
            following="TargetKnown",
        ),
        "TargetKnown": choose(
            (f"$substring($model_uri, 0, $length({prefix})) != {prefix}", "ModelElsewhere"),
            ("$target.deployment_id = $deployment_id and $target.share = 100", "Serving"),
            # An earlier execution of this deployment began it.
            ("$target.deployment_id = $deployment_id", "GoOnShifting"),
            *((("$after != ''", "Stopped"), (_NOT_THE_CHAMPIONS, "FindServed")) if on_functions else ()),
            default="RecordPreviousModel",
        ),
        "ModelElsewhere": failed(
            "PackageNotApproved",
            f"$package & ' has its model at ' & $model_uri & ', and ' & $endpoint & ' loads models from ' & "
            f"{prefix} & ' only: hosting mode {_mode(parts)} serves models that were trained here'",
        ),
        "RecordPreviousModel": update_deployment(
            parts,
            texts(
                endpoint_config_name="$name",
                previous_config=config,
                previous_model_package_arn="$champion.package",
                previous_deployment_id="$champion.deployment_id",
            ),
            assign={
                "previous": {
                    "config": f"{{% {config} %}}",
                    "package": "{% $champion.package %}",
                    "deployment_id": "{% $champion.deployment_id %}",
                },
                "share": f"{{% {_UNWATCHED} ? 100 : {_first(parts)} %}}",
            },
            following="TryModel" if on_functions else "TurnToModel",
        ),
        "TurnToModel": put_item(
            parts,
            {
                **TARGET,
                **texts(
                    model=f"$substringAfter($model_uri, {prefix})",
                    package="$package",
                    run_id="$run_id",
                    dataset="$dataset",
                    deployment_id="$deployment_id",
                    **{f"previous_{name}": f"$target.{name}" for name in _FIELDS},
                ),
                **numbers(share="$share"),
            },
            # The one that was read: only who holds the line changes it.
            "attribute_not_exists(pk) OR deployment_id = :before",
            {":before": {"S": f"{{% {'$standing' if on_functions else '$target.deployment_id'} %}}"}},
            following="Watched",
        ),
        "Watched": choose((_UNWATCHED, "Serving"), default="BeginWatch"),
        # What was the target then is its predecessor now.
        "GoOnShifting": {
            "Type": "Pass",
            "Assign": {
                "share": "{% $target.share %}",
                "target": _previous_target(),
            },
            "Next": "BeginWatch",
        },
    }


def _steps(parts: PromotionParts) -> dict[str, State]:
    rollout = parts.hosting.rollout
    following = 100 if rollout.strategy == "canary" else f"$min([100, $share + {rollout.step_percent}])"
    back: dict[str, Any] = {"on_error": "TurnBack"}
    return {
        **look_at_alarms(rollout.alarms, **back),
        "AllQuiet": choose(
            ("$ringing != ''", "TurnBack"),
            (f"$share < 100 and $waited >= {rollout.step_wait_seconds}", "NextStep"),
            (f"$share = 100 and $waited >= {rollout.bake_seconds}", "Serving"),
            default="Watch",
        ),
        "NextStep": {
            "Type": "Pass",
            "Assign": {"share": f"{{% {following} %}}", **fresh_pauses()},
            "Next": "Shift",
        },
        "Shift": task(
            "dynamodb:updateItem",
            {
                "TableName": parts.table,
                "Key": TARGET,
                **setting(
                    numbers(share="$share"),
                    condition="#deployment_id = :own",
                    values={":own": {"S": "{% $deployment_id %}"}},
                ),
            },
            following="LookAtAlarms",
            **back,
        ),
        "Watch": {
            "Type": "Wait",
            "Seconds": _LOOK_SECONDS,
            "Assign": {"waited": f"{{% $waited + {_LOOK_SECONDS} %}}"},
            "Next": "LookAtAlarms",
        },
    }


def _back(parts: PromotionParts) -> dict[str, State]:
    nothing = {f"previous_{name}": "''" for name in _FIELDS}
    return {
        "TurnBack": put_item(
            parts,
            {
                **TARGET,
                **texts(**{name: f"$target.{name}" for name in _FIELDS}, **nothing),
                **numbers(share="100"),
            },
            "deployment_id = :own",
            {":own": {"S": "{% $deployment_id %}"}},
            following="WhyBack",
        ),
        "WhyBack": choose(("$ringing != ''", "ModelTakenBack"), default="Failing"),
        "ModelTakenBack": failed(
            "RolledBack",
            "'This workflow took the new model back: ' & $endpoint & ' serves ' & $target.package & "
            "' again. In ALARM: ' & $ringing",
        ),
    }


def _previous_target() -> str:
    members = ", ".join(f"'{name}': $target.previous_{name}" for name in _FIELDS)
    return f"{{% {{{members}, 'share': 100}} %}}"


def _first(parts: PromotionParts) -> int:
    rollout = parts.hosting.rollout
    return 100 if rollout.strategy == "all_at_once" else rollout.step_percent


def _mode(parts: PromotionParts) -> HostingMode:
    return "multi-model" if parts.hosting.multi_model else "lambda"


def _folder(parts: PromotionParts) -> str:
    if parts.hosting.models_folder is None:
        raise ValueError("requests name their models only where a fleet or a function serves many")
    return parts.hosting.models_folder
