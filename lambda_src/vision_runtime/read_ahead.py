"""Reads from S3 in threads while one image is decoded, no further ahead than the memory allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from vision_runtime.images.rules import MEBIBYTE

MOST = 16  # images; more would only wait: 16 readers get about 500 images a second, decoding less than 200
MEMORY = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"  # MB; set by Lambda
SHARE = 4  # at most a quarter of the memory is for images that wait: decoding one takes more

Item = TypeVar("Item")
Result = TypeVar("Result")


def window(environment: Mapping[str, str], largest: int) -> int:
    """How many images of at most `largest` bytes may wait in memory."""
    memory = int(environment.get(MEMORY, "1769")) * MEBIBYTE
    return max(2, min(MOST, memory // SHARE // largest))


def read_ahead(
    read: Callable[[Item], Result], items: Iterable[Item], count: int
) -> Iterator[tuple[Item, Result]]:
    """Each item with what `read` answers for it, in order; at most `count` are read or waiting at once."""
    readers = ThreadPoolExecutor(count)
    try:
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        for item in items:
            waiting.append((item, readers.submit(read, item)))
            if len(waiting) == count:
                yield _first(waiting)
        while waiting:
            yield _first(waiting)
    finally:
        readers.shutdown(cancel_futures=True)


def _first(waiting: deque[tuple[Item, Future[Result]]]) -> tuple[Item, Result]:
    item, reading = waiting.popleft()
    return item, reading.result()
