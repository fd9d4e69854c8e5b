"""What hosting costs by mode: the table of docs/hosting.md is the one of today's figures, and makes sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from planning.hosting_modes import Load, crossing, real_time, serverless, written_into

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


def test_below_the_crossing_point_the_one_mode_is_cheaper_and_above_it_the_other() -> None:
    at = crossing("serverless", "real-time")
    assert at is not None
    below, above = Load(images_per_day=at * 0.9), Load(images_per_day=at * 1.1)
    assert serverless(below) < real_time(below)
    assert serverless(above) > real_time(above)
