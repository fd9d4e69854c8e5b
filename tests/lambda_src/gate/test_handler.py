"""The gate: which evaluations let a model pass, and what is said of each (R17)."""

import json
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.lambda_src.conftest import MemoryS3
from tests.lambda_src.gate.evaluations import ARN, SETTINGS, champion, compared, evaluation

KEY = "evaluations/smoke/run-1/evaluation.json"
Judge = Callable[..., dict[str, Any]]


@pytest.fixture
def judge(
    load_function: Callable[..., ModuleType],
    s3: MemoryS3,
    context: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> Judge:
    def run(
        document: Any,
        event: dict[str, Any] | None = None,
        uri: str = f"s3://artifacts/{KEY}",
        **settings: Any,
    ) -> dict[str, Any]:
        step = load_function("gate", GATE_SETTINGS=json.dumps(SETTINGS | settings))
        monkeypatch.setattr(step, "s3", s3)
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        s3.objects["artifacts", KEY] = content
        asked = {"run_id": "run-1", "line": "smoke", "evaluation_uri": uri}
        return step.handler(asked | (event or {}), context)

    return run


class TestThresholds:
    def test_everything_reached_passes_and_says_what_was_compared(self, judge: Judge) -> None:
        decision = judge(evaluation(147), max_latency_p95_ms=5)
        assert decision["passed"] is True
        assert decision["reasons"][:4] == [
            "accuracy 0.9800 on 150 holdout images reaches the gate's 0.9500",
            "recall of every class reaches the gate's 0.5000; the lowest is 0.9600 of 'b' (75 images)",
            "calibration error 0.0300 (ECE) is within the gate's 0.2000",
            "latency 2.00 ms per image (p95, model alone) is within the gate's 5.00 ms",
        ]
        assert decision["metrics"] == {
            "accuracy": 0.98,
            "macro_f1": 0.98,
            "ece": 0.03,
            "latency_p50_ms": 1.0,
            "latency_p95_ms": 2.0,
            "lowest_class_recall": 0.96,
            "holdout_count": 150,
        }

    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            ({"min_accuracy": 0.99}, "accuracy 0.9800 on 150 holdout images is below the gate's 0.9900"),
            (
                {"min_class_recall": 0.97},
                "recall of 1 class is below the gate's 0.9700: 'b' 0.9600 (75 images)",
            ),
            ({"max_calibration_error": 0.02}, "calibration error 0.0300 (ECE) is above the gate's 0.0200"),
            (
                {"max_latency_p95_ms": 1.5},
                "latency 2.00 ms per image (p95, model alone) is above the gate's 1.50 ms",
            ),
        ],
    )
    def test_each_missed_threshold_fails_and_stands_first(
        self, judge: Judge, settings: dict[str, Any], reason: str
    ) -> None:
        decision = judge(evaluation(147), **settings)
        assert decision["passed"] is False
        assert decision["reasons"][0] == reason
        assert len(decision["reasons"]) > 3

    def test_a_value_equal_to_its_threshold_passes(self, judge: Judge) -> None:
        equal = {"min_accuracy": 0.98, "min_class_recall": 0.96, "max_calibration_error": 0.03}
        assert judge(evaluation(147), **equal, max_latency_p95_ms=2)["passed"] is True

    def test_of_many_missed_classes_the_worst_are_named(self, judge: Judge) -> None:
        scores = {f"c{n}": {"precision": 1, "recall": n / 10, "f1": 1, "support": 10} for n in range(8)}
        decision = judge(evaluation(80, 80, per_class=scores), min_class_recall=0.9)
        assert decision["reasons"][0] == (
            "recall of 8 classes is below the gate's 0.9000: 'c0' 0.0000 (10 images), "
            "'c1' 0.1000 (10 images), 'c2' 0.2000 (10 images), "
            "'c3' 0.3000 (10 images), 'c4' 0.4000 (10 images) and 3 more"
        )

    def test_a_class_without_images_is_not_judged_and_that_is_said(self, judge: Judge) -> None:
        document = evaluation(147)
        document["per_class"]["rare"] = {"precision": 0, "recall": 0, "f1": 0, "support": 0}
        decision = judge(document)
        assert decision["passed"] is True
        assert "not judged, for want of holdout images: 1 class 'rare'" in decision["reasons"]
        assert decision["metrics"]["lowest_class_recall"] == 0.96


