"""The training job's entry point: what it leaves, what it logs, and how it fails (R15)."""

import importlib.util
import re
from pathlib import Path

import contract
import pytest
import train
from shards import Examples

from tests.model.conftest import MODEL
from tests.model.made_up import png_of, write_shards, write_tar

METRICS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


def test_model_and_its_spec_are_left_together(trained: Path) -> None:
    assert sorted(path.name for path in trained.iterdir()) == ["model.onnx", "spec.json"]
    assert (trained / "spec.json").read_bytes() == (MODEL / "spec.json").read_bytes()


def test_places_come_from_sagemakers_variables(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SM_CHANNEL_TRAIN", str(shards))
    monkeypatch.setenv("SM_MODEL_DIR", str(tmp_path / "model"))
    (tmp_path / "checkpoints").mkdir()  # as SageMaker does for a job with a checkpoint configuration
    train.main(["--epochs", "3", "--batch-size", "64", "--learning-rate", "0.01", "--seed", "1"])
    assert (tmp_path / "model" / "model.onnx").stat().st_size > 1000
    saved = sorted(path.name[:11] for path in (tmp_path / "checkpoints").iterdir())
    assert saved == ["epoch-00002", "epoch-00003"]
    logged = capsys.readouterr().out
    assert "training=108 (kept in memory) validation=12 " in logged
    lines = re.findall(r"^epoch=\d/3 .*", logged, flags=re.MULTILINE)
    for number, line in enumerate(lines, start=1):
        # The training job's metric definitions read them.
        assert re.fullmatch(rf"epoch={number}/3 " + " ".join(f"{name}=[0-9.]+" for name in METRICS), line)
    assert len(lines) == 3


def test_validation_channel_spares_the_training_images(
    shards: Path,
    examples: Examples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    validation = write_shards(tmp_path / "validation", examples.images[:7], examples.labels[:7])
    monkeypatch.setenv("SM_CHANNEL_VALIDATION", str(validation))
    train.main(["--train", str(shards), "--model-dir", str(tmp_path / "model"), "--epochs", "1"])
    assert "training=120 (kept in memory) validation=7 " in capsys.readouterr().out


def test_same_seed_leaves_the_same_bytes_streamed_or_kept(shards: Path, tmp_path: Path) -> None:
    for run, kept in {"one": "512", "two": "0"}.items():
        places = ["--train", str(shards), "--model-dir", str(tmp_path / run)]
        train.main([*places, "--epochs", "2", "--keep-mb", kept, "--shuffle-mb", "0.02"])
    assert (tmp_path / "one" / "model.onnx").read_bytes() == (tmp_path / "two" / "model.onnx").read_bytes()


class TestFaults:
    def failure(self, shards: Path, tmp_path: Path, *more: str) -> str:
        with pytest.raises(SystemExit) as caught:
            train.main(
                ["--train", str(shards), "--model-dir", str(tmp_path / "model"), "--epochs", "1", *more]
            )
        said = str(caught.value)
        assert said.startswith("training failed: ")
        assert "\n" not in said
        return said

    def test_channel_without_shards(self, tmp_path: Path) -> None:
        assert "no examples" in self.failure(tmp_path, tmp_path)

    @pytest.mark.parametrize(
        ("members", "said"),
        [
            ({"0.png": "image", "0.cls": b"10000"}, "0.cls says class 10000"),
            ({"0.png": "image", "0.cls": b"one"}, "0.cls holds b'one', not a number"),
            ({"0.png": "image"}, "0.png has no 0.cls"),
            ({"0.cls": b"0"}, "0.cls has no 0.png"),
            ({"0.png": "image", "1.png": "image", "0.cls": b"0"}, "0.png has no 0.cls beside it"),
            ({"0.png": "small", "0.cls": b"0"}, "0.png is 5x5"),
            ({"0.png": b"GIF89a", "0.cls": b"0"}, "0.png cannot be decoded"),
            ({"0.png": "image", "0.cls": b"0"}, "1 images are too few to hold 0.1 of them back"),
            ({"readme.txt": b"none here"}, "no examples; its shards are empty"),
        ],
    )
    def test_shard_that_preprocessing_would_not_write(
        self, members: dict[str, str | bytes], said: str, tmp_path: Path, examples: Examples
    ) -> None:
        image = examples.images[0]
        pictures = {"image": png_of(image), "small": png_of(image[:5, :5])}
        content = [(name, pictures[of] if isinstance(of, str) else of) for name, of in members.items()]
        write_tar(tmp_path / "shard-00000.tar", content)
        assert said in self.failure(tmp_path, tmp_path)

    def test_damaged_shard(self, shards: Path, tmp_path: Path) -> None:
        (tmp_path / "shard-00000.tar").write_bytes((shards / "shard-00000.tar").read_bytes()[:5000])
        assert "shard-00000.tar: cannot be read: unexpected end of data" in self.failure(tmp_path, tmp_path)

    def test_image_that_is_damaged_stops_a_streaming_job_too(
        self, tmp_path: Path, examples: Examples
    ) -> None:
        write_shards(tmp_path / "train", examples.images, examples.labels)
        write_tar(tmp_path / "train" / "shard-00009.tar", [("x.png", b"\x89PNG\r\n"), ("x.cls", b"0")])
        said = self.failure(tmp_path / "train", tmp_path, "--keep-mb", "0")
        assert "shard-00009.tar: x.png cannot be decoded" in said

    def test_training_image_without_the_exporter(
        self, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        assert "'onnx' is missing" in self.failure(shards, tmp_path)

    @pytest.mark.parametrize(
        ("option", "value", "said"),
        [
            ("--epochs", "0", "argument --epochs: must be at least 1"),
            ("--batch-size", "many", "argument --batch-size: invalid"),
            ("--learning-rate", "fast", "argument --learning-rate: invalid"),
            ("--learning-rate", "-1", "Invalid learning rate: -1"),
            ("--validation-share", "0.7", "must be above 0 and at most 0.5"),
            ("--keep-mb", "-1", "argument --keep-mb: must be a number of megabytes"),
            ("--learning_rate", "0.1", "no such hyperparameter; there are batch-size, checkpoints, epochs"),
        ],
    )
    def test_hyperparameter_that_makes_no_sense(
        self, option: str, value: str, said: str, shards: Path, tmp_path: Path
    ) -> None:
        assert said in self.failure(shards, tmp_path, f"{option}={value}")

    def test_tunings_own_hyperparameter_is_none_of_ours(self, tmp_path: Path) -> None:
        said = self.failure(tmp_path, tmp_path, "--_tuning_objective_metric", "validation:accuracy")
        assert "no examples" in said

    def test_loss_that_is_not_a_number(
        self, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        losses = contract.losses
        monkeypatch.setattr(contract, "losses", lambda *given: losses(*given) * float("inf"))
        said = self.failure(shards, tmp_path)
        assert "the loss is not a number after epoch 1; a smaller learning rate may help" in said

    @pytest.mark.parametrize(
        ("variables", "said"),
        [
            ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_ADDR, MASTER_PORT is not set; start with torchrun"),
            ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two'; torchrun sets a number"),
        ],
    )
    def test_incomplete_variables_of_torchrun(
        self,
        variables: dict[str, str],
        said: str,
        shards: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert said in self.failure(shards, tmp_path)
