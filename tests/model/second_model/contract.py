"""Another team's model, whole: coloured pictures of another size, other classes, plain SGD, no augmentation.

Beside spec.json this is all that it brings. It has neither batch norm nor dropout: what one process learns
from a batch, two must learn from its halves.
"""
# torch is in the model's environment (the AWS training image), not in the one that checks types.
# pyright: reportMissingImports=false

from __future__ import annotations

from dataclasses import dataclass

import torch
from spec import ModelSpec
from torch import nn
from torch.nn import functional
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True)
class Hyperparameters:
    """This model's own."""

    learning_rate: float = 0.1
    momentum: float = 0.9


class Scaled(nn.Module):
    """Raw uint8 images as centred numbers, channels first."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.permute(0, 3, 1, 2).float() / 255 - 0.5


def build_model(spec: ModelSpec) -> nn.Module:
    """Two strided convolutions and a linear layer."""
    return nn.Sequential(
        Scaled(),
        nn.Conv2d(spec.channels, 8, kernel_size=3, stride=2, padding=1),
        nn.Tanh(),
        nn.Conv2d(8, 16, kernel_size=3, stride=2, padding=1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(16 * (spec.height // 4) * (spec.width // 4), len(spec.classes)),
    )


def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Nothing is changed."""
    return images


def losses(logits: torch.Tensor, labels: torch.Tensor, parameters: Hyperparameters) -> torch.Tensor:
    """Cross entropy of each image."""
    return functional.cross_entropy(logits, labels, reduction="none")


def make_optimiser(
    model: nn.Module,
    parameters: Hyperparameters,
    steps: int,
) -> tuple[Optimizer, LRScheduler | None]:
    """SGD with momentum, at one learning rate."""
    return SGD(model.parameters(), lr=parameters.learning_rate, momentum=parameters.momentum), None
