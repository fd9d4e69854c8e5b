"""A stand-in for the sample-data script: ten classes of tiny pictures, made in a moment."""

import argparse
import io
import json
from pathlib import Path

from PIL import Image

PER_CLASS = {"train": 6, "holdout": 4}


def main() -> None:
    """Write the pictures and their manifest, as model/sample_data.py does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int)
    folder = parser.parse_args().out
    (folder / "images").mkdir(parents=True)
    images: list[dict[str, str]] = []
    for label in range(10):
        for split, number in PER_CLASS.items():
            for copy in range(number):
                key = f"images/{len(images):05d}.png"
                picture = Image.new("L", (8, 8), 255 - 20 * label)
                picture.putpixel((copy, 0 if split == "train" else 1), 0)
                buffer = io.BytesIO()
                picture.save(buffer, "PNG")
                (folder / key).write_bytes(buffer.getvalue())
                images.append({"key": key, "label": str(label), "split": split, "sha256": "-"})
    manifest = {
        "schema": "vision.dataset/1",
        "dataset": "tiny",
        "version": "v1",
        "classes": list("0123456789"),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest | {"images": images}))


if __name__ == "__main__":
    main()
