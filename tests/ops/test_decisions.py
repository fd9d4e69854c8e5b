"""Approving, rejecting and rolling back by ops, with a pipeline that really runs in the twin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops import approve, rollback, status
from ops.access import Access
from ops.deployment import Deployment, parse
from ops.faults import Cancelled, OperatorFault
from ops.pipeline import NoPipeline
from ops.pipeline import Pipeline as OpsPipeline
from tests.ops.conftest import REGION, SERVER_PYTHON, TOOLING
from tests.twin.conftest import Twin, start_twin
from tests.twin.pipelines.builders import approval_action, build_action
from tests.twin.pipelines.pipeline import Pipeline, new_pipeline, wait_for

pytestmark = pytest.mark.twin

# The pipeline's name is the repository's: that of the platform `vision`.
REPOSITORY = "vision/delivery"
RISK = "PredictRole gains s3:DeleteObject"
DOSSIER = {
    "DOSSIER_URL": "s3://reports/dossier/index.html",
    "DOSSIER_SUMMARY": "2 commits, 3 resources changed",
    "DOSSIER_RISK": "confirm",
    "DOSSIER_RISKS": RISK,
}
BUILDSPEC = {
    "version": "0.2",
    "env": {"variables": DOSSIER, "exported-variables": list(DOSSIER)},
    "phases": {"build": {"commands": ["true"]}},
}
STAGES: list[dict[str, Any]] = [
    {"Name": "Review", "Actions": [build_action("Dossier", Namespace="Dossier")]},
    {"Name": "Confirm", "Actions": [approval_action("ConfirmRisks")]},
    {"Name": "Approve", "Actions": [approval_action("Promote", CustomData="Deploy to prod?")]},
    {"Name": "Prod", "Actions": [build_action("Deploy")]},
]


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    if not SERVER_PYTHON.exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    folder = tmp_path_factory.mktemp("decisions")
    (folder / "project").mkdir()
    (folder / "project/twin.toml").write_text(f'[repositories."{REPOSITORY}"]\nbranch = "main"\n')
    running = start_twin(folder / "home", project=folder / "project")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def running(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    made = new_pipeline(twin, REPOSITORY, tmp_path_factory.mktemp("checkout"), stages=STAGES)
    made.push({"buildspec.yml": json.dumps(BUILDSPEC)}, "The first")
    made.deploy()
    return made


@pytest.fixture
def deployment() -> Deployment:
    environment = {
        "name": "prod",
        "account": "444444444444",
        "regions": [REGION],
        "protected": True,
    }
    place = {"account": TOOLING, "region": REGION}
    return parse({"name": "vision", "tooling": place, "environments": [environment], "source": {}})


@pytest.fixture
def pipeline(
    running: Pipeline, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> tuple[OpsPipeline, Access]:
    for name, value in running.twin.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    access = Access(deployment, {})
    return OpsPipeline(deployment, access), access


def decide(pipeline: OpsPipeline, **options: Any) -> dict[str, Any]:
    plain = {"reject": False, "confirm_risks": False, "stage": None, "reason": "ok", "yes": True}
    return approve.decide(pipeline, **{**plain, **options})


def waits(pipeline: OpsPipeline, action: str) -> None:
    wait_for(lambda: [a for a in pipeline.approvals() if a.action == action], f"{action} to wait")


def ends(running: Pipeline, commit: str) -> str:
    def look() -> Any:
        found = running.of_commit(commit)
        return found["status"] if found["status"] != "InProgress" else None

    return str(wait_for(look, "the end of the execution"))


def promoted(running: Pipeline, pipeline: OpsPipeline) -> None:
    waits(pipeline, "ConfirmRisks")
    decide(pipeline, confirm_risks=True)
    waits(pipeline, "Promote")
    decide(pipeline)
    wait_for(lambda: running.stage("Prod").get("latestExecution", {}).get("status") == "Succeeded", "Prod")


def test_from_approval_to_rollback(
    running: Pipeline,
    pipeline: tuple[OpsPipeline, Access],
    deployment: Deployment,
    capsys: pytest.CaptureFixture[str],
) -> None:
    api, access = pipeline
    waits(api, "ConfirmRisks")
    with pytest.raises(OperatorFault, match=f"{RISK}.*--confirm-risks"):
        decide(api)
    with pytest.raises(Cancelled, match="--yes"):
        decide(api, confirm_risks=True, yes=False)
    said = capsys.readouterr().out
    assert DOSSIER["DOSSIER_SUMMARY"] in said and DOSSIER["DOSSIER_URL"] in said and RISK in said
    with pytest.raises(OperatorFault, match="nothing waits for approval in stage Approve"):
        decide(api, stage="Approve")
    assert decide(api, confirm_risks=True)["status"] == "Approved"

    waits(api, "Promote")
    with pytest.raises(OperatorFault, match="leave out --confirm-risks"):
        decide(api, confirm_risks=True)
    told, waiting = status.collect(deployment, access)
    assert [each["action"] for each in told["approvals"]] == ["Promote"]
    assert waiting[0].comment == "Deploy to prod?"
    assert waiting[0].dossier is not None
    assert waiting[0].dossier.summary == DOSSIER["DOSSIER_SUMMARY"]
    decide(api)
    wait_for(lambda: running.stage("Prod").get("latestExecution", {}).get("status") == "Succeeded", "Prod")
    (first,) = [e["pipelineExecutionId"] for e in running.executions()]
    with pytest.raises(OperatorFault, match="no other execution has ever succeeded in it"):
        rollback.plan(api, "Prod")

    commit = running.push({"more.txt": "more"}, "The second")
    promoted(running, api)
    assert ends(running, commit) == "Succeeded"
    second = running.of_commit(commit)["pipelineExecutionId"]

    with pytest.raises(Cancelled):
        rollback.run(api, deployment, None, yes=False)
    said = capsys.readouterr().out
    assert commit[:12] in said and first in said, "what it would do is shown before it asks"
    done = rollback.run(api, deployment, None, yes=True)
    assert (done["stage"], done["status"]) == ("Prod", "Succeeded")
    # Taken back once, the way forward is the other one, and never the rollback itself.
    assert rollback.plan(api, "Prod").target["pipelineExecutionId"] == second


def test_rejection_ends_the_execution(running: Pipeline, pipeline: tuple[OpsPipeline, Access]) -> None:
    api, _ = pipeline
    commit = running.push({"bad.txt": "bad"}, "The third")
    waits(api, "ConfirmRisks")
    assert decide(api, confirm_risks=True, reject=True)["status"] == "Rejected"
    assert ends(running, commit) == "Failed"
    with pytest.raises(OperatorFault, match="nothing waits"):
        decide(api)


def test_what_is_not_there_is_said_in_words(
    pipeline: tuple[OpsPipeline, Access], deployment: Deployment, tmp_path: Path
) -> None:
    api, access = pipeline
    with pytest.raises(OperatorFault, match="has no stage Moon; it has Source"):
        rollback.plan(api, "Moon")
    other = parse(
        {
            "name": "other",
            "tooling": {"account": TOOLING, "region": REGION},
            "environments": [],
            "source": {},
        }
    )
    with pytest.raises(NoPipeline, match="ops deploy"):
        OpsPipeline(other, access).stages()
