"""The training workflow as states, from a manifest to a promoted model, with one way out of every failure."""

from __future__ import annotations

from typing import Any

from vision_platform.training_endings import failure, registry, success
from vision_platform.training_evaluation import evaluation
from vision_platform.training_input import taking_input
from vision_platform.training_model import making_a_model
from vision_platform.training_parts import TrainingParts
from vision_platform.training_preparation import preparation
from vision_platform.training_queue import QUEUE_SECONDS, queue
from vision_platform.training_registration import registration

# Beyond the limits of the steps themselves: preprocessing, starting instances, waiting for capacity.
_SLACK_SECONDS = 12 * 3600


def definition(parts: TrainingParts) -> dict[str, Any]:
    """The whole state machine."""
    return {
        "Comment": "Prepares a dataset; trains or tunes, evaluates, gates, registers and promotes one model",
        "QueryLanguage": "JSONata",
        "StartAt": "Plan",
        "TimeoutSeconds": _timeout_seconds(parts),
        "States": {
            **taking_input(parts),
            **registration(parts),
            **queue(parts),
            **preparation(parts),
            **making_a_model(parts),
            **evaluation(parts),
            **registry(parts),
            **success(parts),
            **failure(parts),
        },
    }


def _timeout_seconds(parts: TrainingParts) -> int:
    """When Step Functions gives up on an execution that hangs in a way nobody has thought of."""
    making = max(parts.jobs.longest_training_seconds, parts.tuning.max_runtime_seconds)
    judging = parts.jobs.evaluation_max_runtime_seconds + parts.promotion_timeout_seconds
    return QUEUE_SECONDS + making + judging + _SLACK_SECONDS
