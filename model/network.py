"""The network of the sample model: a small convolutional classifier that takes raw uint8 images."""
# torch is in the model's environment (the AWS training image), not in the one that checks types.
# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

import torch
from spec import ModelSpec
from torch import nn


class SmallConvNet(nn.Module):
    """Three convolutions and two linear layers; about 0.1 million parameters at 16 x 16 grey."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _block(spec.channels, 16),
            nn.MaxPool2d(2),
            _block(16, 32),
            nn.MaxPool2d(2),
            _block(32, 64),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(64 * (spec.height // 4) * (spec.width // 4), 64),
            nn.ReLU(),
            nn.Linear(64, len(spec.classes)),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes] for uint8 images [N, height, width, channels]; normalisation is part of it."""
        scaled = images.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        return self.classifier(self.features(scaled))


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )
