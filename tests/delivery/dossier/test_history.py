"""What the pipeline's executions tell: commits since the last deployment, and whether it can go back."""

from __future__ import annotations

import pytest

from delivery.dossier import history
from delivery.dossier.faults import DossierError
from delivery.dossier.model import Commits, RollbackNet
from delivery.dossier.settings import Settings
from tests.delivery.dossier.world import World, refusal


def read(world: World, settings: Settings) -> history.History:
    return history.read(settings, world.own("codepipeline"))


@pytest.fixture
def commits(world: World, settings: Settings) -> Commits:
    return read(world, settings).commits


def net(world: World, settings: Settings) -> RollbackNet:
    return read(world, settings).rollback


def test_commits_since_the_last_deployment_come_oldest_first(commits: Commits) -> None:
    assert (commits.since, commits.since_revision) == ("e1", "1" * 40)
    assert [(each.execution, each.summary) for each in commits.commits] == [
        ("e2", "Faster start"),
        ("e3", "Predictions are explained"),
    ]


def test_executions_of_one_commit_and_later_ones_are_not_told(world: World, settings: Settings) -> None:
    world.execution("again", 70, "2" * 40, "Faster start")
    world.execution("later", 95, "4" * 40, "Waits behind this one")
    found = read(world, settings).commits.commits
    assert [each.execution for each in found] == ["e2", "e3"]


def test_without_a_deployment_every_commit_is_told(world: World, settings: Settings) -> None:
    world.succeeded = []
    found = read(world, settings).commits
    assert (found.since, len(found.commits)) == (None, 3)


def test_own_success_of_an_earlier_try_does_not_count(world: World, settings: Settings) -> None:
    world.succeeded = ["e1", "e3"]
    assert read(world, settings).commits.since == "e1"


def test_after_a_rollback_its_target_is_what_is_deployed(world: World, settings: Settings) -> None:
    back = {"rollbackTargetPipelineExecutionId": "e1"}
    world.execution("back", 80, "1" * 40, "First version", executionType="ROLLBACK", rollbackMetadata=back)
    world.succeeded = ["e1", "e2", "back"]
    found = read(world, settings).commits
    assert found.since == "e1"
    assert [each.execution for each in found.commits] == ["e2", "e3"]


def test_going_back_to_an_older_execution_is_told(world: World, settings: Settings) -> None:
    world.execution("newer", 100, "4" * 40, "Newer")
    world.succeeded = ["newer"]
    found = read(world, settings).commits
    assert found.going_back
    assert found.commits == ()


def test_stage_goes_back_only_under_the_same_structure(world: World, settings: Settings) -> None:
    assert net(world, settings) == RollbackNet(
        present=True, why="Should this deployment fail, the stage Prod goes back to execution e1"
    )
    world.versions = {"": 5, "e1": 4}
    changed = net(world, settings)
    assert not changed.present
    assert "structure changed since the last success in Prod (version 4, now 5)" in changed.why


def test_there_is_no_net_before_the_first_success_or_without_the_setting(
    world: World, settings: Settings
) -> None:
    world.succeeded = []
    assert "nothing to go back to" in net(world, settings).why
    world.rollback = False
    assert net(world, settings).why == "The stage Prod does not go back by itself"


def test_wrong_names_are_told_with_the_cure(world: World, settings: Settings) -> None:
    with pytest.raises(DossierError, match=r"no execution e9 .* check PIPELINE_NAME"):
        read(world, settings.model_copy(update={"execution": "e9"}))
    with pytest.raises(DossierError, match="no stage Live: set PIPELINE_STAGE"):
        read(world, settings.model_copy(update={"pipeline_stage": "Live"}))


def test_refusal_says_what_to_grant(world: World, settings: Settings) -> None:
    world.faults["ListPipelineExecutions"] = refusal("AccessDeniedException", "ListPipelineExecutions")
    with pytest.raises(DossierError, match=r"access denied to ListPipelineExecutions .*; grant it"):
        read(world, settings)
