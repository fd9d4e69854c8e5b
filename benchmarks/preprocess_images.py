"""Photos for the benchmark of preprocessing: made up, with the detail and noise that cost decoders time.

Run by itself it puts a dataset of them into the twin's S3, in a process of its own: the benchmark's numbers
of memory are those of the functions alone.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import struct
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from twin.client import Twin

ONE_MEGAPIXEL = (1152, 864)
TWELVE_MEGAPIXELS = (4000, 3000)
QUALITY = 85
NOISE = 6.0  # of 255: with it a megapixel takes about as many bytes as a camera makes of one
CLASSES = tuple(f"class-{number}" for number in range(10))
PICTURES = 40  # different ones; every file is its own, by a comment
HOLDOUT_SHARE = 10  # every tenth
FOLDER = "datasets/benchmark/v1/"
WRITERS = 8


@dataclass(frozen=True)
class Planned:
    """One file of the dataset."""

    number: int
    broken: bool

    @property
    def split(self) -> str:
        """The holdout's pictures are its own."""
        return "holdout" if self.number % HOLDOUT_SHARE == 0 else "train"

    @property
    def picture(self) -> int:
        """Which of the pictures it shows."""
        return self.number % PICTURES

    @property
    def label(self) -> str:
        """Its class."""
        return CLASSES[self.number // HOLDOUT_SHARE % len(CLASSES)]


def photo(width: int, height: int, seed: int) -> bytes:
    """A JPEG of this size (px): structures of every size, and a sensor's noise, mostly in brightness."""
    dice = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 128.0, dtype=np.float32)
    mixing = np.array([[1, 0.8, 0.8], [0.2, 0.4, 0], [0, 0, 0.4]])
    side = 4
    while side <= max(width, height) // 2:
        rough = dice.normal(0, 40, (side, side, 3)) @ mixing + 128
        tile = Image.fromarray(np.clip(rough, 0, 255).astype(np.uint8))
        whole = np.asarray(tile.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)
        picture += (whole - 128) * np.float32((4 / side) ** 0.6)
        side *= 2
    for channels, noise in ((1, NOISE), (3, NOISE / 4)):
        picture += dice.standard_normal((height, width, channels), dtype=np.float32) * np.float32(noise)
    buffer = io.BytesIO()
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    image.save(buffer, "JPEG", quality=QUALITY, subsampling="4:2:0")
    return buffer.getvalue()


def dataset(count: int, broken: int) -> list[Planned]:
    """`count` files, `broken` of them (spread over the training images) cut off before their end."""
    training = [number for number in range(count) if number % HOLDOUT_SHARE]
    spoilt = set(training[:: len(training) // broken][:broken]) if broken else set[int]()
    return [Planned(number, number in spoilt) for number in range(count)]


def content(planned: Planned, pictures: list[bytes]) -> bytes:
    """The file: its picture with a comment of its own behind the JPEG's start."""
    comment = f"file {planned.number}".encode()
    segment = b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
    data = pictures[planned.picture]
    whole = data[:2] + segment + data[2:]
    return whole[: len(whole) // 2] if planned.broken else whole


def _upload(s3: Any, bucket: str, files: list[Planned], pictures: list[bytes]) -> Iterator[dict[str, str]]:
    def put(planned: Planned) -> dict[str, str]:
        data = content(planned, pictures)
        key = f"images/{planned.number:07d}.jpg"
        s3.put_object(Bucket=bucket, Key=FOLDER + key, Body=data)
        checksum = hashlib.sha256(data).hexdigest()
        return {"key": key, "label": planned.label, "split": planned.split, "sha256": checksum}

    with ThreadPoolExecutor(WRITERS) as writers:
        yield from writers.map(put, files)


def main() -> int:
    """Put the dataset into the bucket and print how many bytes one file has on average."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the running twin's")
    parser.add_argument("--account", required=True)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--broken", type=int, required=True)
    arguments = parser.parse_args()
    s3 = Twin(home=arguments.home).client("s3", arguments.account)
    pictures = [photo(*ONE_MEGAPIXEL, seed) for seed in range(PICTURES)]
    files = dataset(arguments.images, arguments.broken)
    document = {
        "schema": "vision.dataset/1",
        "dataset": "benchmark",
        "version": "v1",
        "classes": CLASSES,
        "images": list(_upload(s3, arguments.bucket, files, pictures)),
    }
    s3.put_object(Bucket=arguments.bucket, Key=f"{FOLDER}manifest.json", Body=json.dumps(document).encode())
    print(json.dumps({"bytes": sum(map(len, pictures)) // len(pictures)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
