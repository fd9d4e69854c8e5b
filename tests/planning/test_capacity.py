"""The plan: every number rests on something, more work never gets less, and what is given is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from planning import measured
from planning.capacity import Capacity, plan, provision
from planning.explained import Explained, Source
from planning.hardware import UnknownHardware, lambda_vcpus, vcpus
from planning.measured import Figure
from planning.provision import Provision
from planning.workload import Workload

WORKLOADS = some.builds(
    Workload,
    images_per_day=some.integers(1_000, 10**9),
    peak_factor=some.floats(1, 50),
    rise_minutes=some.floats(1, 240),
    burst_share=some.floats(0, 1),
    model_ms=some.floats(1, 400),
    latency_p99_ms=some.floats(400, 10_000),
    availability_percent=some.sampled_from([99.0, 99.9, 99.99]),
)


def capacity_of(found: Provision) -> dict[str, float]:
    """What a plan can do, where larger is more; sizes of machines do not matter, only what they come to."""
    cores = vcpus(found.instance_type)
    return {
        "rate": found.api_rate,
        "burst": found.api_burst,
        "concurrency": found.predict_concurrency or 0,
        "least vCPUs": found.instances * cores,
        "most vCPUs": found.most_instances * cores,
        "consumers": found.consumers,
        "shards": found.shards,
    }


@pytest.mark.parametrize("images", [1_000, 500_000, 50_000_000, 10**9])
def test_every_number_has_a_formula_inputs_and_their_sources(images: int) -> None:
    for number in plan(Workload(images_per_day=images)).explained:
        assert len(number.formula) > 10, number.key
        assert number.inputs, number.key
        for each in (*number.inputs, *number.limits):
            assert str(each.source).strip(), (number.key, each.name)
            if isinstance(each.source, Source):
                assert date(2026, 1, 1) <= each.source.on <= date(2030, 1, 1)


def test_a_number_that_rests_on_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="what it was computed from"):
        Explained(key="x.y", title="x", value=1, unit="", formula="because", inputs=())


def test_every_figure_says_whether_it_was_measured_and_where() -> None:
    figures = [each for each in vars(measured).values() if isinstance(each, Figure)]

    assert len(figures) > 10
    assert all(each.where and each.on and each.value > 0 for each in figures)
    assert all(
        "2 vCPUs" in each.where or "2 cores" in each.where for each in figures if each.kind == "measured"
    )


def test_the_usual_workload_comes_to_what_one_would_expect() -> None:
    found = plan(Workload()).provision

    # 58 images/s of 42 ms each keep 2.4 vCPUs busy: two instances of 2, at 61 %.
    assert (found.instances, found.most_instances, found.instance_type) == (2, 2, "ml.c7i.large")
    assert found.api_rate == 75
    assert (found.predict_concurrency, found.api_burst) == (50, 50)
    assert found.on_demand
    assert (found.consumers_per_shard, found.micro_batch) == (2, 16)
    # 0.62 s and 1.08 s of one vCPU (1769 MB) within half of the 5 s that decoding may take.
    assert (found.predict_memory_mb, found.consume_memory_mb) == (448, 768)


@settings(max_examples=60, deadline=None)
# Half as much again, and the rate's steps leave twice the room above the peak.
@example(
    workload=replace(Workload(), images_per_day=12_286, peak_factor=28.0, availability_percent=99.0), more=1.5
)
@given(workload=WORKLOADS, more=some.floats(1, 20))
def test_more_images_never_get_less_capacity(workload: Workload, more: float) -> None:
    larger = replace(workload, images_per_day=int(workload.images_per_day * more))
    small, large = capacity_of(plan(workload).provision), capacity_of(plan(larger).provision)

    # A larger machine may round down by less than one of it.
    slack = vcpus(plan(larger).provision.instance_type)
    for name, value in small.items():
        assert large[name] >= value - (slack if "vCPUs" in name else 0), name


@settings(max_examples=40, deadline=None)
@given(workload=WORKLOADS, more=some.floats(1, 5))
def test_a_higher_peak_a_slower_model_and_a_steeper_rise_never_get_less(
    workload: Workload, more: float
) -> None:
    before = capacity_of(plan(workload).provision)
    slack = vcpus("ml.c7i.4xlarge")
    for changed in (
        replace(workload, peak_factor=workload.peak_factor * more),
        replace(workload, model_ms=workload.model_ms * more, latency_p99_ms=10_000),
        replace(workload, rise_minutes=workload.rise_minutes / more),
    ):
        after = capacity_of(plan(changed).provision)
        assert after["least vCPUs"] >= before["least vCPUs"] - slack
        assert after["most vCPUs"] >= before["most vCPUs"] - slack
        assert after["concurrency"] >= before["concurrency"]


@settings(max_examples=60, deadline=None)
@given(workload=WORKLOADS)
def test_a_plan_fits_together(workload: Workload) -> None:
    found = plan(workload).provision

    assert found.api_rate >= workload.peak_per_second
    assert found.most_instances >= found.instances >= 2
    busy = workload.peak_per_second * workload.model_ms / 1000
    assert busy <= 0.7001 * found.most_instances * vcpus(found.instance_type)
    assert found.consumers_per_shard <= 10
    assert 1 <= found.micro_batch <= 41
    assert 256 <= found.predict_memory_mb <= 10_240


def test_what_is_given_is_kept_and_the_rest_follows_from_it() -> None:
    busy = Workload(images_per_day=5_000_000)
    usual, larger = plan(busy), plan(busy, {"hosting.instance_type": "ml.m5.4xlarge"})
    slower = plan(busy, {"api.memory_mb": 256})

    target = "hosting.target_invocations_per_instance"
    assert float(larger[target].value) > float(usual[target].value)
    assert "ml.m5.4xlarge" in larger["hosting.instance_count"].unit
    assert slower.provision.predict_concurrency is not None
    assert usual.provision.predict_concurrency is not None
    assert slower.provision.predict_concurrency > usual.provision.predict_concurrency


def test_no_reservation_and_no_maximum_are_kept_as_such() -> None:
    values: dict[str, Any] = {each.key: each.value for each in plan(Workload()).explained}
    found = provision({**values, "api.reserved_concurrency": 0, "hosting.max_instance_count": None})

    assert found.predict_concurrency is None
    assert found.most_instances == found.instances
    assert not found.scales


def test_hardware_that_nobody_knows_is_named() -> None:
    assert [vcpus(f"ml.c7i.{size}") for size in ("large", "xlarge", "12xlarge")] == [2, 4, 48]
    assert (lambda_vcpus(1769), lambda_vcpus(10_240)) == (1, 1)
    with pytest.raises(UnknownHardware, match=r"ml\.c7i\.metal"):
        plan(Workload(), {"hosting.instance_type": "ml.c7i.metal"})


def test_a_key_that_the_plan_has_not_is_an_error() -> None:
    found: Capacity = plan(Workload())
    with pytest.raises(KeyError):
        found["api.colour"]
