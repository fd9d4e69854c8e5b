"""The workload: what it comes to per second, and what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest

from planning.workload import Workload, WorkloadError, images, short


def test_half_a_million_a_day_is_six_a_second_and_ten_times_that_at_the_peak() -> None:
    usual = Workload()

    assert usual.mean_per_second == pytest.approx(5.787, abs=0.001)
    assert usual.peak_per_second == pytest.approx(57.87, abs=0.01)
    assert usual.sync_peak_per_second + usual.burst_peak_per_second == pytest.approx(usual.peak_per_second)


@pytest.mark.parametrize("shape", ["flat", "daytime"])
def test_the_hours_of_a_day_add_up_to_its_images(shape: Any) -> None:
    usual = Workload(daily_shape=shape)

    assert sum(usual.hours) * 3600 == pytest.approx(usual.images_per_day)
    assert len(usual.hours) == 24


def test_what_comes_together_grows_with_the_day_unless_it_is_given() -> None:
    assert Workload().together == 30
    assert Workload(images_per_day=5_000_000).together == 300
    assert Workload(images_per_day=5_000_000, simultaneous=12).together == 12


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("images_per_day", 0, "images_per_day"),
        ("peak_factor", 0.5, "a peak is at least the mean"),
        ("burst_share", 1.5, "from 0 to 1"),
        ("availability_percent", 100, "below 100"),
        ("simultaneous", -1, "at least 0"),
        ("latency_p99_ms", 20, "less than the model alone takes"),
    ],
)
def test_a_contradiction_names_its_field(field: str, value: Any, words: str) -> None:
    with pytest.raises(WorkloadError, match=words):
        Workload(**{field: value})


def test_amounts_are_written_as_people_say_them() -> None:
    assert [images(text) for text in ("500k", "50M", "1B", "500_000", "12,000")] == [
        500_000,
        50_000_000,
        1_000_000_000,
        500_000,
        12_000,
    ]
    for wrong in ("many", "", "-5", "0", "1e99"):
        with pytest.raises(WorkloadError, match="write 500k, 50M or 1B"):
            images(wrong)


@pytest.mark.parametrize("number", [7, 999, 1_000, 500_000, 5_000_000, 2_500_000_000])
def test_a_number_of_images_that_is_shown_can_be_given(number: int) -> None:
    assert images(short(number)) == number
