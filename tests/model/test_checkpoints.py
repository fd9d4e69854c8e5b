"""Checkpoints are whole or not there, of this very job or not used, and few."""

from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import Checkpoints, state_of

JOB: dict[str, Any] = {"hyperparameters": {"epochs": "9"}, "code": "abc"}


def state(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "model": {"weight": torch.full((2, 3), float(epoch))}}


def newest_epoch(checkpoints: Checkpoints) -> int | None:
    content = checkpoints.newest()
    return None if content is None else state_of(content)["epoch"]


def test_the_newest_comes_back_and_two_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "new", JOB)
    assert checkpoints.newest() is None
    for epoch in range(1, 13):
        checkpoints.save(state(epoch))
    content = checkpoints.newest()
    assert content is not None
    assert torch.equal(state_of(content)["model"]["weight"], state(12)["model"]["weight"])
    assert sorted(path.name[:11] for path in (tmp_path / "new").iterdir()) == ["epoch-00011", "epoch-00012"]


def test_a_damaged_one_is_passed_by(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints = Checkpoints(tmp_path, JOB)
    for epoch in (1, 2):
        checkpoints.save(state(epoch))
    damaged = max(tmp_path.iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-100])
    assert newest_epoch(checkpoints) == 1
    assert f"checkpoint {damaged.name} is damaged" in capsys.readouterr().out


def test_what_was_being_written_counts_for_nothing_and_goes(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, JOB)
    checkpoints.save(state(1))
    unfinished = tmp_path / ".epoch-00002-0-0.pt.unfinished"
    unfinished.write_bytes(b"PK")
    assert newest_epoch(checkpoints) == 1
    checkpoints.save(state(2))
    assert not unfinished.exists()


def test_another_jobs_is_not_used_and_does_not_stand_in_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Checkpoints(tmp_path, JOB | {"hyperparameters": {"epochs": "10"}})
    other.save(state(7))
    checkpoints = Checkpoints(tmp_path, JOB)
    assert checkpoints.newest() is None
    assert "has other hyperparameters: it is not used" in capsys.readouterr().out
    for epoch in (1, 2, 3):
        checkpoints.save(state(epoch))
    assert newest_epoch(checkpoints) == 3
    assert newest_epoch(other) == 7


def test_without_a_folder_nothing_is_kept() -> None:
    checkpoints = Checkpoints(None, JOB)
    checkpoints.save(state(1))
    assert checkpoints.newest() is None