class TestChampion:
    def test_without_one_the_thresholds_decide_and_what_later_models_meet_is_said(self, judge: Judge) -> None:
        few, more = (judge(evaluation(n - 3, n))["reasons"][-1] for n in (100, 450))
        assert few.startswith("there is no champion yet to compare with; a later model must not be worse")
        assert "100 images are too few to show that of any model" in few
        assert "450 images show that of an equally good model when at most 26 of them divide" in more

    def test_equal_model_on_enough_images_passes_with_the_figures(self, judge: Judge) -> None:
        decision = judge(compared((440, 3, 3, 4)))
        assert decision["passed"] is True
        assert decision["reasons"][-1] == (
            f"champion {ARN}: accuracy 0.9844, this model 0.9844 on the same 450 images "
            "(440 right by both, 3 only by this model, 3 only by the champion, 4 by neither); "
            "with 95% confidence it is worse by at most 0.0107 (Tango's score limit for paired proportions), "
            "and 0.0200 is allowed; McNemar's exact test of equal accuracy: p = 1.0000"
        )
        figures = decision["metrics"]
        assert figures["champion_accuracy"] == pytest.approx(443 / 450)
        assert figures["difference"] == 0
        assert figures["difference_lower_limit"] == pytest.approx(-0.0107, abs=1e-4)
        assert figures["mcnemar_p"] == 1

    def test_clearly_worse_model_fails(self, judge: Judge) -> None:
        decision = judge(compared((420, 1, 25, 4)), min_accuracy=0.9)
        assert decision["passed"] is False
        assert "it is worse by 0.0533, and 0.0200 is allowed" in decision["reasons"][0]
        assert "p = 0.0000" in decision["reasons"][0]

    def test_better_model_is_said_to_be_better(self, judge: Judge) -> None:
        decision = judge(compared((420, 25, 1, 4)))
        assert decision["passed"] is True
        assert "with 95% confidence it is better by at least 0.03" in decision["reasons"][-1]

    def test_too_few_images_fail_and_how_many_are_needed_is_said(self, judge: Judge) -> None:
        decision = judge(compared((145, 1, 1, 3)))
        assert decision["passed"] is False
        assert "the holdout is too small to show that it is not worse" in decision["reasons"][0]
        assert "About 185 images would show it" in decision["reasons"][0]
        assert judge(compared((290, 2, 2, 6)))["passed"] is True

    def test_margin_of_nothing_asks_for_a_better_model(self, judge: Judge) -> None:
        assert judge(compared((450, 0, 0, 0)), max_regression=0)["passed"] is False
        assert judge(compared((430, 19, 1, 0)), max_regression=0)["passed"] is True

    @pytest.mark.parametrize(("margin", "passed"), [(0.0099, False), (0.01, True)])
    def test_macro_f1_is_judged_by_the_bootstraps_quantile(
        self, judge: Judge, margin: float, passed: bool
    ) -> None:
        document = compared((145, 1, 1, 3))
        decision = judge(document, champion_metric="macro_f1", max_regression=margin)
        assert decision["passed"] is passed
        assert decision["metrics"]["difference_lower_limit"] == pytest.approx(-0.01)
        words = decision["reasons"][-1 if passed else 0]
        assert "macro F1 0.9733, this model 0.9733" in words
        assert "worse by at most 0.0100 (paired bootstrap of 2000 resamples)" in words
        assert ("About 154 images would show it" in words) is not passed

    def test_confidence_between_two_quantiles_is_read_off_the_line(self, judge: Judge) -> None:
        document = compared((145, 1, 1, 3))
        decision = judge(document, champion_metric="macro_f1", confidence=0.725)
        assert decision["metrics"]["difference_lower_limit"] == pytest.approx(-0.005)

    def test_one_that_cannot_be_asked_leaves_it_to_the_thresholds(self, judge: Judge) -> None:
        other = {"version": ARN, "comparable": False, "reason": "it takes 8 x 8 x 1 bytes"}
        decision = judge(evaluation(147, champion=other))
        assert decision["passed"] is True
        assert decision["reasons"][-1] == (
            f"champion {ARN} cannot be asked about this holdout (it takes 8 x 8 x 1 bytes): "
            "the thresholds decide"
        )

    def test_classes_that_it_does_not_know_are_told(self, judge: Judge) -> None:
        decision = judge(compared((420, 25, 1, 4), unknown_classes=["b"]))
        assert "1 of this model's classes the champion does not know" in decision["reasons"][-1]

    def test_thresholds_only_leaves_it_out(self, judge: Judge) -> None:
        decision = judge(compared((420, 1, 25, 4)), {"thresholds_only": True}, min_accuracy=0.9)
        assert decision["passed"] is True
        assert decision["reasons"][-1] == "only the thresholds were asked for: there was no comparison"
        assert "difference" not in decision["metrics"]


