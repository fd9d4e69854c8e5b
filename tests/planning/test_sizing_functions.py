"""Executions in place of instances: how many of them a workload has at work at once, and where that ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planning.capacity import plan
from planning.hosting import LIMITS, Hosting
from planning.quotas import SERVERLESS_CONCURRENCY, exceeded, needs
from planning.sizing_functions import OVERHEAD_SECONDS, request_seconds
from planning.workload import Workload

USUAL = Workload()
ON_FUNCTIONS = Hosting(mode="lambda", memory_mb=1769)
SERVERLESS = Hosting(mode="serverless", memory_mb=2048)


def executions(workload: Workload, hosting: Hosting = ON_FUNCTIONS) -> int:
    found = plan(workload, hosting=hosting)
    value = found[LIMITS[hosting.mode]].value
    assert found.provision.executions == value
    return int(str(value))


def test_an_execution_has_what_its_memory_brings_of_a_vcpu() -> None:
    assert request_seconds(0.042, 1769) == pytest.approx(0.042 + OVERHEAD_SECONDS)
    assert request_seconds(0.042, 1769 // 2) == pytest.approx(0.084 + OVERHEAD_SECONDS, rel=0.01)
    assert request_seconds(0.042, 10_240) == request_seconds(0.042, 1769)


def test_executions_grow_with_images_and_with_the_models_work_and_as_memory_shrinks() -> None:
    usual = executions(replace(USUAL, images_per_day=5_000_000))

    assert executions(replace(USUAL, images_per_day=50_000_000)) > usual
    assert executions(replace(USUAL, images_per_day=5_000_000, model_ms=200)) > usual
    assert executions(replace(USUAL, images_per_day=5_000_000), replace(ON_FUNCTIONS, memory_mb=512)) > usual


def test_images_sent_in_the_same_instant_find_an_execution_each() -> None:
    assert executions(replace(USUAL, simultaneous=200)) >= executions(replace(USUAL, simultaneous=10)) + 190


def test_the_plan_has_either_instances_or_executions() -> None:
    on_instances, on_functions = plan(USUAL), plan(USUAL, hosting=ON_FUNCTIONS)

    assert not any(key in on_instances for key in LIMITS.values())
    assert "hosting.instance_count" not in on_functions
    assert (on_functions.provision.instances, on_functions.provision.instance_type) == (0, "")
    assert not on_functions.provision.scales


def test_what_a_serverless_endpoint_does_at_once_ends_with_its_quota() -> None:
    def beyond(images: int) -> set[str]:
        workload = replace(USUAL, images_per_day=images)
        return {
            each.quota.key for each in exceeded(needs(workload, plan(workload, hosting=SERVERLESS).provision))
        }

    assert SERVERLESS_CONCURRENCY.key not in beyond(1_000_000)
    assert SERVERLESS_CONCURRENCY.key in beyond(50_000_000)
