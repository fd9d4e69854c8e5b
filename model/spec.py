"""What the team declares about its model in spec.json: the input's shape and the classes, in order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

SCHEMA = "vision.model-spec/1"


class SpecError(ValueError):
    """spec.json cannot be used; the message names the file and the field."""


@dataclass(frozen=True)
class ModelSpec:
    """The declared shape of one model.

    `classes[i]` is the label of output `i`. Images are `height` x `width` pixels with `channels` bytes each
    (1 = grey, 3 = RGB).
    """

    name: str
    width: int
    height: int
    channels: int
    classes: tuple[str, ...]

    @property
    def image_bytes(self) -> int:
        """The size of one image on the wire: height * width * channels bytes."""
        return self.height * self.width * self.channels


def read_spec(path: Path) -> ModelSpec:
    """Read spec.json. The platform has validated it at synth; here only what would break later is checked.

    Raises SpecError when the file is missing, is not JSON, or lacks a field.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise SpecError(f"{path}: schema is {document['schema']!r}, this code reads {SCHEMA!r}")
        shape = document["input"]
        return ModelSpec(
            name=document["name"],
            width=int(shape["width"]),
            height=int(shape["height"]),
            channels=int(shape["channels"]),
            classes=tuple(document["classes"]),
        )
    except FileNotFoundError as error:
        raise SpecError(f"{path}: no such file; it must lie beside the code that reads it") from error
    except KeyError as error:
        raise SpecError(f"{path}: the field {error} is missing") from error
    except (TypeError, json.JSONDecodeError) as error:
        raise SpecError(f"{path}: not a model spec: {error}") from error
