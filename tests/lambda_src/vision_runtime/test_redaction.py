"""Redaction: what a detector finds is gone from the pixels, the rest stays, and doubt means no (R33)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber
from PIL import Image, ImageDraw

from tests.lambda_src import odd_images as odd
from tests.lambda_src.dataset_world import Functions, World
from vision_runtime.images import ImageFault, ImageRejected, prepare, to_model_input
from vision_runtime.redaction import NotExamined, Region, blur
from vision_runtime.redaction_rekognition import RekognitionDetector, detector_named
from vision_runtime.spec import InputSpec

SPEC = InputSpec(64, 64, 3)
LETTERS = Region("text", 0.25, 0.25, 0.5, 0.25)


def stripes(width: int = 64, height: int = 64) -> Image.Image:
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for x in range(0, width, 4):
        draw.rectangle((x, 0, x + 1, height), fill="black")
    return image


@dataclass
class Known:
    """A detector that knows what there is to find, and keeps what it was shown."""

    regions: Sequence[Region] = ()
    shown: list[Image.Image] = field(default_factory=list[Image.Image])

    def find(self, image: Image.Image) -> Sequence[Region]:
        self.shown.append(image)
        return self.regions


class TestBlur:
    def test_nothing_of_the_region_is_left_to_read(self) -> None:
        part = blur(stripes(), [LETTERS]).crop((16, 16, 48, 32)).convert("L")
        darkest, lightest = part.getextrema()
        assert lightest - darkest < 20

    def test_outside_of_the_region_and_its_margin_every_pixel_stays(self) -> None:
        image = stripes()
        blurred = blur(image, [LETTERS])
        left, right, top, bottom = 11, 53, 13, 35  # the region with 15 % of its sides around it
        for box in ((0, 0, 64, top), (0, bottom, 64, 64), (0, 0, left, 64), (right, 0, 64, 64)):
            assert blurred.crop(box).tobytes() == image.crop(box).tobytes()
        assert blurred.tobytes() != image.tobytes()

    def test_no_region_no_change(self) -> None:
        assert blur(stripes(), []).tobytes() == stripes().tobytes()

    @pytest.mark.parametrize(
        "region",
        [
            Region("face", -0.5, -0.5, 2.0, 2.0),
            Region("face", 0.95, 0.95, 0.3, 0.3),
            Region("face", 0.5, 0.5, 0.0, 0.0),
            Region("face", 1.5, 0.0, 0.1, 0.1),
        ],
    )
    def test_regions_at_and_beyond_the_border(self, region: Region) -> None:
        assert blur(stripes(), [region]).size == (64, 64)

    def test_grey_images(self) -> None:
        assert blur(stripes().convert("L"), [LETTERS]).mode == "L"


class TestPreparation:
    def test_what_is_found_is_blurred_and_recorded(self) -> None:
        data = odd.saved(stripes(), "PNG")
        ready = prepare(data, SPEC, detector=Known([LETTERS]))
        assert ready.redacted == (LETTERS,)
        assert ready.pixels == blur(stripes(), [LETTERS]).tobytes()

    def test_without_a_finding_the_pixels_are_those_without_redaction(self) -> None:
        for name in ("JPEG", "PNG", "WEBP"):
            data = odd.with_orientation(odd.gradient(133, 90), 6, name)
            ready = prepare(data, SPEC, detector=Known())
            assert ready.pixels == to_model_input(data, SPEC)
            assert ready.redacted == ()

    def test_detector_gets_the_upright_image_large_and_without_metadata(self) -> None:
        stored = Image.new("RGB", (3000, 1000), "white")
        stored.paste("red", (0, 0, 1500, 1000))
        detector = Known()
        prepare(odd.with_orientation(stored, 6, "JPEG"), InputSpec(8, 8, 1), detector=detector)
        (image,) = detector.shown
        assert image.size == (533, 1600)
        assert image.mode == "RGB"
        assert image.getpixel((266, 100))[1] < 20  # type: ignore[index]  # turned: red is above
        assert image.getpixel((266, 1500))[1] > 235  # type: ignore[index]
        assert not image.getexif()

    def test_small_image_is_not_enlarged_for_the_detector(self) -> None:
        detector = Known()
        prepare(odd.saved(odd.gradient(40, 30), "PNG"), SPEC, detector=detector)
        assert detector.shown[0].size == (40, 30)

    def test_image_that_cannot_be_examined_is_rejected(self) -> None:
        class Blind:
            def find(self, image: Image.Image) -> Sequence[Region]:
                raise NotExamined("too dark")

        with pytest.raises(ImageRejected, match="too dark") as caught:
            prepare(odd.saved(stripes(), "PNG"), SPEC, detector=Blind())
        assert caught.value.fault == ImageFault.NOT_EXAMINED

    def test_failure_of_the_detector_is_not_the_images_fault(self) -> None:
        class Down:
            def find(self, image: Image.Image) -> Sequence[Region]:
                raise ConnectionError("no answer")

        with pytest.raises(ConnectionError):
            prepare(odd.saved(stripes(), "PNG"), SPEC, detector=Down())


class TestRekognition:
    box = {"Left": 0.1, "Top": 0.2, "Width": 0.3, "Height": 0.4}

    @pytest.fixture
    def client(self) -> Any:
        return boto3.client(
            "rekognition", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
        )

    @pytest.fixture
    def service(self, client: Any) -> Iterator[Stubber]:
        with Stubber(client) as stub:
            yield stub
            stub.assert_no_pending_responses()

    def answer(self, service: Stubber, faces: int = 0, words: int = 0) -> None:
        asked = {"Image": {"Bytes": ANY}}
        found = {"FaceDetails": [{"BoundingBox": self.box}] * faces}
        service.add_response("detect_faces", found, {**asked, "Attributes": ["DEFAULT"]})
        text = {"DetectedText": "secret", "Geometry": {"BoundingBox": self.box}}
        read = [{**text, "Type": "LINE"}] + [{**text, "Type": "WORD"}] * words
        service.add_response("detect_text", {"TextDetections": read}, asked)

    def test_faces_and_words_become_regions(self, client: Any, service: Stubber) -> None:
        self.answer(service, faces=1, words=2)
        regions = RekognitionDetector(client).find(stripes(200, 200))
        assert regions == [Region(kind, 0.1, 0.2, 0.3, 0.4) for kind in ("face", "text", "text")]

    def test_small_image_lies_on_a_sheet_and_regions_are_the_images(
        self, client: Any, service: Stubber
    ) -> None:
        self.answer(service, faces=1)
        (face,) = RekognitionDetector(client).find(stripes(40, 160))
        assert (face.left, face.top, face.width, face.height) == pytest.approx((0.2, 0.2, 0.6, 0.4))

    @pytest.mark.parametrize("found", [{"faces": 100}, {"words": 100}])
    def test_as_many_as_it_answers_at_most_may_be_more(
        self, client: Any, service: Stubber, found: dict[str, int]
    ) -> None:
        self.answer(service, **found)
        with pytest.raises(NotExamined, match="100"):
            RekognitionDetector(client).find(stripes(200, 200))

    def test_image_that_it_refuses(self, client: Any, service: Stubber) -> None:
        service.add_client_error("detect_faces", "InvalidImageFormatException")
        with pytest.raises(NotExamined):
            RekognitionDetector(client).find(stripes(200, 200))

    def test_throttling_is_not_the_images_fault(self, client: Any, service: Stubber) -> None:
        service.add_client_error("detect_faces", "ProvisionedThroughputExceededException")
        with pytest.raises(ClientError):
            RekognitionDetector(client).find(stripes(200, 200))

    def test_settings_name_the_detector(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        assert detector_named("none") is None
        assert isinstance(detector_named("rekognition"), RekognitionDetector)
        with pytest.raises(ValueError, match="must be 'none' or 'rekognition'"):
            detector_named("hog")


class TestDataset:
    """The same path, in the function that makes shards."""

    @pytest.fixture
    def redacting(
        self, load_function: Callable[..., ModuleType], context: SimpleNamespace
    ) -> Callable[[Any], World]:
        def world(detector: Any) -> World:
            functions = Functions(load_function, REDACTION="rekognition")
            functions.modules["preprocess"].detector = detector
            return World(functions, context)

        return world

    def test_report_says_what_was_blurred_and_where_without_its_content(
        self, redacting: Callable[[Any], World]
    ) -> None:
        face = Region("face", 1 / 3, 0.0, 0.25, 0.5)
        world = redacting(Known([face]))
        result = world.prepare()
        assert world.document(result["prepared_uri"])["redacted"] == {"face": 60}
        report = world.document(f"{world.plan()['folder_uri']}reports/train-00001.json")
        assert report["redacted"][0] == {
            "number": 15,
            "regions": [{"kind": "face", "left": 0.3333, "top": 0.0, "width": 0.25, "height": 0.5}],
        }

    def test_what_cannot_be_examined_is_left_out(self, redacting: Callable[[Any], World]) -> None:
        class Narrow:
            def find(self, image: Image.Image) -> Sequence[Region]:
                if image.width == 9:
                    raise NotExamined("too narrow")
                return []

        assert redacting(Narrow()).prepare()["rejected"] == {"not-examined": 1}

    def test_service_that_is_down_stops_the_batch_and_leaves_no_shard(
        self, redacting: Callable[[Any], World]
    ) -> None:
        class Down:
            def find(self, image: Image.Image) -> Sequence[Region]:
                raise ConnectionError("no answer")

        world = redacting(Down())
        with pytest.raises(ConnectionError):
            world.prepare()
        assert not world.shards()
