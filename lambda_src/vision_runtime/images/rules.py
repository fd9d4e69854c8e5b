"""The limits an image must keep, and the typed refusal of one that does not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MEBIBYTE = 1024 * 1024
# Raise it whenever an image may come out with other pixels than before: prepared data is made anew then.
VERSION = 3


class ImageFault(StrEnum):
    """Why an image was refused; the value is stable and fit for metrics, reports and problem types."""

    EMPTY = "empty"
    TOO_MANY_BYTES = "too-many-bytes"
    NOT_AN_IMAGE = "not-an-image"
    UNSUPPORTED_FORMAT = "unsupported-format"
    UNSUPPORTED_FEATURE = "unsupported-feature"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    ANIMATED = "animated"
    TOO_MANY_SCANS = "too-many-scans"
    TOO_MUCH_METADATA = "too-much-metadata"
    TOO_SMALL = "too-small"
    TOO_LARGE = "too-large"
    TOO_MANY_PIXELS = "too-many-pixels"
    TOO_SLOW = "too-slow"
    NOT_EXAMINED = "not-examined"  # for what is to be blurred


class ImageRejected(ValueError):
    """An image breaks a rule: `fault` says which, `detail` tells the sender what was found and what goes."""

    def __init__(self, fault: ImageFault, detail: str) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail


@dataclass(frozen=True)
class ImageLimits:
    """Limits checked before and during decoding.

    The defaults fit the API: Lambda takes 6 MB a request, which is 4.5 MB of image in base64.
    """

    max_bytes: int = 4 * MEBIBYTE
    min_side: int = 8
    max_side: int = 20_000
    max_pixels: int = 50_000_000
    # A 470 KB progressive JPEG with thousands of scans kept every decoder busy for over 84 s.
    max_scans: int = 32
    max_metadata_bytes: int = 4 * MEBIBYTE
    # A PNG or WebP of some hundred bytes unpacks to any size, and a progressive JPEG is kept whole until its
    # last scan. With what lies around it, one image stays below 128 MB.
    max_decoder_bytes: int = 112 * MEBIBYTE
    decode_seconds: float = 5.0


def check_size(width: int, height: int, limits: ImageLimits) -> None:
    """Raise ImageRejected unless both sides (px) and their product lie within the limits."""
    found = f"the image is {width} x {height} px"
    if min(width, height) < limits.min_side:
        raise ImageRejected(ImageFault.TOO_SMALL, f"{found}; each side must be at least {limits.min_side} px")
    if max(width, height) > limits.max_side:
        raise ImageRejected(ImageFault.TOO_LARGE, f"{found}; each side may be at most {limits.max_side} px")
    if width * height > limits.max_pixels:
        raise ImageRejected(
            ImageFault.TOO_MANY_PIXELS,
            f"{found}, {width * height / 1e6:.1f} megapixels; at most {limits.max_pixels / 1e6:g} go",
        )


def check_metadata(count: int, limits: ImageLimits) -> None:
    """Raise ImageRejected when more than the allowed bytes of the file are not picture."""
    if count > limits.max_metadata_bytes:
        raise ImageRejected(
            ImageFault.TOO_MUCH_METADATA,
            f"{count} bytes of the file are metadata; at most {limits.max_metadata_bytes} are accepted",
        )
