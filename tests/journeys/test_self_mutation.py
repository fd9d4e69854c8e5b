"""A push that changes the pipeline itself: it mutates, restarts with the new definition, and deploys (R1)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.journeys.changes import NEW_STACK, Change
from tests.journeys.conftest import Delivery
from tests.journeys.pipeline import Push
from tests.journeys.snapshot import ENVIRONMENTS

pytestmark = pytest.mark.delivery


def test_a_new_stack_is_deployed_by_the_pipeline_that_it_has_changed(
    delivery: Delivery, push: Callable[[Change], Push]
) -> None:
    pipeline = delivery.pipeline
    api, name = pipeline.twin.pipeline_api, pipeline.twin.pipeline_name
    version = api.get_pipeline(name=name)["pipeline"]["version"]
    pushed = push(NEW_STACK)
    assert pushed.exit_code == 0, pushed.said

    assert api.get_pipeline(name=name)["pipeline"]["version"] == version + 1
    outdated, restarted = pushed.executions
    assert outdated.status == "Cancelled"
    assert outdated.stages == ["Source", "Build", "UpdatePipeline"]
    assert restarted.status == "Succeeded"
    assert outdated.id in pushed.said
    assert restarted.id in pushed.said
    for environment in ENVIRONMENTS:
        stack = f"vision-{environment}-notices"
        assert f"{stack}.Deploy" in restarted.ran(environment.capitalize())
        resources = pipeline.twin.client("cloudformation", environment).describe_stack_resources(
            StackName=stack
        )
        (topic,) = [
            each["PhysicalResourceId"]
            for each in resources["StackResources"]
            if each["ResourceType"] == "AWS::SNS::Topic"
        ]
        topics = pipeline.twin.client("sns", environment).list_topics()["Topics"]
        assert topic in [each["TopicArn"] for each in topics]
