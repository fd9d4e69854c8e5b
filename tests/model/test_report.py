"""The evaluation's page: complete in itself, escaped, and readable with 1,000 classes (R17)."""

import base64
import io
import re
from html.parser import HTMLParser
from typing import Any

import evaluate
import numpy as np
import pytest
import report
import report_figures
from evaluate_champion import Champion
from PIL import Image
from report_gallery import LOST, WORST, Gallery
from spec import ModelSpec

from tests.model.evaluations import TRUTH, Told, holdout

NASTY = "<script>alert('x')</script> & \"quotes\""


class Reader(HTMLParser):
    """What a browser would see: elements, their attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "rect", "line", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def pictures(self) -> list[str]:
        return [str(attributes["src"]) for tag, attributes in self.elements if tag == "img"]


def page_of(spec: ModelSpec, answers: Any, champions: Any = None, **options: Any) -> Reader:
    champion = None if champions is None else Champion.of(Told(champions, spec=spec), "arn:7", spec)  # type: ignore[arg-type]
    evaluation = evaluate.evaluate(
        Told(answers, confidence=0.8, spec=spec), holdout(), champion=champion, **options  # type: ignore[arg-type]
    )  # fmt: skip
    html = report.page(evaluation.document, evaluation.baseline, evaluation.gallery)
    reader = Reader(html)
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return ModelSpec(f"letters {NASTY}", 2, 2, 1, ("a", f"b {NASTY}", "c"))


@pytest.fixture(scope="module")
def compared(spec: ModelSpec) -> Reader:
    champions = TRUTH.copy()
    champions[0] = 2
    return page_of(spec, np.array([0, 0, 0, 1, 1, 1, 0, 0, 1]), champions, run=f"run-{NASTY}")


def test_nothing_is_fetched_and_nothing_runs(compared: Reader) -> None:
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in compared.elements}
    for _, attributes in compared.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            assert str(attributes.get(name, "data:")).startswith("data:")
    assert "url(" not in report.STYLE


def test_names_from_outside_are_shown_as_they_are(compared: Reader, spec: ModelSpec) -> None:
    assert spec.name in compared.text
    assert spec.classes[1] in compared.text
    assert f"run-{NASTY}" in compared.text


def test_figures_of_the_evaluation_are_there(compared: Reader) -> None:
    for words in (
        "5 of 9 images answered rightly",
        "55.56 %",
        "Lowest recall",
        "Calibration error",
        "Latency p95",
    ):
        assert words in compared.text
    assert "against the champion 1 gained and 4 lost" in compared.text
    assert "4 right by both" in compared.text
    assert "\N{MINUS SIGN}33.33" in compared.text


def test_mistakes_have_their_pictures_and_the_champions_answer(compared: Reader) -> None:
    assert len(compared.pictures()) == 4 + 4  # worst mistakes, and those that the champion did not make
    for source in compared.pictures():
        picture = Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,"))))
        assert (picture.format, picture.size) == ("PNG", (2, 2))
    assert "Right by the champion, wrong by this model" in compared.text
    assert "champion: a" in compared.text


def test_without_a_champion_and_without_mistakes_it_says_so(spec: ModelSpec) -> None:
    reader = page_of(spec, TRUTH)
    assert "There is no champion yet." in reader.text
    assert "There are none: every answer is right." in reader.text
    assert reader.pictures() == []


class TestManyClasses:
    CLASSES = 1000

    @pytest.fixture(scope="class")
    def reader(self) -> Reader:
        spec = ModelSpec("species", 2, 2, 1, tuple(f"species number {n:04d}" for n in range(self.CLASSES)))
        dice = np.random.default_rng(4)
        truth = dice.integers(0, self.CLASSES, 4000)
        answers = np.where(dice.random(4000) < 0.8, truth, (truth + 1) % self.CLASSES)
        answers[truth == 500] = 700
        document = evaluate._document(spec, truth, answers, np.full(4000, 0.8))  # pyright: ignore[reportPrivateUsage]
        document |= {"latency_ms": {"p50": 1.0, "p95": 2.0}, "champion": None}
        recorder = evaluate.BaselineRecorder(spec)
        recorder.add(
            np.zeros((1, 2, 2, 1), np.uint8), truth[:1], np.eye(self.CLASSES, dtype=np.float32)[truth[:1]]
        )
        return Reader(report.page(document, recorder.document(None), Gallery()))

    def test_matrix_shows_the_most_confused_and_says_so(self, reader: Reader) -> None:
        limit = report_figures.MATRIX_CLASSES
        assert f"The {limit} of 1,000 classes that are confused most often" in reader.text
        cells = [
            each
            for tag, each in reader.elements
            if tag == "td" and each.get("class") in ("hit", "miss", "none")
        ]
        assert len(cells) == limit * (limit + 1)
        assert "species number 0500 \N{RIGHTWARDS ARROW} species number 0700" in reader.text

    def test_every_class_is_listed_the_worst_in_sight(self, reader: Reader) -> None:
        assert len(set(re.findall(r"species number \d{4}", reader.text))) == self.CLASSES
        assert "The other 960 classes" in reader.text
        assert reader.text.index("species number 0500", reader.text.index("lowest F1")) < reader.text.index(
            "The other 960 classes"
        )


class TestGallery:
    def test_keeps_the_worst_of_all_batches(self) -> None:
        gallery, dice = Gallery(), np.random.default_rng(6)
        every: list[float] = []
        for batch in range(8):
            truth = np.zeros(20, dtype=np.int64)
            right = dice.uniform(0, 0.45, 20)
            probabilities = np.stack([right, 1 - right], axis=1)
            names = [f"{batch}-{place}" for place in range(20)]
            champion = dice.integers(0, 2, 20)
            gallery.add(names, np.zeros((20, 1, 1, 1), np.uint8), truth, probabilities, champion)
            every += right.tolist()
        assert gallery.mistakes == 160
        assert [each.truth_probability for each in gallery.worst] == sorted(every)[:WORST]
        assert len(gallery.lost) == LOST
        assert {each.champion for each in gallery.lost} == {0}


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.9999, "99.9 %"), (1.0, "100.0 %"), (0.00001, "0.1 %"), (0.0, "0.0 %"), (0.5, "50.0 %")],
)
def test_nearly_all_never_looks_like_all(share: float, shown: str) -> None:
    assert report_figures.percent(share) == shown


def test_large_pictures_are_made_smaller() -> None:
    source = report_figures.picture(np.zeros((600, 300, 3), np.uint8))
    picture = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    assert picture.size == (80, 160)


def test_spread_of_a_baseline_is_that_of_its_values() -> None:
    values = np.random.default_rng(7).normal(10, 2, 5000)
    found = report_figures.spread(evaluate.baseline.histogram(values))
    assert found["50%"] == pytest.approx(np.quantile(values, 0.5), abs=0.2)
    assert found["5%"] == pytest.approx(np.quantile(values, 0.05), abs=0.4)
    assert (found["lowest"], found["highest"]) == (values.min(), values.max())
