"""Runs a scenario: callers who wait, records that stream, on what is provisioned. A seed fixes every draw."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import simpy

from planning import largest_image, measured
from planning.provision import Provision
from planning.simulation.executions import Executions
from planning.simulation.outcome import Outcome, Seen, outcome
from planning.simulation.parts import Fleet, Function, Process, Throttle, Times, arrivals, dice, scaling
from planning.simulation.scenario import TOGETHER_EVERY_SECONDS, Scenario
from planning.sizing_api import answer_seconds
from planning.sizing_stream import READ_AHEAD_SHARE, WRITERS
from planning.workload import Workload

# One image of so many is as large as the rules allow; real ones are rarer.
LARGEST_OF = 200
# One batch of so many has a record that must be tried again: a crash, a throttled table, a lost connection.
_FAILED_BATCH_OF = 200
# How near the first of them is when the simulation starts, in parts of the time between two.
_FIRST_TOGETHER = 0.5
_CPU_MS = measured.IMAGE_CPU_MS.value + measured.ADAPTER_CPU_MS.value


@dataclass(eq=False)
class Lane:
    """What one of a shard's consumers gets: records of its keys, in order."""

    records: deque[float] = field(default_factory=deque[float])
    wake: simpy.Event | None = None


class World:
    """The platform in one simulation."""

    def __init__(self, workload: Workload, provision: Provision, scenario: Scenario, seed: int) -> None:
        self.env = simpy.Environment()
        self.workload, self.provision, self.scenario = workload, provision, scenario
        self.seed = seed
        self.seen = Seen(judged_from=scenario.judged_from)
        # Each part draws from its own stream, so that another capacity meets the same load.
        self._load, self._luck = dice(f"{seed} load"), dice(f"{seed} luck")
        self.times = Times(dice(f"{seed} times"), workload.model_ms)
        self.throttle = Throttle(provision.api_rate, provision.api_burst)
        quiet = workload.mean_per_second * (1 - workload.burst_share)
        warm = round(quiet * answer_seconds(workload, provision.predict_memory_mb)) + 1
        self.adapter = Function(
            limit=provision.predict_concurrency, memory_mb=provision.predict_memory_mb, warm=warm
        )
        # The event source never runs more batches than it has lanes.
        self.consumer = Function(limit=None, memory_mb=provision.consume_memory_mb, warm=1)
        self.models = self._fleet() if provision.hosting.has_instances else self._executions()
        self.lanes = [Lane() for _ in range(provision.consumers)]

    def run(self) -> int:
        """Run to the end and let what is under way finish. Answers what the stream held at load's end."""
        share = self.workload.burst_share
        self.env.process(self._callers(1 - share))
        self.env.process(self._together())
        if share:
            self.env.process(self._submitters(share))
            self.env.process(self._backlog())
            for lane in self.lanes:
                self.env.process(self._consume(lane))
        if isinstance(self.models, Fleet) and self.provision.scales:
            self.env.process(scaling(self.models, self.scenario.end))
        self.env.run(until=self.scenario.end)
        left = sum(len(lane.records) for lane in self.lanes)
        for lane in self.lanes:
            if lane.records:
                self.seen.aged(self.env.now - lane.records[0])
        # The longest that a request may take by itself.
        self.env.run(until=self.scenario.end + 15)
        return left

    def _fleet(self) -> Fleet:
        return Fleet(
            env=self.env,
            provision=self.provision,
            scenario=self.scenario,
            random=dice(f"{self.seed} routing"),
            seen=self.seen,
        )

    def _executions(self) -> Executions:
        return Executions(
            env=self.env,
            workload=self.workload,
            provision=self.provision,
            scenario=self.scenario,
            random=dice(f"{self.seed} routing"),
            times=self.times,
            seen=self.seen,
        )

    # ---- load

    def _rate(self, now: float) -> float:
        mean, peak = self.workload.mean_per_second, self.workload.peak_per_second
        return mean + (peak - mean) * self.scenario.share_of_the_way(now)

    def _callers(self, share: float) -> Process:
        env, end = self.env, self.scenario.end
        most = self.workload.peak_per_second * share
        while (yield from arrivals(env, self._load, lambda now: self._rate(now) * share, most, end)):
            env.process(self._request())

    def _submitters(self, share: float) -> Process:
        env, end = self.env, self.scenario.end
        load = dice(f"{self.seed} submitters")
        most = self.workload.peak_per_second * share
        while (yield from arrivals(env, load, lambda now: self._rate(now) * share, most, end)):
            self._put(load.choice(self.lanes))

    def _backlog(self) -> Process:
        yield self.env.timeout(self.scenario.judged_from)
        for place in range(self.scenario.backlog):
            self._put(self.lanes[place % len(self.lanes)])

    def _put(self, lane: Lane) -> None:
        lane.records.append(self.env.now)
        if lane.wake is not None:
            lane.wake.succeed()
            lane.wake = None

    def _together(self) -> Process:
        """Now and then many callers send in the same instant."""
        due = _FIRST_TOGETHER
        while self.env.now < self.scenario.end:
            yield self.env.timeout(1)
            due += self._rate(self.env.now) / self.workload.mean_per_second / TOGETHER_EVERY_SECONDS
            if due >= 1:
                due -= 1
                for _ in range(self.workload.together):
                    self.env.process(self._request())

    # ---- the synchronous path

    def _request(self) -> Process:
        env, seen, times, adapter = self.env, self.seen, self.times, self.adapter
        arrived = env.now
        if not self.throttle.lets_in(arrived):
            seen.refuse(arrived, "throttled by the API")
            return
        starts = adapter.enter()
        if starts is None:
            seen.refuse(arrived, "no execution free")
            return
        seen.most_executions = max(seen.most_executions, adapter.busy)
        before = times.network(measured.GATEWAY_MS) + times.cpu(_CPU_MS, adapter.memory_mb)
        if starts:
            seen.cold_starts += 1
            before += times.network(measured.SANDBOX_MS)
            before += times.cpu(measured.START_CPU_MS.value, adapter.memory_mb)
        why = ""
        if self._luck.random() * LARGEST_OF < 1:
            spent, why = self._largest(adapter, measured.SLOWEST_CPU_MS)
            before += spent
        yield env.timeout(before + times.network(measured.INVOKE_MS))
        if why:
            adapter.leave()
            seen.refuse(arrived, why)
            return
        why = yield from self.models.ask(times.model(1))
        if why:
            seen.refuse(arrived, why)
        else:
            yield env.timeout(times.network(measured.WRITE_MS))
            seen.answered(arrived, env.now)
        adapter.leave()

    def _largest(
        self, function: Function, slowest: measured.Figure, *, share: float = 1.0
    ) -> tuple[float, str]:
        """Seconds that a function works on the largest image, and why it does not come to its end with it."""
        if not function.holds(largest_image.megabytes(self.workload), share=share):
            return 0.0, "out of memory"
        spent = self.times.cpu(largest_image.cpu_ms(self.workload, slowest), function.memory_mb)
        limit = measured.DECODE_SECONDS.value
        return (limit, "too slow to decode") if spent > limit else (spent, "")

    # ---- the burst path

    def _consume(self, lane: Lane) -> Process:
        env = self.env
        while True:
            if not lane.records:
                lane.wake = env.event()
                yield lane.wake
                # The shard is polled now and then, not when a record comes.
                yield env.timeout(self._luck.random() * measured.POLL_MS.value / 1000)
            size = min(self.provision.batch_size, len(lane.records))
            batch = [lane.records.popleft() for _ in range(size)]
            self.seen.aged(env.now - batch[0])
            done = yield from self._batch(size)
            for arrived in batch[:done]:
                self.seen.stored(arrived, env.now)
            # What the answer names as failed, and all behind it, comes again.
            lane.records.extendleft(reversed(batch[done:]))
            self.seen.redone += size - done

    def _batch(self, size: int) -> Process:
        """One batch; its value is how many of its records have their results."""
        env, times, function = self.env, self.times, self.consumer
        started = times.network(measured.S3_GET_MS)
        if function.enter():
            self.seen.cold_starts += 1
            started += times.network(measured.SANDBOX_MS)
            started += times.cpu(measured.CONSUMER_START_CPU_MS.value, function.memory_mb)
        yield env.timeout(started)
        done = 0
        while done < size:
            together = min(self.provision.micro_batch, size - done)
            yield env.timeout(self._prepared(together) + times.network(measured.INVOKE_MS))
            why = yield from self.models.ask(times.model(together))
            if why:
                break
            done += together
        # Results are written side by side.
        yield env.timeout(times.network(measured.WRITE_MS) * 2 * max(1, done / WRITERS))
        function.leave()
        if done == size and self._luck.random() * _FAILED_BATCH_OF < 1:
            return self._luck.randrange(size)
        return done

    def _prepared(self, images: int) -> float:
        """Seconds until so many images are ready for the model."""
        function = self.consumer
        spent = 0.0
        for _ in range(images):
            spent += self.times.cpu(_CPU_MS, function.memory_mb)
            if self._luck.random() * LARGEST_OF < 1:
                worked, why = self._largest(
                    function, measured.SLOWEST_UPLOAD_CPU_MS, share=1 - READ_AHEAD_SHARE
                )
                spent += worked
                if why:
                    self.seen.lose(self.env.now)
        return spent


def simulate(workload: Workload, provision: Provision, scenario: Scenario, seed: int) -> Outcome:
    """What becomes of this load on this capacity. The same seed gives the same figures."""
    world = World(workload, provision, scenario, seed)
    left = world.run()
    return outcome(seed, world.seen, backlog=left)
