"""Two processes with half of each batch learn what one learns from all of it (R15)."""

import re
import signal
from fractions import Fraction
from pathlib import Path

import contract
import numpy as np
import pytest
import torch
from checkpoints import state_of
from distributed import Processes
from fitting import FitError, Fitting, Settings
from spec import ModelSpec
from splits import Limits, open_splits
from streaming import Share

from tests.model import jobs
from tests.model.second_model.pictures import write_pictures
from tests.model.test_second_model import plug_in

# Processes of their own, for seconds each.
pytestmark = pytest.mark.slow


def saved(folder: Path) -> dict[str, torch.Tensor]:
    return state_of(max(folder.glob("epoch-*.pt")).read_bytes())["model"]


def metrics(said: str) -> list[list[float]]:
    lines = re.findall("^epoch=.*", said, flags=re.MULTILINE)
    return [[float(number) for number in re.findall(r"_\w+=([0-9.]+)", line)] for line in lines]


def test_gradients_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    code = plug_in(tmp_path / "code")  # it has neither batch norm nor dropout
    shards = write_pictures(tmp_path / "train", 14)  # 38 images to train on: batches of 9 and 10
    arguments = ["--train", str(shards), "--epochs", "2", "--batch-size", "10", "--learning-rate", "0.05"]
    logged: list[str] = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        own = [*arguments, "--checkpoints", str(folder), "--model-dir", str(folder / "model")]
        started = (
            [jobs.start(own, folder / "log", code=code)]
            if name == "one"
            else jobs.start_two(own, folder, code=code)
        )
        assert {job.wait() for job in started} == {0}, [job.said() for job in started]
        logged.append(started[0].said())
    assert "processes=1 " in logged[0]
    assert "processes=2 " in logged[1]
    one, two = saved(tmp_path / "one"), saved(tmp_path / "two")
    for name, values in one.items():
        torch.testing.assert_close(two[name], values, rtol=0, atol=1e-5)
    np.testing.assert_allclose(metrics(logged[0]), metrics(logged[1]), atol=2e-5)
    assert len(metrics(logged[0])) == 2


class TestSampleModel:
    @pytest.fixture
    def arguments(self, shards: Path, tmp_path: Path) -> list[str]:
        return [
            *("--train", str(shards), "--model-dir", str(tmp_path / "model")),
            *("--checkpoints", str(tmp_path / "checkpoints"), "--batch-size", "16"),
        ]

    def test_it_learns_as_well_and_rank_0_alone_writes(self, arguments: list[str], tmp_path: Path) -> None:
        first, second = jobs.start_two([*arguments, "--epochs", "8"], tmp_path)
        assert (first.wait(), second.wait()) == (0, 0), first.said() + second.said()
        assert second.said() == ""
        assert metrics(first.said())[-1][-1] >= 0.95
        assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.onnx", "spec.json"]

    @pytest.mark.slow
    def test_signal_to_one_ends_all_and_they_resume_together(
        self, arguments: list[str], tmp_path: Path
    ) -> None:
        arguments += ["--epochs", "3"]
        ended = jobs.start_two(arguments, tmp_path, second_ended_by=(signal.SIGTERM, 9))  # of 7 an epoch
        assert [job.wait() for job in ended] == [128 + signal.SIGTERM] * 2
        assert "stopped by SIGTERM in epoch=2; epoch=1 is kept" in ended[0].said()
        resumed = jobs.start_two(arguments, tmp_path)
        assert [job.wait() for job in resumed] == [0, 0]
        assert "resumed from epoch=1/3\nepoch=2/3 " in resumed[0].said()
        alone = jobs.start_two([*arguments, "--checkpoints", str(tmp_path / "alone")], tmp_path)
        assert [job.wait() for job in alone] == [0, 0]
        for name, values in saved(tmp_path / "alone").items():
            assert torch.equal(values, saved(tmp_path / "checkpoints")[name]), name

    @pytest.mark.slow
    def test_one_that_cannot_begin_holds_up_no_other(self, arguments: list[str], tmp_path: Path) -> None:
        started = jobs.start_two([*arguments, "--epochs", "3"], tmp_path, second_ended_by=(signal.SIGKILL, 9))
        assert [job.wait() for job in started] == [1, -signal.SIGKILL]
        said = started[0].said().splitlines()[-1]
        assert said.startswith("training failed: lost the other processes: ")

    def test_batch_that_is_too_small_to_share(self, spec: ModelSpec, shards: Path, tmp_path: Path) -> None:
        splits = open_splits(
            shards,
            validation=None,
            held_back=Fraction(1, 10),
            spec=spec,
            limits=Limits(10**9, 10**9, 1),
            scratch=tmp_path,
        )
        three = Processes(Share(0, 3), torch.device("cpu"))
        model, parameters = contract.build_model(spec), contract.Hyperparameters()
        with pytest.raises(
            FitError, match="3 processes cannot share a batch of 2 images; use fewer instances"
        ):
            Fitting(model, splits, Settings(epochs=1, batch_size=2, seed=1), parameters, three)
