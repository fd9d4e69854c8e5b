"""The model's declared input and classes, as the functions get them in the variable MODEL_SPEC."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

SCHEMA = "vision.model-spec/1"
VARIABLE = "MODEL_SPEC"
WHITE = (255, 255, 255)
MAX_MODEL_SIDE = 2048  # px; a batch of one must fit InvokeEndpoint's 6 MB, which is 1448 x 1448 in RGB


class SpecError(ValueError):
    """The model spec is unusable; the message names the field and what it may hold."""


@dataclass(frozen=True)
class InputSpec:
    """One image as the model takes it: sides in px, 1 (grey) or 3 (RGB) channels of 8 bits.

    `background` (RGB) shows through transparent parts of an image.
    """

    width: int
    height: int
    channels: int
    background: tuple[int, int, int] = WHITE

    @property
    def byte_count(self) -> int:
        """Bytes of one image on the wire."""
        return self.width * self.height * self.channels


@dataclass(frozen=True)
class ModelSpec:
    """What `model/spec.json` declares; `classes[i]` is the label of the model's output `i`."""

    name: str
    input: InputSpec
    classes: tuple[str, ...]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ModelSpec:
        """The spec in MODEL_SPEC. Raises SpecError when it is absent or wrong."""
        if VARIABLE not in environment:
            raise SpecError(f"the environment variable {VARIABLE} is not set; it holds model/spec.json")
        return cls.from_json(environment[VARIABLE])

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """The spec in a JSON document. Raises SpecError naming the field."""
        try:
            document = json.loads(text)
        except ValueError as error:
            raise SpecError(f"the model spec is not JSON: {error}") from error
        fields = _object(document, "the model spec", {"schema", "name", "input", "classes"}, set())
        if fields["schema"] != SCHEMA:
            raise SpecError(f"schema: {fields['schema']!r} is unknown; this version reads {SCHEMA!r}")
        if not isinstance(fields["name"], str) or not fields["name"]:
            raise SpecError("name: must be a text that is not empty")
        return cls(fields["name"], _input(fields["input"]), _classes(fields["classes"]))


def _object(value: object, where: str, required: set[str], optional: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SpecError(f"{where}: must be an object")
    fields = cast("dict[str, Any]", value)
    for missing in sorted(required - set(fields)):
        raise SpecError(f"{where}: the field {missing!r} is missing")
    for unknown in sorted(set(fields) - required - optional):
        raise SpecError(f"{where}: the field {unknown!r} is unknown")
    return fields


def _input(value: object) -> InputSpec:
    fields = _object(value, "input", {"width", "height", "channels"}, {"background"})
    for side in ("width", "height"):
        if type(fields[side]) is not int or not 1 <= fields[side] <= MAX_MODEL_SIDE:
            raise SpecError(f"input.{side}: must be a whole number from 1 to {MAX_MODEL_SIDE}, in px")
    if fields["channels"] not in (1, 3):
        raise SpecError("input.channels: must be 1 (grey) or 3 (RGB)")
    return InputSpec(fields["width"], fields["height"], fields["channels"], _background(fields))


def _background(fields: dict[str, Any]) -> tuple[int, int, int]:
    match fields.get("background", list(WHITE)):
        case [int(red), int(green), int(blue)] if all(0 <= part <= 255 for part in (red, green, blue)):
            return red, green, blue
        case _:
            raise SpecError("input.background: must be three numbers from 0 to 255, [red, green, blue]")


def _classes(value: object) -> tuple[str, ...]:
    labels: list[Any] = cast("list[Any]", value) if isinstance(value, list) else []
    if len(labels) < 2 or not all(isinstance(label, str) and label for label in labels):
        raise SpecError("classes: must be a list of at least two texts that are not empty")
    if len(set(labels)) != len(labels):
        raise SpecError("classes: a label stands in it twice")
    return tuple(labels)
