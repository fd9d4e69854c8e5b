"""What the reports of all shards say together, and the checks that need all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vision_runtime.manifest import SPLITS, ManifestError, Split
from vision_runtime.prepared import Part, Plan, PreparedFolder, Rejected, Report, ShardName, read, shard_key

SHOWN = 10  # images in one message


class TooManyRejectedImages(ValueError):
    """More images break the image rules than the settings tolerate."""


class Leak(NamedTuple):
    """A picture of the holdout in another split; both images by split and number."""

    holdout: int
    split: Split
    number: int


class ShardEntry(NamedTuple):
    """A shard as the description of the whole lists it."""

    name: str
    size: int
    sha256: str
    images: int


@dataclass
class Findings:
    """The sum of all reports; the holdout's are added first."""

    plan: Plan
    classes: Sequence[str]
    counts: dict[Split, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    rejected: list[tuple[Split, Rejected]] = field(default_factory=list[tuple[Split, Rejected]])
    shards: dict[Split, list[ShardEntry]] = field(default_factory=dict[Split, list[ShardEntry]])
    class_counts: dict[Split, Counter[int]] = field(default_factory=dict[Split, Counter[int]])
    redacted: Counter[str] = field(default_factory=Counter[str])
    _holdout: dict[bytes, int] = field(default_factory=dict[bytes, int])
    _leaks: list[Leak] = field(default_factory=list[Leak])

    @property
    def faults(self) -> dict[str, int]:
        """How many images were left out for each class of fault."""
        return dict(sorted(Counter(image.fault for _, image in self.rejected).items()))

    def add(self, report: Report) -> None:
        """Take in one shard's report."""
        split, images = report.split, len(report.digests) - len(report.rejected)
        self.counts[split] += images
        name = shard_key(ShardName(split, report.number))
        self.shards.setdefault(split, []).append(
            ShardEntry(name, report.shard_bytes, report.shard_sha256, images)
        )
        self.class_counts.setdefault(split, Counter()).update(report.class_counts)
        self.rejected.extend((split, image) for image in report.rejected)
        self.redacted.update(region.kind for image in report.redacted for region in image.regions)
        for number, digest in enumerate(report.digests, report.first):
            picture = bytes.fromhex(digest)
            if split == "holdout":
                self._holdout.setdefault(picture, number)
            elif picture and picture in self._holdout:
                self._leaks.append(Leak(self._holdout[picture], split, number))

    def check_leaks(self, s3: Any, folder: PreparedFolder) -> None:
        """Raise ManifestError when another split shows a picture of the holdout, saved again or not."""
        if not self._leaks:
            return
        told = [
            f"{self._key(s3, folder, leak.split, leak.number)!r} ({leak.split}) shows the same picture as "
            f"{self._key(s3, folder, 'holdout', leak.holdout)!r} (holdout)"
            for leak in self._leaks[:SHOWN]
        ]
        more = f"; and {len(self._leaks) - SHOWN} more" if len(self._leaks) > SHOWN else ""
        raise ManifestError("; ".join(told) + more)

    def tolerated(self, share: float) -> int:
        """How many images may be left out; all of the holdout's were acceptable, or there were no report."""
        return int(share * (self.plan.counts["train"] + self.plan.counts["validation"]))

    def too_many(self, tolerated: int) -> str:
        """Says how many images were left out, why, and shows some."""
        total = self.plan.counts["train"] + self.plan.counts["validation"]
        kinds = ", ".join(f"{count} {fault}" for fault, count in self.faults.items())
        shown = "; ".join(
            f"{image.key!r} {image.fault}: {image.detail}" for _, image in self.rejected[:SHOWN]
        )
        return (
            f"{len(self.rejected)} of {total} images are not acceptable ({kinds}) and {tolerated} are "
            f"tolerated: {shown}"
        )

    def check_classes(self) -> None:
        """Raise ManifestError when all training images of a class were left out."""
        present = self.class_counts.get("train", Counter())
        missing = [label for index, label in enumerate(self.classes) if not present[index]]
        if missing:
            raise ManifestError(
                f"no training image of {', '.join(map(repr, missing[:SHOWN]))} is acceptable: the report of "
                "rejected images says why"
            )

    def _key(self, s3: Any, folder: PreparedFolder, split: Split, number: int) -> str:
        size = self.plan.shard_images
        part = read(s3, folder.part(ShardName(split, number // size)), Part)
        return part.images[number % size].key if part else f"image {number}"
