"""Images come in the same batches wherever they come from, read once, in bounded memory."""

import os
import random
import sys
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from shards import Examples, ShardError, read_shards
from spec import ModelSpec
from splits import Limits, Splits, is_held_back, open_splits
from streaming import Batch, Share, Split, batch_sizes, shuffled

from tests.model.made_up import png_of, write_shards, write_tar

TENTH = Fraction(1, 10)
ALONE = Share()
ALL_KEPT = Limits(keep_bytes=10**9, shuffle_bytes=8_000, workers=2)
STREAMED = Limits(keep_bytes=0, shuffle_bytes=8_000, workers=2)


@pytest.fixture
def opened(shards: Path, spec: ModelSpec, tmp_path: Path) -> Callable[..., Splits]:
    """Opens the examples' shards, without a validation split unless one is given."""

    def opened(limits: Limits, train: Path = shards, validation: Path | None = None) -> Splits:
        scratch = Path(tempfile.mkdtemp(dir=tmp_path))
        return open_splits(
            train, validation=validation, held_back=TENTH, spec=spec, limits=limits, scratch=scratch
        )

    return opened


def batches(split: Split, seed: str | None = "1/1", share: Share = ALONE, size: int = 16) -> list[Batch]:
    return list(split.epoch(batch_sizes(split.count, size), share, seed))


def content(batches: list[Batch]) -> list[bytes]:
    return [batch.images.tobytes() + batch.labels.tobytes() for batch in batches]


def images(batches: list[Batch]) -> list[bytes]:
    return [image.tobytes() for batch in batches for image in batch.images]


def pair(number: int, pictures: list[bytes]) -> list[tuple[str, bytes]]:
    return [("png", pictures[number % len(pictures)]), ("cls", b"1")]


class TestOrder:
    def test_streamed_and_kept_images_come_in_the_same_batches(self, opened: Callable[..., Splits]) -> None:
        kept, streamed = opened(ALL_KEPT), opened(STREAMED)
        assert (kept.train.kept, streamed.train.kept) == (True, False)
        for epoch in ("1/1", "1/2"):
            assert content(batches(kept.train, epoch)) == content(batches(streamed.train, epoch))
        assert content(batches(kept.validation, None)) == content(batches(streamed.validation, None))

    def test_the_seed_decides(self, opened: Callable[..., Splits]) -> None:
        train = opened(STREAMED).train
        assert content(batches(train, "1/1")) == content(batches(train, "1/1"))
        assert content(batches(train, "1/1")) != content(batches(train, "1/2"))
        assert sorted(images(batches(train, "1/1"))) == sorted(images(batches(train, "1/2")))

    def test_images_leave_the_order_of_shards(self) -> None:
        shards = [range(0, 500), range(500, 1000)]
        order = list(shuffled(shards, lambda _: 1, random.Random(1), 200))  # noqa: S311
        assert sorted(order) == list(range(1000))
        moved = [abs(position - number % 500) for position, number in enumerate(order[:500])]
        assert np.mean(moved) > 80  # 200 of 500 wait at any time

    def test_processes_share_each_batch(self, opened: Callable[..., Splits]) -> None:
        train = opened(STREAMED).train
        whole = batches(train)
        parts = [batches(train, share=Share(rank, 3)) for rank in range(3)]
        for batch, *shares in zip(whole, *parts, strict=True):
            assert {share.total for share in shares} == {len(batch.labels)}
            np.testing.assert_array_equal(batch.images, np.concatenate([share.images for share in shares]))
            np.testing.assert_array_equal(batch.labels, np.concatenate([share.labels for share in shares]))

    @pytest.mark.parametrize(("count", "sizes"), [(10, [3, 3, 4]), (4, [4]), (5, [2, 3]), (8, [4, 4])])
    def test_no_batch_is_a_small_rest(self, count: int, sizes: list[int]) -> None:
        assert batch_sizes(count, 4) == sizes


class TestHoldingBack:
    def test_every_tenth_image_of_the_split_is_for_validation(
        self, opened: Callable[..., Splits], examples: Examples
    ) -> None:
        for limits in (ALL_KEPT, STREAMED):
            splits = opened(limits)
            assert images(batches(splits.validation, None)) == [i.tobytes() for i in examples.images[9::10]]
            assert (splits.train.count, splits.validation.count) == (108, 12)
            assert not set(images(batches(splits.train))) & set(images(batches(splits.validation, None)))

    def test_other_shares(self) -> None:
        held = [number for number in range(20) if is_held_back(number, Fraction(3, 20))]
        assert len(held) == 3
        assert sum(is_held_back(number, Fraction("0.29")) for number in range(100)) == 29

    def test_nothing_is_held_back_from_a_training_split_with_a_validation_split(
        self, opened: Callable[..., Splits], examples: Examples, tmp_path: Path
    ) -> None:
        validation = write_shards(tmp_path / "validation", examples.images[:5], examples.labels[:5])
        splits = opened(STREAMED, validation=validation)
        assert (splits.train.count, splits.validation.count) == (120, 5)
        assert images(batches(splits.validation, None)) == [image.tobytes() for image in examples.images[:5]]


