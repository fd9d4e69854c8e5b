"""Preparing batches of a dataset: the same bytes whatever happens, and faults by name (R13, R14)."""

import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from PIL import Image

from tests.lambda_src import odd_images as odd
from tests.lambda_src.conftest import SPEC
from tests.lambda_src.dataset_world import ARTIFACTS, DATASETS, Functions, World
from vision_runtime.images import to_model_input
from vision_runtime.manifest import ManifestError
from vision_runtime.run_event import EventError
from vision_runtime.spec import InputSpec

INPUT = InputSpec(SPEC["input"]["width"], SPEC["input"]["height"], SPEC["input"]["channels"])


def settled(world: World) -> dict[str, bytes]:
    world.prepare()
    return world.shards()


class TestShards:
    def test_hold_what_serving_would_make_of_the_same_file(self, world: World) -> None:
        odd_ones = [
            odd.saved(odd.gradient(133, 90), "JPEG", progressive=True),
            odd.saved(odd.gradient(133, 90, "CMYK"), "JPEG", icc_profile=odd.cmyk_profile()),
            odd.saved(odd.gradient(100, 40, "RGBA"), "WEBP"),
            odd.png_16_bit([number * 4000 for number in range(16)]),
            *[odd.with_orientation(odd.gradient(40, 70), value, "JPEG") for value in range(1, 9)],
        ]
        for number, content in enumerate(odd_ones):
            world.add(f"odd/{number}", str(number % 10), "train", content)
        world.prepare()
        for split in ("train", "holdout"):
            members = world.members(split)
            images = world.ordered(split)
            assert list(members) == [
                f"{number:08d}.{kind}" for number in range(len(images)) for kind in ("png", "cls")
            ]
            for number, image in enumerate(images):
                assert members[f"{number:08d}.cls"] == image["label"].encode()
                with Image.open(io.BytesIO(members[f"{number:08d}.png"])) as prepared:
                    assert prepared.tobytes() == to_model_input(world.content(image["key"]), INPUT)

    def test_mix_the_classes_even_when_keys_begin_with_them(self, world: World) -> None:
        images = sorted(world.images, key=lambda image: image["label"])
        world.images.clear()
        for image in images:
            content = world.content(image["key"])
            world.add(f"{image['label']}/{image['sha256'][:8]}.png", image["label"], image["split"], content)
        world.prepare()
        first = list(world.members("train").items())[1:30:2]
        assert len({content for _, content in first}) > 4

    def test_no_metadata_gets_in(self, world: World) -> None:
        exif = Image.Exif()
        exif[0x010E] = "a secret caption"
        for split in ("train", "holdout"):
            content = odd.saved(odd.gradient(20, 30 + len(split)), "JPEG", exif=exif)
            assert b"secret" in content
            world.add(f"{split}.jpg", "1", split, content)
        world.prepare()
        made = [content for (bucket, _), content in world.s3.objects.items() if bucket == ARTIFACTS]
        assert made
        assert not any(b"secret" in content for content in made)
        for name, png in world.members("train").items():
            if name.endswith(".png"):
                assert {kind for kind, _ in odd.png_chunks(png)} == {b"IHDR", b"IDAT", b"IEND"}


