"""Collecting a prepared dataset: whole or not, what was left out, no holdout in training (R13, R14)."""

import hashlib
import io
import json
from types import SimpleNamespace

import pytest
from PIL import Image

from tests.lambda_src import odd_images as odd
from tests.lambda_src.dataset_world import ARTIFACTS, Functions, World
from vision_runtime.manifest import ManifestError


def spoil(world: World) -> None:
    """Four training images that are none, of three kinds."""
    world.add("film.png", "1", "train", odd.animated("PNG"))
    world.add("text.txt", "2", "train", b"a text")
    world.add("other.txt", "2", "train", b"another text")
    world.add("cut.png", "3", "train", world.content("images/001.png")[:-30])


class TestResult:
    def test_answer_says_what_was_prepared_and_where(self, world: World) -> None:
        result = world.prepare()
        folder = f"s3://{ARTIFACTS}/prepared/champion/{world.plan()['data_id']}/"
        assert result == {
            "dataset": {"name": "digits", "version": "v1"},
            "manifest_sha256": world.plan()["manifest_sha256"],
            "train_uri": f"{folder}train/",
            "validation_uri": "",
            "holdout_uri": f"{folder}holdout/",
            "prepared_uri": f"{folder}manifest.json",
            "report_uri": f"{folder}rejected.json",
            "counts": {"holdout": 20, "validation": 0, "train": 40, "rejected": 0},
            "rejected": {},
        }

    def test_validation_split_has_an_address_when_there_is_one(self, world: World) -> None:
        world.add("v.png", "1", "validation", odd.saved(odd.gradient(99, 12), "PNG"))
        result = world.prepare()
        assert result["validation_uri"].endswith("/validation/")
        assert result["counts"]["validation"] == 1
        assert list(world.shards("validation/")) == ["validation/shard-00000.tar"]

    def test_description_names_sizes_and_checksums_of_all_shards(self, world: World) -> None:
        spoil(world)
        result = world.prepare()
        document = world.document(result["prepared_uri"])
        assert document["schema"] == "vision.prepared/1"
        shards = world.shards()
        described = [shard for split in document["splits"].values() for shard in split["shards"]]
        assert {shard["name"] for shard in described} == set(shards)
        for shard in described:
            content = shards[shard["name"]]
            assert shard["bytes"] == len(content)
            assert shard["sha256"] == hashlib.sha256(content).hexdigest()
        train = document["splits"]["train"]
        assert train["images"] == sum(shard["images"] for shard in train["shards"]) == 40
        assert sum(train["per_class"].values()) == 40

    def test_repeating_all_changes_nothing(self, world: World) -> None:
        spoil(world)
        first = world.prepare()
        kept = dict(world.s3.objects)
        assert world.prepare() == first
        assert world.s3.objects == kept

    def test_holdout_is_frozen_with_the_first_version(self, world: World) -> None:
        world.prepare()
        (key, item), *others = world.table.items.items()
        assert not others
        assert key == ("HOLDOUT#digits", "HOLDOUT")
        assert item["images"] == {"N": "20"}
        assert item["version"] == {"S": "v1"}
        assert item["run_id"] == {"S": "run-1"}
        world.prepare()
        assert world.table.items == {key: item}

    def test_holdout_that_another_run_froze_meanwhile(self, world: World) -> None:
        plan = world.plan()
        for batch in world.batches(plan):
            world.make(plan, batch["shards"])
        world.prepare()
        world.table.items["HOLDOUT#digits", "HOLDOUT"]["holdout_sha256"] = {"S": "0" * 32}
        with pytest.raises(ValueError, match="was frozen with version 'v1'") as caught:
            world.collect(plan)
        assert type(caught.value).__name__ == "HoldoutChanged"


