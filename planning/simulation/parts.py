"""The parts of the platform as the simulation knows them: throttle, function, endpoint, and its scaling."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import simpy

from planning import measured
from planning.hardware import lambda_vcpus, vcpus
from planning.provision import Provision
from planning.simulation.outcome import Seen
from planning.simulation.scenario import Scenario

Process = Generator[simpy.Event, Any, Any]
_PERIOD = 60.0
# Target tracking grows after three periods above the target, and shrinks after fifteen well below it.
_PERIODS_TO_GROW, _PERIODS_TO_SHRINK, _WELL_BELOW = 3, 15, 0.9
# constructs/vision_platform/promotion_requests.py sets these.
_COOLDOWN_OUT, _COOLDOWN_IN = 60.0, 300.0
# The adapter gives an invocation up after so long (lambda_src, CLIENT), and tries once more.
PATIENCE = 6.0
# Times vary: networks by much, the same model on images of the same size by little.
_SPREAD_NETWORK, _SPREAD_CPU, _SPREAD_MODEL = 0.4, 0.3, 0.05


TOO_SLOW = "endpoint too slow"


def dice(seed: str) -> Random:
    """Draws that the seed fixes."""
    return Random(seed)  # noqa: S311  # nobody must be unable to guess them


class Times:
    """Draws how long things take; the mean of each draw is the figure of planning/measured.py."""

    def __init__(self, random: Random, model_ms: float) -> None:
        self._random = random
        self._model = model_ms / 1000

    def network(self, figure: measured.Figure) -> float:
        """Seconds of something that AWS does."""
        return figure.value / 1000 * self._around_one(_SPREAD_NETWORK)

    def cpu(self, milliseconds: float, memory_mb: int) -> float:
        """Seconds of work in a function of this memory."""
        return milliseconds / 1000 / lambda_vcpus(memory_mb) * self._around_one(_SPREAD_CPU)

    def model(self, images: int) -> float:
        """Seconds of the model's work for so many images on one vCPU."""
        return self._model * images * self._around_one(_SPREAD_MODEL)

    def _around_one(self, spread: float) -> float:
        return math.exp(self._random.gauss(-spread * spread / 2, spread))


class Throttle:
    """A token bucket, as API Gateway keeps one for each method."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, float(burst)
        self._tokens, self._at = float(burst), 0.0

    def lets_in(self, now: float) -> bool:
        """Takes a token, if there is one."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Function:
    """A Lambda function: executions up to its limit, in environments that are warm or must start."""

    def __init__(self, *, limit: int | None, memory_mb: int, warm: int) -> None:
        self._limit = limit
        self.memory_mb = memory_mb
        self.busy, self._idle = 0, warm

    def enter(self) -> bool | None:
        """True: a new environment must start; False: one is warm; None: no execution more is allowed."""
        if self._limit is not None and self.busy >= self._limit:
            return None
        self.busy += 1
        if self._idle:
            self._idle -= 1
            return False
        return True

    def leave(self) -> None:
        """An execution ends and leaves its environment warm."""
        self.busy -= 1
        self._idle += 1

    def holds(self, megabytes: float, *, share: float = 1.0) -> bool:
        """Whether what an image takes fits into a share of its memory."""
        return megabytes <= self.memory_mb * share


@dataclass(eq=False)
class Instance:
    """One machine of the endpoint; each of its vCPUs answers one request after the other."""

    free_at: list[float]
    failed_at: float = math.inf

    @classmethod
    def of(cls, cores: int, now: float) -> Instance:
        """A machine that has nothing to do."""
        return cls([now] * cores)


@dataclass(eq=False)
class Fleet:
    """The endpoint: SageMaker sends each request to an instance at random."""

    env: simpy.Environment
    provision: Provision
    scenario: Scenario
    random: Random
    seen: Seen
    instances: list[Instance] = field(default_factory=list[Instance])
    starting: int = 0
    invocations: int = 0

    def __post_init__(self) -> None:
        """The least number of instances runs from the start."""
        self._cores = vcpus(self.provision.instance_type)
        self.instances = [Instance.of(self._cores, 0.0) for _ in range(self.provision.instances)]
        self.seen.most_instances = len(self.instances)
        if self.scenario.instance_fails_at is not None:
            self.env.process(self._failure(self.scenario.instance_fails_at))

    def ask(self, seconds: float) -> Process:
        """One invocation whose model work takes so long; its value says why it failed, or nothing."""
        for _ in range(2):
            self.invocations += 1
            if not self.instances:
                return TOO_SLOW
            instance = self.random.choice(self.instances)
            now = self.env.now
            if self.scenario.slow_from <= now < self.scenario.slow_until:
                seconds *= self.scenario.slow_factor
            done = max(now, instance.free_at[0]) + seconds
            heapq.heapreplace(instance.free_at, done)
            yield self.env.timeout(min(done - now, PATIENCE))
            if done - now <= PATIENCE and done <= instance.failed_at:
                return ""
        return TOO_SLOW

    def start(self, count: int) -> None:
        """Ask for so many instances more."""
        self.starting += count
        for _ in range(count):
            self.env.process(self._start())

    def stop(self, count: int) -> None:
        """Take so many instances out; they finish what they have."""
        del self.instances[-count:]

    def _start(self) -> Process:
        yield self.env.timeout(measured.START_SECONDS.value)
        self.starting -= 1
        self.instances.append(Instance.of(self._cores, self.env.now))
        self.seen.most_instances = max(self.seen.most_instances, len(self.instances))

    def _failure(self, at: float) -> Process:
        yield self.env.timeout(at)
        self.instances.pop(0).failed_at = at
        self.start(1)


def scaling(fleet: Fleet, until: float) -> Process:
    """Target tracking on invocations of an instance and minute."""
    plan, env = fleet.provision, fleet.env
    above = below = 0
    grown = shrunk = -math.inf
    while env.now < until:
        before = fleet.invocations
        yield env.timeout(_PERIOD)
        count = len(fleet.instances)
        each = (fleet.invocations - before) / max(1, count)
        above = above + 1 if each > plan.target_per_instance_minute else 0
        below = below + 1 if each < plan.target_per_instance_minute * _WELL_BELOW else 0
        wanted = math.ceil(count * each / plan.target_per_instance_minute)
        if above >= _PERIODS_TO_GROW and env.now - grown >= _COOLDOWN_OUT:
            more = min(plan.most_instances, wanted) - count - fleet.starting
            if more > 0:
                fleet.start(more)
                grown = env.now
        elif below >= _PERIODS_TO_SHRINK and env.now - max(grown, shrunk) >= _COOLDOWN_IN:
            fewer = count - max(plan.instances, wanted)
            if fewer > 0:
                fleet.stop(fewer)
                shrunk = env.now


Rate = Callable[[float], float]


def arrivals(env: simpy.Environment, random: Random, rate: Rate, most: float, until: float) -> Process:
    """Waits from one arrival to the next: a Poisson process whose rate changes, by thinning.

    Its value is whether there is another arrival before `until`. `most` is the largest rate.
    """
    while most > 0:
        wait = random.expovariate(most)
        if env.now + wait >= until:
            break
        yield env.timeout(wait)
        if random.random() * most <= rate(env.now):
            return True
    return False
