"""Renders the page for people: one file, style and pictures inside, no scripts, no network."""

import base64
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from smoke_tests.bad_inputs import BAD_INPUTS
from smoke_tests.journal import Status
from smoke_tests.predictions import IMAGES_ASKED, RIGHT_AT_LEAST
from smoke_tests.reports import console
from smoke_tests.result import Result

_SHORTEST_BAR = 0.6  # per cent of the width, so that a quick step can still be seen


@dataclass(frozen=True)
class Tile:
    """One headline figure: `good` is None where there is nothing to judge."""

    name: str
    value: str
    note: str
    good: bool | None = None


@dataclass(frozen=True)
class Bar:
    """Where a duration stands on its time axis, in per cent of it."""

    name: str
    seconds: float
    offset: float
    width: float
    note: str = ""


def page(result: Result) -> str:
    """The whole HTML document."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(duration=duration, percent=percent, data_uri=data_uri)
    # CSS goes in as it is; only the page itself is HTML to escape.
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        result=result,
        settings=result.settings,
        seen=result.evidence,
        style=style,
        summary=_in_a_sentence(result),
        tiles=tiles(result),
        groups=[(name, list(checks)) for name, checks in groupby(result.checks, lambda check: check.group)],
        bars={bar.name: bar for bar in check_bars(result)},
        state_bars=state_bars(result),
        bad_inputs=BAD_INPUTS,
        images_asked=IMAGES_ASKED,
        right_at_least=RIGHT_AT_LEAST,
        places=console.places(result),
        found_logs=console.found_logs(result),
        hops=hop_bars(result),
        trace_place=console.trace_place(result),
        prices_of=result.settings.prices_of,
    )


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 1:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def percent(share: float) -> str:
    """A share of 1 in per cent; never rounded up to a whole that it is not."""
    return "100 %" if share == 1 else f"{min(share * 100, 99.9):.1f} %"


def data_uri(png: bytes) -> str:
    """A PNG as an address that holds the picture itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def tiles(result: Result) -> list[Tile]:
    """The figures that an approver looks at first."""
    seen, by_name = result.evidence, {check.name: check for check in result.checks}
    evaluation, latency = seen.evaluation, seen.latency
    right = sum(prediction.right for prediction in seen.predictions)
    refusals = [check for check in result.checks if check.name.startswith("refuses-")]
    refused = sum(check.passed for check in refusals)
    left, champion = by_name["nothing-left"], by_name["champion"]
    return [
        Tile(
            "Accuracy on holdout",
            percent(evaluation.accuracy) if evaluation else "unknown",
            f"at least {percent(result.settings.min_accuracy)} needed",
            by_name["accuracy"].passed,
        ),
        Tile(
            "Images right",
            f"{right} of {len(seen.predictions)}" if seen.predictions else "none",
            f"at least {RIGHT_AT_LEAST} of {IMAGES_ASKED} needed",
            by_name["predictions"].passed,
        ),
        Tile(
            "Bad requests refused",
            f"{refused} of {len(refusals)}",
            "with a reason for the caller",
            refused == len(refusals),
        ),
        Tile(
            "Answer time",
            f"{latency.p50:.0f} ms" if latency else "unknown",
            f"median; 95 % within {latency.p95:.0f} ms, first {latency.first:.0f} ms"
            if latency
            else "no answers",
        ),
        _observed(result),
        Tile(
            "Cost",
            f"{seen.cost.total * 100:.2f} ¢" if seen.cost else "unknown",
            f"an estimate; at most {result.settings.max_cost_usd:.2f} USD",
            by_name["cost"].passed,
        ),
        Tile(
            "Left behind",
            {Status.PASSED: "nothing", Status.SKIPPED: "not checked"}.get(left.status, "something"),
            "listed after the clean-up",
            left.passed,
        ),
        Tile(
            "Champion model",
            {Status.PASSED: "untouched", Status.SKIPPED: "not checked"}.get(champion.status, "look at it"),
            "its endpoint before and after",
            champion.passed,
        ),
    ]


def _observed(result: Result) -> Tile:
    """Whether the run was found again in logs, metrics, traces and lineage."""
    looked = [check for check in result.checks if check.group in {"Observation", "Lineage"}]
    found = sum(check.passed for check in looked)
    return Tile(
        "Found again", f"{found} of {len(looked)}", "logs, metrics, trace and lineage", found == len(looked)
    )


def check_bars(result: Result) -> list[Bar]:
    """Every check that ran, on the time axis of the whole run."""
    whole = max(result.seconds, 0.001)
    return [
        _bar(check.name, check.started, check.seconds, whole)
        for check in result.checks
        if check.status is not Status.SKIPPED
    ]


def state_bars(result: Result) -> list[Bar]:
    """The states of the training workflow, one after the other on the time axis of their sum."""
    states = result.evidence.execution.states if result.evidence.execution else ()
    whole, begun, bars = max(sum(state.seconds for state in states), 0.001), 0.0, list[Bar]()
    for state in states:
        note = f"{state.visits} times" if state.visits > 1 else ""
        bars.append(_bar(state.name, begun, state.seconds, whole, note))
        begun += state.seconds
    return bars


def hop_bars(result: Result) -> list[tuple[int, Bar]]:
    """The parts of the trace with their depth, on the time axis of the request."""
    hops = result.evidence.trace.hops if result.evidence.trace else ()
    whole = max((hop.begun + hop.seconds for hop in hops), default=0.001)
    return [(hop.depth, _bar(hop.name, hop.begun, hop.seconds, whole, hop.kind)) for hop in hops]


def _bar(name: str, started: float, seconds: float, whole: float, note: str = "") -> Bar:
    width = max(_SHORTEST_BAR, min(100.0, 100 * seconds / whole))
    return Bar(name, seconds, round(min(100 * started / whole, 100 - width), 2), round(width, 2), note)


def _in_a_sentence(result: Result) -> str:
    """What happened, for somebody who reads one sentence only."""
    seen = result.evidence
    if not result.passed:
        if not result.failed:
            return "The run ended before it could prove anything."
        rest = f"; {len(result.skipped)} further checks could not be tried" if result.skipped else ""
        passed = sum(check.passed for check in result.checks)
        return f"{len(result.failed)} of {len(result.checks)} checks failed, {passed} passed{rest}."
    right = sum(prediction.right for prediction in seen.predictions)
    accuracy = percent(seen.evaluation.accuracy) if seen.evaluation else "an unknown share"
    held_out = seen.evaluation.count if seen.evaluation else seen.holdout_images
    return (
        f"The workflow trained a model on {seen.train_images} images; it got {accuracy} of "
        f"{held_out} held-out images right, {right} of {len(seen.predictions)} through the API, "
        "and was deleted again."
    )