class TestRejectedImages:
    def test_a_few_are_counted_by_fault_reported_and_sampled(self, world: World) -> None:
        spoil(world)
        result = world.prepare()
        assert result["counts"] == {"holdout": 20, "validation": 0, "train": 40, "rejected": 4}
        assert result["rejected"] == {"animated": 1, "not-an-image": 2, "truncated": 1}
        report = world.document(result["report_uri"])
        assert report["counts"] == result["rejected"]
        assert report["tolerated"] == 4
        found = {image["key"]: image for image in report["images"]}
        assert set(found) == {"film.png", "text.txt", "other.txt", "cut.png"}
        assert found["text.txt"]["detail"].startswith("the first bytes are not those of")
        for key, image in found.items():
            bucket, _, place = image["quarantined"].removeprefix("s3://").partition("/")
            assert place.startswith(f"quarantine/champion/{world.plan()['data_id']}/{image['fault']}/")
            assert world.s3.objects[bucket, place] == world.content(key)

    def test_no_more_samples_than_set(
        self, functions: Functions, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for samples in (0, 1):
            monkeypatch.setattr(functions.modules["collect_dataset"], "samples", samples)
            world = World(functions, context)
            spoil(world)
            world.prepare()
            kept = [key for _, key in world.s3.objects if key.startswith("quarantine/")]
            assert len(kept) == 3 * samples

    def test_more_than_tolerated_stop_the_run_and_are_reported_all_the_same(self, world: World) -> None:
        spoil(world)
        world.add("more.txt", "2", "train", b"one text more")
        with pytest.raises(ValueError, match="5 of 45 images are not acceptable") as caught:
            world.prepare()
        assert type(caught.value).__name__ == "TooManyRejectedImages"
        assert "(1 animated, 3 not-an-image, 1 truncated) and 4 are tolerated" in str(caught.value)
        report = str(caught.value).rpartition(" ")[2]
        assert len(world.document(report)["images"]) == 5
        assert not world.table.items

    def test_class_whose_images_were_all_left_out_is_named(self, world: World) -> None:
        for image in world.ordered("train"):
            if image["label"] == "7":
                world.images.remove(image)
        world.add("last.png", "7", "train", b"not an image")
        with pytest.raises(ManifestError, match="no training image of '7' is acceptable"):
            world.prepare()


class TestWholeness:
    @pytest.mark.parametrize("lost", ["plan.json", "reports/train-00001.json", "train/shard-00001.tar"])
    @pytest.mark.parametrize("denied", [False, True])
    def test_what_is_missing_is_named(self, world: World, lost: str, denied: bool) -> None:
        world.s3.denies_the_missing = denied
        world.prepare()
        plan = world.plan()
        place = next(place for place in world.s3.objects if place[1].endswith(lost))
        del world.s3.objects[place]
        wanted = (
            "plan.json does not exist" if lost == "plan.json" else "1 of 5 shards .*train/shard-00001.tar"
        )
        with pytest.raises(ValueError, match=wanted) as caught:
            world.collect(plan)
        assert type(caught.value).__name__ == "ShardsMissing"

    @pytest.mark.parametrize("spoilt", ["shard", "report", "half of the report"])
    def test_what_is_not_whole_is_missing(self, world: World, spoilt: str) -> None:
        world.prepare()
        plan = world.plan()
        suffix = "train/shard-00001.tar" if spoilt == "shard" else "reports/train-00001.json"
        place = next(place for place in world.s3.objects if place[1].endswith(suffix))
        content = world.s3.objects[place]
        if spoilt != "report":
            world.s3.objects[place] = content[: len(content) // 2]
        else:
            report = json.loads(content)
            report["digests"].pop()
            world.s3.objects[place] = json.dumps(report).encode()
        with pytest.raises(ValueError, match="missing or not whole"):
            world.collect(plan)


class TestLeaks:
    @pytest.mark.parametrize("split", ["train", "validation"])
    def test_holdout_picture_saved_again_is_named(self, world: World, split: str) -> None:
        """Other bytes, other checksum, same picture."""
        with Image.open(io.BytesIO(world.content("images/000.png"))) as picture:
            again = odd.saved(picture, "PNG", compress_level=1)
        assert hashlib.sha256(again).hexdigest() != world.entry("images/000.png")["sha256"]
        world.add("images/again.png", "0", split, again)
        wanted = rf"'images/again.png' \({split}\) shows the same picture as 'images/000.png' \(holdout\)"
        with pytest.raises(ManifestError, match=wanted):
            world.prepare()
        assert not world.table.items

    def test_same_picture_twice_in_training_is_no_leak(self, world: World) -> None:
        with Image.open(io.BytesIO(world.content("images/001.png"))) as picture:
            world.add("again.png", "1", "train", odd.saved(picture, "PNG", compress_level=1))
        assert world.prepare()["counts"]["train"] == 41
