"""Models without instances, as the simulation knows them: executions that come and go with requests."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import simpy

from planning import measured
from planning.hardware import lambda_vcpus
from planning.provision import Provision
from planning.simulation.outcome import Seen
from planning.simulation.parts import PATIENCE, Function, Process, Times
from planning.simulation.scenario import Scenario
from planning.sizing_functions import OVERHEAD_SECONDS, SECOND_TRY_SECONDS, request_seconds
from planning.workload import Workload

THROTTLED, TOO_SLOW = "no execution of the model free", "model too slow"


@dataclass(eq=False)
class Executions:
    """Each has one request at a time; where none is warm, one starts, and its request waits for it."""

    env: simpy.Environment
    workload: Workload
    provision: Provision
    scenario: Scenario
    random: Random
    times: Times
    seen: Seen

    def __post_init__(self) -> None:
        """What the quiet time keeps busy is warm from the start."""
        memory_mb = self.provision.hosting.memory_mb
        busy = self.workload.mean_per_second * request_seconds(self.workload.model_ms / 1000, memory_mb)
        limit = self.provision.executions or None
        warm = round(busy) + 1
        self._function = Function(
            limit=limit, memory_mb=memory_mb, warm=warm if limit is None else min(warm, limit)
        )

    def ask(self, seconds: float) -> Process:
        """One request whose model works so long on one vCPU; its value says why it failed, or nothing."""
        why = ""
        for tried in range(2):
            if tried and why == THROTTLED:
                yield self.env.timeout(self.random.random() * SECOND_TRY_SECONDS)
            starts = self._function.enter()
            if starts is None:
                why = THROTTLED
                continue
            self.seen.most_models = max(self.seen.most_models, self._function.busy)
            took = self._seconds(seconds, starts=starts)
            self.env.process(self._leave(took))
            yield self.env.timeout(min(took, PATIENCE))
            if took <= PATIENCE:
                return ""
            why = TOO_SLOW
        return why

    def _seconds(self, seconds: float, *, starts: bool) -> float:
        scenario, memory_mb = self.scenario, self._function.memory_mb
        if scenario.slow_from <= self.env.now < scenario.slow_until:
            seconds *= scenario.slow_factor
        took = seconds / lambda_vcpus(memory_mb) + OVERHEAD_SECONDS
        if starts:
            self.seen.model_starts += 1
            took += self._start(memory_mb)
        return took

    def _start(self, memory_mb: int) -> float:
        own = self.times.cpu(measured.MODEL_START_CPU_MS.value, memory_mb)
        if self.provision.hosting.mode == "serverless":
            return own + self.times.network(measured.CONTAINER_MS)
        return own + self.times.network(measured.SANDBOX_MS) + self.times.network(measured.MODEL_FETCH_MS)

    def _leave(self, seconds: float) -> Process:
        """An execution goes on to its end, whoever still waits for it."""
        yield self.env.timeout(seconds)
        self._function.leave()
