"""The order of a smoke run: what needs what, what runs side by side, and clean-up whatever happens."""

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from smoke_tests import steps, watching
from smoke_tests.bad_inputs import BAD_INPUTS
from smoke_tests.context import Context
from smoke_tests.journal import Check


@dataclass(frozen=True)
class Step:
    """One check: its name and title in reports, what it does, and the checks that must pass before."""

    name: str
    title: str
    group: str
    action: Callable[..., None]
    needs: tuple[str, ...] = ()


_PREPARE = (
    Step("role", "The smoke role of the environment can be assumed", "Environment", steps.role),
    Step("budget", "The run cannot cost more than it may", "Environment", steps.budget, ("role",)),
    Step("smoke-line", "The smoke line is free", "Environment", steps.smoke_line, ("budget",)),
    Step(
        "sample-data", "Sample images are made and uploaded", "Training", steps.sample_data, ("smoke-line",)
    ),
)
_TRAIN = (
    Step("training", "The training workflow runs to its end", "Training", steps.train, ("sample-data",)),
)
# What must be refused is refused with or without a model, so this is proved while the model trains.
_REFUSE = (
    *(
        Step(
            f"refuses-{bad.name}",
            f"{bad.title} is refused",
            "Refusals",
            partial(steps.refuse, bad=bad),
            ("sample-data",),
        )
        for bad in BAD_INPUTS
    ),
    Step(
        "refuses-unsigned",
        "A call without a signature is refused",
        "Refusals",
        steps.refuse_unsigned,
        ("sample-data",),
    ),
)
_ASK = (
    Step(
        "endpoint", "The smoke endpoint serves this run's model", "Inference", steps.endpoint, ("training",)
    ),
    Step("predictions", "Images through the API get the right label", "Inference", steps.ask, ("endpoint",)),
    Step("answers", "Every answer is well-formed", "Inference", steps.answers_well_formed, ("endpoint",)),
)
# Each of these lanes is proved beside the others: first what training left, then what the requests left.
_OF_TRAINING = (
    (
        Step("accuracy", "The model is accurate on the holdout", "Training", steps.accuracy, ("training",)),
        Step("lineage-run", "Lineage knows this run", "Lineage", steps.lineage_of_run, ("training",)),
        Step(
            "sdk-training",
            "SageMaker's SDK shows this run's job and model",
            "Training",
            watching.training_job,
            ("training",),
        ),
    ),
    (
        Step("log-jobs", "The jobs' logs are found", "Observation", watching.job_logs, ("training",)),
        Step(
            "log-workflow", "The workflow's log is found", "Observation", watching.workflow_log, ("training",)
        ),
        Step(
            "metrics-training",
            "The training job's metrics are found",
            "Observation",
            watching.training_metrics,
            ("training",),
        ),
    ),
)
_OF_REQUESTS = (
    (
        Step(
            "burst",
            "An image through the burst path gets the right label",
            "Inference",
            steps.burst_path,
            ("endpoint",),
        ),
    ),
    (
        Step(
            "direct",
            "The endpoint itself says what the API says",
            "Inference",
            watching.direct,
            ("endpoint",),
        ),
    ),
    (
        Step(
            "lineage-source",
            "An answer leads to its dataset",
            "Lineage",
            steps.lineage_to_source,
            ("endpoint",),
        ),
        Step(
            "lineage-influence",
            "The dataset leads to every answer",
            "Lineage",
            steps.lineage_to_influence,
            ("endpoint",),
        ),
    ),
    (
        Step(
            "log-requests",
            "Every request is found in the log",
            "Observation",
            watching.request_log,
            ("endpoint",),
        ),
    ),
    (
        Step(
            "metrics-requests",
            "The requests are found in the metrics",
            "Observation",
            watching.request_metrics,
            ("endpoint",),
        ),
    ),
    (
        Step(
            "trace",
            "A request's trace leads to the model",
            "Observation",
            watching.trace,
            ("endpoint",),
        ),
    ),
)
_CLEAN_UP = (
    Step("clean-up", "What this run made is deleted", "Clean-up", steps.clean_up, ("role",)),
    Step("nothing-left", "Nothing of this run is left", "Clean-up", steps.nothing_left, ("role",)),
)
_AFTERWARDS = (
    Step("champion", "The champion was not touched", "Clean-up", steps.champion, ("smoke-line",)),
    Step("cost", "The run cost what it may", "Clean-up", steps.bill, ("budget",)),
)
_LANES = len(_OF_TRAINING) + len(_OF_REQUESTS)
_GROUPS = ("Environment", "Training", "Inference", "Refusals", "Observation", "Lineage", "Clean-up")


def catalogue() -> list[Check]:
    """Every check of a run, in the order in which reports show them."""
    lanes = [step for lane in (*_OF_TRAINING, *_OF_REQUESTS) for step in lane]
    every = (*_PREPARE, *_TRAIN, *_ASK, *_REFUSE, *lanes, *_CLEAN_UP, *_AFTERWARDS)
    ordered = sorted(every, key=lambda step: _GROUPS.index(step.group))
    return [Check(step.name, step.title, step.group) for step in ordered]


def execute(run: Context) -> None:
    """Prove everything, clean up, and leave verdicts in `run.journal` and what was seen in `run.evidence`.

    Faults of the environment are recorded, never raised.
    """
    with tempfile.TemporaryDirectory(prefix="smoke-") as folder:
        try:
            _prove(run, Path(folder))
        finally:
            budget = run.budget.for_clean_up()
            _do(run, _CLEAN_UP, budget=budget)
            _do(run, _AFTERWARDS)


def _prove(run: Context, folder: Path) -> None:
    with ThreadPoolExecutor(_LANES, thread_name_prefix="beside") as beside:
        run.making = beside.submit(steps.make_sample_data, run, folder)
        _do(run, _PREPARE)
        refusals = beside.submit(_do, run, _REFUSE)
        if run.journal["sample-data"].passed:
            # The SDK takes seconds to import, and there is nothing else to do while a model trains.
            beside.submit(run.sdk.load)
        _do(run, _TRAIN)
        lanes = [beside.submit(_do, run, lane) for lane in _OF_TRAINING]
        refusals.result()
        _do(run, _ASK)
        lanes += [beside.submit(_do, run, lane) for lane in _OF_REQUESTS]
        for lane in lanes:
            lane.result()


def _do(run: Context, some: tuple[Step, ...], **more: object) -> None:
    for step in some:
        run.journal.run(step.name, partial(step.action, run, **more), needs=step.needs)
