"""The dataset manifest: its shape, and the checks without which a training run would mislead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.dataclasses import dataclass

Split = Literal["train", "validation", "holdout"]
# In the order in which they are prepared: what must be whole comes first.
SPLITS: tuple[Split, ...] = ("holdout", "validation", "train")
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=128)]
# Relative to the manifest's folder, and never leaving it.
Key = Annotated[str, StringConstraints(pattern=r"^(?:[\w .()+=@-]+/)*[\w .()+=@-]+$", max_length=512)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
REPORTED = 10  # faults in one message; a broken export has thousands


class ManifestError(ValueError):
    """The manifest, or an image in it, cannot be trained on; the message names the image and the field."""


# Slots: a manifest has half a million of these, which as models take four times the memory.
@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class ManifestImage:
    """One labelled image: where it lies, what it shows, what it is for, and the checksum of its bytes."""

    key: Key
    label: Label
    split: Split
    sha256: Sha256


class Manifest(BaseModel):
    """A version of a dataset. `schema` is the manifest's own format; the split `validation` may be absent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["vision.dataset/1"] = Field(alias="schema")
    dataset: Name
    version: Name
    classes: tuple[Label, ...] = Field(min_length=2)
    images: tuple[ManifestImage, ...] = Field(min_length=1)

    def of(self, split: Split) -> list[ManifestImage]:
        """The images of one split, ordered by checksum: shuffled once and for all, whatever their names are.

        Keys often begin with the class. Shards in their order would hold one class each, and a job that
        streams them would see the classes one after the other.
        """
        chosen = (image for image in self.images if image.split == split)
        return sorted(chosen, key=lambda image: (image.sha256, image.key))


def read_manifest(content: bytes, classes: tuple[str, ...]) -> Manifest:
    """The manifest in `content`, fit for a model with these classes. Raises ManifestError with all faults."""
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise ManifestError(_joined(_shape_faults(error))) from error
    faults = [*_class_faults(manifest, classes), *_image_faults(manifest), *_leaks(manifest)]
    if faults:
        raise ManifestError(_joined(faults))
    return manifest


def _shape_faults(error: ValidationError) -> list[str]:
    faults: list[str] = []
    for fault in error.errors(include_url=False, include_context=False):
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])
        shown = (
            f" (found {str(fault['input'])[:80]!r})" if isinstance(fault["input"], str | int | float) else ""
        )
        faults.append(f"{where.lstrip('.') or 'manifest'}: {fault['msg']}{shown}")
    return faults


def _class_faults(manifest: Manifest, classes: tuple[str, ...]) -> Iterator[str]:
    if sorted(manifest.classes) != sorted(classes):
        yield f"classes: the manifest declares {list(manifest.classes)}, the model {list(classes)}"
        return
    for split in ("holdout", "train"):
        present = {image.label for image in manifest.images if image.split == split}
        for label in classes:
            if label not in present:
                yield f"class {label!r} has no image in the split {split!r}"


def _image_faults(manifest: Manifest) -> Iterator[str]:
    keys: set[str] = set()
    for index, image in enumerate(manifest.images):
        if image.key in keys:
            yield f"images[{index}].key: {image.key!r} stands in the manifest twice"
        keys.add(image.key)
        if image.label not in manifest.classes:
            yield f"images[{index}].label: {image.label!r} of {image.key!r} is not one of the classes"
        if {".", ".."} & set(image.key.split("/")):
            yield f"images[{index}].key: {image.key!r} leaves the manifest's folder"


def _leaks(manifest: Manifest) -> Iterator[str]:
    """The same bytes twice: in both splits the holdout would be trained on, with two labels one is wrong."""
    by_checksum: dict[str, ManifestImage] = {}
    for other in manifest.images:
        first = by_checksum.setdefault(other.sha256, other)
        if other.split != first.split:
            yield f"{first.key!r} ({first.split}) and {other.key!r} ({other.split}) are the same image"
        elif other.label != first.label:
            yield f"{first.key!r} ({first.label}) and {other.key!r} ({other.label}) are the same image"


def _joined(faults: list[str]) -> str:
    more = f"; and {len(faults) - REPORTED} more" if len(faults) > REPORTED else ""
    return "; ".join(faults[:REPORTED]) + more
