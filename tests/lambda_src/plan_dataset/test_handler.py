"""Planning a dataset: parts small enough for a batch, and datasets that are refused by name (R13)."""

import hashlib
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.lambda_src import odd_images as odd
from tests.lambda_src.conftest import ROOT
from tests.lambda_src.dataset_world import ARTIFACTS, DATASETS, Functions, World
from vision_runtime.manifest import ManifestError
from vision_runtime.prepared import recipe
from vision_runtime.run_event import EventError
from vision_runtime.spec import ModelSpec


def make_line_frozen(world: World) -> None:
    """The first version is prepared, and the next one begins."""
    world.prepare()
    before = {image["key"]: world.content(image["key"]) for image in world.images}
    world.folder, world.version = "datasets/digits/v2/", "v2"
    for key, content in before.items():
        world.s3.objects[DATASETS, world.folder + key] = content


class TestPlan:
    def test_answer_says_what_will_be_prepared_and_where(self, world: World) -> None:
        world.add("v.png", "1", "validation", odd.saved(odd.gradient(99, 12), "PNG"))
        plan = world.plan()
        checksum = hashlib.sha256(world.s3.objects[DATASETS, world.manifest]).hexdigest()
        folder = f"prepared/champion/{plan['data_id']}/"
        assert plan == {
            "dataset": {"name": "digits", "version": "v1"},
            "manifest_sha256": checksum,
            "data_id": plan["data_id"],
            "folder_uri": f"s3://{ARTIFACTS}/{folder}",
            "batches": {"bucket": ARTIFACTS, "key": f"{folder}batches.json"},
            "batch_count": 6,
            "counts": {"holdout": 20, "validation": 1, "train": 40},
        }
        assert len(plan["data_id"]) == 32

    def test_batches_name_every_shard_once_and_the_holdouts_first(
        self, world: World, functions: Functions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(functions.modules["plan_dataset"], "shards_per_batch", 2)
        plan = world.plan()
        batches = world.batches(plan)
        assert [len(batch["shards"]) for batch in batches] == [2, 2, 1]
        shards = [(shard["split"], shard["number"]) for batch in batches for shard in batch["shards"]]
        assert shards == [("holdout", 0), ("holdout", 1), ("train", 0), ("train", 1), ("train", 2)]

    def test_a_batch_reads_its_parts_and_not_the_manifest(self, world: World) -> None:
        plan = world.plan()
        world.s3.reads.clear()
        world.make(plan, [{"split": "train", "number": 2}])
        assert sum("/parts/" in key for key in world.s3.reads) == 1
        assert sum("/images/" in key for key in world.s3.reads) == 10
        assert not [key for key in world.s3.reads if "manifest" in key]

    def test_same_data_has_the_same_folder_whatever_the_run(self, world: World) -> None:
        first = world.plan()
        kept = dict(world.s3.objects)
        assert world.plan(run_id="run-2") == first
        assert world.s3.objects == kept

    @pytest.mark.parametrize("changed", ["the manifest", "SHARD_IMAGES", "REDACTION", "MODEL_SPEC"])
    def test_other_data_has_another_folder(
        self,
        world: World,
        load_function: Callable[..., ModuleType],
        context: SimpleNamespace,
        changed: str,
    ) -> None:
        settings = {
            "SHARD_IMAGES": {"SHARD_IMAGES": "16"},
            "REDACTION": {"REDACTION": "rekognition"},
            "MODEL_SPEC": {"MODEL_SPEC": (ROOT / "model" / "spec.json").read_text().replace("16", "24")},
        }.get(changed, {})
        other = World(Functions(load_function, **settings), context)
        if changed == "the manifest":
            other.version = "v1b"
        assert other.plan()["data_id"] != world.plan()["data_id"]

    def test_recipe_follows_the_decoders_and_the_rules(self, monkeypatch: pytest.MonkeyPatch) -> None:
        spec = ModelSpec.from_json((ROOT / "model" / "spec.json").read_text())
        recipes = {recipe(spec, "none"), recipe(spec, "rekognition")}
        monkeypatch.setattr("PIL.__version__", "99.0")
        recipes.add(recipe(spec, "none"))
        monkeypatch.setattr("vision_runtime.images.rules.VERSION", 99)
        recipes.add(recipe(spec, "none"))
        assert len(recipes) == 4


class TestRefusedDatasets:
    def test_class_missing_in_the_holdout_is_named(self, world: World) -> None:
        world.images = [
            image for image in world.images if (image["label"], image["split"]) != ("4", "holdout")
        ]
        with pytest.raises(ManifestError, match="class '4' has no image in the split 'holdout'"):
            world.plan()

    def test_same_file_in_training_and_holdout(self, world: World) -> None:
        world.add("again.png", "0", "train", world.content("images/000.png"))
        with pytest.raises(ManifestError, match=r"'images/000.png' \(holdout\) and 'again.png' \(train\)"):
            world.plan()

    @pytest.mark.parametrize("denied", [False, True])
    def test_missing_manifest_is_named(self, world: World, denied: bool) -> None:
        world.s3.denies_the_missing = denied
        with pytest.raises(ManifestError, match=r"manifest_uri: s3://datasets/else.json does not exist"):
            world.plan(manifest_uri="s3://datasets/else.json")

    def test_address_that_is_none(self, world: World) -> None:
        with pytest.raises(ManifestError, match=r"manifest_uri: .*must be s3://bucket/key"):
            world.plan(manifest_uri="datasets/manifest.json")

    def test_event_with_a_wrong_field_names_it(self, world: World) -> None:
        with pytest.raises(EventError, match="line: "):
            world.plan(line="canary")


class TestFrozenHoldout:
    def test_next_version_with_the_same_holdout_goes_on(self, world: World) -> None:
        make_line_frozen(world)
        for number in range(80, 90):
            world.add(f"more/{number}.png", "3", "train", odd.saved(odd.gradient(number, 9, "L"), "PNG"))
        assert world.prepare()["counts"]["train"] == 50

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ("left out", r"1 left out \('images/030.png'\)"),
            ("moved", r"1 moved to another split \('images/030.png'\)"),
            ("labelled anew", r"1 labelled anew \('images/030.png'\)"),
            ("new", r"1 new \('new.png'\)"),
        ],
    )
    def test_another_holdout_stops_the_run_and_says_what_changed(
        self, world: World, change: str, named: str
    ) -> None:
        make_line_frozen(world)
        image = world.entry("images/030.png")
        spare = odd.saved(odd.gradient(150, 9, "L"), "PNG")
        if change == "left out":
            world.images.remove(image)
            world.add("images/other.png", "0", "train", spare)
        elif change == "moved":
            image["split"] = "train"
        elif change == "labelled anew":
            image["label"] = "1"
        else:
            world.add("new.png", "0", "holdout", spare)
        if change in ("left out", "moved", "labelled anew"):
            # Another holdout image of the class existed before: the classes stay complete.
            assert [i for i in world.images if (i["label"], i["split"]) == ("0", "holdout")]
        with pytest.raises(ValueError, match=named) as caught:
            world.plan()
        assert type(caught.value).__name__ == "HoldoutChanged"
        assert "was frozen with version 'v1'" in str(caught.value)

    def test_first_manifest_may_be_gone(self, world: World) -> None:
        make_line_frozen(world)
        del world.s3.objects[DATASETS, "datasets/digits/v1/manifest.json"]
        world.entry("images/030.png")["label"] = "1"
        with pytest.raises(ValueError, match="publish the dataset under another name") as caught:
            world.plan()
        assert type(caught.value).__name__ == "HoldoutChanged"

    def test_first_version_with_a_broken_holdout_image_can_be_repaired(self, world: World) -> None:
        world.add("broken.png", "1", "holdout", b"not an image")
        with pytest.raises(ManifestError):
            world.prepare()
        world.images.remove(world.entry("broken.png"))
        assert world.prepare()["counts"]["holdout"] == 20

    def test_smoke_line_freezes_nothing(self, world: World) -> None:
        world.line = "smoke"
        world.prepare()
        assert not world.table.items
        world.entry("images/030.png")["label"] = "1"
        assert world.prepare()["counts"]["holdout"] == 20


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SHARD_IMAGES", "0"), ("SHARDS_PER_BATCH", "many"), ("LINEAGE_TABLE", ""), ("REDACTION", "")],
)
def test_wrong_variable_is_named(load_function: Callable[..., ModuleType], variable: str, value: Any) -> None:
    with pytest.raises(RuntimeError, match=f"environment variable {variable} is"):
        Functions(load_function, **{variable: value})
