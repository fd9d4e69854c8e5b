"""The three reports of a run: what they hold in good runs and bad ones, and that the page needs nothing."""

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from smoke_tests.journal import Status
from smoke_tests.reports import keep
from smoke_tests.reports.junit import junit
from smoke_tests.reports.page import duration, page, percent
from smoke_tests.reports.summary import summary
from smoke_tests.result import Result
from tests.smoke_tests.conftest import RUN_ID, Finished
from tests.smoke_tests.fake_api import FakeApi
from tests.smoke_tests.world import World

Smoke = Callable[..., Finished]
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """What a test wants to know of a page: balanced tags, pictures, addresses and text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def good(smoke: Smoke) -> Result:
    return smoke(CODEBUILD_RESOLVED_SOURCE_VERSION="a1b2c3d4e5f6", PIPELINE_EXECUTION_ID="e-1").result


@pytest.fixture
def poor(smoke: Smoke, world: World) -> Result:
    cause = "<script>alert('7')</script> & more \x00"
    world.workflow_error = ("Train", "States.TaskFailed", cause)
    return smoke().result


def parsed_junit(result: Result) -> ElementTree.Element:
    """The one suite of the JUnit document."""
    suite = ElementTree.fromstring(junit(result)).find("testsuite")  # noqa: S314 - written a moment ago
    assert suite is not None
    return suite


def test_the_summary_has_the_promised_shape(good: Result) -> None:
    told = json.loads(json.dumps(summary(good)))
    assert told["environment"] == "dev" and told["passed"] is True and told["run_id"] == RUN_ID
    assert told["accuracy"] == 0.98
    assert told["images"] == {"asked": 30, "right": 30}
    assert told["bad_inputs"]["not-an-image"] == {"status": 400, "refused": True}
    assert len(told["bad_inputs"]) == 5
    assert told["model_version"].startswith("arn:aws:sagemaker:")
    assert set(told["api_latency_ms"]) == {"first", "p50", "p95"} and told["api_latency_ms"]["p50"] > 0
    assert set(told["seconds"]) == {check["name"] for check in told["checks"]}
    assert set(told["checks"][0]) == {"name", "title", "status", "seconds", "detail"}
    assert told["commit"] == "a1b2c3d4e5f6"


def test_the_summary_of_a_run_that_got_nowhere_has_nulls_not_gaps(poor: Result) -> None:
    told = summary(poor)
    assert told["passed"] is False and told["accuracy"] is None and told["model_version"] is None
    assert told["images"] == {"asked": 30, "right": 0}
    assert told["api_latency_ms"]["p50"] is None
    assert told["execution_arn"].endswith(RUN_ID)


def test_junit_has_one_case_per_check(good: Result) -> None:
    suite = parsed_junit(good)
    assert suite.attrib["name"] == "smoke.dev"
    cases = suite.findall("testcase")
    assert [case.attrib["name"] for case in cases] == [check.name for check in good.checks]
    assert suite.attrib["tests"] == str(len(cases)) and suite.attrib["failures"] == "0"
    assert all(
        float(case.attrib["time"]) >= 0 and case.attrib["classname"].startswith("smoke.dev.")
        for case in cases
    )


def test_junit_counts_failures_and_skips_and_survives_any_text(poor: Result) -> None:
    suite = parsed_junit(poor)
    failed = [case for case in suite.findall("testcase") if case.find("failure") is not None]
    assert [case.attrib["name"] for case in failed] == ["training"]
    failure = failed[0].find("failure")
    assert failure is not None and "<script>alert('7')</script> & more ?" in str(failure.text)
    assert "execution: arn:aws:states" in str(failure.text)
    assert suite.attrib["failures"] == "1"
    assert int(suite.attrib["skipped"]) == len(suite.findall("testcase/skipped")) > 0


def test_a_fault_of_the_smoke_tests_themselves_is_an_error_with_its_trace(good: Result) -> None:
    good.checks[0].status, good.checks[0].trace = Status.ERROR, "Traceback: here"
    suite = parsed_junit(good)
    assert suite.attrib["errors"] == "1"
    assert "Traceback: here" in str(suite.findtext("testcase/error"))


@pytest.mark.parametrize("which", ["good", "poor"])
def test_the_page_needs_nothing_from_anywhere(request: pytest.FixtureRequest, which: str) -> None:
    source = page(request.getfixturevalue(which))
    parsed = Page(source)
    assert parsed.open == [], "every tag is closed"
    assert not any(tag in {"script", "iframe", "object", "embed", "video", "audio"} for tag, _ in parsed.tags)
    loaded = [
        value
        for tag, attributes in parsed.tags
        for name, value in attributes.items()
        if name in {"src", "srcset", "data", "poster", "background"} or (name == "href" and tag != "a")
    ]
    assert all(value.startswith("data:") for value in loaded)
    assert "url(" not in source and "@import" not in source
    policy = next(meta["content"] for meta in parsed.all("meta") if meta.get("http-equiv"))
    assert policy.startswith("default-src 'none'"), "a browser would refuse to load anything else"


def test_the_page_shows_every_picture_with_its_answer(good: Result) -> None:
    parsed = Page(page(good))
    pictures = parsed.all("img")
    assert len(pictures) == 30
    assert all(picture["src"].startswith("data:image/png;base64,") and picture["alt"] for picture in pictures)
    assert parsed.text.count("91.0 %") == 30


def test_the_page_says_what_an_approver_wants_to_know(good: Result) -> None:
    text = " ".join(Page(page(good)).text.split())
    for words in (
        "Smoke test of dev passed",
        "30 of 30",
        "98.0 %",
        "6 of 6",
        "a1b2c3d4e5",
        "untouched",
        "Not an acceptable image",
        "Inside the training workflow",
        "Rows are the truth",
        "tiny v1",
        "vision-dev-job",
        f"execution:vision-dev-training:{RUN_ID}",
    ):
        assert words in text, words


def test_wrong_answers_are_marked_in_words_not_only_in_colour(smoke: Smoke, api: FakeApi) -> None:
    api.spoil = lambda number, body: body | {"label": "cat"} if number == 0 else body
    parsed = Page(page(smoke().result))
    assert "it is 0" in parsed.text and "cat" in parsed.text and "malformed" in parsed.text
    assert sum(item.get("class") == "wrong" for item in parsed.all("li")) == 1


def test_a_failed_run_leads_with_what_went_wrong_and_escapes_it(poor: Result) -> None:
    source = page(poor)
    text = " ".join(Page(source).text.split())
    assert "Smoke test of dev failed" in text
    assert text.index("What went wrong") < text.index("What ran, and how long")
    assert "state Train failed with States.TaskFailed: <script>alert('7')</script>" in text
    assert "<script" not in source
    assert "No image was sent" in text and "not tried" in text


def test_bars_stay_inside_their_track(good: Result) -> None:
    for tag, attributes in Page(page(good)).tags:
        if tag == "span" and attributes.get("class", "").startswith("bar"):
            left, width = (float(part.split(":")[1].rstrip("%")) for part in attributes["style"].split(";"))
            assert left >= 0 and left + width <= 100.01


def test_figures_are_worded_honestly() -> None:
    assert percent(0.9999) == "99.9 %" and percent(1) == "100 %" and percent(0.95) == "95.0 %"
    assert [duration(seconds) for seconds in (0.0, 0.02, 4.26, 42, 61.2)] == [
        "1 ms",
        "20 ms",
        "4.3 s",
        "42 s",
        "1 min 1 s",
    ]


def test_reports_are_written_and_kept_under_the_pipelines_execution(
    good: Result, tmp_path: Path, world: World
) -> None:
    keep.write(good, tmp_path / "smoke")
    kept = keep.upload(
        Result(
            good.settings.model_copy(update={"reports_bucket": "reports"}),
            good.run_id, good.started_at, good.seconds, good.checks, good.evidence,
        ),
        tmp_path / "smoke",
        world.aws().s3,
    )  # fmt: skip
    assert kept == "s3://reports/smoke/e-1/dev/index.html"
    stored = world.current("reports")
    assert set(stored) == {f"smoke/e-1/dev/{name}" for name in ("index.html", "junit.xml", "summary.json")}
    assert stored["smoke/e-1/dev/index.html"] == (tmp_path / "smoke" / "index.html").read_bytes()
