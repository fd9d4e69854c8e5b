"""From a model to a verdict: measured on the frozen holdout beside the champion, then judged by the gate."""

from __future__ import annotations

from vision_platform import training_requests as requests
from vision_platform.model_lines import CHAMPION
from vision_platform.states_language import (
    SAGEMAKER_REFUSES,
    State,
    choose,
    failed,
    invoke,
    key,
    rule,
    setting,
    task,
    texts,
)
from vision_platform.training_keys import IS_OWN, OWN, RUN
from vision_platform.training_parts import TrainingParts


def evaluation(parts: TrainingParts) -> dict[str, State]:
    """Evaluate, unless this run was evaluated beside today's champion, judge, and go on at the registry."""
    return {
        "FindChampion": task(
            "dynamodb:getItem",
            {"TableName": parts.table, "Key": key("'LINE#' & $line", "'CHAMPION'"), "ConsistentRead": True},
            # Smoke runs leave nothing behind that the next one could be compared with.
            assign={
                "champion": f"{{% $line = '{CHAMPION}' and $exists($states.result.Item) ? "
                "$states.result.Item.{'model_package_arn': model_package_arn.S, 'model_uri': model_uri.S} : "
                "{'model_package_arn': '', 'model_uri': ''} %}"
            },
            following="DescribeEvaluation",
        ),
        "DescribeEvaluation": {
            "Type": "Pass",
            "Assign": {"evaluation_arguments": requests.evaluation_arguments()},
            "Next": "EvaluationNeeded",
        },
        "EvaluationNeeded": choose(
            rule("$evaluated_against = $champion.model_package_arn", "Gate"),
            rule("$attempt > 1", "FindEvaluation"),
            default="Evaluate",
        ),
        "FindEvaluation": task(
            "aws-sdk:sagemaker:describeProcessingJob",
            {"ProcessingJobName": "{% $earlier_job %}"},
            assign={
                "evaluated": "{% $states.result.ProcessingJobStatus = 'Completed' and "
                "$states.result.AppSpecification.ContainerArguments = $evaluation_arguments %}"
            },
            following="EvaluationFound",
            catch_first=[
                {
                    "ErrorEquals": [SAGEMAKER_REFUSES, "SageMaker.ResourceNotFoundException"],
                    "Next": "Evaluate",
                }
            ],
        ),
        "EvaluationFound": choose(rule("$evaluated", "RecordEvaluation"), default="Evaluate"),
        "Evaluate": task(
            "sagemaker:createProcessingJob.sync",
            requests.evaluation_job(parts.jobs, parts.identity),
            following="RecordEvaluation",
        ),
        "RecordEvaluation": _record(parts),
        "Gate": invoke(
            parts.functions.gate,
            {
                "run_id": "{% $run_id %}",
                "line": "{% $line %}",
                "evaluation_uri": "{% $evaluations & '/evaluation.json' %}",
            },
            assign={"gate": "{% $states.result.Payload %}"},
            following="GatePassed",
        ),
        "GatePassed": choose(
            rule(
                "$not($gate.passed)",
                "ExplainFailure",
                failed("GateRejected", "$join($gate.reasons, '; ')"),
            ),
            default="RegisterModelPackage",
        ),
    }


def _record(parts: TrainingParts) -> State:
    item = {
        **key("'RUN#' & $run_id", "'EVALUATION'"),
        **texts(
            gsi1pk="'DATASET#' & $dataset",
            gsi1sk="'RUN#' & $run_id & '#EVALUATION'",
            run_id="$run_id",
            line="$line",
            dataset="$dataset",
            evaluation_uri="$evaluations & '/evaluation.json'",
            report_uri="$evaluations & '/report.html'",
            baseline_uri="$evaluations & '/baseline.json'",
            champion="$champion.model_package_arn",
            evaluated_at="$now()",
        ),
    }
    attributes = texts(
        evaluation_uri="$evaluations & '/evaluation.json'",
        report_uri="$evaluations & '/report.html'",
        evaluated_against="$champion.model_package_arn",
    )
    run = {"TableName": parts.table, "Key": RUN, **setting(attributes, condition=IS_OWN, values=OWN)}
    return task(
        "aws-sdk:dynamodb:transactWriteItems",
        {"TransactItems": [{"Put": {"TableName": parts.table, "Item": item}}, {"Update": run}]},
        following="Gate",
    )
