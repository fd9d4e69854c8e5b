"""What `python -m twin` tells of deliveries that skip, wait in two places, expire, fail and roll back."""

import json
from pathlib import Path

import pytest

from tests.twin.pipelines.builders import (
    approval_action,
    build_action,
    buildspec,
    conditions,
    exporting,
    variable_rule,
)
from tests.twin.pipelines.command_line import CommandLine

pytestmark = pytest.mark.twin
RISK = "#{Dossier.RISK}"
DOCS_EXCLUDED = {
    "Triggers": [
        {
            "ProviderType": "CodeStarSourceConnection",
            "GitConfiguration": {
                "SourceActionName": "Code",
                "Push": [{"Branches": {"Includes": ["main"]}, "FilePaths": {"Excludes": ["docs/**"]}}],
            },
        }
    ]
}


def test_skips_filters_choices_and_rollbacks_are_told(line: CommandLine, tmp_path: Path) -> None:
    line.up()
    ask = {"Name": "Ask", "Actions": [approval_action("Ops"), approval_action("Owner")]}
    pipeline = line.pipeline(
        tmp_path / "checkout",
        pipeline=DOCS_EXCLUDED,
        stages=[
            {"Name": "Review", "Actions": [build_action("Dossier", Namespace="Dossier")]},
            ask | {"BeforeEntry": conditions("SKIP", variable_rule(RISK, "EQ", "confirm"))},
            {
                "Name": "Prod",
                "Actions": [build_action("Smoke", configuration={"EnvironmentVariables": json.dumps(
                    [{"name": "SMOKE", "value": "yes"}])})],
                "OnFailure": {"Result": "ROLLBACK"},
            },
        ],
    )  # fmt: skip
    line.prepare()
    line.commit(exporting(RISK="none"))
    line.run("push")
    pipeline.deploy()
    said = line.run("watch")
    why = f"Check: {RISK} is 'none', but must equal 'confirm'"
    assert f"Ask: skipped - {why}" in said
    stage = next(
        s for s in json.loads(line.run("status", "--json"))["pipeline"]["stages"] if s["name"] == "Ask"
    )
    assert (stage["status"], stage["notes"]) == ("Skipped", [why])

    line.commit({"docs/a.md": "only words"})
    said = line.run("push", "--watch")
    assert "twin: no execution: filtered by the pipeline's triggers" in said

    commit = line.commit(exporting(RISK="confirm"))
    assert "no execution" not in line.run("push")
    execution = pipeline.of_commit(commit)["pipelineExecutionId"]
    for action in ("Ops", "Owner"):
        pipeline.token("Ask", action)
    said = line.run("approve", code=1)
    assert "several approvals wait: choose --stage Ask --action Ops, --stage Ask --action Owner" in said
    assert "approve --stage Ask --action Owner (or --reject)" in line.run("status")
    assert "approved Ask / Owner" in line.run("approve", "--action", "Owner")
    assert "expired Ask / Ops" in line.run("expire", "--stage", "Ask", "--action", "Ops")
    assert pipeline.wait(execution)["status"] == "Failed"
    assert "no approval waits for a decision" in line.run("expire", code=1)
    assert "Expired: nobody" in line.run("status")

    spec = json.loads(exporting(RISK="none")["buildspec.yml"])
    spec["phases"]["build"]["commands"].append('test -z "$SMOKE" || { echo smoke failed; false; }')
    line.commit({"buildspec.yml": json.dumps(spec)})
    said = line.run("push", "--watch", code=1)
    assert "rolls back to what execution" in said and said.count("Prod / Smoke: FAILED") == 1
    assert "rollback: execution" in said and "why: Build terminated" in said
    stages = {s["name"]: s for s in json.loads(line.run("status", "--json"))["pipeline"]["stages"]}
    assert (stages["Prod"]["status"], stages["Prod"]["type"]) == ("Succeeded", "ROLLBACK")
    assert stages["Prod"]["notes"] == ["rollback"]

    line.commit(buildspec("true"))
    assert (
        f"Failed: Ask: its entry condition is not met: Check: the variable {RISK} is not defined"
        in line.run("push", "--watch", code=1)
    )
