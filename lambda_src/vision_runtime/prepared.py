"""The folder of a prepared dataset: what lies where in it, and the documents between the three functions.

A dataset version is prepared once for each recipe (model input, image rules, redaction) and shard size, in a
folder of its own: whoever prepares it again finds what is there. One function plans it as parts, which list
the images of one shard each, so that no batch reads the whole manifest. One makes shards and reports of
parts, one checks all reports and describes the whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import PIL
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from vision_runtime.images import rules
from vision_runtime.manifest import ManifestImage, Split
from vision_runtime.redaction import Region
from vision_runtime.s3_uri import ObjectMissing, S3Uri
from vision_runtime.spec import ModelSpec

SHARD_LAYOUT = 1  # raise it when the same images would make other shards
MAX_DOCUMENT_BYTES = 64 * rules.MEBIBYTE

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]*$")]


class PreparedError(ValueError):
    """A document of a prepared dataset is damaged; the message names it and the field."""


class ShardName(NamedTuple):
    """One shard: its split, and its number in it."""

    split: Split
    number: int


class PlannedImage(NamedTuple):
    """One image of a part: its key beside the manifest, the index of its class, and its checksum."""

    key: str
    class_index: int
    sha256: str


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


class DatasetName(_Document):
    """Which version of which dataset."""

    name: str
    version: str


class Plan(_Document):
    """What is to be prepared: `counts` images of each split, in shards of `shard_images`."""

    format: Literal["vision.plan/1"] = Field(default="vision.plan/1", alias="schema")
    dataset: DatasetName
    manifest_sha256: Digest
    data_id: Digest
    holdout_sha256: Digest
    shard_images: int
    counts: dict[Split, int]

    def shards(self, split: Split) -> int:
        """How many shards the split has."""
        return -(-self.counts[split] // self.shard_images)


class Part(_Document):
    """The images of one shard, of which the first is number `first` of its split, and what makes them."""

    format: Literal["vision.part/1"] = Field(default="vision.part/1", alias="schema")
    recipe: Digest
    split: Split
    number: int
    first: int
    images: tuple[PlannedImage, ...]


class Rejected(_Document):
    """An image that is left out, the class of fault, and what was found."""

    number: int
    key: str
    sha256: Digest
    fault: str
    detail: str


@checked_dataclass(frozen=True, slots=True)
class RedactedImage:
    """What was blurred in one image, and where; never what it showed."""

    number: int
    regions: tuple[Region, ...]


class Report(_Document):
    """What became of one part. `digests` has one for each image's pixels, or "" where it was rejected."""

    format: Literal["vision.report/1"] = Field(default="vision.report/1", alias="schema")
    recipe: Digest
    split: Split
    number: int
    first: int
    shard_bytes: int
    shard_sha256: Digest
    digests: tuple[str, ...]
    class_counts: dict[int, int]
    rejected: tuple[Rejected, ...]
    redacted: tuple[RedactedImage, ...]


Document = TypeVar("Document", bound=_Document)


@dataclass(frozen=True)
class PreparedFolder:
    """The folder's addresses."""

    at: S3Uri

    @property
    def plan(self) -> S3Uri:
        """The plan."""
        return self.at.sibling("plan.json")

    @property
    def batches(self) -> S3Uri:
        """What the workflow's map iterates over."""
        return self.at.sibling("batches.json")

    @property
    def manifest(self) -> S3Uri:
        """The description of the whole; there once everything is prepared."""
        return self.at.sibling("manifest.json")

    @property
    def rejections(self) -> S3Uri:
        """The report of what was left out."""
        return self.at.sibling("rejected.json")

    def part(self, name: ShardName) -> S3Uri:
        """The images of a shard."""
        return self.at.sibling(f"parts/{name.split}-{name.number:05d}.json")

    def report(self, name: ShardName) -> S3Uri:
        """What became of them; written after the shard."""
        return self.at.sibling(f"reports/{name.split}-{name.number:05d}.json")

    def shard(self, name: ShardName) -> S3Uri:
        """The shard."""
        return self.at.sibling(shard_key(name))

    def split(self, split: Split) -> S3Uri:
        """The folder of a split's shards, which holds nothing else."""
        return self.at.sibling(f"{split}/")


def shard_key(name: ShardName) -> str:
    """The shard's name in the folder."""
    return f"{name.split}/shard-{name.number:05d}.tar"


def recipe(spec: ModelSpec, redaction: str) -> str:
    """A digest of all that decides what an image becomes, Pillow's version with its decoders included."""
    entry = spec.input
    return _digest(
        {
            "input": [entry.width, entry.height, entry.channels, *entry.background],
            "classes": spec.classes,
            "rules": rules.VERSION,
            "layout": SHARD_LAYOUT,
            "pillow": PIL.__version__,
            "redaction": redaction,
        }
    )


def data_id(manifest_sha256: str, recipe: str, shard_images: int) -> str:
    """The name of the folder: equal for equal data, so that a repeated run finds what is prepared."""
    return _digest({"manifest": manifest_sha256, "recipe": recipe, "shard_images": shard_images})


def holdout_digest(images: Iterable[ManifestImage]) -> str:
    """What a frozen holdout is compared by: its images' checksums and labels, in any order."""
    return _digest(sorted((image.sha256, image.label) for image in images))


def write(s3: Any, place: S3Uri, document: BaseModel | list[Any] | dict[str, Any]) -> bytes:
    """Store a document as JSON; answers its bytes. Raises botocore's errors."""
    text = document.model_dump_json() if isinstance(document, BaseModel) else json.dumps(document)
    content = text.encode()
    s3.put_object(Bucket=place.bucket, Key=place.key, Body=content, ContentType="application/json")
    return content


def read(s3: Any, place: S3Uri, model: type[Document]) -> Document | None:
    """A document, or None where there is none. Raises PreparedError, or botocore's errors."""
    try:
        return model.model_validate_json(place.read(s3, MAX_DOCUMENT_BYTES))
    except ObjectMissing:
        return None
    except ValidationError as error:
        raise PreparedError(f"{place} is not what this version writes: {error}") from error


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).hexdigest()[:32]