BROKEN: dict[str, tuple[Any, str]] = {
    "nonsense": (b"nonsense", "document"),
    "other schema": (evaluation() | {"schema": "vision.evaluation/1"}, "schema"),
    "NaN": (json.dumps(evaluation(accuracy=float("nan"))).encode(), "accuracy"),
    "infinite latency": (evaluation(latency_ms={"p50": 1.0, "p95": float("inf")}), r"latency_ms\.p95"),
    "share above one": (evaluation(accuracy=1.2), "accuracy"),
    "no calibration": ({k: v for k, v in evaluation().items() if k != "calibration"}, "calibration"),
    "champion left out": ({k: v for k, v in evaluation().items() if k != "champion"}, "champion"),
    "no images": (evaluation(count=150) | {"count": 0}, "count"),
    "classes of another holdout": (evaluation() | {"count": 149}, "per_class: its support is 150"),
    "champion's other holdout": (
        evaluation(147, champion=champion(100, 1, 1, 0)),
        "champion: its table has 102 images, count is 150",
    ),
    "table against accuracy": (
        evaluation(147, champion=champion(148, 1, 1, 0)),
        r"accuracy: it is 0.98, champion's table says 149 of 150",
    ),
    "table against champion's accuracy": (
        compared((145, 1, 1, 3), accuracy=0.9),
        r"champion.accuracy: it is 0.9, champion's table says 146 of 150",
    ),
    "champion's field missing": (
        evaluation(147, champion={"version": ARN, "comparable": True}),
        r"champion.*both_right",
    ),
    "quantiles out of order": (
        compared((145, 1, 1, 3), macro_f1_differences={"resamples": 9, "quantiles": [[0, 0], [0.9, 0]]}),
        "quantiles: their probabilities must rise from 0 to 1",
    ),
}


@pytest.mark.parametrize(("document", "named"), BROKEN.values(), ids=BROKEN)
def test_evaluation_that_cannot_be_judged_passes_nobody(judge: Judge, document: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        judge(document)
    assert type(caught.value).__name__ == "EvaluationError"


def test_missing_evaluation_is_named(judge: Judge) -> None:
    with pytest.raises(ValueError, match=r"evaluation_uri: s3://artifacts/none.json does not exist"):
        judge(evaluation(), uri="s3://artifacts/none.json")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("", "GATE_SETTINGS is not set"),
        ("{", "GATE_SETTINGS"),
        (json.dumps(SETTINGS | {"min_accuracy": 95}), "min_accuracy"),
        (json.dumps({k: v for k, v in SETTINGS.items() if k != "confidence"}), "confidence"),
        (json.dumps(SETTINGS | {"max_regresion": 0.1}), "max_regresion"),
    ],
)
def test_settings_that_are_none_name_their_field(
    load_function: Callable[..., ModuleType], value: str, named: str
) -> None:
    with pytest.raises(RuntimeError, match=named):
        load_function("gate", GATE_SETTINGS=value)
