"""CPU time and memory of a running twin, by what its processes are: emulator, functions, model server."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SAMPLE_SECONDS = 1.0
MEBIBYTE = 1024 * 1024


@dataclass
class Usage:
    """What a phase used: CPU seconds, and resident MiB at its first and last quarter, by component."""

    cpu_seconds: dict[str, float] = field(default_factory=dict[str, float])
    memory_mib: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])


@dataclass
class _Seen:
    component: str
    first: float
    last: float


@contextlib.contextmanager
def watched(server: int, prefix: str) -> Generator[Usage]:
    """Measure the twin whose server is process `server`; the usage is complete when the block has ended.

    `prefix` begins the names of the platform's functions; it is left out of their components' names. What a
    process used between its last sample and its end is missed: at most a second of one process.
    """
    usage, seen = Usage(), dict[tuple[int, float], _Seen]()
    memory: list[Counter[str]] = []
    ended = threading.Event()

    def sample() -> None:
        sizes = Counter[str]()
        for pid in _family(server):
            found = _stat(pid)
            if found is None:
                continue
            cpu, started, resident = found
            known = seen.get((pid, started))
            if known is None:
                known = seen[pid, started] = _Seen(
                    _component(pid, server, prefix), cpu if first else 0.0, cpu
                )
            known.last = cpu
            sizes[known.component] += resident
        memory.append(sizes)

    def keep_sampling() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            sample()

    first = True
    sample()
    first = False
    thread = threading.Thread(target=keep_sampling, daemon=True)
    thread.start()
    try:
        yield usage
    finally:
        ended.set()
        thread.join()
        sample()
        for each in seen.values():
            used = usage.cpu_seconds.get(each.component, 0.0)
            usage.cpu_seconds[each.component] = used + each.last - each.first
        usage.memory_mib = _quarters(memory)


def _quarters(samples: list[Counter[str]]) -> dict[str, tuple[float, float]]:
    """The mean size in the second quarter of the samples (all is warm then) and in the last."""
    length = max(1, len(samples) // 4)
    parts = (samples[length : 2 * length] or samples[:1], samples[-length:])
    means: defaultdict[str, list[float]] = defaultdict(list)
    for name in sorted({name for each in samples for name in each}):
        for part in parts:
            means[name].append(sum(each[name] for each in part) / len(part) / MEBIBYTE)
    return {name: (pair[0], pair[1]) for name, pair in means.items()}


def _family(root: int) -> Iterator[int]:
    """The process and all below it."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children[parent].append(int(entry.name))
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children[pid]


def _stat(pid: int) -> tuple[float, float, int] | None:
    """CPU seconds, time of start in ticks, resident bytes; None when the process is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / _TICK, float(fields[19]), int(fields[21]) * _PAGE


def _component(pid: int, server: int, prefix: str) -> str:
    if pid == server:
        return "twin"
    variables = _variables(pid)
    function = variables.get("AWS_LAMBDA_FUNCTION_NAME", "")
    if function:
        return f"function {function.removeprefix(prefix).split('Function')[0].lstrip('-')}"
    return "model server" if "SAGEMAKER_BIND_TO_PORT" in variables else "others"


def processes_with(server: int, variable: str) -> list[str]:
    """The values of an environment variable in the twin's processes, of those that have it."""
    return [found for pid in _family(server) if (found := _variables(pid).get(variable))]


def _variables(pid: int) -> dict[str, str]:
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return {}
    found: dict[str, str] = {}
    for entry in entries:
        name, _, value = entry.partition("=")
        found[name] = value
    return found
