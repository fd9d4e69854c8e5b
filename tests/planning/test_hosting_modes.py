"""What hosting costs by mode: the table of docs/hosting.md is the one of today's figures, and makes sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from planning.hosting_modes import (
    Load,
    crossing,
    executions,
    on_functions,
    real_time,
    serverless,
    written_into,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "hosting.md"
HOW = "write it anew: python -m planning.hosting_modes --write docs/hosting.md"


def test_the_page_has_the_table_of_now() -> None:
    assert PAGE.read_text() == written_into(PAGE.read_text()), HOW


def test_page_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the table"):
        written_into("# Hosting")


def test_two_instances_cost_the_same_whether_asked_or_not_and_serverless_by_the_image() -> None:
    idle, busy = Load(images_per_day=1), Load(images_per_day=1000)
    assert real_time(idle) == real_time(busy)
    assert serverless(busy) == pytest.approx(1000 * serverless(idle))


def test_functions_cost_by_the_image_what_their_memory_and_time_cost() -> None:
    month = Load(images_per_day=1_000_000).images_per_month
    expected = month * (0.047 * 1769 / 1024 * 0.0000133334 + 0.20 / 1e6)
    assert on_functions(Load(images_per_day=1_000_000)) == pytest.approx(expected)


def test_functions_with_less_memory_take_longer_and_cost_no_less() -> None:
    whole, half = (Load(images_per_day=1e8, lambda_memory_mb=memory) for memory in (1768, 884))
    assert executions(half) > 1.8 * executions(whole)
    assert on_functions(half) == pytest.approx(on_functions(whole), rel=0.06)


def test_below_the_crossing_point_the_one_mode_is_cheaper_and_above_it_the_other() -> None:
    at = crossing("serverless", "real-time")
    assert at is not None
    below, above = Load(images_per_day=at * 0.9), Load(images_per_day=at * 1.1)
    assert serverless(below) < real_time(below)
    assert serverless(above) > real_time(above)
