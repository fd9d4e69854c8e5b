"""`build/envs/model/bin/python benchmarks/resnet18.py FOLDER`: a model's archive as training leaves it.

The network has the layers of ResNet-18 (He et al. 2015, table 1) at 224 x 224 pixels with weights by chance,
batch normalisation folded into the convolutions, and the names and types that the platform's contract asks
for: 47 MB, and as much work for an image as a trained one.
"""
# onnx is in the model's environment, not in the one that checks types.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, CLASSES = 224, 1000
# Channels and stride of each of the eight blocks.
BLOCKS = ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))


class Graph:
    """Nodes and weights, in their order."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(1)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def add(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """One node; answers the name of its output."""
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def weight(self, *shape: int) -> str:
        """Weights of this shape."""
        name = f"w{len(self.weights)}"
        values = (self._random.standard_normal(shape) * 0.05).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def convolve(self, given: str, channels: tuple[int, int], kernel: int, stride: int) -> str:
        """A convolution with its bias, which keeps the size but for the stride."""
        before, after = channels
        inputs = [given, self.weight(after, before, kernel, kernel), self.weight(after)]
        sides = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        return self.add("Conv", inputs, **sides)


def network() -> Any:
    """The model."""
    graph = Graph()
    pixels = graph.add("Cast", ["images"], to=TensorProto.FLOAT)
    pixels = graph.add("Transpose", [pixels], perm=[0, 3, 1, 2])
    seen = graph.add("Relu", [graph.convolve(pixels, (3, 64), 7, 2)])
    seen = graph.add("MaxPool", [seen], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    before = 64
    for after, stride in BLOCKS:
        inner = graph.add("Relu", [graph.convolve(seen, (before, after), 3, stride)])
        inner = graph.convolve(inner, (after, after), 3, 1)
        around = seen if before == after else graph.convolve(seen, (before, after), 1, stride)
        seen = graph.add("Relu", [graph.add("Add", [inner, around])])
        before = after
    pooled = graph.add("Flatten", [graph.add("GlobalAveragePool", [seen])])
    scores = graph.add("MatMul", [pooled, graph.weight(before, CLASSES)])
    graph.nodes.append(helper.make_node("Softmax", [scores], ["probabilities"], axis=1))
    asked = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    given = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", CLASSES])
    made = helper.make_graph(graph.nodes, "resnet18", [asked], [given], graph.weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main() -> None:
    """Write model.tar.gz into the folder."""
    folder = Path(sys.argv[1])
    spec = {
        "schema": "vision.model-spec/1",
        "name": "resnet18",
        "input": {"width": SIDE, "height": SIDE, "channels": 3},
        "classes": [str(number) for number in range(CLASSES)],
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    onnx.save(network(), str(folder / "model.onnx"))
    with tarfile.open(folder / "model.tar.gz", "w:gz") as packed:
        for name in ("spec.json", "model.onnx"):
            packed.add(folder / name, name)


if __name__ == "__main__":
    main()