class TestSameBytes:
    """Shards depend on their images, the spec and the rules, and on nothing else."""

    @pytest.mark.parametrize("seed", [1, 2])
    def test_in_any_order_of_batches_and_of_the_manifest(
        self, world: World, functions: Functions, context: SimpleNamespace, seed: int
    ) -> None:
        other = World(functions, context)
        other.images.reverse()
        other.prepare(shuffled=seed)
        assert other.shards() == settled(world)

    def test_in_batches_of_any_size(
        self,
        world: World,
        functions: Functions,
        context: SimpleNamespace,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        wanted = settled(world)
        for size in (2, 50):
            monkeypatch.setattr(functions.modules["plan_dataset"], "shards_per_batch", size)
            assert settled(World(functions, context)) == wanted

    def test_when_a_batch_is_repeated_after_it_broke_off(
        self, world: World, functions: Functions, context: SimpleNamespace
    ) -> None:
        """S3 fails in the middle of each shard, at each image once."""
        wanted = settled(World(functions, context))
        plan = world.plan()
        read, failed = world.s3.get_object, set[str]()

        def unreliable(*, Bucket: str, Key: str) -> dict[str, Any]:
            if Bucket == DATASETS and Key not in failed and len(failed) < 20:
                failed.add(Key)
                raise ClientError({"Error": {"Code": "SlowDown", "Message": "Reduce"}}, "GetObject")
            return read(Bucket=Bucket, Key=Key)

        world.s3.get_object = unreliable  # type: ignore[method-assign]
        broken = 0
        for batch in world.batches(plan):
            while True:
                try:
                    world.make(plan, batch["shards"])
                    break
                except ClientError:
                    broken += 1
        world.collect(plan)
        assert broken > 1
        assert world.shards() == wanted

    def test_in_a_shard_that_is_sent_in_pieces(
        self, world: World, functions: Functions, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wanted = settled(World(functions, context))
        upload = functions.modules["preprocess"].make_shard.__globals__["Upload"]
        monkeypatch.setitem(upload.write.__globals__, "PIECE_BYTES", 3000)
        assert settled(world) == wanted
        assert not world.s3.uploads

    def test_upload_that_broke_off_leaves_nothing(
        self, world: World, functions: Functions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload = functions.modules["preprocess"].make_shard.__globals__["Upload"]
        monkeypatch.setitem(upload.write.__globals__, "PIECE_BYTES", 3000)
        world.add("broken.png", "1", "holdout", b"not an image")
        number = [image["key"] for image in world.ordered("holdout")].index("broken.png") // 15
        plan = world.plan()
        with pytest.raises(ManifestError):
            world.make(plan, [{"split": "holdout", "number": number}])
        assert not world.s3.uploads
        assert not world.shards()
        assert not [key for _, key in world.s3.objects if "/reports/" in key]


class TestResuming:
    def test_finished_shards_are_not_made_again(self, world: World) -> None:
        plan = world.plan()
        first, second, *_ = world.batches(plan)
        assert world.make(plan, first["shards"]) == {"made": 1, "skipped": 0}
        world.s3.reads.clear()
        both = first["shards"] + second["shards"]
        assert world.make(plan, both) == {"made": 1, "skipped": 1}
        assert len([key for key in world.s3.reads if "/images/" in key]) == 5  # of the second alone

    def test_a_second_run_finds_all_of_the_first(self, world: World) -> None:
        world.prepare()
        plan = world.plan(run_id="run-2")
        shards = [shard for batch in world.batches(plan) for shard in batch["shards"]]
        assert world.make(plan, shards) == {"made": 0, "skipped": len(shards)}

    @pytest.mark.parametrize(("days", "skipped"), [(14, 1), (16, 0)])
    def test_shard_that_might_expire_during_the_run_is_made_again(
        self, world: World, days: int, skipped: int
    ) -> None:
        """30 days are kept: half of them must be left."""
        plan = world.plan()
        shards = world.batches(plan)[0]["shards"]
        world.make(plan, shards)
        past = datetime.now(UTC) - timedelta(days=days)
        world.s3.written = dict.fromkeys(world.s3.written, past)
        assert world.make(plan, shards)["skipped"] == skipped

    @pytest.mark.parametrize("lost", ["report", "half of the report", "shard", "half of the shard"])
    def test_shard_that_is_not_whole_is_made_again(self, world: World, lost: str) -> None:
        plan = world.plan()
        shards = world.batches(plan)[0]["shards"]
        world.make(plan, shards)
        kept = dict(world.s3.objects)
        suffix = "reports/holdout-00000.json" if lost.endswith("report") else "holdout/shard-00000.tar"
        place = next(place for place in kept if place[1].endswith(suffix))
        if lost.startswith("half"):
            world.s3.objects[place] = kept[place][: len(kept[place]) // 2]
        else:
            del world.s3.objects[place]
        assert world.make(plan, shards) == {"made": 1, "skipped": 0}
        assert world.s3.objects == kept

    def test_plan_of_other_code_is_refused(self, world: World) -> None:
        plan = world.plan()
        part = next(place for place in world.s3.objects if place[1].endswith("parts/train-00000.json"))
        document = json.loads(world.s3.objects[part])
        world.s3.objects[part] = json.dumps(document | {"recipe": "0" * 32}).encode()
        with pytest.raises(ValueError, match="start the run again") as caught:
            world.make(plan, [{"split": "train", "number": 0}])
        assert type(caught.value).__name__ == "PlanOutdated"


class TestFaults:
    @pytest.mark.parametrize("denied", [False, True])
    def test_all_missing_and_changed_images_of_a_shard_are_named_at_once(
        self, world: World, denied: bool
    ) -> None:
        world.s3.denies_the_missing = denied
        missing, changed = (image["key"] for image in world.ordered("train")[:2])
        del world.s3.objects[DATASETS, world.folder + missing]
        world.s3.objects[DATASETS, world.folder + changed] = odd.saved(odd.gradient(9, 9), "PNG")
        plan = world.plan()
        with pytest.raises(ManifestError, match="does not exist") as caught:
            world.make(plan, [{"split": "train", "number": 0}])
        assert f"{missing!r}: s3://" in str(caught.value)
        assert f"{changed!r}: sha256 is " in str(caught.value)

    def test_image_of_too_many_bytes_is_not_read(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        key = world.ordered("train")[0]["key"]
        read = world.s3.get_object

        def vast(*, Bucket: str, Key: str) -> dict[str, Any]:
            found = read(Bucket=Bucket, Key=Key)
            return found | ({"ContentLength": 1 << 40} if Key.endswith(key) else {})

        monkeypatch.setattr(world.s3, "get_object", vast)
        assert world.prepare()["rejected"] == {"too-many-bytes": 1}

    def test_broken_holdout_images_are_never_left_out(self, world: World) -> None:
        world.add("images/broken.png", "1", "holdout", b"not an image")
        with pytest.raises(
            ManifestError, match=r"'images/broken.png' is holdout and not acceptable: not-an-image"
        ):
            world.prepare()

    def test_rejected_image_leaves_a_gap_and_changes_no_other(
        self, world: World, functions: Functions, context: SimpleNamespace
    ) -> None:
        good = World(functions, context)
        victim = good.ordered("train")[3]
        good.prepare()
        wanted = good.members("train")
        # The same place among the others, but not an image any more.
        world.s3.objects[DATASETS, world.folder + victim["key"]] = b""
        plan = world.plan()
        part = next(place for place in world.s3.objects if place[1].endswith("parts/train-00000.json"))
        empty = hashlib.sha256(b"").hexdigest().encode()
        world.s3.objects[part] = world.s3.objects[part].replace(victim["sha256"].encode(), empty)
        world.make(plan, [{"split": "train", "number": number} for number in range(3)])
        assert world.members("train") == {
            name: content for name, content in wanted.items() if not name.startswith("00000003.")
        }

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"line": "canary"}, "line: "),
            ({"shards": []}, "shards: "),
            ({"shards": [{"split": "test", "number": 0}]}, r"shards\.0\.split: "),
            ({"shards": [{"split": "train", "number": -1}]}, r"shards\.0\.number: "),
            ({"folder_uri": "s3://artifacts/models/champion/x/"}, "folder_uri: .*prepared/champion/"),
            ({"folder_uri": "s3://artifacts/prepared/smoke/x/"}, "folder_uri: .*prepared/champion/"),
        ],
    )
    def test_wrong_field_of_the_event_is_named(
        self, world: World, fields: dict[str, Any], named: str
    ) -> None:
        good = {
            "folder_uri": "s3://artifacts/prepared/champion/x/",
            "shards": [{"split": "train", "number": 0}],
        }
        with pytest.raises(EventError, match=named):
            world.call("preprocess", **good | fields)
