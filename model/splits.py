"""Opens a job's training and validation images: counts them, holds some back, and keeps them where they fit.

Each shard is read once here, before any time is spent on training: faults of names and classes show, and the
number of steps is known to the schedule. What fits into the budget stays decoded and is not read again.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path

from shards import Encoded, ShardError, decode, read_encoded, shard_paths
from spec import ModelSpec
from streaming import Array, Kept, Split, Streamed, StreamedShard, size_of

DECODED_AT_ONCE = 64  # images in one thread
HELD_BACK = "held-back.tar"


@dataclass(frozen=True)
class Limits:
    """Bytes for decoded images that are kept, bytes for encoded ones that wait to be shuffled; threads."""

    keep_bytes: int
    shuffle_bytes: int
    workers: int


@dataclass(frozen=True)
class Splits:
    """What a job learns from, and what it measures itself with."""

    train: Split
    validation: Split


def is_held_back(number: int, share: Fraction) -> bool:
    """Whether training image `number` (from 0) is for validation: at a share of 1/10 every tenth is."""
    return (number + 1) * share // 1 > number * share // 1


def open_splits(
    train: Path,
    *,
    validation: Path | None,
    held_back: Fraction,
    spec: ModelSpec,
    limits: Limits,
    scratch: Path,
) -> Splits:
    """Read the folders; without one for validation, the share `held_back` of the training images is that.

    `scratch` gets those that are held back, so that no shard is read twice an epoch; it must stay until the
    splits are used no more. Raises ShardError for a folder without images and for faults of single ones.
    """
    with ThreadPoolExecutor(limits.workers) as pool:
        opening = _Opening(spec, limits, pool)
        if validation is None:
            return opening.divide(train, held_back, scratch / HELD_BACK)
        return Splits(opening.whole(train), opening.whole(validation))


class _Opening:
    def __init__(self, spec: ModelSpec, limits: Limits, pool: Executor) -> None:
        self._spec, self._limits, self._pool = spec, limits, pool
        self._budget = _Budget(limits.keep_bytes)

    def whole(self, folder: Path) -> Split:
        """All images of a folder."""
        paths, found = shard_paths(folder), self._nothing_yet()
        for path in paths:
            for images in self._portions(path):
                found.add(images)
            found.end_shard()
        return self._split(found, [StreamedShard(path, self._spec, _all) for path in paths], folder)

    def divide(self, folder: Path, share: Fraction, aside: Path) -> Splits:
        """The images of a folder without those that are held back, and these."""
        train, validation, parts = self._nothing_yet(), self._nothing_yet(), list[StreamedShard]()
        number = 0
        with tarfile.open(aside, "w|") as tar:
            for path in shard_paths(folder):
                parts.append(StreamedShard(path, self._spec, partial(_is_trained_on, number, share)))
                for images in self._portions(path):
                    held = [is_held_back(each, share) for each in range(number, number + len(images))]
                    number += len(images)
                    train.add([image for image, is_held in zip(images, held, strict=True) if not is_held])
                    for_validation = [image for image, is_held in zip(images, held, strict=True) if is_held]
                    validation.add(for_validation)
                    for image in for_validation:
                        _put(tar, image)
                train.end_shard()
        validation.end_shard()
        if train.count and not validation.count:
            raise ShardError(
                f"{folder}: {train.count} images are too few to hold {float(share):g} of them back; "
                "declare a validation split"
            )
        held_back = [StreamedShard(aside, self._spec, _all)]
        return Splits(self._split(train, parts, folder), self._split(validation, held_back, folder))

    def _nothing_yet(self) -> _Found:
        return _Found(self._spec, self._pool, self._budget)

    def _portions(self, path: Path) -> Iterator[list[Encoded]]:
        images = read_encoded(path, self._spec)
        while portion := list(islice(images, DECODED_AT_ONCE * self._limits.workers)):
            yield portion

    def _split(self, found: _Found, parts: list[StreamedShard], folder: Path) -> Split:
        if found.count == 0:
            raise ShardError(f"{folder}: no examples; its shards are empty")
        source = found.kept or Streamed(parts, self._spec)
        return Split(source, found.count, str(folder), self._limits.shuffle_bytes, self._limits.workers)


class _Budget:
    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> bool:
        """Take so many bytes; False when they are not there."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        self._left += size


class _Found:
    """The images of one split while they are read: how many, and they themselves while the budget lasts."""

    def __init__(self, spec: ModelSpec, pool: Executor, budget: _Budget) -> None:
        self.count = 0
        self.kept: Kept | None = Kept()
        self._spec, self._pool, self._budget = spec, pool, budget

    def add(self, images: list[Encoded]) -> None:
        self.count += len(images)
        if self.kept is None:
            return
        if not self._budget.take(len(images) * self._spec.image_bytes):
            self._budget.give_back(len(self.kept.labels) * self._spec.image_bytes)
            self.kept = None
            return
        portions = [images[at : at + DECODED_AT_ONCE] for at in range(0, len(images), DECODED_AT_ONCE)]
        for decoded in self._pool.map(self._decoded, portions):
            self.kept.images += decoded
        self.kept.labels += [image.label for image in images]
        self.kept.sizes += [size_of(image) for image in images]

    def end_shard(self) -> None:
        if self.kept is not None:
            self.kept.ends.append(len(self.kept.labels))

    def _decoded(self, images: list[Encoded]) -> list[Array]:
        return [decode(image, self._spec) for image in images]


def _all(_: int) -> bool:
    return True


def _is_trained_on(first: int, share: Fraction, number: int) -> bool:
    return not is_held_back(first + number, share)


def _put(tar: tarfile.TarFile, image: Encoded) -> None:
    for suffix, content in (("png", image.png), ("cls", str(image.label).encode())):
        member = tarfile.TarInfo(f"{image.shard.stem}-{image.stem}.{suffix}")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
