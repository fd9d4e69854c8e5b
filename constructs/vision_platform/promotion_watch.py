"""The watch over a new model as states, where SageMaker's guardrails keep none: quiet alarms, or back."""

from __future__ import annotations

from vision_platform import promotion_requests as requests
from vision_platform.model_lines import CHAMPION
from vision_platform.promotion_language import (
    LATER,
    PromotionParts,
    choose,
    fresh_pauses,
    look_at_alarms,
    pause,
    refused,
    sagemaker,
)
from vision_platform.states_language import State

# As often as CloudWatch looks at metrics of high resolution.
_LOOK_SECONDS = 10
_UNWATCHED = f"$line != '{CHAMPION}' or $reason = 'rollback' or $previous.config = '' or $replaced != ''"


def watch(parts: PromotionParts) -> dict[str, State]:
    """From NewModelServes to Serving, or back to what served before and to RolledBack.

    As with guardrails, a line's first model is not watched, and neither is the way back to an older one.
    """
    rollout = parts.hosting.rollout
    return {
        "NewModelServes": choose((_UNWATCHED, "Serving"), default="BeginWatch"),
        **look_at_alarms(rollout.alarms),
        "AllQuiet": choose(
            ("$ringing != ''", "BeginTakingBack"),
            (f"$waited >= {rollout.bake_seconds}", "Serving"),
            default="Watch",
        ),
        "Watch": {
            "Type": "Wait",
            "Seconds": _LOOK_SECONDS,
            "Assign": {"waited": f"{{% $waited + {_LOOK_SECONDS} %}}"},
            "Next": "LookAtAlarms",
        },
        "BeginTakingBack": {"Type": "Pass", "Assign": fresh_pauses(), "Next": "TakeBack"},
        "TakeBack": sagemaker(
            "updateEndpoint",
            requests.previous_endpoint(),
            catch_first=[refused("TakeBackRefused")],
            assign=fresh_pauses(),
            following="WaitForEndpoint",
        ),
        "TakeBackRefused": choose(
            (f"{LATER} and $waited < {rollout.patience_seconds}", "WaitToTakeBack"), default="Failing"
        ),
        "WaitToTakeBack": pause("TakeBack"),
    }
