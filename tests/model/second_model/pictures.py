"""Generated pictures for the second model: a bright disc, cross or stripes on a dark ground, somewhere."""

from pathlib import Path

import numpy as np

from tests.model.made_up import write_shards

HEIGHT, WIDTH = 24, 32


def write_pictures(folder: Path, each: int, seed: int = 5) -> Path:
    """Shards of `each` pictures of every class, mixed."""
    dice = np.random.default_rng(seed)
    labels = dice.permutation(np.repeat(np.arange(3), each))
    return write_shards(folder, np.stack([_picture(label, dice) for label in labels]), labels, per_shard=20)


def _picture(label: int, dice: np.random.Generator) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    y, x = dice.integers(9, HEIGHT - 9), dice.integers(9, WIDTH - 9)
    inside = (
        (rows - y) ** 2 + (columns - x) ** 2 < 49,
        (abs(rows - y) < 2) | (abs(columns - x) < 2),
        (rows + columns + x) % 6 < 3,
    )[label]
    colour, ground = dice.integers(140, 256, 3), dice.integers(0, 90, 3)
    noise = dice.integers(-10, 10, (HEIGHT, WIDTH, 3))
    return (np.where(inside[..., None], colour, ground) + noise).clip(0, 255).astype(np.uint8)
