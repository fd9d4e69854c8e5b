"""docs/capacity.md is what planning and settings say, and its simulations are those of this code."""

from __future__ import annotations

from pathlib import Path

import pytest

from planning.capacity import plan
from planning.ladder import ON_EXECUTIONS, fingerprint
from planning.simulation.scenario import may_be_halved
from planning.workload import Workload
from stages import capacity_page
from stages.capacity_page import WRITE, page, with_head
from stages.capacity_simulated import kept, simulation

PAGE = Path(__file__).resolve().parents[2] / "docs" / "capacity.md"


def test_the_page_is_current() -> None:
    text = PAGE.read_text()

    assert page(kept(text)) == text, f"write it anew: {WRITE} --keep"


def test_the_simulations_on_the_page_are_those_of_this_code() -> None:
    assert f"<!-- simulated: {fingerprint()} -->" in PAGE.read_text(), f"simulate anew: {WRITE}"


def test_the_readme_shows_the_first_rungs() -> None:
    readme = (PAGE.parent.parent / "README.md").read_text()

    assert with_head(readme, PAGE.read_text()) == readme, f"write it anew: {WRITE} --keep"


@pytest.mark.long
def test_simulating_again_gives_the_same_figures() -> None:
    assert simulation() == kept(PAGE.read_text())


def test_every_rung_held_its_goals_and_no_half_did() -> None:
    simulated = kept(PAGE.read_text())
    rows = [line for line in simulated.splitlines() if line.startswith("| ") and "%" in line]
    held = [line for line in rows if line.endswith("| held |")]

    # The five rungs, and the plan itself above its halves: on instances, and in both modes without.
    assert [line.split(" | ")[0] for line in held] == [
        "| 500k",
        "| 5M",
        "| 50M",
        "| 500M",
        "| 1B",
        "| nothing",
        "| serverless, 2048 MB",
        "| lambda, 1769 MB",
    ]
    assert len(rows) - len(held) == len(may_be_halved(plan(Workload()).provision)) + len(ON_EXECUTIONS)


def test_the_command_keeps_the_simulations_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "capacity.md"
    copy.write_text(PAGE.read_text())
    monkeypatch.setattr("sys.argv", ["capacity_page", "--keep", "--write", str(copy)])

    assert capacity_page.main() == 0
    assert copy.read_text() == PAGE.read_text()
