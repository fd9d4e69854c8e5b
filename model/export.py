"""Writes a trained network as ONNX: one input `images` (uint8, any N), one output `probabilities`."""
# torch is in the model's environment (the AWS training image), not in the one that checks types.
# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import torch
from spec import ModelSpec
from torch import nn

OPSET = 17


class _Probabilities(nn.Module):
    """The trained network with softmax on top: what is served."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.model(images), dim=1)


def require_exporter() -> None:
    """Raise ValueError where the exporter is missing: before hours of training, not after them."""
    if importlib.util.find_spec("onnx") is None:
        raise ValueError(
            "the package 'onnx' is missing; AWS's PyTorch training image has it, this one has not"
        )


def export_onnx(model: nn.Module, spec: ModelSpec, path: Path) -> None:
    """Write the trained model to `path`; rows of the output sum to 1.

    The TorchScript exporter is chosen on purpose: 0.3 s against 7.5 s with torch.export (torch 2.13, 2
    cores), and it needs only `onnx`, which AWS's training image has; `onnxscript` is not in it.
    """
    served = _Probabilities(model).cpu().eval()
    example = torch.zeros((2, spec.height, spec.width, spec.channels), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the exporter's age: see above
        torch.onnx.export(
            served,
            (example,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["probabilities"],
            dynamic_axes={"images": {0: "n"}, "probabilities": {0: "n"}},
        )
