"""A fault at each state in turn: the same work is begun again and again, and fails one state later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ops.models.execution import Execution
from tests.faults.targets import State
from tests.faults.world import World

# A task is tried three times; one more would leave the fault to the next call.
_TRIES = 3
# More batches than there are, each of which is tried so often.
_BATCHES = 20
# So often a state may not lie on the way that it was expected on.
_MOST_MISSES = 2
_MOST_ATTEMPTS = 120


@dataclass
class Sweep:
    """Strikes every state that calls a service on the way of some work.

    `begin` starts the work, or takes it up again. `failed` and `survived` hold what must hold after it has
    failed or succeeded all the same, and answer what became of it, in words. Work that has succeeded is done
    (`finish` says so for what succeeded elsewhere): `begin` gets the number of the next.
    """

    world: World
    machine: str
    begin: Callable[[int], Execution]
    failed: Callable[[int, Execution], str]
    survived: Callable[[int, Execution], str]
    only: frozenset[str] = frozenset()
    error: str = "denied"
    struck: set[str] = field(default_factory=set[str])
    misses: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    number: int = 1
    _is_new: bool = True

    def finish(self) -> None:
        """The work of the present number is done."""
        self.number += 1
        self._is_new = True

    def run(self, first: list[str]) -> None:
        """Goes over the states called `first`, and over those that come into the way meanwhile."""
        everywhere = self.world.states()
        states = {name: each for (machine, name), each in everywhere.items() if machine == self.machine}
        order = list(first)
        for _ in range(_MOST_ATTEMPTS):
            waiting = [name for name in order if self._is_due(states[name])]
            # What is begun anew goes the first way; only what goes on comes by states that look back.
            due = [name for name in waiting if name in first] if self._is_new else waiting
            if not due:
                break
            self._is_new = False
            execution = self._strike(states[due[0]])
            if execution.status == "SUCCEEDED":
                self.finish()
            # What comes earlier is met earlier: what goes on has other states on its way.
            order = list(dict.fromkeys([*(step.state for step in execution.steps), *order]))
        last = self.world.ended(self.begin(self.number))
        if last.status != "SUCCEEDED":
            self.wrong.append(f"without a fault: {last.failure}")
        assert not self.wrong, "\n".join(self.wrong)

    def _is_due(self, state: State) -> bool:
        return (
            bool(state.service)
            and state.name not in self.struck
            and self.misses[state.name] < _MOST_MISSES
            and (not self.only or state.name in self.only)
        )

    def _strike(self, state: State) -> Execution:
        times = _TRIES * (_BATCHES if state.name == "PreprocessBatch" else 1)
        with self.world.fault(state, self.error, times) as hits:
            execution = self.world.ended(self.begin(self.number))
            count = hits()
        if not count:
            self.misses[state.name] += 1
            return execution
        self.struck.add(state.name)
        fault = f"{self.error}, {count} times"
        try:
            look = self.survived if execution.status == "SUCCEEDED" else self.failed
            outcome = look(self.number, execution)
        except AssertionError as miss:
            self.wrong.append(f"{state}: {miss}")
            self.world.note(state, fault, str(miss).splitlines()[0], good=False)
        else:
            self.world.note(state, fault, outcome)
        return execution


def throttled(world: World, machine: str, names: list[str], begin: Callable[[], Execution]) -> None:
    """Throttles each of the states once, all in one piece of work, which must succeed all the same."""
    states = world.states()
    wanted = [states[machine, name] for name in dict.fromkeys(names) if states[machine, name].service]
    hits: dict[str, Any] = {}

    def strike(left: list[State]) -> Execution:
        if not left:
            return world.ended(begin())
        with world.fault(left[0], "throttle") as count:
            execution = strike(left[1:])
            hits[left[0].name] = count()
        return execution

    execution = strike(wanted)
    assert execution.status == "SUCCEEDED", execution.failure
    for state in wanted:
        if hits[state.name]:
            world.note(state, "throttle, once", "tried again and succeeded")
    world.champion_serves()


def path(world: World, machine: str) -> list[str]:
    """The states on the way of good work that nothing was in the way of, those of its batches too."""
    api = world.client("stepfunctions")
    found: list[str] = []
    listed = api.list_executions(
        stateMachineArn=world.platform.home.machine(machine), statusFilter="SUCCEEDED", maxResults=20
    )["executions"]
    for each in listed:
        execution = Execution(api, each["executionArn"])
        execution.look()
        names = list(dict.fromkeys(step.state for step in execution.steps))
        if "Done" in names and len(names) > len(found):
            found = names
    if "PreprocessBatches" in found:
        found.insert(found.index("PreprocessBatches") + 1, "PreprocessBatch")
    return found
