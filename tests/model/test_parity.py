"""What the model is trained on and what it is asked are the same pixels, to the bit (R24)."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from shards import read_shards
from spec import ModelSpec

from tests.lambda_src import odd_images as odd
from vision_runtime.images import to_model_input, to_png
from vision_runtime.spec import InputSpec

IMAGES = [
    odd.saved(odd.gradient(8, 8, "L"), "PNG"),
    odd.saved(odd.gradient(333, 250), "JPEG"),
    odd.saved(odd.gradient(333, 250), "JPEG", progressive=True),
    odd.saved(odd.gradient(333, 250, "CMYK"), "JPEG", icc_profile=odd.cmyk_profile()),
    odd.saved(odd.gradient(100, 40, "RGBA"), "PNG"),
    odd.saved(odd.gradient(100, 40, "P"), "PNG"),
    odd.saved(odd.gradient(100, 40), "PNG", icc_profile=odd.swapped_profile()),
    odd.saved(odd.gradient(100, 40), "WEBP"),
    odd.png_16_bit([number * 4000 for number in range(16)]),
    *[odd.with_orientation(odd.gradient(90, 200), value, "JPEG") for value in range(1, 9)],
]


def load_packing() -> ModuleType:
    """`lambda_src/preprocess/shards.py`, under a name of its own beside the model's reader."""
    path = Path(__file__).resolve().parents[2] / "lambda_src" / "preprocess" / "shards.py"
    described = importlib.util.spec_from_file_location("preprocess_shards", path)
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    sys.modules["preprocess_shards"] = module  # dataclasses look their module up
    described.loader.exec_module(module)
    return module


@pytest.mark.parametrize("shape", [(16, 16, 1), (24, 10, 3)], ids=["grey", "colour"])
def test_training_reads_from_shards_exactly_what_serving_sends(
    tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    width, height, channels = shape
    declared = InputSpec(width, height, channels)
    spec = ModelSpec("any", width, height, channels, ("a", "b"))
    packing = load_packing()
    prepared = [
        packing.Prepared(number, to_png(data, declared), number % 2) for number, data in enumerate(IMAGES)
    ]
    (tmp_path / "shard-00000.tar").write_bytes(packing.pack(prepared))
    trained_on = read_shards(tmp_path, spec)
    served = np.frombuffer(b"".join(to_model_input(data, declared) for data in IMAGES), np.uint8)
    np.testing.assert_array_equal(trained_on.images, served.reshape(-1, height, width, channels))
    assert trained_on.labels.tolist() == [number % 2 for number in range(len(IMAGES))]
