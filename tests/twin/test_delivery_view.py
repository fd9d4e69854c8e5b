"""What a person sees of a delivery, on a terminal and elsewhere."""

import io
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from twin.delivery_view import DeliveryView, last_lines
from twin.delivery_watch import Approval, Change

STRUCTURE = [("Source", ["Code"]), ("Build", ["Synth", "Lint"])]


def view(*, terminal: bool) -> tuple[DeliveryView, io.StringIO]:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=terminal, width=120, color_system=None)
    return DeliveryView(console, STRUCTURE), shown


def change(action: str, status: str, **more: object) -> Change:
    return Change("action", "e1", status, 2.0, stage="Build", action=action, started=time.time(), **more)  # type: ignore[arg-type]


def test_each_change_is_a_line_where_there_is_no_terminal() -> None:
    seen, shown = view(terminal=False)
    with seen.shown():
        seen.take(Change("execution", "e1", "InProgress", 0.0, started=time.time()))
        seen.take(change("Synth", "InProgress"))
        seen.take(change("Synth", "Succeeded", summary="[fine] and " + "long " * 40))
    lines = shown.getvalue().splitlines()
    assert [line.split(" s  ", 1)[1][:24] for line in lines] == [
        "execution e1: running",
        "Build / Synth: running",
        "Build / Synth: done in 2",
    ]
    assert "[fine] and long" in lines[-1]


def test_terminal_shows_a_table_that_pauses_for_questions() -> None:
    seen, shown = view(terminal=True)
    with seen.shown():
        seen.take(Change("execution", "e1", "InProgress", 0.0, started=time.time()))
        seen.take(change("Synth", "Failed"))
        with seen.paused():
            seen.console.print("Deploy?")
    text = shown.getvalue()
    assert "execution e1" in text and "Synth" in text and "FAILED" in text and "Deploy?" in text


def test_failure_names_step_reason_and_log(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text("[Container] Entering phase BUILD\nthe reason\n[Container] Build FAILED\n")
    seen, shown = view(terminal=False)
    seen.take(change("Synth", "Failed", error="exit status 1", log=log))
    seen.explain_failure(Change("execution", "e1", "Failed", 3.0))
    text = shown.getvalue()
    assert "Failed: Build / Synth" in text and "why: exit status 1" in text
    assert f"log: {log}" in text and "    the reason" in text and "Entering phase" not in text
    assert last_lines(tmp_path / "missing") == []


def test_restarted_execution_starts_over() -> None:
    seen, shown = view(terminal=False)
    seen.take(Change("execution", "e1", "InProgress", 0.0))
    seen.take(change("Synth", "Failed", error="old"))
    seen.take(Change("execution", "e2", "InProgress", 0.0))
    seen.explain_failure(Change("execution", "e2", "Stopped", 1.0, summary="Stopped by a person"))
    assert "Stopped: Stopped by a person" in shown.getvalue() and "why: old" not in shown.getvalue()


def test_approval_says_what_to_read_and_how_to_decide() -> None:
    seen, shown = view(terminal=False)
    seen.show_approval(Approval("e1", "Prod", "Promote", "t", "Read this", "https://example.com"), "do it")
    assert [line.strip() for line in shown.getvalue().splitlines()] == [
        "Approval needed: Prod / Promote",
        "Read this",
        "read: https://example.com",
        "decide: do it",
    ]


def test_skipped_and_retried_stages_and_rollbacks_are_told() -> None:
    seen, shown = view(terminal=False)
    seen.take(Change("execution", "e1", "InProgress", 0.0, started=time.time()))
    seen.take(Change("stage", "e1", "Skipped", 0.0, stage="Build", summary="not needed", started=time.time()))
    seen.take(Change("stage", "e1", "Retried", 0.0, stage="Source", summary="1 time(s) by itself"))
    seen.take(change("Synth", "Failed", error="the smoke test failed"))
    back = Change("execution", "e2", "InProgress", 0.0, summary="rolls back to e0", started=time.time())
    seen.take(replace(back, rollback=True))
    key = "0" * 8 + "-0000-4000-8000-" + "0" * 12
    fate = f"execution {key} rolls it back to what execution e0 has delivered"
    seen.explain_failure(Change("execution", "e1", "Failed", 3.0, summary=f"Build/Synth: it failed; {fate}"))
    text = shown.getvalue()
    assert "Build: skipped - not needed" in text
    assert "Source: tried again - 1 time(s) by itself" in text
    assert "rollback e2: running - rolls back to e0" in text
    assert "why: the smoke test failed" in text and f"rollback: {fate}" in text


def test_skipped_stage_has_its_reason_in_the_table() -> None:
    seen, shown = view(terminal=True)
    with seen.shown():
        seen.take(Change("stage", "e1", "Skipped", 0.0, stage="Build", summary="not needed"))
    text = shown.getvalue()
    assert text.count("skipped") >= 2 and "not needed" in text


def test_approval_shows_until_when_it_waits() -> None:
    seen, shown = view(terminal=False)
    approval = Approval("e1", "Prod", "Promote", "t", "Deploy?", "", expires=1_800_000_000.0)
    seen.show_approval(approval, "python -m twin approve")
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(1_800_000_000))
    assert f"until: {until}, or it fails" in shown.getvalue()
