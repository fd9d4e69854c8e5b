"""How a training run begins: what it was asked for is completed and checked, in words."""

from __future__ import annotations

from vision_platform.model_lines import CHAMPION, SMOKE
from vision_platform.states_language import State, choose, failed, key, rule, task
from vision_platform.training_parts import TrainingParts
from vision_platform.training_requests import script_mode

_INPUT = "$states.context.Execution.Input"
_RUN_ID = "/^[a-z0-9][a-z0-9-]{0,24}$/"
# What one run has and another has not, as one text: equal input gives an equal run id.
_OVERRIDES = (
    f"($exists({_INPUT}.tune) ? ' tune=' & $string({_INPUT}.tune) : '') & "
    "$join($map($sort($keys($overrides)), function($name) "
    "{ ' ' & $name & '=' & $lookup($overrides, $name) }), '')"
    f" & ($exists({_INPUT}.occurrence) ? ' occurrence=' & $string({_INPUT}.occurrence) : '')"
)


def taking_input(parts: TrainingParts) -> dict[str, State]:
    """From the input to a named request, which goes on at `RegisterRun`."""
    return {
        "Plan": _plan(parts),
        "DatasetGiven": choose(
            rule("$manifest_uri != ''", "Check"),
            # A run's id and nothing else: take it up again as it was.
            rule(
                f"$exists({_INPUT}.run_id) and $not($exists({_INPUT}.tune)) and "
                f"$not($exists({_INPUT}.hyperparameters))",
                "RecallRun",
            ),
            default="FindDataset",
        ),
        "RecallRun": task(
            "dynamodb:getItem",
            {
                "TableName": parts.table,
                "Key": key(f"'RUN#' & {_INPUT}.run_id", "'RUN'"),
                "ConsistentRead": True,
            },
            assign={
                "manifest_uri": "{% $states.result.Item.manifest_uri.S & '' %}",
                "manifest_tag": "{% $states.result.Item.manifest_tag.S & '' %}",
                "recalled": "{% $states.result.Item.request.S & '' %}",
                "tune": "{% $exists($states.result.Item) ? $states.result.Item.tune.S = 'true' : $tune %}",
                "overrides": "{% $exists($states.result.Item) ? "
                "$parse($states.result.Item.hyperparameters.S) : $overrides %}",
            },
            following="RunRecalled",
        ),
        "RunRecalled": choose(rule("$manifest_uri != ''", "Check"), default="FindDataset"),
        "FindDataset": task(
            "dynamodb:getItem",
            {"TableName": parts.table, "Key": key("'LINE#' & $line", "'DATASET'"), "ConsistentRead": True},
            assign={
                name: f"{{% $states.result.Item.{name}.S & '' %}}"
                for name in ("manifest_uri", "manifest_tag")
            },
            following="Check",
        ),
        "Check": _check(),
        "InputAcceptable": _acceptable(parts),
    }


def _plan(parts: TrainingParts) -> State:
    def given(name: str, otherwise: str) -> str:
        return f"{{% $exists({_INPUT}.{name}) ? $string({_INPUT}.{name}) : {otherwise} %}}"

    return {
        "Type": "Pass",
        "Assign": {
            "prefix": parts.prefix,
            "artifacts": f"s3://{parts.artifacts_bucket}/",
            "datasets": f"s3://{parts.datasets_bucket}/",
            "line": given("line", "''"),
            "reason": given("reason", "'request'"),
            "manifest_uri": given("manifest_uri", "''"),
            "manifest_tag": given("manifest_tag", "''"),
            "run_id": "",
            "recalled": "",
            "attempt": 1,
            "started": "{% $states.context.Execution.StartTime %}",
            "registered": "{% $states.context.Execution.StartTime %}",
            "waited_since": "{% $millis() %}",
            "wait": 2,
            "locked": False,
            # Smoke runs tune only when they ask for it.
            "tune": f"{{% $exists({_INPUT}.tune) ? {_INPUT}.tune : "
            f"{str(parts.tuning.enabled).lower()} and {_INPUT}.line = '{CHAMPION}' %}}",
            "overrides": f"{{% $exists({_INPUT}.hyperparameters) ? {_INPUT}.hyperparameters : {{}} %}}",
            "defaults": script_mode(parts.jobs),
            # What a run that is taken up again has done already.
            "prepared": {},
            "prepared_at": "",
            "training": {"model_uri": "", "job": "", "metrics": {}},
            "tuning_job": "",
            "selection": {},
            "evaluated_against": "-",
            "gate": {},
            "model_package_arn": "",
        },
        "Next": "DatasetGiven",
    }


def _check() -> State:
    request = f"$manifest_uri & $manifest_tag & {_OVERRIDES}"
    return {
        "Type": "Pass",
        "Assign": {
            "endpoint": "{% $prefix & '-' & $line %}",
            "folder": f"{{% $datasets & ($line = '{SMOKE}' ? 'smoke/' : 'datasets/') %}}",
            "request": f"{{% $recalled != '' ? $recalled : $hash({request}, 'SHA-256') %}}",
            # A dataset's arrival, a schedule and drift bring no run id: a repeated event finds its run.
            "run_id": f"{{% $exists({_INPUT}.run_id) ? $string({_INPUT}.run_id) : "
            f"'r-' & $substring($hash({request}, 'SHA-256'), 0, 20) %}}",
        },
        "Next": "InputAcceptable",
    }


def _acceptable(parts: TrainingParts) -> State:
    searched = ", ".join(f"'{each.name}'" for each in parts.tuning.ranges)
    names = "$keys($overrides)"

    def refused(condition: str, says: str, *, to: str = "ExplainFailure") -> State:
        return rule(condition, to, failed("InvalidInput", says))

    return choose(
        # Events name run and line: what has no proper name is told to its caller alone.
        refused(
            f"$not($contains($run_id, {_RUN_ID}))",
            "'run_id must be 1 to 25 lower-case letters, digits and hyphens; it is ' & $run_id",
            to="Failed",
        ),
        refused(
            f"$not($line in ['{CHAMPION}', '{SMOKE}'])",
            f"'line must be {CHAMPION} or {SMOKE}; it is ' & $line",
            to="Failed",
        ),
        rule(
            "$manifest_uri = ''",
            "ExplainFailure",
            failed(
                "NoDataset",
                "'The line ' & $line & ' has no prepared dataset yet: start a run with a manifest_uri'",
            ),
        ),
        # Smoke data never trains the champion, and the other way round.
        refused(
            "$substring($manifest_uri, 0, $length($folder)) != $folder",
            "'manifest_uri must lie under ' & $folder & '; it is ' & $manifest_uri",
        ),
        refused("$type($tune) != 'boolean'", "'tune must be true or false; it is ' & $string($tune)"),
        refused(
            "$type($overrides) != 'object' ? true : "
            "$count($each($overrides, function($value) { $type($value) })[$ != 'string']) > 0",
            "'hyperparameters must be an object of texts; it is ' & $string($overrides)",
        ),
        refused(
            f"$count({names}[$substring($, 0, 10) = 'sagemaker_']) > 0",
            "'hyperparameters: names with sagemaker_ belong to script mode; take them out'",
        ),
        refused(
            f"$tune and $count({names}[$ in [{searched}]]) > 0",
            f"'hyperparameters: ' & $join({names}[$ in [{searched}]], ', ') & ' are what this run searches "
            "(tuning.ranges): leave them out, or start with tune: false'",
        ),
        default="RegisterRun",
    )
