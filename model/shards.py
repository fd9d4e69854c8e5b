"""Reads prepared shards (tar files of NAME.png and NAME.cls), for training and for evaluation.

A channel may be a mount that fetches objects while they are read (SageMaker's FastFile mode): nothing here
seeks, and a shard is opened once for each reading.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from spec import ModelSpec

MODES = {1: "L", 3: "RGB"}
READ_BYTES = 1 << 20  # asked for at once: each request to a mount has its price


class ShardError(ValueError):
    """A shard does not hold what preprocessing writes; the message names the shard and the member."""


@dataclass(frozen=True)
class Examples:
    """Labelled images: `images` is uint8 [N, height, width, channels], `labels` int64 [N] (class indices)."""

    images: np.ndarray[Any, np.dtype[np.uint8]]
    labels: np.ndarray[Any, np.dtype[np.int64]]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Encoded:
    """One labelled image as its shard holds it; `stem` is its name without a suffix."""

    shard: Path
    stem: str
    png: bytes
    label: int


def shard_paths(folder: Path) -> list[Path]:
    """The shards in `folder` by name. Raises ShardError when there is none."""
    paths = sorted(folder.glob("*.tar"))
    if not paths:
        raise ShardError(f"{folder}: no examples; preprocessing writes shard-00000.tar and so on")
    return paths


def read_shards(folder: Path, spec: ModelSpec) -> Examples:
    """All images of `folder` at once, in the order of shards' names.

    Raises ShardError when there is none, or when a member has the wrong shape or an unknown class.
    """
    encoded = [image for path in shard_paths(folder) for image in read_encoded(path, spec)]
    if not encoded:
        raise ShardError(f"{folder}: no examples; its shards are empty")
    labels = np.asarray([image.label for image in encoded], dtype=np.int64)
    return Examples(np.stack([decode(image, spec) for image in encoded]), labels)


def read_encoded(path: Path, spec: ModelSpec) -> Iterator[Encoded]:
    """The images of one shard in its own order, not decoded.

    Raises ShardError for an image without a class beside it, an unknown class, and a damaged file.
    """
    stem, parts = "", dict[str, bytes]()
    try:
        with tarfile.open(path, "r|", bufsize=READ_BYTES) as shard:
            while (member := shard.next()) is not None:
                # tarfile remembers all that it has read, which grows with the shard.
                shard.members.clear()  # pyright: ignore[reportAttributeAccessIssue]
                # WebDataset's rule: what belongs together lies together and differs after the first dot.
                name, _, suffix = member.name.partition(".")
                if name != stem:
                    yield from _image(path, stem, parts, spec)
                    stem, parts = name, {}
                if suffix in ("png", "cls"):
                    content = shard.extractfile(member)
                    if content is None:
                        raise ShardError(f"{path}: {member.name} is not a file")
                    parts[suffix] = content.read()
    except (tarfile.TarError, OSError) as error:
        raise ShardError(f"{path}: cannot be read: {error}") from error
    yield from _image(path, stem, parts, spec)


def decode(encoded: Encoded, spec: ModelSpec) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The image as uint8 [height, width, channels]. Raises ShardError when it is none, or not of the spec."""
    where = f"{encoded.shard}: {encoded.stem}.png"
    try:
        with Image.open(io.BytesIO(encoded.png), formats=["PNG"]) as image:
            if image.size != (spec.width, spec.height) or image.mode != MODES[spec.channels]:
                raise ShardError(
                    f"{where} is {image.size[0]}x{image.size[1]} {image.mode}; "
                    f"the spec says {spec.width}x{spec.height} {MODES[spec.channels]}"
                )
            return np.asarray(image, dtype=np.uint8).reshape(spec.height, spec.width, spec.channels)
    except (OSError, SyntaxError) as error:  # Pillow's words for damaged files
        raise ShardError(f"{where} cannot be decoded: {error}") from error


def _image(path: Path, stem: str, parts: dict[str, bytes], spec: ModelSpec) -> Iterator[Encoded]:
    """The image of one name, or nothing when the name had neither image nor class."""
    if not parts:
        return
    for suffix, other in (("png", "cls"), ("cls", "png")):
        if suffix not in parts:
            raise ShardError(f"{path}: {stem}.{other} has no {stem}.{suffix} beside it")
    try:
        label = int(parts["cls"])
    except ValueError:
        raise ShardError(f"{path}: {stem}.cls holds {parts['cls'][:20]!r}, not a number") from None
    if not 0 <= label < len(spec.classes):
        raise ShardError(f"{path}: {stem}.cls says class {label}, the spec has {len(spec.classes)}")
    yield Encoded(path, stem, parts["png"], label)
