"""Figures of prepared images that drift shows in: brightness, contrast, sharpness and colour.

Each is one number per image in grey levels (0 to 255), by whole-number arithmetic on bytes, so that any other
program gets the same from the same image:

* brightness: mean of the grey levels. Grey of an RGB pixel is (19595 R + 38470 G + 7471 B + 32768) // 65536,
  ITU-R 601 as Pillow's `convert("L")` computes it.
* contrast: standard deviation of the grey levels.
* sharpness: mean absolute difference of neighbouring grey levels, to the right and below; blur lowers it.
* red, green, blue: mean of each channel; saturation: mean of the largest minus the smallest channel.
  Images with one channel have none of these four.
"""

from __future__ import annotations

from typing import Any

import numpy as np

VERSION = 1  # of the definitions above: another number, another meaning

Array = np.ndarray[Any, Any]


def image_statistics(images: Array) -> dict[str, Array]:
    """float64 [N] for each figure of uint8 images [N, height, width, channels]."""
    grey = _grey(images)
    figures = {
        "brightness": grey.mean(axis=(1, 2)),
        "contrast": grey.std(axis=(1, 2)),
        "sharpness": _sharpness(grey),
    }
    if images.shape[3] == 3:
        for place, name in enumerate(("red", "green", "blue")):
            figures[name] = images[..., place].mean(axis=(1, 2))
        figures["saturation"] = (images.max(axis=3) - images.min(axis=3)).mean(axis=(1, 2))
    return figures


def _grey(images: Array) -> Array:
    if images.shape[3] == 1:
        return images[..., 0]
    parts = images.astype(np.uint32)
    return ((19595 * parts[..., 0] + 38470 * parts[..., 1] + 7471 * parts[..., 2] + 32768) // 65536).astype(
        np.uint8
    )


def _sharpness(grey: Array) -> Array:
    levels = grey.astype(np.int16)
    across, down = np.abs(np.diff(levels, axis=2)), np.abs(np.diff(levels, axis=1))
    pairs = across[0].size + down[0].size
    total = across.sum(axis=(1, 2), dtype=np.int64) + down.sum(axis=(1, 2), dtype=np.int64)
    return total / max(pairs, 1)
