"""Makes the sample dataset with the model team's own script and puts it where the workflow reads it."""

import json
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smoke_tests.budget import Budget
from smoke_tests.faults import CheckFailed, first_wrong
from smoke_tests.session import UPLOAD_THREADS

SAMPLE_DATA_SCRIPT = Path(__file__).resolve().parents[1] / "model" / "sample_data.py"
_LAST_LINES = 5


class Image(BaseModel):
    """One image of the manifest."""

    model_config = ConfigDict(frozen=True)

    key: Annotated[str, Field(min_length=1)]
    label: str
    split: Literal["train", "holdout"]


class Manifest(BaseModel):
    """The parts of a dataset manifest that a smoke run uses."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    version: str
    classes: Annotated[list[str], Field(min_length=2)]
    images: Annotated[list[Image], Field(min_length=1)]


@dataclass(frozen=True)
class Sample:
    """One image of the holdout with its truth, and the bytes that are sent."""

    key: str
    label: str
    content: bytes


@dataclass(frozen=True)
class Dataset:
    """A dataset on this machine: its manifest and the folder that the manifest's keys are relative to."""

    folder: Path
    manifest: Manifest

    def count(self, split: str) -> int:
        """How many images belong to `split`."""
        return sum(image.split == split for image in self.manifest.images)

    def samples(self, number: int) -> list[Sample]:
        """`number` images of the holdout, the classes taking turns; always the same for the same manifest.

        Raises:
            CheckFailed: when the holdout is smaller than that.
        """
        by_class: dict[str, list[Image]] = defaultdict(list)
        for image in self.manifest.images:
            if image.split == "holdout":
                by_class[image.label].append(image)
        rounds = zip_longest(*(by_class[label] for label in self.manifest.classes))
        turns = [image for turn in rounds for image in turn if image is not None]
        if len(turns) < number:
            raise CheckFailed(
                f"the sample data has {len(turns)} holdout images and {number} are to be asked (SMOKE_IMAGES)"
            )
        return [
            Sample(image.key, image.label, (self.folder / image.key).read_bytes()) for image in turns[:number]
        ]


def make(folder: Path, images: int, *, script: Path, budget: Budget) -> Dataset:
    """Run the sample-data script in a process of its own and read the manifest that it leaves in `folder`.

    Raises:
        CheckFailed: with the script's last words, or naming the field of the manifest that is wrong.
    """
    command = [sys.executable, str(script), "--out", str(folder), "--limit", str(images)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=max(1.0, budget.left())
        )
    except subprocess.TimeoutExpired:
        raise CheckFailed(f"{script.name} did not end in time (SMOKE_TIMEOUT_SECONDS)") from None
    if done.returncode != 0:
        said = " | ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-_LAST_LINES:])
        raise CheckFailed(f"{script.name} ended with code {done.returncode}: {said}")
    return Dataset(folder, _read_manifest(folder / "manifest.json"))


def _read_manifest(path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise CheckFailed(f"the sample data has no {path.name}") from None
    except ValidationError as error:
        raise CheckFailed(f"the sample data's {path.name} is wrong at {first_wrong(error)}") from None


def upload(s3: Any, bucket: str, prefix: str, dataset: Dataset, budget: Budget) -> str:
    """Copy the dataset under `prefix`, encrypted as the bucket says; return the manifest's URI.

    The manifest goes last: it declares the dataset, so every image it names must be there already.
    """

    def put(image: Image) -> None:
        budget.check("uploading the sample data")
        s3.put_object(
            Bucket=bucket,
            Key=prefix + image.key,
            Body=(dataset.folder / image.key).read_bytes(),
            ContentType="image/png",
        )

    with ThreadPoolExecutor(UPLOAD_THREADS, thread_name_prefix="upload") as pool:
        list(pool.map(put, dataset.manifest.images))
    manifest = (dataset.folder / "manifest.json").read_bytes()
    s3.put_object(Bucket=bucket, Key=f"{prefix}manifest.json", Body=manifest, ContentType="application/json")
    return f"s3://{bucket}/{prefix}manifest.json"


def read_json(s3: Any, uri: str) -> Any:
    """The JSON document at an s3:// address.

    Raises:
        CheckFailed: when the address or the document is not what it should be.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not key:
        raise CheckFailed(f"{uri!r} is not an address in S3")
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    try:
        return json.loads(body)
    except ValueError:
        raise CheckFailed(f"{uri} is not JSON") from None
