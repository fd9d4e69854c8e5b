"""Images of a split in seeded batches: streamed from shards in bounded memory, or kept when they are few.

Every process reads all shards and decodes its own share of each batch. So a batch holds the same images
however many processes there are, and wherever the images come from.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from prefetch import in_order
from shards import Encoded, ShardError, decode, read_encoded
from spec import ModelSpec

ENTRY_BYTES = 200  # about what Python adds to each image that waits to be shuffled

Item = TypeVar("Item")
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Share:
    """Which part of every batch is this process's."""

    rank: int = 0
    world: int = 1

    def of(self, batch: list[Item]) -> list[Item]:
        """This process's part of one batch; the parts of all processes are the batch."""
        return batch[len(batch) * self.rank // self.world : len(batch) * (self.rank + 1) // self.world]


@dataclass(frozen=True)
class Batch:
    """This process's share of a batch of `total` images: uint8 [n, height, width, channels], int64 [n]."""

    images: Array
    labels: Array
    total: int


class Source(Protocol[Item]):
    """Images by shard. An item stands for one image until it is decoded; its size is in bytes."""

    def shards(self) -> Sequence[Iterable[Item]]: ...
    def size(self, item: Item) -> int: ...
    def decode(self, items: list[Item]) -> tuple[Array, Array]: ...


class Kept:
    """Decoded images in memory; items are their numbers."""

    def __init__(self) -> None:
        self.images: list[Array] = []
        self.labels: list[int] = []
        self.sizes: list[int] = []  # of the encoded images: the order is that of streamed ones
        self.ends: list[int] = []  # of each shard

    def shards(self) -> Sequence[Iterable[int]]:
        """The numbers of each shard's images."""
        starts = [0, *self.ends[:-1]]
        return [range(start, end) for start, end in zip(starts, self.ends, strict=True)]

    def size(self, item: int) -> int:
        """What the encoded image takes."""
        return self.sizes[item]

    def decode(self, items: list[int]) -> tuple[Array, Array]:
        """Images and labels."""
        images = np.stack([self.images[item] for item in items])
        return images, np.asarray([self.labels[item] for item in items], dtype=np.int64)


@dataclass(frozen=True)
class StreamedShard:
    """The images of one shard whose numbers in it (from 0) belong to the split."""

    path: Path
    spec: ModelSpec
    belongs: Callable[[int], bool]

    def __iter__(self) -> Iterator[Encoded]:
        for number, image in enumerate(read_encoded(self.path, self.spec)):
            if self.belongs(number):
                yield image


@dataclass(frozen=True)
class Streamed:
    """Images that are read from their shards whenever they are asked for."""

    parts: list[StreamedShard]
    spec: ModelSpec

    def shards(self) -> Sequence[Iterable[Encoded]]:
        """Iterating over one of these opens and reads it."""
        return self.parts

    def size(self, item: Encoded) -> int:
        """What the encoded image takes."""
        return size_of(item)

    def decode(self, items: list[Encoded]) -> tuple[Array, Array]:
        """Images and labels; raises ShardError."""
        images = np.stack([decode(item, self.spec) for item in items])
        return images, np.asarray([item.label for item in items], dtype=np.int64)


@dataclass(frozen=True)
class Split:
    """`count` images as batches; `shuffle_bytes` of them wait to be shuffled while shards are read."""

    source: Source[Any]
    count: int
    place: str
    shuffle_bytes: int
    workers: int

    @property
    def kept(self) -> bool:
        """Whether the images are in memory, decoded."""
        return isinstance(self.source, Kept)

    def epoch(self, sizes: list[int], share: Share, seed: str | None) -> Iterator[Batch]:
        """One pass in batches of these sizes, shuffled by `seed`, or in the order of shards when it is None.

        Raises ShardError for an image that cannot be decoded, and when the shards hold less than was counted.
        """
        shards = self.source.shards()
        if seed is None:
            images = (image for shard in shards for image in shard)
        else:
            # random.Random promises the same numbers for a text on every machine.
            images = shuffled(shards, self.source.size, random.Random(seed), self.shuffle_bytes)  # noqa: S311
        jobs = self._jobs(images, sizes, share)
        if self.kept:
            for job in jobs:
                yield job()
        else:
            with closing(in_order(jobs, self.workers)) as batches:  # pyright: ignore[reportArgumentType]
                yield from batches

    def _jobs(self, images: Iterator[Any], sizes: list[int], share: Share) -> Iterator[Callable[[], Batch]]:
        for size in sizes:
            batch = list(islice(images, size))
            if len(batch) != size:
                raise ShardError(f"{self.place}: the shards hold less than at the start of the job")
            yield _Decoding(self.source, share.of(batch), size)


@dataclass(frozen=True)
class _Decoding:
    source: Source[Any]
    items: list[Any]
    total: int

    def __call__(self) -> Batch:
        if not self.items:
            return Batch(np.empty(0, np.uint8), np.empty(0, np.int64), self.total)
        return Batch(*self.source.decode(self.items), self.total)


def size_of(image: Encoded) -> int:
    """What an image takes while it waits to be shuffled, in bytes."""
    return len(image.png) + ENTRY_BYTES


def batch_sizes(count: int, batch_size: int) -> list[int]:
    """`count` images in as few batches as `batch_size` allows, of sizes that differ by one at most.

    A small rest as a batch of its own would give its images more weight, and batch norm too little to see.
    """
    batches = -(-count // batch_size)
    return [count * (number + 1) // batches - count * number // batches for number in range(batches)]


def shuffled(
    shards: Sequence[Iterable[Item]], size: Callable[[Item], int], dice: random.Random, limit: int
) -> Iterator[Item]:
    """All images in an order that `dice` decides: of the shards, and among the `limit` bytes that wait."""
    waiting: list[Item] = []
    held = 0
    for shard in dice.sample(list(shards), len(shards)):
        for item in shard:
            waiting.append(item)
            held += size(item)
            while held > limit and len(waiting) > 1:
                chosen = dice.randrange(len(waiting))
                waiting[chosen], waiting[-1] = waiting[-1], waiting[chosen]
                held -= size(waiting[-1])
                yield waiting.pop()
    dice.shuffle(waiting)
    yield from waiting
