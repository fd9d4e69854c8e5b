"""What the checks find in a file before a pixel is decoded: sides, memory needed, metadata of use."""

from __future__ import annotations

from dataclasses import dataclass

from vision_runtime.images.rules import ImageFault, ImageLimits, ImageRejected


@dataclass(frozen=True)
class Structure:
    """A file that keeps the rules of its format.

    Decoding takes `decoder_bytes` of memory at its peak, beside a picture that the decoder scales down.
    `exif` (a TIFF file) and `xmp` are as they stand in the file; both are read for the orientation alone.
    `data` is what the decoder gets.
    """

    width: int
    height: int
    decoder_bytes: int
    data: bytes
    exif: bytes = b""
    xmp: bytes = b""


def check_decoder_bytes(count: int, width: int, height: int, limits: ImageLimits) -> None:
    """Raise ImageRejected when decoding would take more memory than is allowed.

    Files of a hundred bytes unpack to any size: sides alone do not tell what a picture takes.
    """
    if count > limits.max_decoder_bytes:
        raise ImageRejected(
            ImageFault.TOO_MANY_PIXELS,
            f"the image is {width} x {height} px, and to decode that many of its kind takes "
            f"{count / 1e6:.0f} MB; at most {limits.max_decoder_bytes / 1e6:.0f} go: send it smaller, or as "
            "a baseline JPEG",
        )
