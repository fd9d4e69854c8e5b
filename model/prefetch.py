"""Works jobs off in threads ahead of the one who takes their results, in order and in bounded number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import TypeVar

Result = TypeVar("Result")


def in_order(jobs: Iterator[Callable[[], Result]], workers: int) -> Iterator[Result]:
    """The results of `jobs` in their order, by `workers` threads; at most twice as many jobs are under way.

    The jobs themselves are also fetched by a thread: what they wait for (a shard that is read) does not hold
    up the caller. What fetching or doing a job raises is raised when its result is due. Close the iterator to
    end the threads early.
    """
    ready: SimpleQueue[Future[Result] | None] = SimpleQueue()
    free, ended = Semaphore(2 * workers), Event()

    def feed() -> None:
        try:
            for job in jobs:
                free.acquire()
                if ended.is_set():
                    return
                ready.put(pool.submit(job))
        except Exception as error:
            failed: Future[Result] = Future()
            failed.set_exception(error)
            ready.put(failed)
        ready.put(None)

    with ThreadPoolExecutor(workers) as pool:
        feeder = Thread(target=feed, daemon=True)
        feeder.start()
        try:
            while (future := ready.get()) is not None:
                result = future.result()
                free.release()
                yield result
        finally:
            ended.set()
            free.release()  # wakes a feeder that waits
            feeder.join()
