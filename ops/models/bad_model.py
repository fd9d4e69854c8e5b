"""Makes a deliberately bad model out of a good one: its last layer knows nothing, so every answer is a guess.

The ONNX file is a protocol buffer. Weights are overwritten with zeros where they lie, so that nothing moves
and no library is needed: all classes then get the same probability, whatever the picture shows.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from ops.faults import OperatorFault

# Fields of ONNX's messages (onnx.proto): numbers are part of the format and never change.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATION, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_TENSOR = 5
_TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_NAME, _TENSOR_RAW, _TENSOR_LOCATION = 2, 4, 8, 9, 14
_FLOATING = {1, 10, 11, 16}  # float, float16, double, bfloat16
_EXTERNAL = 1

_LAYERS = ("Gemm", "MatMul", "Conv")
# What only passes a weight on, in another form.
_PASSING = ("Transpose", "Identity", "Cast", "Reshape", "DequantizeLinear")


class CannotSpoil(OperatorFault):
    """The model is not one that this drill can make bad; the message says why."""


@dataclass(frozen=True)
class _Field:
    """One field of a message: its number, its value where it is a number, and where its bytes lie."""

    number: int
    value: int
    start: int
    end: int


@dataclass(frozen=True)
class _Node:
    operation: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    # Where the tensor of a constant lies, if it is one.
    tensor: tuple[int, int] | None


def spoil_archive(archive: bytes) -> bytes:
    """A `model.tar.gz` like the given one, whose model only guesses. Raises CannotSpoil."""
    made, found = io.BytesIO(), False
    try:
        with (
            tarfile.open(fileobj=io.BytesIO(archive), mode="r:*") as source,
            tarfile.open(fileobj=made, mode="w:gz") as target,
        ):
            for member in source.getmembers():
                content = source.extractfile(member) if member.isfile() else None
                data = content.read() if content else b""
                if member.name.endswith(".onnx"):
                    found, data = True, spoil(data)
                member.size = len(data)
                target.addfile(member, io.BytesIO(data))
    except tarfile.TarError as fault:
        raise CannotSpoil(f"the champion's artefact is no tar archive: {fault}") from None
    if not found:
        raise CannotSpoil("the champion's artefact holds no .onnx file")
    return made.getvalue()


def spoil(model: bytes) -> bytes:
    """An ONNX model with the weights of its last layer set to zero. Raises CannotSpoil."""
    data = bytearray(model)
    try:
        changed = _spoil(data)
    except (IndexError, ValueError):
        raise CannotSpoil("the champion's model is no ONNX file that can be read") from None
    if not changed:
        raise CannotSpoil(f"the champion's model has no {', '.join(_LAYERS)} with weights in its file")
    return bytes(data)


def _spoil(data: bytearray) -> bool:
    graph = next((each for each in _fields(data, 0, len(data)) if each.number == _MODEL_GRAPH), None)
    if graph is None:
        return False
    tensors: dict[str, tuple[int, int]] = {}
    nodes: list[_Node] = []
    for each in _fields(data, graph.start, graph.end):
        if each.number == _GRAPH_INITIALIZER:
            tensors[_text(data, each, _TENSOR_NAME)] = (each.start, each.end)
        elif each.number == _GRAPH_NODE:
            nodes.append(_node(data, each))
    for node in nodes:
        if node.tensor and node.outputs:
            tensors[node.outputs[0]] = node.tensor
        elif node.operation in _PASSING and node.inputs and node.inputs[0] in tensors:
            tensors[node.outputs[0]] = tensors[node.inputs[0]]
    with_weights = [
        place
        for place, node in enumerate(nodes)
        if node.operation in _LAYERS and any(name in tensors for name in node.inputs)
    ]
    if not with_weights:
        return False
    last = with_weights[-1]
    # A bias may be a node of its own, behind the layer.
    spoiled = [
        _zero(data, *tensors[name])
        for node in nodes[last:]
        if node.operation in (*_LAYERS, "Add")
        for name in node.inputs
        if name in tensors
    ]
    return any(spoiled)


def _zero(data: bytearray, start: int, end: int) -> bool:
    """Overwrites a tensor's floating numbers; answers whether there were any."""
    fields = list(_fields(data, start, end))
    kinds = {each.number: each.value for each in fields}
    if kinds.get(_TENSOR_TYPE) not in _FLOATING or kinds.get(_TENSOR_LOCATION) == _EXTERNAL:
        return False
    values = [each for each in fields if each.number in (_TENSOR_RAW, _TENSOR_FLOATS)]
    for each in values:
        data[each.start : each.end] = bytes(each.end - each.start)
    return bool(values)


def _node(data: bytearray, field: _Field) -> _Node:
    operation, inputs, outputs = "", list[str](), list[str]()
    tensor: tuple[int, int] | None = None
    for each in _fields(data, field.start, field.end):
        if each.number == _NODE_INPUT:
            inputs.append(_decoded(data, each))
        elif each.number == _NODE_OUTPUT:
            outputs.append(_decoded(data, each))
        elif each.number == _NODE_OPERATION:
            operation = _decoded(data, each)
        elif each.number == _NODE_ATTRIBUTE:
            inner = _fields(data, each.start, each.end)
            tensor = next(((f.start, f.end) for f in inner if f.number == _ATTRIBUTE_TENSOR), tensor)
    return _Node(operation, tuple(inputs), tuple(outputs), tensor if operation == "Constant" else None)


def _text(data: bytearray, field: _Field, number: int) -> str:
    inner = _fields(data, field.start, field.end)
    return next((_decoded(data, each) for each in inner if each.number == number), "")


def _decoded(data: bytearray, field: _Field) -> str:
    return bytes(data[field.start : field.end]).decode("utf-8")


def _fields(data: bytearray, start: int, end: int) -> Iterator[_Field]:
    """The fields of the message that lies there. Raises ValueError where it is none."""
    at = start
    while at < end:
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        value = 0
        match kind:
            case 0:
                begin = at
                value, at = _varint(data, at)
            case 1:
                begin, at = at, at + 8
            case 2:
                size, begin = _varint(data, at)
                at = begin + size
            case 5:
                begin, at = at, at + 4
            case _:
                raise ValueError(f"wire type {kind}")
        if at > end:
            raise ValueError("a field that is cut off")
        yield _Field(number, value, begin, at)


def _varint(data: bytearray, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if not byte & 0x80:
            return value, at
        shift += 7
