"""Writes scikit-learn's handwritten digits as a dataset: PNG files, labels, checksums and a frozen holdout.

    python model/sample_data.py --out build/sample [--limit 800]

Which split an image belongs to depends on the whole collection, never on `--limit`: a smaller sample is
part of the larger one, and nothing that was ever holdout is trained on.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import importlib.util
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

SCHEMA = "vision.dataset/1"
DATASET = "digits"
HOLDOUT_SHARE = 0.25
SIDE = 8  # px
DARKEST = 16  # the scans count inked pixels, 0 to 16
# The file that sklearn.datasets.load_digits reads; importing that takes 4 s of CPU, reading the file 0.03 s.
SCANS = Path("datasets", "data", "digits.csv.gz")


class SampleDataError(RuntimeError):
    """The scans cannot be had; the message says what to install."""


@dataclass(frozen=True)
class ManifestImage:
    """One line of the manifest; `key` is relative to the manifest's folder."""

    key: str
    label: str
    split: str
    sha256: str


@dataclass(frozen=True)
class Sample:
    """A written dataset: the manifest's path and what it lists."""

    manifest: Path
    version: str
    images: tuple[ManifestImage, ...]


def write_sample(out: Path, limit: int | None = None) -> Sample:
    """Write the dataset (or a stratified part of at most `limit` images) into `out`; always the same bytes.

    Raises ValueError when `limit` leaves a class without a training or a holdout image, and SampleDataError
    without the scans.
    """
    files = _digits()
    chosen = sorted(_choose(files, limit), key=lambda image: image.key)
    for image in chosen:
        path = out / image.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[image])
    version = _version(chosen)
    document = {
        "schema": SCHEMA,
        "dataset": DATASET,
        "version": version,
        "classes": sorted({image.label for image in chosen}),
        "images": [asdict(image) for image in chosen],
    }
    manifest = out / "manifest.json"
    manifest.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return Sample(manifest, version, tuple(chosen))


def _digits() -> dict[ManifestImage, bytes]:
    """All 1,797 scans with their split: the quarter of each class with the lowest checksums is holdout."""
    scans: list[tuple[str, str, str, bytes]] = []
    for number, (label, counts) in enumerate(_scans()):
        png = _png(counts)
        scans.append((label, hashlib.sha256(png).hexdigest(), f"images/{number:05d}.png", png))
    by_class: dict[str, list[tuple[str, str, str, bytes]]] = defaultdict(list)
    for scan in sorted(scans):
        by_class[scan[0]].append(scan)
    files: dict[ManifestImage, bytes] = {}
    for members in by_class.values():
        holdout = round(len(members) * HOLDOUT_SHARE)
        for rank, (label, checksum, key, png) in enumerate(members):
            files[ManifestImage(key, label, "holdout" if rank < holdout else "train", checksum)] = png
    return files


def _scans() -> Iterator[tuple[str, list[int]]]:
    """(label, counts of inked pixels by rows) of every scan in scikit-learn's collection, in its order."""
    package = importlib.util.find_spec("sklearn")
    path = Path(package.origin).parent / SCANS if package and package.origin else None
    if path is None or not path.is_file():
        raise SampleDataError(
            f"scikit-learn is not installed with its {SCANS.name}; `make setup` installs it"
        )
    with gzip.open(path, "rt", encoding="ascii") as lines:
        for row in csv.reader(lines):
            *counts, label = (int(float(value)) for value in row)
            yield str(label), counts


def _png(counts: list[int]) -> bytes:
    """Dark ink on white paper, 8 x 8 pixels, 8-bit grey."""
    grey = bytes(round(255 - count * 255 / DARKEST) for count in counts)
    buffer = io.BytesIO()
    Image.frombytes("L", (SIDE, SIDE), grey).save(buffer, "PNG")
    return buffer.getvalue()


def _choose(images: Iterable[ManifestImage], limit: int | None) -> list[ManifestImage]:
    if limit is None:
        return list(images)
    groups: dict[tuple[str, str], list[ManifestImage]] = defaultdict(list)
    for image in images:
        groups[image.label, image.split].append(image)
    classes = len({label for label, _ in groups})
    holdout = round(limit * HOLDOUT_SHARE) // classes
    share = {"holdout": holdout, "train": limit // classes - holdout}
    if min(share.values()) < 1:
        raise ValueError(f"--limit {limit} is too small for {classes} classes in two splits")
    return [image for group, members in groups.items() for image in members[: share[group[1]]]]


def _version(images: list[ManifestImage]) -> str:
    """The same content has the same version, on every machine."""
    content = "\n".join(f"{image.key} {image.label} {image.split} {image.sha256}" for image in images)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def main() -> None:
    """Command line: where to write, and how many images at most."""
    parser = argparse.ArgumentParser(description="Write scikit-learn's handwritten digits as a dataset.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--limit", type=int, help="at most this many images, the same number of each class")
    arguments = parser.parse_args()
    try:
        sample = write_sample(arguments.out, arguments.limit)
    except (SampleDataError, ValueError) as error:
        parser.error(str(error))
    holdout = sum(image.split == "holdout" for image in sample.images)
    print(f"{sample.manifest}: {len(sample.images) - holdout} training and {holdout} holdout images")
    print(f"version {sample.version}")


if __name__ == "__main__":
    main()
