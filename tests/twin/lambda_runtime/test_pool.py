"""How many environments a function gets: one for each call, but none that would only take from the others."""

import importlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from twin.lambda_runtime.machine import Processors

# The package has an attribute of this name, the pool itself.
pools: Any = importlib.import_module("twin.lambda_runtime.pool")


@dataclass(frozen=True)
class Function:
    identity: str = "222222222222:us-east-1:predict:$LATEST"
    fingerprint: str = "1"


class Worker:
    """An environment that starts at once."""

    def __init__(self, function: Any) -> None:
        self.function, self.born, self.idle_since = function, time.monotonic(), 0.0

    def start(self) -> None:
        return None

    def stop(self) -> None:
        return None


class Load:
    """Processors that are as busy as told."""

    share = 0.0

    def busy_share(self) -> float:
        return self.share


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(pools, "Worker", Worker)
    monkeypatch.setattr(pools, "Processors", Load)
    return pools.Pool()


def taken(pool: Any, count: int) -> list[Any]:
    return [pool.acquire(Function())[0] for _ in range(count)]


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    return thread, found


def test_while_processors_are_idle_every_call_gets_an_environment(pool: Any) -> None:
    assert len(set(taken(pool, pools.ENOUGH + 5))) == pools.ENOUGH + 5


def test_on_a_busy_machine_a_call_waits_for_one_of_enough_environments(pool: Any) -> None:
    pool._processors.share = 1.0
    workers = taken(pool, pools.ENOUGH)
    other = pool.acquire(Function(identity="222222222222:us-east-1:consume:$LATEST"))[0]
    assert other not in workers, "another function has its own"
    thread, found = in_thread(lambda: pool.acquire(Function())[0])
    thread.join(1.2)
    assert not found
    pool.release(workers[3], usable=True)
    thread.join(5)
    assert found == [workers[3]]


def test_a_call_that_waited_gets_its_own_once_processors_are_idle(pool: Any) -> None:
    pool._processors.share = 1.0
    workers = taken(pool, pools.ENOUGH)
    thread, found = in_thread(lambda: pool.acquire(Function())[0])
    pool._processors.share = 0.2
    thread.join(5)
    assert found and found[0] not in workers


def test_busy_share_is_that_since_the_look_before(tmp_path: Path) -> None:
    times = tmp_path / "stat"
    times.write_text("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2 3\n")
    processors = Processors(times)
    times.write_text("cpu  160 0 120 810 10 0 0 0 0 0\ncpu0 1 2 3\n")
    assert processors.busy_share() == pytest.approx(0.8)
    assert processors.busy_share() == pytest.approx(0.8), "not looked at again so soon"


def test_a_machine_that_tells_no_times_counts_as_idle(tmp_path: Path) -> None:
    assert Processors(tmp_path / "absent").busy_share() == 0
