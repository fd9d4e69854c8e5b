"""Finds faces and text by Amazon Rekognition; what it cannot examine in full is refused."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError
from PIL import Image

from vision_runtime.redaction import Detector, NotExamined, Region

NAME = "rekognition"
# It answers 100 faces and 100 words at most, and does not say how many more there are.
MAX_ANSWERS = 100
MIN_SIDE = 80  # px; Rekognition refuses smaller images
# Of these answers the image is the cause; all others are the service's, and pass.
BY_THE_IMAGE = {"InvalidImageFormatException", "ImageTooLargeException", "InvalidParameterException"}


def detector_named(name: str) -> Detector | None:
    """The detector of the setting `redaction`: None for "none". Raises ValueError for an unknown one."""
    if name == "none":
        return None
    if name == NAME:
        # Throttling is the rule when many functions ask at once.
        config = ClientConfig(retries={"mode": "adaptive", "total_max_attempts": 8})
        return RekognitionDetector(boto3.client("rekognition", config=config))
    raise ValueError(f"redaction {name!r} is unknown; it must be 'none' or {NAME!r}")


class RekognitionDetector:
    """Faces and words, so also number plates."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def find(self, image: Image.Image) -> list[Region]:
        """See Detector. Raises botocore's errors when the service fails."""
        canvas = _large_enough(image)
        content = io.BytesIO()
        canvas.save(content, "JPEG", quality=92)
        asked = {"Image": {"Bytes": content.getvalue()}}
        try:
            faces = self._client.detect_faces(**asked, Attributes=["DEFAULT"])["FaceDetails"]
            lines = self._client.detect_text(**asked)["TextDetections"]
        except ClientError as error:
            if error.response["Error"]["Code"] in BY_THE_IMAGE:
                raise NotExamined(f"Rekognition cannot examine the image: {error}") from error
            raise
        words = [found for found in lines if found["Type"] == "WORD"]
        for kind, found in (("faces", faces), ("words", words)):
            if len(found) >= MAX_ANSWERS:
                raise NotExamined(f"there are {MAX_ANSWERS} {kind} or more, not all of which were found")
        scale = canvas.width / image.width, canvas.height / image.height
        boxes = [("face", face["BoundingBox"]) for face in faces]
        boxes += [("text", word["Geometry"]["BoundingBox"]) for word in words]
        return list(_regions(boxes, scale))


def _large_enough(image: Image.Image) -> Image.Image:
    """`image`, on a larger white sheet when a side is too short for Rekognition."""
    size = max(image.width, MIN_SIDE), max(image.height, MIN_SIDE)
    if size == image.size:
        return image
    sheet = Image.new("RGB", size, (255, 255, 255))
    sheet.paste(image, (0, 0))
    return sheet


def _regions(boxes: list[tuple[str, Mapping[str, float]]], scale: tuple[float, float]) -> Iterator[Region]:
    for kind, box in boxes:
        yield Region(
            kind,
            box["Left"] * scale[0],
            box["Top"] * scale[1],
            box["Width"] * scale[0],
            box["Height"] * scale[1],
        )
