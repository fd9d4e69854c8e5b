"""Tells a team whether its model keeps the contract of `model/contract.py` (R18)."""

from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import get_type_hints

import arguments
import contract
import numpy as np
import pytest
import torch
from checkpoints import Checkpoints, state_of
from distributed import processes
from export import export_onnx
from fitting import EpochReport, Fitting, Settings
from predictor import Predictor
from shards import Examples
from spec import ModelSpec, read_spec
from splits import Limits, open_splits

from tests.model.conftest import MODEL
from vision_runtime.spec import ModelSpec as DeclaredSpec

SETTINGS = Settings(epochs=6, batch_size=16, seed=3)
PARAMETERS = contract.Hyperparameters()


def train_once(spec: ModelSpec, shards: Path, folder: Path) -> tuple[torch.nn.Module, list[EpochReport]]:
    """As train.py does it, in this process; the last checkpoints lie in `folder`."""
    torch.manual_seed(SETTINGS.seed)
    limits = Limits(keep_bytes=10**8, shuffle_bytes=10**8, workers=1)
    splits = open_splits(
        shards, validation=None, held_back=Fraction(1, 10), spec=spec, limits=limits, scratch=folder
    )
    with processes() as alone:
        fitting = Fitting(contract.build_model(spec), splits, SETTINGS, PARAMETERS, alone)
        return fitting.model, list(fitting.epochs(Checkpoints(folder, {})))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fitted")


@pytest.fixture(scope="module")
def fitted(spec: ModelSpec, shards: Path, folder: Path) -> tuple[torch.nn.Module, list[EpochReport]]:
    return train_once(spec, shards, folder)


@pytest.fixture(scope="module")
def exported(
    fitted: tuple[torch.nn.Module, list[EpochReport]],
    spec: ModelSpec,
    tmp_path_factory: pytest.TempPathFactory,
) -> Predictor:
    folder = tmp_path_factory.mktemp("exported")
    export_onnx(fitted[0], spec, folder / "model.onnx")
    (folder / "spec.json").write_bytes((MODEL / "spec.json").read_bytes())
    return Predictor.load(folder)  # refuses a model whose inputs and outputs are not those of the contract


class TestSpec:
    def test_spec_is_one_that_the_platform_accepts(self) -> None:
        assert DeclaredSpec.from_json((MODEL / "spec.json").read_text())

    def test_platform_and_model_read_the_same_from_it(self, spec: ModelSpec) -> None:
        declared = DeclaredSpec.from_json((MODEL / "spec.json").read_text())
        assert (spec.name, spec.classes, spec.image_bytes) == (
            declared.name,
            declared.classes,
            declared.input.byte_count,
        )
        assert (spec.width, spec.height, spec.channels) == (
            declared.input.width,
            declared.input.height,
            declared.input.channels,
        )

    def test_a_missing_spec_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"spec.json: no such file"):
            read_spec(tmp_path / "spec.json")


class TestHyperparameters:
    def test_each_is_an_argument_of_the_training_job(self) -> None:
        given = [
            text
            for field in fields(PARAMETERS)
            for text in (f"--{field.name.replace('_', '-')}", str(getattr(PARAMETERS, field.name)))
        ]
        assert arguments.parse(given, contract.Hyperparameters, "").parameters == PARAMETERS

    def test_they_are_numbers_or_texts(self) -> None:
        assert set(get_type_hints(contract.Hyperparameters).values()) <= {int, float, str}


class TestBuildModel:
    @pytest.mark.parametrize("count", [1, 2, 7])
    def test_raw_images_give_a_logit_for_every_class(
        self, spec: ModelSpec, examples: Examples, count: int
    ) -> None:
        model = contract.build_model(spec).eval()
        with torch.no_grad():
            logits = model(torch.from_numpy(examples.images[:count]))
        assert logits.shape == (count, len(spec.classes))
        assert torch.isfinite(logits).all()

    @pytest.mark.parametrize("value", [0, 255])
    def test_extreme_images_are_no_special_case(self, spec: ModelSpec, value: int) -> None:
        image = torch.full((1, spec.height, spec.width, spec.channels), value, dtype=torch.uint8)
        with torch.no_grad():
            assert torch.isfinite(contract.build_model(spec).eval()(image)).all()


class TestAugment:
    def test_form_and_type_stay_and_the_generator_decides(self, examples: Examples) -> None:
        images = torch.from_numpy(examples.images[:8])
        once, again = (contract.augment(images, torch.Generator().manual_seed(5)) for _ in range(2))
        assert (once.shape, once.dtype) == (images.shape, torch.uint8)
        assert torch.equal(once, again)


class TestLosses:
    def test_each_image_has_its_own_whatever_is_beside_it(self, spec: ModelSpec) -> None:
        logits = torch.randn(6, len(spec.classes), generator=torch.Generator().manual_seed(1))
        labels = torch.arange(6) % len(spec.classes)
        together = contract.losses(logits, labels, PARAMETERS)
        alone = torch.cat(
            [contract.losses(logits[i : i + 1], labels[i : i + 1], PARAMETERS) for i in range(6)]
        )
        assert together.shape == (6,)
        torch.testing.assert_close(together, alone)


class TestTraining:
    def test_every_epoch_is_reported(self, fitted: tuple[torch.nn.Module, list[EpochReport]]) -> None:
        assert [report.epoch for report in fitted[1]] == list(range(1, SETTINGS.epochs + 1))
        for report in fitted[1]:
            assert 0.0 <= report.train_accuracy <= 1.0
            assert 0.0 <= report.validation_accuracy <= 1.0

    def test_training_learns(self, fitted: tuple[torch.nn.Module, list[EpochReport]]) -> None:
        first, *_, last = fitted[1]
        assert last.train_loss < first.train_loss * 0.8

    def test_same_seed_gives_the_same_model(
        self,
        fitted: tuple[torch.nn.Module, list[EpochReport]],
        spec: ModelSpec,
        shards: Path,
        tmp_path: Path,
    ) -> None:
        again, _ = train_once(spec, shards, tmp_path)
        for name, values in fitted[0].state_dict().items():
            assert torch.equal(values, again.state_dict()[name]), name

    @pytest.mark.usefixtures("fitted")
    def test_a_checkpoint_can_be_read_back(self, folder: Path) -> None:
        content = Checkpoints(folder, {}).newest()
        assert content is not None
        assert state_of(content)["epoch"] == SETTINGS.epochs


class TestExport:
    def test_served_answers_are_the_trained_models(
        self,
        exported: Predictor,
        fitted: tuple[torch.nn.Module, list[EpochReport]],
        examples: Examples,
    ) -> None:
        with torch.no_grad():
            logits = fitted[0].eval()(torch.from_numpy(examples.images))
        expected = torch.softmax(logits, dim=1).numpy()
        np.testing.assert_allclose(exported.probabilities(examples.images), expected, atol=1e-4)

    def test_probabilities_sum_to_one(self, exported: Predictor, examples: Examples) -> None:
        sums = exported.probabilities(examples.images).sum(axis=1)
        np.testing.assert_allclose(sums, 1.0, atol=1e-5)

    def test_an_image_is_answered_alike_alone_and_in_a_batch(
        self, exported: Predictor, examples: Examples
    ) -> None:
        batch = exported.probabilities(examples.images[:9])
        alone = np.concatenate([exported.probabilities(examples.images[i : i + 1]) for i in range(9)])
        np.testing.assert_allclose(batch, alone, atol=1e-5)
