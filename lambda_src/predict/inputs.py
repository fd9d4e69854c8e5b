"""Turns what was sent into model inputs, each image by itself: bytes for the model, or its problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vision_runtime.image_request import Asked, ImageRequest
from vision_runtime.images import ImageFault, ImageLimits, ImageRejected, to_model_input
from vision_runtime.problem import Problem
from vision_runtime.spec import InputSpec

IMAGE_STATUS = {ImageFault.TOO_MANY_BYTES: 413, ImageFault.UNSUPPORTED_FORMAT: 415}
LIMITS = ImageLimits()
# What asking the model needs at least; decoding several slow images must leave it.
ASKING_SECONDS = 4.0
_SHORTEST_DECODE = 0.05
RETRY_SECONDS = 1


@dataclass(frozen=True)
class Prepared:
    """One image as the model takes it, or why it cannot be."""

    pixels: bytes = b""
    problem: Problem | None = None


def prepare(asked: Asked, spec: InputSpec, seconds_left: Callable[[], float]) -> list[Prepared]:
    """Every image of a request; `seconds_left` tells what remains of the request's time.

    Raises Problem when the request is about one image and that cannot be used.
    """
    prepared = [_prepared(image, spec, seconds_left() - ASKING_SECONDS) for image in asked.images]
    if not asked.several and prepared[0].problem:
        raise prepared[0].problem
    return prepared


def _prepared(image: ImageRequest, spec: InputSpec, seconds: float) -> Prepared:
    if image.problem:
        return Prepared(problem=image.problem)
    if seconds < _SHORTEST_DECODE:
        detail = "the request's time was used up by the images before it; send fewer or smaller ones"
        return Prepared(
            problem=Problem(
                "out-of-time",
                "The request took too long",
                503,
                detail,
                field=image.field,
                retry_after=RETRY_SECONDS,
            )
        )
    limits = replace(LIMITS, decode_seconds=min(LIMITS.decode_seconds, seconds))
    try:
        return Prepared(pixels=to_model_input(image.data, spec, limits))
    except ImageRejected as rejected:
        status = IMAGE_STATUS.get(rejected.fault, 400)
        kind, title = f"image-{rejected.fault}", "The image is not accepted"
        return Prepared(problem=Problem(kind, title, status, rejected.detail, field=image.field))
