"""Training jobs as processes of their own, forked from one that has torch loaded: 2 s less for each."""

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.model import warm
from tests.model.conftest import MODEL, ROOT

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([warm.__name__])
PATIENCE_SECONDS = 120

Ending = tuple[signal.Signals, int]


@dataclass(frozen=True)
class Job:
    """A started job, and where its output goes."""

    process: BaseProcess
    log: Path

    def wait(self) -> int:
        """Its exit code; minus the signal that ended it."""
        self.process.join(PATIENCE_SECONDS)
        assert self.process.exitcode is not None, f"the job does not end: {self.said()}"
        return self.process.exitcode

    def said(self) -> str:
        """All of its output so far."""
        return self.log.read_text()


def start(
    arguments: list[str],
    log: Path,
    *,
    code: Path = MODEL,
    variables: Mapping[str, str] | None = None,
    ended_by: Ending | None = None,
) -> Job:
    """Start `code`/train.py; `ended_by` is a signal that it gets in the middle of its nth training step."""
    return _start(_train, arguments, log, code, dict(variables or {}), ended_by, log=log)


def start_two(
    arguments: list[str], folder: Path, *, code: Path = MODEL, second_ended_by: Ending | None = None
) -> list[Job]:
    """Start it as torchrun does for two processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        start(
            arguments,
            folder / f"rank-{rank}.log",
            code=code,
            variables={**shared, "RANK": str(rank), "GLOO_SOCKET_IFNAME": "lo"},
            ended_by=ending,
        )
        for rank, ending in enumerate((None, second_ended_by))
    ]


def check_contract_of(code: Path, log: Path) -> Job:
    """Start the contract's tests for another model."""
    return _start(warm.check_contract_of, code, ROOT, log, log=log)


def _start(target: Callable[..., None], *arguments: Any, log: Path) -> Job:
    process = _CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return Job(process, log)


def _train(
    arguments: list[str], log: Path, code: Path, variables: dict[str, str], ended_by: Ending | None
) -> None:
    warm.redirect(log)
    os.environ.update(variables)
    sys.path.insert(0, str(code))
    import contract
    import train

    if ended_by is not None:
        contract.augment = _ending(contract.augment, *ended_by)
    train.main(arguments)


def _ending(augment: Callable[..., Any], number: signal.Signals, step: int) -> Callable[..., Any]:
    left = iter(range(step - 1, -1, -1))

    def ends(images: Any, generator: Any) -> Any:
        if next(left, None) == 0:
            os.kill(os.getpid(), number)
        return augment(images, generator)

    return ends
