"""What a team writes to plug in its own model: four functions, and the names of its hyperparameters.

`spec.json` declares the input's shape and the classes. The platform's loop (`fitting.py`) reads the shards,
shares batches among processes, keeps checkpoints, measures, exports; it asks of this file nothing but:

* `Hyperparameters`: the names and defaults that this model's training adds to the platform's own.
* `build_model`: a module from uint8 images [N, height, width, channels] to logits [N, classes].
  Normalisation is inside it, so that a caller can never normalise differently.
* `augment`: a randomly changed copy of a training batch, uint8 as it came.
* `losses`: one number for each image; the platform takes the mean over the whole batch.
* `make_optimiser`: what learns, and the schedule of its learning rate.

All that is random comes from generators that the platform seeds: the same seed gives the same model.
`tests/model/test_contract.py` tells whether a change still keeps these promises.
"""
# torch is in the model's environment (the AWS training image), not in the one that checks types.
# pyright: reportMissingImports=false

from __future__ import annotations

from dataclasses import dataclass

import torch
from augment import moved
from network import SmallConvNet
from spec import ModelSpec
from torch import nn
from torch.nn import functional
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR


@dataclass(frozen=True)
class Hyperparameters:
    """This model's own: each (int, float or str) is an argument of train.py, such as `--learning-rate`."""

    learning_rate: float = 0.005  # peak of the one-cycle schedule
    weight_decay: float = 0.01
    label_smoothing: float = 0.05


def build_model(spec: ModelSpec) -> nn.Module:
    """A fresh, untrained network for this spec."""
    return SmallConvNet(spec)


def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The batch as it is trained on. Return `images` to train on them as they are."""
    return moved(images, generator)


def losses(logits: torch.Tensor, labels: torch.Tensor, parameters: Hyperparameters) -> torch.Tensor:
    """The loss of each image, [N]. (A mean here would be wrong where processes have unequal shares.)"""
    return functional.cross_entropy(
        logits, labels, label_smoothing=parameters.label_smoothing, reduction="none"
    )


def make_optimiser(
    model: nn.Module, parameters: Hyperparameters, steps: int
) -> tuple[Optimizer, LRScheduler | None]:
    """The optimiser, and a schedule that is stepped after each of the training's `steps`, or None."""
    optimiser = AdamW(model.parameters(), lr=parameters.learning_rate, weight_decay=parameters.weight_decay)
    return optimiser, OneCycleLR(optimiser, parameters.learning_rate, total_steps=steps)
