"""When it goes wrong (R8): what was deployed, what kept serving meanwhile, and what people were told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.journeys import drills, snapshot
from tests.journeys.changes import (
    ALARM_THRESHOLD,
    MODEL_THAT_MISSES_THE_GATE,
    OTHER_DESCRIPTION,
    PIPELINE_THAT_FAILS,
    STACK_THAT_FAILS,
    TAKEN_NAME,
    Change,
)
from tests.journeys.conftest import pipeline_of
from tests.journeys.drills import Production
from tests.journeys.onlookers import Caller
from tests.journeys.pipeline import Execution

pytestmark = pytest.mark.delivery

PROMOTION = "Promote"


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """Production alone, delivered by the demo, with a champion that answers."""
    copy = snapshot.take(tmp_path_factory.mktemp("drills") / "project", [drills.ENVIRONMENT], approval=True)
    with pipeline_of(copy) as pipeline:
        made = drills.deliver_production(pipeline)
        for account in ("tooling", drills.ENVIRONMENT):
            pipeline.twin.client("events", account).create_event_bus(Name=TAKEN_NAME)
        yield made


def served_throughout(caller: Caller) -> None:
    """Holds that every request was answered, by one and the same model."""
    assert caller.failed == []
    assert len(caller.versions) > 20
    assert len(set(caller.versions)) == 1


def rolled_back(production: Production, change: Change, action: str) -> Execution:
    """Pushes a change that fails in production, and waits until the stage is as it was."""
    before = production.stacks()
    with production.caller() as caller, production.pushed(change) as commit:
        failed = production.approve_until_the_end(commit)
        assert failed.status == "Failed"
        assert [(each["stageName"], each["actionName"]) for each in failed.failed] == [("Prod", action)]
        production.wait_for_rollback(failed)
    assert production.stacks() == before
    served_throughout(caller)
    production.mailbox.until_each(
        {
            "of the approval": lambda text: "waits" in text.lower() and PROMOTION in text,
            "of the failure": lambda text: "failed" in text.lower() and failed.id in text,
            "of the rollback": lambda text: "rolled back" in text.lower(),
        }
    )
    return failed


def test_a_stack_that_fails_in_the_middle_of_production_is_rolled_back_with_those_before_it(
    production: Production,
) -> None:
    failed = rolled_back(production, STACK_THAT_FAILS, "vision-prod-monitoring.Deploy")
    assert "vision-prod-inference.Deploy" in failed.ran("Prod")
    assert "Smoke" not in failed.ran("Prod")


def test_a_failed_smoke_test_in_production_brings_the_last_version_back(production: Production) -> None:
    failed = rolled_back(production, MODEL_THAT_MISSES_THE_GATE, "Smoke")
    assert failed.ran("Prod")[-1] == "Smoke"


def test_of_two_pushes_at_once_the_second_waits_and_goes_on_when_the_approval_of_the_first_expires(
    production: Production,
) -> None:
    before = production.stacks()
    with production.caller() as caller, production.pushed(OTHER_DESCRIPTION) as first:
        production.wait_for_approval(first, PROMOTION)
        with production.pushed(ALARM_THRESHOLD) as second:
            production.let_approvals_expire()
            expired = production.wait(first, lambda each: each.status == "Failed", leave=PROMOTION)
            assert expired.failed[0]["actionName"] == PROMOTION
            assert "Prod" not in expired.stages
            assert production.stacks() == before
            deployed = production.approve_until_the_end(second)
    assert deployed.status == "Succeeded", deployed.failed
    changed = {name for name, digest in production.stacks().items() if before.get(name) != digest}
    assert changed == {"vision-prod-inference", "vision-prod-monitoring"}
    served_throughout(caller)
    production.mailbox.until_each(
        {
            "of the failure": lambda text: "failed" in text.lower() and expired.id in text,
            "of the success": lambda text: "succeeded" in text.lower() and deployed.id in text,
        }
    )


def test_a_pipeline_that_cannot_be_updated_stays_as_it_was_and_delivers_on(production: Production) -> None:
    api, name = production.pipeline.twin.pipeline_api, production.pipeline.twin.pipeline_name
    version = api.get_pipeline(name=name)["pipeline"]["version"]
    before = production.stacks()
    with production.caller() as caller, production.pushed(PIPELINE_THAT_FAILS) as commit:
        failed = production.approve_until_the_end(commit)
    assert failed.status == "Failed"
    assert failed.stages[-1] == "UpdatePipeline"
    assert production.stacks() == before
    assert api.get_pipeline(name=name)["pipeline"]["version"] == version
    stack = production.pipeline.twin.client("cloudformation", "tooling").describe_stacks(StackName=name)
    assert stack["Stacks"][0]["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    served_throughout(caller)
    production.mailbox.until(lambda text: "failed" in text.lower() and failed.id in text, "of the failure")