class TestReading:
    def test_each_shard_is_opened_once_at_the_start_and_once_an_epoch(
        self, opened: Callable[..., Splits], shards: Path, openings: list[str]
    ) -> None:
        each = sorted(str(path) for path in shards.iterdir())
        assert len(each) == 3
        streamed = opened(STREAMED)
        assert openings == each
        for epoch in (1, 2):
            batches(streamed.train, f"1/{epoch}")
            batches(streamed.validation, None)
            assert sorted(openings) == sorted(each * (epoch + 1))

    def test_kept_images_are_never_read_again(
        self, opened: Callable[..., Splits], shards: Path, openings: list[str]
    ) -> None:
        kept = opened(ALL_KEPT)
        batches(kept.train)
        batches(kept.validation, None)
        assert openings == sorted(str(path) for path in shards.iterdir())

    @pytest.fixture
    def openings(self, shards: Path) -> Iterator[list[str]]:
        """The shards that are opened, in their order."""
        found: list[str] = []
        watching = True

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            if watching and event == "open" and str(arguments[0]).startswith(str(shards)):
                found.append(str(arguments[0]))

        sys.addaudithook(watch)
        yield found
        watching = False

    def test_nothing_is_sought_in_a_shard(
        self, shards: Path, spec: ModelSpec, examples: Examples, tmp_path: Path
    ) -> None:
        writers = []
        for path in sorted(shards.iterdir()):
            pipe = tmp_path / path.name  # cannot be read but from first byte to last
            os.mkfifo(pipe)
            writers.append(threading.Thread(target=pipe.write_bytes, args=(path.read_bytes(),)))
            writers[-1].start()
        read = read_shards(tmp_path, spec)
        for writer in writers:
            writer.join()
        np.testing.assert_array_equal(read.images, examples.images)
        np.testing.assert_array_equal(read.labels, examples.labels)

    def test_memory_is_bounded_however_much_there_is(self, tmp_path: Path) -> None:
        dice = np.random.default_rng(3)
        spec = ModelSpec("noise", 64, 64, 3, ("a", "b"))
        pictures = [png_of(dice.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(10)]
        for shard in range(3):
            members = [
                (f"{n}.{suffix}", content) for n in range(300) for suffix, content in pair(n, pictures)
            ]
            path = write_tar(tmp_path / "train" / f"shard-{shard:05d}.tar", members)
            assert path.stat().st_size > 3_700_000
        limits = Limits(keep_bytes=1_000_000, shuffle_bytes=1_000_000, workers=1)
        tracemalloc.start()
        try:
            splits = open_splits(
                tmp_path / "train",
                validation=None,
                held_back=TENTH,
                spec=spec,
                limits=limits,
                scratch=tmp_path,
            )
            assert not splits.train.kept
            seen = sum(
                len(batch.labels)
                for batch in splits.train.epoch(batch_sizes(splits.train.count, 8), ALONE, "1/1")
            )
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert seen == splits.train.count
        # Of 11 MB: what is kept until it does not fit, what waits, a portion of the images, reads of a shard.
        assert peak < 6_500_000

    @pytest.mark.parametrize(
        ("room", "kept"), [(120, (True, True)), (119, (True, False)), (107, (False, True))]
    )
    def test_budget_is_for_both_splits_together(
        self, room: int, kept: tuple[bool, bool], opened: Callable[..., Splits], spec: ModelSpec
    ) -> None:
        splits, all_kept = opened(Limits(room * spec.image_bytes, 8_000, 1)), opened(ALL_KEPT)
        assert (splits.train.kept, splits.validation.kept) == kept
        assert content(batches(splits.train)) == content(batches(all_kept.train))
        assert content(batches(splits.validation, None)) == content(batches(all_kept.validation, None))

    def test_shards_that_lose_images_while_training_are_named(
        self, opened: Callable[..., Splits], examples: Examples, tmp_path: Path
    ) -> None:
        folder = write_shards(tmp_path / "train", examples.images, examples.labels)
        train = opened(STREAMED, folder).train
        write_shards(folder, examples.images[:110], examples.labels[:110])
        with pytest.raises(ShardError, match="hold less than at the start of the job"):
            batches(train)

    def test_an_epoch_that_is_left_early_leaves_no_thread(self, opened: Callable[..., Splits]) -> None:
        train = opened(STREAMED).train
        before = threading.active_count()
        epoch = train.epoch(batch_sizes(train.count, 4), ALONE, "1/1")
        next(epoch)
        assert threading.active_count() > before
        epoch.close()
        assert threading.active_count() == before
