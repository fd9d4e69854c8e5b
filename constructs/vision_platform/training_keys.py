"""Keys, conditions and names that all parts of the training workflow share, in JSONata."""

from __future__ import annotations

from vision_platform.states_language import key
from vision_platform.training_parts import LONGEST_TUNING_NAME, tuning_prefix

RUN = key("'RUN#' & $run_id", "'RUN'")
QUEUE_ITEM = key("'LINE#' & $line", "'QUEUE#' & $started & '#' & $run_id")
OWN = {":own": {"S": "{% $states.context.Execution.Id %}"}}
# Only the execution that works on a run may change its record.
IS_OWN = "#execution_arn = :own"


def job_name(attempt: int | str) -> str:
    """The name of an attempt's training and processing job (JSONata)."""
    return f"$prefix & '-' & $run_id & {_suffix(attempt)}"


def tuning_name(attempt: int | str, prefix: str) -> str:
    """The name of an attempt's tuning job (JSONata): a run id that is too long for it becomes its digest."""
    room = LONGEST_TUNING_NAME - len(tuning_prefix(prefix))
    return (
        f"($suffix := {_suffix(attempt)}; $room := {room} - $length($suffix); '{tuning_prefix(prefix)}' & "
        "($length($run_id) <= $room ? $run_id : $substring($hash($run_id, 'SHA-256'), 0, $room)) & $suffix)"
    )


def _suffix(attempt: int | str) -> str:
    return f"(({attempt}) > 1 ? '-' & $string({attempt}) : '')"
