"""From the sample script to a judged model: real data, real programs, no AWS between them (R14)."""

import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.lambda_src.conftest import ROOT, SPEC
from tests.lambda_src.dataset_world import World
from vision_runtime.manifest import Manifest, read_manifest

MODEL = ROOT / "model"
MODEL_PYTHON = ROOT / "build" / "envs" / "model" / "bin" / "python"
CLASSES = tuple(SPEC["classes"])
GATE = {
    "min_accuracy": 0.95,
    "min_class_recall": 0.5,
    "max_calibration_error": 0.2,
    "max_latency_p95_ms": None,
    "champion_metric": "accuracy",
    "max_regression": 0.02,
    "confidence": 0.95,
}


def write_sample(folder: Path, *options: str) -> Manifest:
    command = [sys.executable, str(MODEL / "sample_data.py"), "--out", str(folder), *options]
    subprocess.run(command, check=True, capture_output=True)
    return read_manifest((folder / "manifest.json").read_bytes(), CLASSES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: tmp_path_factory.mktemp(name) for name in ("all", "sample", "again")}


@pytest.fixture(scope="module")
def everything(folders: dict[str, Path]) -> Manifest:
    return write_sample(folders["all"])


@pytest.fixture(scope="module")
def sample(folders: dict[str, Path]) -> Manifest:
    return write_sample(folders["sample"], "--limit", "600")


class TestSample:
    def test_all_scans_are_written_and_a_quarter_is_holdout(self, everything: Manifest) -> None:
        assert len(everything.images) == 1797
        assert len(everything.of("holdout")) == 450

    def test_an_images_split_does_not_depend_on_the_limit(
        self, everything: Manifest, sample: Manifest
    ) -> None:
        assert set(sample.images) <= set(everything.images)

    def test_every_class_has_the_same_share_of_a_sample(self, sample: Manifest) -> None:
        counts = Counter((image.label, image.split) for image in sample.images)
        assert counts == Counter(
            {
                (label, split): {"train": 45, "holdout": 15}[split]
                for label in CLASSES
                for split in ("train", "holdout")
            }
        )

    def test_same_sample_has_the_same_bytes_and_another_one_another_version(
        self, folders: dict[str, Path], everything: Manifest, sample: Manifest
    ) -> None:
        write_sample(folders["again"], "--limit", "600")
        for path in folders["sample"].rglob("*.*"):
            assert (folders["again"] / path.relative_to(folders["sample"])).read_bytes() == path.read_bytes()
        assert sample.version != everything.version

    def test_limit_that_leaves_a_class_empty_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(subprocess.CalledProcessError) as caught:
            write_sample(tmp_path, "--limit", "15")
        assert b"--limit 15 is too small for 10 classes" in caught.value.stderr
        assert not list(tmp_path.iterdir())


def run_job(program: str, *arguments: str, **variables: str) -> None:
    """Run a job's program as its container does; its log shows when it fails."""
    command = [str(MODEL_PYTHON), str(MODEL / program), *arguments]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_sample_trains_a_model_that_passes_the_gate(  # noqa: PLR0917 - fixtures
    load_function: Callable[..., ModuleType],
    context: SimpleNamespace,
    world: World,
    sample: Manifest,
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3, world.folder, world.line = world.s3, "smoke/", "smoke"
    s3.objects.clear()
    for path in folders["sample"].rglob("*.*"):
        s3.objects["datasets", f"smoke/{path.relative_to(folders['sample'])}"] = path.read_bytes()
    run: dict[str, Any] = {"run_id": "run-1", "line": "smoke"}

    plan = world.call("plan_dataset")
    for batch in world.batches(plan):
        world.make(plan, batch["shards"])
    prepared = world.collect(plan)
    assert prepared["counts"] == {"train": 450, "validation": 0, "holdout": 150, "rejected": 0}
    for name, content in world.shards().items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    run_job("train.py", SM_CHANNEL_TRAIN=str(tmp_path / "train"), SM_MODEL_DIR=str(tmp_path / "model"))
    archive = tmp_path / "artifact" / "model.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(tmp_path / "model", ".")
    places = {"model": archive.parent, "holdout": tmp_path / "holdout", "output": tmp_path / "output"}
    arguments = (part for name, path in places.items() for part in (f"--{name}", str(path)))
    run_job("evaluate.py", "--run", "run-1", *arguments)

    s3.objects["artifacts", "evaluation.json"] = (tmp_path / "output" / "evaluation.json").read_bytes()
    gate = load_function("gate", GATE_SETTINGS=json.dumps(GATE))
    monkeypatch.setattr(gate, "s3", s3)
    decision = gate.handler(run | {"evaluation_uri": "s3://artifacts/evaluation.json"}, context)
    assert decision["passed"], decision["reasons"]
    assert json.loads(s3.objects["artifacts", "evaluation.json"])["count"] == 150
