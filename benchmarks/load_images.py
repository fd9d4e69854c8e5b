"""The images of the load: photographs as a camera's phone sends them, or the sample scans."""

from __future__ import annotations

import base64
import io
import random
from pathlib import Path

from PIL import Image, ImageFilter

_COUNT = 20
_SIDES = (1280, 960)
_QUALITY = 88  # about 300 KB


def make(kind: str, samples: Path) -> tuple[list[bytes], str]:
    """Bodies to send in turn, and their content type; `samples` is the folder of the sample dataset."""
    if kind == "sample":
        return [path.read_bytes() for path in sorted(samples.rglob("*.png"))[:_COUNT]], "image/png"
    return [_photo(seed) for seed in range(_COUNT)], "image/jpeg"


def encoded(bodies: list[bytes]) -> list[str]:
    """Base64, for JSON."""
    return [base64.b64encode(body).decode() for body in bodies]


def _photo(seed: int) -> bytes:
    """Noise at several scales, which a JPEG encoder finds as hard as a photograph."""
    chance = random.Random(seed)  # noqa: S311  # pictures, no secrets
    coarse = Image.frombytes("RGB", (40, 30), chance.randbytes(40 * 30 * 3)).resize(_SIDES)
    fine = Image.frombytes("RGB", (640, 480), chance.randbytes(640 * 480 * 3)).resize(_SIDES)
    picture = Image.blend(coarse, fine.filter(ImageFilter.GaussianBlur(1.2)), 0.35)
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=_QUALITY)
    return target.getvalue()
