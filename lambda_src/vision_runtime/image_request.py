"""Takes the images out of a request; what is wrong with one of several does not spoil the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from vision_runtime.body import JSON, bad_json, body_bytes, content_type, from_base64, json_fields
from vision_runtime.problem import Problem

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp")
ONE, SEVERAL = "image", "images"
MAX_IMAGES = 16
_HINT_ONE = f'{", ".join(IMAGE_TYPES)} with the image\'s bytes, or {JSON} with {{"{ONE}": "<base64>"}}'
_HINT = f'{_HINT_ONE} or {{"{SEVERAL}": ["<base64>", ...]}}'


@dataclass(frozen=True)
class ImageRequest:
    """One image's bytes, not yet checked as an image, or what was wrong before; `field` names its place."""

    field: str
    data: bytes = b""
    problem: Problem | None = None


@dataclass(frozen=True)
class Asked:
    """What a request asks about. `several` says whether the answer is a list."""

    images: tuple[ImageRequest, ...]
    several: bool = False


def read_images(event: Mapping[str, Any]) -> Asked:
    """The images of a request. Raises Problem for what spoils the whole request."""
    media_type = content_type(event, (*IMAGE_TYPES, JSON), _HINT)
    body = body_bytes(event, "send the image in the body")
    if media_type != JSON:
        return Asked((ImageRequest("body", body),))
    fields = json_fields(body, (ONE, SEVERAL))
    if SEVERAL in fields:
        if ONE in fields:
            raise bad_json(ONE, f"there are both {ONE!r} and {SEVERAL!r}; send one of them")
        return Asked(_several(fields[SEVERAL]), several=True)
    return Asked((ImageRequest(ONE, _decoded(ONE, fields.get(ONE))),))


def read_request(event: Mapping[str, Any]) -> ImageRequest:
    """The one image of a request that takes no more. Raises Problem."""
    media_type = content_type(event, (*IMAGE_TYPES, JSON), _HINT_ONE)
    body = body_bytes(event, "send the image in the body")
    if media_type != JSON:
        return ImageRequest("body", body)
    return ImageRequest(ONE, _decoded(ONE, json_fields(body, (ONE,)).get(ONE)))


def _several(sent: object) -> tuple[ImageRequest, ...]:
    images = cast("list[object]", sent) if isinstance(sent, list) else []
    if not 1 <= len(images) <= MAX_IMAGES:
        raise bad_json(SEVERAL, f"it holds 1 to {MAX_IMAGES} images in base64, as a list")
    return tuple(_one_of_several(f"{SEVERAL}[{place}]", image) for place, image in enumerate(images))


def _one_of_several(field: str, image: object) -> ImageRequest:
    try:
        return ImageRequest(field, _decoded(field, image))
    except Problem as problem:
        return ImageRequest(field, problem=problem)


def _decoded(field: str, image: object) -> bytes:
    if not isinstance(image, str) or not image:
        raise bad_json(field, f"the field {field!r} is missing or not a text; it holds the image in base64")
    if image.startswith("data:"):
        raise bad_json(field, "it is a data URI; send only what follows the comma")
    try:
        return from_base64(image)
    except ValueError as error:  # includes text that is not ASCII
        raise bad_json(field, f"it is not base64: {error}") from error
