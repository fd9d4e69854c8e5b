"""The champion on the same holdout: paired counts, other classes, and the bootstrap of macro F1 (R17)."""

from dataclasses import replace
from typing import Any

import evaluate
import evaluate_champion
import numpy as np
import pytest
from evaluate_champion import PROBABILITIES, Champion, bootstrap, compare, misfit

from tests.model.evaluations import ANSWERS, LETTERS, TRUTH, Told, holdout

CHAMPIONS = np.array([0, 0, 1, 0, 1, 2, 1, 2, 1])


def champion_of(model: Any, version: str = "v") -> Champion:
    return Champion.of(model, version, LETTERS)


class TestPairedTable:
    def test_counts_who_was_right(self) -> None:
        evaluation = evaluate.evaluate(Told(), holdout(), champion=champion_of(Told(CHAMPIONS)))  # type: ignore[arg-type]
        champion = evaluation.document["champion"]
        assert champion["accuracy"] == pytest.approx(6 / 9)
        table = [champion[name] for name in ("both_right", "only_candidate", "only_champion", "both_wrong")]
        assert table == [3, 2, 3, 1]

    def test_macro_f1_is_that_of_an_evaluation_of_the_champion_itself(self) -> None:
        own = evaluate.evaluate(Told(CHAMPIONS), holdout()).document  # type: ignore[arg-type]
        beside = evaluate.evaluate(Told(), holdout(), champion=champion_of(Told(CHAMPIONS)))  # type: ignore[arg-type]
        assert beside.document["champion"]["macro_f1"] == own["macro_f1"]

    def test_classes_are_matched_by_label(self) -> None:
        turned = replace(LETTERS, classes=("c", "b", "a"))
        champion = champion_of(Told(2 - ANSWERS, spec=turned))
        evaluation = evaluate.evaluate(Told(), holdout(), champion=champion)  # type: ignore[arg-type]
        assert evaluation.document["champion"]["accuracy"] == evaluation.document["accuracy"]

    def test_champion_is_wrong_where_it_does_not_know_the_class(self) -> None:
        older = replace(LETTERS, classes=("a", "b", "z"))
        champion = champion_of(Told(TRUTH, spec=older))
        evaluation = evaluate.evaluate(Told(TRUTH), holdout(), champion=champion)  # type: ignore[arg-type]
        found = evaluation.document["champion"]
        assert found["unknown_classes"] == ["c"]
        assert (found["both_right"], found["only_candidate"]) == (7, 2)
        assert [mistake.champion for mistake in evaluation.gallery.worst] == []


def test_only_another_shape_is_a_misfit() -> None:
    assert misfit(replace(LETTERS, classes=("x", "y")), LETTERS) is None
    assert misfit(replace(LETTERS, channels=3), LETTERS) == (
        "it takes images of 2 x 2 x 3 bytes, the holdout's have 2 x 2 x 1"
    )


def draw(
    dice: np.random.Generator, images: int, gained: float, lost: float, classes: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A holdout that both models answer rightly, but for shares that only one of them does."""
    truth = dice.integers(0, classes, images)
    other = (truth + dice.integers(1, classes, images)) % classes
    luck = dice.random(images)
    own = np.where(luck < lost, other, truth)
    return truth, own, np.where((luck >= lost) & (luck < lost + gained), other, truth)


class TestBootstrap:
    def test_quantiles_rise_with_their_probabilities_and_are_always_the_same(self) -> None:
        answers = draw(np.random.default_rng(1), 200, 0.05, 0.05, 4)
        quantiles = bootstrap(*answers, 4)
        assert [probability for probability, _ in quantiles] == list(PROBABILITIES)
        assert PROBABILITIES[0] == 0
        assert PROBABILITIES[-1] == 1
        assert list(PROBABILITIES) == sorted(set(PROBABILITIES))
        differences = [difference for _, difference in quantiles]
        assert differences == sorted(differences)
        assert bootstrap(*answers, 4) == quantiles

    def test_middle_is_the_difference_and_the_width_that_of_theory(self) -> None:
        truth, own, other = draw(np.random.default_rng(2), 4000, 0.03, 0.05, 5)
        quantiles = dict(map(tuple, bootstrap(truth, own, other, 5)))
        # With balanced classes macro F1 is close to accuracy, whose deviation is known.
        difference = float((own == truth).mean() - (other == truth).mean())
        deviation = np.sqrt((0.03 + 0.05 - difference**2) / 4000)
        assert quantiles[0.5] == pytest.approx(difference, abs=0.002)
        assert (quantiles[0.95] - quantiles[0.05]) / 2 == pytest.approx(1.645 * deviation, rel=0.1)

    def test_models_that_agree_are_still_not_certain_to_be_equal(self) -> None:
        truth = np.arange(90) % 3
        quantiles = dict(map(tuple, bootstrap(truth, truth, truth, 3)))
        assert -0.05 < quantiles[0.05] < 0 < quantiles[0.95] < 0.05

    def test_a_class_that_one_model_never_answers_counts_as_a_zero(self) -> None:
        truth = np.arange(300) % 3
        blind = np.where(truth == 2, 1, truth)
        quantiles = dict(map(tuple, bootstrap(truth, truth, blind, 3)))
        assert quantiles[0.5] == pytest.approx(1 - (1 + 2 / 3 + 0) / 3, abs=0.02)

    @pytest.mark.parametrize(
        ("gained", "lost", "least", "most"), [(0.02, 0.04, 0.0, 0.11), (0.01, 0.01, 0.8, 1.0)]
    )
    def test_shown_not_worse_about_as_often_as_promised(
        self, monkeypatch: pytest.MonkeyPatch, gained: float, lost: float, least: float, most: float
    ) -> None:
        """At a true difference of just the margin 5 % are promised; 450 images, 60 holdouts."""
        monkeypatch.setattr(evaluate_champion, "RESAMPLES", 200)
        dice = np.random.default_rng(11)
        shown = 0
        for _ in range(60):
            quantiles = bootstrap(*draw(dice, 450, gained, lost, 10), 10)
            shown += dict(map(tuple, quantiles))[0.05] >= -0.02
        assert least <= shown / 60 <= most


def test_champions_part_names_what_the_gate_reads() -> None:
    found = compare(champion_of(Told(), "arn:7"), TRUTH, ANSWERS, CHAMPIONS, 3)
    assert found["version"] == "arn:7"
    assert found["comparable"] is True
    assert found["macro_f1_differences"]["resamples"] == evaluate_champion.RESAMPLES
    assert found["unknown_classes"] == []
