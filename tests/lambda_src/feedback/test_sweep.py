"""The sweep: labels that came first are joined or given up, and accuracy is published (R25, R26)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.lambda_src.feedback.world import CLASSES, MODEL, PACKAGES, World

pytestmark = pytest.mark.twin
NOW = datetime.now(UTC).replace(hour=12)


def crown(world: World, model: str) -> None:
    """Let the champion's endpoint serve `model`."""
    item = {"pk": "LINE#champion", "sk": "CHAMPION", "model_package_arn": model}
    world.dynamodb.put_item(
        TableName=world.lineage, Item={name: {"S": value} for name, value in item.items()}
    )


def test_labels_are_joined_with_predictions_that_came_later(world: World, metrics: Callable[[], Any]) -> None:
    for number in range(150):
        world.label(f"early{number}", CLASSES[number % 10])
    for number in range(0, 150, 2):
        world.predict(f"early{number}", CLASSES[0])
    metrics()
    assert world.sweep() == {"joined": 75, "expired": 0, "pending": 75, "complete": True}
    truths = {f"early{number}": CLASSES[number % 10] for number in range(150)}
    assert world.counted() == world.recounted(truths)
    told = metrics()
    assert (told["JoinedLabels"], told["ExpiredLabels"], told["PendingLabels"]) == (75, 0, 75)


def test_label_whose_prediction_never_comes_is_given_up_and_counted(
    world: World, metrics: Callable[[], Any]
) -> None:
    world.at(NOW - timedelta(days=14, minutes=1))
    world.label("never", CLASSES[1])
    world.at(NOW - timedelta(days=13))
    world.label("later", CLASSES[1])
    world.at(NOW)
    metrics()
    assert world.sweep() == {"joined": 0, "expired": 1, "pending": 1, "complete": True}
    assert metrics()["ExpiredLabels"] == 1
    assert world.item("never")["status"] == "EXPIRED"
    assert world.sweep()["expired"] == 0


def test_label_that_was_given_up_still_counts_when_it_is_told_again(world: World) -> None:
    world.at(NOW - timedelta(days=20))
    world.label("late", CLASSES[1])
    world.at(NOW)
    world.sweep()
    world.predict("late", CLASSES[1])
    assert world.label("late", CLASSES[1]).body["status"] == "counted"
    assert world.counted() == world.recounted({"late": CLASSES[1]})


def test_sweep_that_has_no_time_left_says_so_and_the_next_goes_on(world: World) -> None:
    for number in range(8):
        assert world.label(f"w{number}", CLASSES[0]).status == 202
        world.predict(f"w{number}", CLASSES[0])
    world.context.get_remaining_time_in_millis = lambda: 10_000
    assert world.sweep() == {"joined": 0, "expired": 0, "pending": 8, "complete": False}
    world.context.get_remaining_time_in_millis = lambda: 300_000
    assert world.sweep()["joined"] == 8


def test_champions_accuracy_is_published_with_its_interval(world: World, metrics: Callable[[], Any]) -> None:
    crown(world, MODEL)
    world.at(NOW)
    for number in range(20):
        world.predict(f"a{number}", CLASSES[0], days_ago=number % 9)
        world.label(f"a{number}", CLASSES[0] if number % 5 else CLASSES[1])
    world.predict("other", CLASSES[0], model=f"{PACKAGES}6")
    world.label("other", CLASSES[1])
    metrics()
    told = world.sweep()
    inside = [number for number in range(20) if number % 9 < 7]
    right = sum(number % 5 > 0 for number in inside)
    assert (told["champion"], told["labels"]) == (MODEL, len(inside))
    assert told["accuracy"] == right / len(inside)
    shown = metrics()
    assert shown["champion/LabelledPredictions"] == len(inside)
    assert shown["champion/Accuracy"] == 100 * right / len(inside)
    assert (
        0 < shown["champion/AccuracyLow"] < shown["champion/Accuracy"] < shown["champion/AccuracyHigh"] < 100
    )


def test_nothing_is_said_of_accuracy_before_there_are_labels(
    world: World, metrics: Callable[[], Any]
) -> None:
    world.sweep()
    assert not any(name.startswith("champion/") for name in metrics())
    crown(world, MODEL)
    world.sweep()
    told = metrics()
    assert told["champion/LabelledPredictions"] == 0
    assert "champion/Accuracy" not in told


def test_report_tells_models_classes_and_days(world: World) -> None:
    crown(world, f"{PACKAGES}8")
    world.at(NOW)
    for number in range(12):
        world.predict(f"a{number}", CLASSES[number % 3], days_ago=number % 2)
        world.label(f"a{number}", CLASSES[number % 3])
    world.predict("b", CLASSES[1], model=f"{PACKAGES}8")
    world.label("b", CLASSES[2])
    world.predict("old", CLASSES[1], days_ago=3)
    world.label("old", CLASSES[1])
    world.predict("smoke", CLASSES[1], line="smoke")
    world.label("smoke", CLASSES[2])
    world.label("unknown", CLASSES[1])
    told = world.report(days=3)
    assert told["days"] == [(NOW - timedelta(days=2)).date().isoformat(), NOW.date().isoformat()]
    assert (told["labels"], told["pending"], told["champion"]) == (13, 1, f"{PACKAGES}8")
    first, second = told["models"]
    assert (first["model"], first["champion"], first["accuracy"]["value"]) == (f"{PACKAGES}8", True, 0)
    assert first["confusion"] == [{"truth": CLASSES[2], "predicted": CLASSES[1], "count": 1}]
    assert (second["model"], second["labels"], second["accuracy"]["value"]) == (MODEL, 12, 1)
    assert [each["labels"] for each in second["by_day"]] == [6, 6]
    assert [each["label"] for each in second["classes"]] == CLASSES
    assert second["classes"][0]["recall"]["trials"] == 4
    assert world.report(days=4)["labels"] == 14
    assert world.report(days=3, line="smoke")["labels"] == 1


def test_share_of_labelled_answers_is_told_by_the_answers_that_cloudwatch_has(
    world: World, metrics: Callable[[], Any]
) -> None:
    line = f"line-{world.feedback}"
    world.predict("p1", CLASSES[0], line=line)
    world.label("p1", CLASSES[0])
    for service, number in (("predict", 3), ("consume", 1), ("another", 50)):
        world.function.cloudwatch.put_metric_data(
            Namespace="Vision",
            MetricData=[
                {
                    "MetricName": "Predictions",
                    "Dimensions": [{"Name": "service", "Value": service}, {"Name": "line", "Value": line}],
                    "Value": number,
                }
            ],
        )
    told = world.report(days=2, line=line)
    assert (told["answered"], told["labelled_share"]) == (4, 0.25)


@pytest.mark.parametrize("days", [0, -1, 367, "7", None, 1.5])
def test_report_refuses_a_window_that_cannot_be(world: World, days: Any) -> None:
    with pytest.raises(ValueError, match="whole number from 1 to 366"):
        world.report(days=days)
