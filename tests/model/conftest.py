"""What these tests share: made-up examples for whatever spec.json declares, and a model trained on them.

They run in the model's environment: `build/envs/model/bin/python -m pytest tests/model`.
"""

import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
# Another folder in its place: the contract's tests are run for the second model too.
MODEL = Path(os.environ.get("MODEL_FOLDER", ROOT / "model"))
os.environ["OMP_NUM_THREADS"] = "1"  # torch's threads wait for each other on a busy machine
sys.path.insert(0, str(MODEL))  # as in the job and in the container, where the folder is the program

from shards import Examples  # noqa: E402
from spec import ModelSpec, read_spec  # noqa: E402

from tests.model import made_up  # noqa: E402


@pytest.fixture(scope="session")
def spec() -> ModelSpec:
    return read_spec(MODEL / "spec.json")


@pytest.fixture(scope="session")
def examples(spec: ModelSpec) -> Examples:
    """Twelve images a class: the class's own blocky pattern, moved in brightness, under noise."""
    dice = np.random.default_rng(24)
    shape = (spec.height, spec.width, spec.channels)
    coarse = dice.integers(0, 2, (len(spec.classes), 4, 4, 1)) * 160
    rows, columns = (np.arange(side) * 4 // side for side in shape[:2])
    patterns = coarse[:, rows][:, :, columns] + np.zeros(shape, dtype=int)
    labels = np.repeat(np.arange(len(spec.classes)), 12)
    brightness = dice.integers(0, 40, (len(labels), 1, 1, 1))
    noise = dice.integers(0, 40, (len(labels), *shape))
    order = dice.permutation(len(labels))  # as in shards: the classes come mixed
    images = (patterns[labels] + brightness + noise).astype(np.uint8)
    return Examples(images[order], labels.astype(np.int64)[order])


@pytest.fixture(scope="session")
def write_shards() -> Callable[[Path, Examples], Path]:
    """Writes examples as the preprocessing step does, some to a shard."""

    def write(folder: Path, examples: Examples) -> Path:
        return made_up.write_shards(folder, examples.images, examples.labels)

    return write


@pytest.fixture(scope="session")
def shards(
    tmp_path_factory: pytest.TempPathFactory,
    examples: Examples,
    write_shards: Callable[[Path, Examples], Path],
) -> Path:
    """The examples as a channel of the training job."""
    return write_shards(tmp_path_factory.mktemp("channel") / "train", examples)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, shards: Path) -> Path:
    """The folder that a training job leaves: model.onnx and spec.json."""
    import train

    folder = tmp_path_factory.mktemp("trained")
    train.main(["--train", str(shards), "--model-dir", str(folder / "model"), "--epochs", "6"])
    return folder / "model"


@pytest.fixture(scope="session")
def model_archive(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the evaluation job gets: model.tar.gz, as SageMaker packs it."""
    folder = tmp_path_factory.mktemp("archive")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        for name in ("model.onnx", "spec.json"):
            archive.add(trained / name, name)
    return folder
