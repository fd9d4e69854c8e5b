"""Accuracy by command: what is shown of a report, and what is said when there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ops.models import accuracy
from ops.models.home import Home
from tests.ops.models.conftest import PACKAGES

pytestmark = pytest.mark.twin
Command = Callable[..., Any]


def share(hits: int, trials: int) -> dict[str, Any]:
    low, high = (0.0, 1.0) if not trials else (0.9 * hits / trials, 1.0)
    value = hits / trials if trials else None
    return {"value": value, "low": low, "high": high, "hits": hits, "trials": trials}


def a_model(version: int, classes: int, *, champion: bool = False) -> dict[str, Any]:
    return {
        "model": f"{PACKAGES}{version}",
        "champion": champion,
        "labels": 10 * classes,
        "accuracy": share(9 * classes, 10 * classes),
        "macro_f1": 0.9,
        "classes": [
            {
                "label": f"class {number}",
                "labelled": 10,
                "predicted": 10,
                "precision": share(9, 10),
                "recall": share(9, 10),
                "f1": number / classes,
            }
            for number in range(classes)
        ]
        + [
            {
                "label": "never seen",
                "labelled": 0,
                "predicted": 0,
                "precision": share(0, 0),
                "recall": share(0, 0),
                "f1": None,
            }
        ],
        "confusion": [],
        "by_day": [{"day": "2026-11-30", "labels": 20, "accuracy": share(18, 20)}],
    }


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the function would tell; the function itself runs in tests/stages/test_feedback_run.py."""
    told: dict[str, Any] = {
        "line": "champion",
        "days": ["2026-11-24", "2026-11-30"],
        "confidence": 0.95,
        "labels": 40,
        "answered": 400,
        "labelled_share": 0.1,
        "pending": 3,
        "models": [a_model(2, 2, champion=True), a_model(1, 2)],
    }
    monkeypatch.setattr(accuracy, "ask", lambda home, line, days: told)
    return told


def test_models_are_shown_with_their_classes_and_intervals(report: Any, command: Command) -> None:
    shown = command("accuracy").stdout
    assert "40 labels for answers of 2026-11-24 to 2026-11-30, 10.0% of 400; 3 wait" in shown
    assert "vision-dev-champion/2 (champion): accuracy 0.900 [0.810, 1.000] of 20 labels" in shown
    assert shown.index("champion/2") < shown.index("champion/1")
    assert "class 1" in shown
    assert "never seen" not in shown
    assert "day of the answers" not in shown
    last = command("accuracy", "--by-day").stdout.splitlines()[-1]
    assert last.split() == ["2026-11-30", "20", "0.900", "[0.810,", "1.000]"]


def test_one_model_is_named_by_its_version_or_its_arn(report: Any, command: Command) -> None:
    for name in ("1", f"{PACKAGES}1"):
        (only,) = json.loads(command("accuracy", "--model", name, "--json").stdout)["models"]
        assert only["model"] == f"{PACKAGES}1"
    done = command("accuracy", "--model", "5")
    assert done.exit_code == 1
    assert "models with labels: vision-dev-champion/2, vision-dev-champion/1" in done.stderr


def test_of_many_classes_the_worst_are_shown(report: Any, command: Command) -> None:
    report["models"] = [a_model(2, 100, champion=True)]
    shown = command("accuracy").stdout
    assert "the worst 30 of 100 classes" in shown
    assert "class 29 " in shown
    assert "class 30 " not in shown


def test_without_labels_it_says_how_they_come(report: Any, command: Command) -> None:
    report |= {"models": [], "labels": 0, "labelled_share": None}
    done = command("accuracy")
    assert done.exit_code == 0
    assert "no answer of 2026-11-24 to 2026-11-30 has a label yet; 3 wait" in done.stdout
    assert "POST /v1/feedback" in done.stdout


def test_environment_without_the_function_is_told_what_to_do(home: Home, command: Command) -> None:
    done = command("accuracy")
    assert done.exit_code == 1
    assert "no output FeedbackFunctionName; deliver the present commit" in done.stderr
