"""A job that is interrupted goes on from its last checkpoint, to the same model to the bit (R15)."""

import signal
from pathlib import Path

import pytest

from tests.model import jobs

# Processes of their own, for seconds each.
pytestmark = pytest.mark.slow

STEPS_AN_EPOCH = 4  # 108 images, 32 a batch


def arguments(shards: Path, folder: Path) -> list[str]:
    return [
        *(
            "--train",
            str(shards),
            "--model-dir",
            str(folder / "model"),
            "--epochs",
            "4",
            "--batch-size",
            "32",
        ),
        *("--checkpoints", str(folder / "checkpoints")),
    ]


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name[:11] for path in (folder / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def uninterrupted(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("uninterrupted")
    job = jobs.start(arguments(shards, folder), folder / "log")
    assert job.wait() == 0, job.said()
    return (folder / "model" / "model.onnx").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_interrupted_job_ends_with_the_same_model(
    number: signal.Signals, shards: Path, uninterrupted: bytes, tmp_path: Path
) -> None:
    first = jobs.start(
        arguments(shards, tmp_path), tmp_path / "first", ended_by=(number, 2 * STEPS_AN_EPOCH + 2)
    )
    if number == signal.SIGTERM:
        assert first.wait() == 128 + signal.SIGTERM
        assert "stopped by SIGTERM in epoch=3; " in first.said()
    else:
        assert first.wait() == -signal.SIGKILL
    assert checkpoints(tmp_path) == ["epoch-00001", "epoch-00002"]
    assert not (tmp_path / "model").exists()

    second = jobs.start(arguments(shards, tmp_path), tmp_path / "second")
    assert second.wait() == 0, second.said()
    assert "resumed from epoch=2/4\nepoch=3/4 " in second.said()
    assert "epoch=2/4 train_loss" not in second.said()
    assert (tmp_path / "model" / "model.onnx").read_bytes() == uninterrupted
    assert checkpoints(tmp_path) == ["epoch-00003", "epoch-00004"]


@pytest.mark.slow
def test_interruption_before_the_first_checkpoint_leaves_nothing(shards: Path, tmp_path: Path) -> None:
    job = jobs.start(arguments(shards, tmp_path), tmp_path / "log", ended_by=(signal.SIGTERM, 1))
    assert job.wait() == 128 + signal.SIGTERM
    assert "stopped by SIGTERM in epoch=1; nothing is saved yet" in job.said()
    assert not (tmp_path / "checkpoints").exists()
