"""A dataset in an S3 in memory, and the three functions that prepare it, called as the workflow does."""

import functools
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

from tests.lambda_src import odd_images as odd
from tests.lambda_src.conftest import MemoryS3, MemoryTable

DATASETS, ARTIFACTS, TABLE = "datasets", "artifacts", "lineage"
FOLDER = "datasets/digits/v1/"
SETTINGS = {
    "ARTIFACTS_BUCKET": ARTIFACTS,
    "LINEAGE_TABLE": TABLE,
    "SHARD_IMAGES": "15",
    "SHARDS_PER_BATCH": "1",
    "REDACTION": "none",
    "INTERMEDIATE_DAYS": "30",
    "MAX_REJECTED_SHARE": "0.1",
    "QUARANTINE_SAMPLES": "2",
}
FUNCTIONS = ("plan_dataset", "preprocess", "collect_dataset")


@functools.cache
def pictures() -> list[bytes]:
    """Sixty different images."""
    return [odd.saved(odd.gradient(8 + number, 12, "L"), "PNG") for number in range(60)]


class Functions:
    """The three functions, loaded once with these settings."""

    def __init__(self, load: Callable[..., ModuleType], **settings: str) -> None:
        self.modules = {name: load(name, **SETTINGS | settings) for name in FUNCTIONS}


class World:
    """A dataset, to be spoiled by tests, and what has been made of it."""

    def __init__(self, functions: Functions, context: SimpleNamespace) -> None:
        self.s3, self.table = MemoryS3(), MemoryTable()
        self._modules, self._context = functions.modules, context
        self.folder, self.version, self.line = FOLDER, "v1", "champion"
        self.images: list[dict[str, str]] = []
        for number, content in enumerate(pictures()):
            split = "holdout" if number % 3 == 0 else "train"
            self.add(f"images/{number:03d}.png", str(number % 10), split, content)

    # ---- the dataset

    def add(self, key: str, label: str, split: str, content: bytes) -> None:
        checksum = hashlib.sha256(content).hexdigest()
        self.images.append({"key": key, "label": label, "split": split, "sha256": checksum})
        self.s3.objects[DATASETS, self.folder + key] = content

    def content(self, key: str) -> bytes:
        return self.s3.objects[DATASETS, self.folder + key]

    def entry(self, key: str) -> dict[str, str]:
        return next(image for image in self.images if image["key"] == key)

    def ordered(self, split: str) -> list[dict[str, str]]:
        """The images of a split as they are numbered."""
        return sorted(
            (image for image in self.images if image["split"] == split), key=lambda image: image["sha256"]
        )

    @property
    def manifest(self) -> str:
        return f"{self.folder}manifest.json"

    def publish(self) -> None:
        document = {
            "schema": "vision.dataset/1",
            "dataset": "digits",
            "version": self.version,
            "classes": [str(digit) for digit in range(10)],
            "images": self.images,
        }
        self.s3.objects[DATASETS, self.manifest] = json.dumps(document).encode()

    # ---- the functions

    def call(self, name: str, **fields: Any) -> dict[str, Any]:
        module = self._modules[name]
        module.s3 = self.s3
        if hasattr(module, "dynamodb"):
            module.dynamodb = self.table
        run = {"run_id": "run-1", "line": self.line, "manifest_uri": f"s3://{DATASETS}/{self.manifest}"}
        return module.handler(run | fields, self._context)

    def plan(self, **fields: Any) -> dict[str, Any]:
        self.publish()
        return self.call("plan_dataset", **fields)

    def batches(self, plan: dict[str, Any]) -> list[dict[str, Any]]:
        return json.loads(self.s3.objects[plan["batches"]["bucket"], plan["batches"]["key"]])

    def make(self, plan: dict[str, Any], shards: list[dict[str, Any]]) -> dict[str, Any]:
        return self.call("preprocess", folder_uri=plan["folder_uri"], shards=shards)

    def collect(self, plan: dict[str, Any]) -> dict[str, Any]:
        return self.call("collect_dataset", folder_uri=plan["folder_uri"])

    def prepare(self, shuffled: int | None = None) -> dict[str, Any]:
        """The whole way; with a seed, the batches come in another order."""
        plan = self.plan()
        batches = self.batches(plan)
        if shuffled is not None:
            random.Random(shuffled).shuffle(batches)  # noqa: S311
        for batch in batches:
            self.make(plan, batch["shards"])
        return self.collect(plan)

    # ---- what was made

    def document(self, uri: str) -> dict[str, Any]:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return json.loads(self.s3.objects[bucket, key])

    def shards(self, split: str = "") -> dict[str, bytes]:
        """All shards by name in the one folder that was prepared."""
        found: dict[str, bytes] = {}
        for (bucket, key), content in self.s3.objects.items():
            if bucket == ARTIFACTS and key.endswith(".tar"):
                name = "/".join(key.split("/")[-2:])
                assert name not in found
                if name.startswith(split):
                    found[name] = content
        return dict(sorted(found.items()))

    def members(self, split: str) -> dict[str, bytes]:
        """The members of all shards of a split, in their order."""
        found: dict[str, bytes] = {}
        for content in self.shards(f"{split}/").values():
            with tarfile.open(fileobj=io.BytesIO(content), mode="r|") as tar:
                for member in tar:
                    found[member.name] = tar.extractfile(member).read()  # type: ignore[union-attr]
        return found
