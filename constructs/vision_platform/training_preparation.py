"""From a manifest to shards: planned, made side by side in batches, checked as a whole, and remembered."""

from __future__ import annotations

from typing import Any

from vision_platform.states_language import (
    CONDITION_FAILED,
    State,
    caught,
    choose,
    failed,
    invoke,
    key,
    retries,
    rule,
    setting,
    task,
    texts,
)
from vision_platform.training_keys import IS_OWN, OWN, RUN
from vision_platform.training_parts import TrainingParts

# Of a batch's failure so much is kept: all batches together must fit into 256 KiB.
_FAULT_LIMIT = 200
_RUN = {"run_id": "{% $run_id %}", "line": "{% $line %}", "manifest_uri": "{% $manifest_uri %}"}
_PLANNED = {**_RUN, "folder_uri": "{% $plan.folder_uri %}"}
_MILLISECONDS_A_DAY = 24 * 3600 * 1000


def preparation(parts: TrainingParts) -> dict[str, State]:
    """Prepare the dataset, unless this run has done so, and go on at `ChooseTraining`."""
    functions = parts.functions
    # Half of the time: what a job reads must not expire while it runs.
    fresh = parts.prepared_days * _MILLISECONDS_A_DAY // 2
    return {
        "Resume": choose(
            rule("$model_package_arn != ''", "Promote"),
            rule(
                f"$prepared_at != '' ? $millis() - $toMillis($prepared_at) < {fresh} : false",
                "ChooseTraining",
            ),
            default="PlanDataset",
        ),
        "PlanDataset": invoke(
            functions.plan_dataset,
            _RUN,
            assign={"plan": "{% $states.result.Payload %}"},
            following="PreprocessBatches",
        ),
        "PreprocessBatches": _batches(parts),
        "BatchesMade": choose(
            rule(
                "$count($batch_faults) > 0",
                "ExplainFailure",
                failed(
                    "BatchesFailed",
                    "$string($count($batch_faults)) & ' of ' & $string($plan.batch_count) & ' batches "
                    "failed; what the others made stays, and a repeated start makes the rest. The first: ' & "
                    "$batch_faults[0]",
                ),
            ),
            default="CollectDataset",
        ),
        "CollectDataset": invoke(
            functions.collect_dataset,
            _PLANNED,
            assign={
                "prepared": "{% $states.result.Payload %}",
                "dataset": "{% $states.result.Payload.dataset.(name & '#' & version) %}",
            },
            following="RecordDataset",
        ),
        "RecordDataset": _record_dataset(parts),
        "RememberDataset": _remember_dataset(parts),
    }


def _batches(parts: TrainingParts) -> State:
    """Each batch is an execution of its own. One that fails does not stop the others: their work is kept."""
    batch = invoke(
        parts.functions.preprocess,
        {name: f"{{% $states.input.{name} %}}" for name in (*_PLANNED, "shards")},
        assign={},
        following="BatchFailed",
    )
    del batch["Next"]
    batch |= {"End": True, "Output": "{% $states.result.Payload.made %}"}
    said = r'$match($states.errorOutput.Cause, /"errorMessage"\s*:\s*"((?:[^\\"]+|\\.)*)"/)[0].groups[0]'
    batch["Catch"] = [
        {
            "ErrorEquals": ["States.ALL"],
            "Output": f"{{% ($said := {said}; $substring($states.errorOutput.Error & ': ' & "
            f"($exists($said) ? $said : $states.errorOutput.Cause), 0, {_FAULT_LIMIT})) %}}",
            "Next": "BatchFailed",
        }
    ]
    return {
        "Type": "Map",
        "Label": "PreprocessBatches",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Arguments": {"Bucket": "{% $plan.batches.bucket %}", "Key": "{% $plan.batches.key %}"},
        },
        "ItemSelector": {**_PLANNED, "shards": "{% $states.context.Map.Item.Value.shards %}"},
        "MaxConcurrency": parts.preprocessing_concurrency,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "PreprocessBatch",
            # A failed batch ends with a text and a good one with a number.
            "States": {"PreprocessBatch": batch, "BatchFailed": {"Type": "Succeed"}},
        },
        "Assign": {"batch_faults": "{% [$states.result[$type($) = 'string']] %}"},
        "Output": {},
        "Retry": retries(),
        "Catch": [{"ErrorEquals": ["States.ALL"], "Assign": caught(), "Next": "ExplainFailure"}],
        "Next": "BatchesMade",
    }


def _record_dataset(parts: TrainingParts) -> State:
    """From now on the dataset's lineage leads to the run."""
    attributes: dict[str, Any] = texts(
        gsi1pk="'DATASET#' & $dataset",
        gsi1sk="'RUN#' & $run_id",
        dataset="$dataset",
        manifest_sha256="$prepared.manifest_sha256",
        prepared="$string($prepared)",
        prepared_at="$now()",
    )
    return task(
        "dynamodb:updateItem",
        {
            "TableName": parts.table,
            "Key": RUN,
            **setting(attributes, condition=IS_OWN, values=OWN),
        },
        following="RememberDataset",
    )


def _remember_dataset(parts: TrainingParts) -> State:
    """What a schedule or drift trains again: the dataset whose run was registered last."""
    attributes = texts(
        manifest_uri="$manifest_uri", manifest_tag="$manifest_tag", dataset="$dataset", at="$registered"
    )
    return task(
        "dynamodb:updateItem",
        {
            "TableName": parts.table,
            "Key": key("'LINE#' & $line", "'DATASET'"),
            **setting(attributes, condition="attribute_not_exists(pk) OR #at <= :at"),
        },
        following="ChooseTraining",
        catch_first=[{"ErrorEquals": [CONDITION_FAILED], "Next": "ChooseTraining"}],
    )
