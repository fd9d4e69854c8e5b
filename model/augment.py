"""Random small shifts, turns and scalings of a batch of images, in plain torch and from a given generator."""
# torch is in the model's environment (the AWS training image), not in the one that checks types.
# pyright: reportMissingImports=false

from __future__ import annotations

import math

import torch
from torch.nn import functional

MAX_TURN = math.radians(12)
MAX_SCALE = 0.12
MAX_SHIFT = 0.12  # of the image's half width


def moved(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A randomly moved copy of uint8 images [N, H, W, C]; what moves in from outside repeats the border."""
    dice = torch.empty(4, images.shape[0], device=images.device)
    turn, scale, shift_x, shift_y = dice.uniform_(-1.0, 1.0, generator=generator)
    cos, sin = torch.cos(turn * MAX_TURN), torch.sin(turn * MAX_TURN)
    zoom = 1.0 + scale * MAX_SCALE
    transform = torch.stack(
        [
            torch.stack([cos * zoom, -sin * zoom, shift_x * MAX_SHIFT], dim=1),
            torch.stack([sin * zoom, cos * zoom, shift_y * MAX_SHIFT], dim=1),
        ],
        dim=1,
    )
    channels_first = images.permute(0, 3, 1, 2).float()
    grid = functional.affine_grid(transform, list(channels_first.shape), align_corners=False)
    sampled = functional.grid_sample(channels_first, grid, padding_mode="border", align_corners=False)
    return sampled.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
