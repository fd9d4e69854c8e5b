"""The model package as states: what the registry says of it, and what the gate here thinks of it."""

from __future__ import annotations

from vision_platform.promotion_language import (
    CHAMPION_RECORD,
    PromotionParts,
    choose,
    failed,
    fresh_pauses,
    get_item,
    put_item,
    sagemaker,
    task,
    update_deployment,
)
from vision_platform.states_language import CONDITION_FAILED, State, texts


def package(parts: PromotionParts) -> dict[str, State]:
    """From DescribePackage to FindEndpoint; a package of another account meets this environment's gate."""
    found, data = "$states.result", "$states.result.CustomerMetadataProperties"
    return {
        "DescribePackage": sagemaker(
            "describeModelPackage",
            {"ModelPackageName": "{% $package %}"},
            assign={
                "approval": _text(f"{found}.ModelApprovalStatus"),
                "model_uri": _text(f"{found}.InferenceSpecification.Containers[0].ModelDataUrl"),
                "evaluation_uri": _text(f"{found}.ModelMetrics.ModelQuality.Statistics.S3Uri"),
                "run_id": f"{{% $run_id != '' ? $run_id : $exists({data}.run_id) ? {data}.run_id : '' %}}",
                # The registry takes no `#` in such texts; neither name nor version has a blank.
                "dataset": f"{{% $exists({data}.dataset) ? $replace({data}.dataset, ' ', '#') : '' %}}",
            },
            following="PackageUsable",
        ),
        "PackageUsable": choose(
            ("$approval != 'Approved'", "PackageNotApproved"),
            (
                "$model_uri = '' or $evaluation_uri = '' or $run_id = '' or $dataset = ''",
                "PackageIncomplete",
            ),
            ("$elsewhere and $after = ''", "JudgePackage"),
            default="RecordLineage",
        ),
        "PackageNotApproved": failed(
            "PackageNotApproved",
            "$package & ' is ' & ($approval = '' ? 'not judged yet' : $approval) & "
            "': approve it in the model registry, or promote another'",
        ),
        "PackageIncomplete": failed(
            "PackageNotApproved",
            "$package & ' lacks model data, an evaluation, or the run_id and dataset in its metadata: "
            "the training workflow registers packages that have them'",
        ),
        "JudgePackage": task(
            "lambda:invoke",
            {
                "FunctionName": parts.gate_function,
                "Payload": {
                    "run_id": "{% $run_id %}",
                    "line": "{% $line %}",
                    "evaluation_uri": "{% $evaluation_uri %}",
                    "thresholds_only": True,
                },
            },
            assign={"gate": "{% $states.result.Payload %}"},
            following="PackageGoodEnough",
        ),
        "PackageGoodEnough": choose(("$gate.passed", "RecordModel"), default="ThresholdsMissed"),
        "ThresholdsMissed": failed("ThresholdsMissed", "$join($gate.reasons, '; ')"),
        # This account's lineage knows the models that answer here, whoever trained them.
        "RecordModel": put_item(
            parts,
            {
                "pk": {"S": "{% 'MODEL#' & $package %}"},
                "sk": {"S": "MODEL"},
                **texts(
                    gsi1pk="'DATASET#' & $dataset",
                    gsi1sk="'RUN#' & $run_id & '#MODEL#' & $package",
                    run_id="$run_id",
                    dataset="$dataset",
                    line="$line",
                    model_uri="$model_uri",
                    evaluation_uri="$evaluation_uri",
                ),
            },
            "attribute_not_exists(pk)",
            catch_first=[{"ErrorEquals": [CONDITION_FAILED], "Next": "RecordLineage"}],
            following="RecordLineage",
        ),
        "RecordLineage": update_deployment(
            parts,
            texts(
                run_id="$run_id",
                dataset="$dataset",
                gsi1pk="'DATASET#' & $dataset",
                gsi1sk="'RUN#' & $run_id & '#DEPLOYMENT#' & $started_at",
            ),
            following="FindChampion",
        ),
        "FindChampion": get_item(
            parts,
            CHAMPION_RECORD,
            assign={
                "champion": {
                    "package": _text("$states.result.Item.model_package_arn.S"),
                    "deployment_id": _text("$states.result.Item.deployment_id.S"),
                },
                **fresh_pauses(),
            },
            following="FindEndpoint",
        ),
    }


def _text(path: str) -> str:
    """The text at that path, or an empty one."""
    return f"{{% $exists({path}) ? {path} : '' %}}"
