"""One blue/green deployment: a second fleet, traffic by stages, alarms watched, or everything taken back."""

import time
from collections.abc import Callable

from twin.services.sagemaker.fleet import Fleet
from twin.services.sagemaker.model_server import StartError
from twin.services.sagemaker.records import Record
from twin.services.sagemaker.rollout import Active, Rollout
from twin.services.sagemaker.serving import Traffic
from twin.services.sagemaker.variants import pending

_LOOK_SECONDS = 0.2
# (status, variants as PendingDeploymentSummary shows them)
Report = Callable[[str, list[Record]], None]


class RolledBackError(Exception):
    """The deployment must be taken back; the message is the endpoint's failure reason."""


class BlueGreen:
    """The run of one deployment."""

    def __init__(self, rollout: Rollout, traffic: Traffic, variants: list[Record], report: Report) -> None:
        """`variants` are the new fleet's; `report` is told each stage."""
        self._rollout, self._traffic, self._variants, self._report = rollout, traffic, variants, report
        self._deadline = time.monotonic() + rollout.limit_seconds

    def run(self, green: Fleet) -> None:
        """Start `green` and shift all traffic to it; raises `RolledBackError` with all traffic still shared.

        When it returns, the old fleet is still there, and takes what the new one cannot be reached for.
        """
        rollout = self._rollout
        where = ""
        self._tell("Creating", "Launching {total} instance(s).", dict.fromkeys(rollout.stages[-1], 0))
        self._require_quiet()
        try:
            green.start()
        except StartError as fault:
            raise RolledBackError(str(fault)) from fault
        for number, active in enumerate(rollout.stages, start=1):
            last = number == len(rollout.stages)
            capacity = "full" if last else "canary" if rollout.kind == "CANARY" else "partial"
            where = f"{capacity} capacity of {{active}} instance(s)."
            self._tell("ActivatingTraffic", f"Activating traffic on {where}", active)
            self._require_healthy(green)
            self._traffic.share(green, self._variants, self._shares(active))
            self._bake(green, rollout.wait_seconds, "WaitIntervalInSeconds", where, active)
        self._bake(green, rollout.keep_seconds, "TerminationWaitInSeconds", where, rollout.stages[-1])

    def _shares(self, active: Active) -> dict[str, float]:
        total = self._rollout.stages[-1]
        return {name: count / total[name] if total[name] else 1.0 for name, count in active.items()}

    def _bake(self, green: Fleet, seconds: int, setting: str, where: str, active: Active) -> None:
        """Watch for some seconds; raises `RolledBackError`."""
        if seconds:
            text = f"Baking for {seconds} seconds ({setting}) with traffic enabled on {where}"
            self._tell("Baking", text, active)
        until = time.monotonic() + seconds
        while True:
            self._require_healthy(green)
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(_LOOK_SECONDS, left))

    def _require_healthy(self, green: Fleet) -> None:
        self._require_quiet()
        fault = green.fault()
        if fault is not None:
            raise RolledBackError(f"The deployment was rolled back: the new fleet is unhealthy. {fault}")
        if time.monotonic() > self._deadline:
            raise RolledBackError(
                "The deployment was rolled back: it took longer than MaximumExecutionTimeoutInSeconds "
                f"({self._rollout.limit_seconds})."
            )

    def _require_quiet(self) -> None:
        alarming = self._rollout.alarming()
        if alarming:
            raise RolledBackError(
                "The deployment was rolled back: these alarms of the auto-rollback configuration are in "
                f"ALARM state: {', '.join(alarming)}."
            )

    def _tell(self, status: str, message: str, active: Active) -> None:
        self._report(status, pending(self._variants, active, status, message))
