"""Makes the shard of a part: reads, checks, prepares and packs its images, and reports on each."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from shards import Prepared, end, entry
from upload import Upload

from vision_runtime.images import ImageFault, ImageLimits, ImageRejected, ModelInput, prepare
from vision_runtime.images.rules import MEBIBYTE
from vision_runtime.manifest import ManifestError
from vision_runtime.prepared import (
    Part,
    PlannedImage,
    PreparedFolder,
    RedactedImage,
    Rejected,
    Report,
    ShardName,
    write,
)
from vision_runtime.read_ahead import read_ahead
from vision_runtime.redaction import Detector, Region
from vision_runtime.s3_uri import ObjectMissing, ObjectTooLarge, S3Uri
from vision_runtime.spec import InputSpec

# No caller waits here. The time is for a decoder that hangs: a rejection must not depend on a slow machine.
LIMITS = ImageLimits(max_bytes=32 * MEBIBYTE, max_decoder_bytes=512 * MEBIBYTE, decode_seconds=60.0)
SHOWN = 10  # faults in one message
DIGEST_BYTES = 16  # of a picture's checksum: enough to know it again among any number of others
PLACES = 4  # decimals of what is recorded of a blurred region


@dataclass(frozen=True)
class Source:
    """What images are made from and by: where they lie, and the model's input."""

    s3: Any
    manifest_uri: S3Uri
    spec: InputSpec
    detector: Detector | None
    ahead: int


@dataclass
class _Outcome:
    digests: list[str] = field(default_factory=list[str])
    class_counts: Counter[int] = field(default_factory=Counter[int])
    rejected: list[Rejected] = field(default_factory=list[Rejected])
    redacted: list[RedactedImage] = field(default_factory=list[RedactedImage])
    faults: list[str] = field(default_factory=list[str])


def make_shard(source: Source, folder: PreparedFolder, part: Part) -> Report:
    """Write the part's shard, then its report, which says that the shard is complete.

    An image that breaks an image rule is left out and reported, unless it is holdout: that must be whole, or
    accuracies could not be compared from run to run. Raises ManifestError for these, and for images that are
    missing or not those that the manifest was made for; all of them are looked at first.
    """
    name = ShardName(part.split, part.number)
    outcome = _Outcome()
    with Upload(source.s3, folder.shard(name)) as shard:
        for image in _prepared(source, part, outcome):
            shard.write(entry(image))
        _check(outcome, part)
        shard.write(end(shard.length))
        shard.finish()
    report = Report(
        recipe=part.recipe,
        split=part.split,
        number=part.number,
        first=part.first,
        shard_bytes=shard.length,
        shard_sha256=shard.sha256,
        digests=tuple(outcome.digests),
        class_counts=dict(sorted(outcome.class_counts.items())),
        rejected=tuple(outcome.rejected),
        redacted=tuple(outcome.redacted),
    )
    write(source.s3, folder.report(name), report)
    return report


def _prepared(source: Source, part: Part, outcome: _Outcome) -> Iterator[Prepared]:
    """The acceptable images; what is to be said of them and of the others goes to `outcome`."""

    def read(image: PlannedImage) -> bytes | Exception:
        try:
            return _read(source, image)
        except (ManifestError, ImageRejected) as fault:
            return fault

    for number, (image, found) in enumerate(read_ahead(read, part.images, source.ahead), part.first):
        try:
            if isinstance(found, Exception):
                raise found
            ready = prepare(found, source.spec, LIMITS, source.detector)
        except ManifestError as fault:
            outcome.faults.append(str(fault))
            continue
        except ImageRejected as rejected:
            outcome.digests.append("")
            outcome.rejected.append(_rejected(number, image, rejected))
            continue
        outcome.digests.append(hashlib.sha256(ready.pixels).hexdigest()[: 2 * DIGEST_BYTES])
        outcome.class_counts[image.class_index] += 1
        if ready.redacted:
            outcome.redacted.append(_redacted(number, ready))
        yield Prepared(number, ready.png(), image.class_index)


def _read(source: Source, image: PlannedImage) -> bytes:
    """The image's bytes, as the manifest knows them."""
    try:
        content = source.manifest_uri.sibling(image.key).read(source.s3, LIMITS.max_bytes)
    except ObjectTooLarge as error:
        raise ImageRejected(ImageFault.TOO_MANY_BYTES, str(error)) from error
    except ObjectMissing as error:
        raise ManifestError(f"{image.key!r}: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != image.sha256:
        raise ManifestError(f"{image.key!r}: sha256 is {found}, the manifest says {image.sha256}")
    return content


def _check(outcome: _Outcome, part: Part) -> None:
    faults = list(outcome.faults)
    if part.split == "holdout":
        faults += [
            f"{image.key!r} is holdout and not acceptable: {image.fault}: {image.detail}"
            for image in outcome.rejected
        ]
    if faults:
        raise ManifestError(_joined(faults))


def _joined(faults: Sequence[str]) -> str:
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return "; ".join(faults[:SHOWN]) + more


def _rejected(number: int, image: PlannedImage, rejected: ImageRejected) -> Rejected:
    return Rejected(
        number=number, key=image.key, sha256=image.sha256, fault=rejected.fault, detail=rejected.detail
    )


def _redacted(number: int, ready: ModelInput) -> RedactedImage:
    def rounded(region: Region) -> Region:
        shares = (round(share, PLACES) for share in (region.left, region.top, region.width, region.height))
        return Region(region.kind, *shares)

    return RedactedImage(number, tuple(map(rounded, ready.redacted)))
