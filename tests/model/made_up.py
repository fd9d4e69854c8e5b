"""Writes shards of given images, and shards with faults, as preprocessing lays them out."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

PER_SHARD = 50


def png_of(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as shard:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))
    return path


def write_shards(folder: Path, images: np.ndarray, labels: Iterable[int], per_shard: int = PER_SHARD) -> Path:
    """Shards of so many images each; names count through the split."""
    members = [
        [(f"{number:08d}.png", png_of(image)), (f"{number:08d}.cls", str(int(label)).encode())]
        for number, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    for number in range(-(-len(members) // per_shard)):
        portion = members[number * per_shard : (number + 1) * per_shard]
        write_tar(folder / f"shard-{number:05d}.tar", [member for pair in portion for member in pair])
    return folder
