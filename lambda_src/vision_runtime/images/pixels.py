"""Turns an image into the model's input: decoded, in sRGB, opaque, resized, upright, without metadata."""

from __future__ import annotations

import io
import time
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from vision_runtime.images.header import Header, inspect
from vision_runtime.images.orientation import orientation
from vision_runtime.images.profile import harmless
from vision_runtime.images.rules import MEBIBYTE, ImageFault, ImageLimits, ImageRejected
from vision_runtime.images.structure import check_decoder_bytes
from vision_runtime.redaction import EXAMINED_SIDE, Detector, NotExamined, Region, blur

if TYPE_CHECKING:
    from vision_runtime.spec import InputSpec

# Named one by one: Image.open would load decoders of formats that are refused, and for a phone's JPEG with
# a second picture behind the first those of TIFF. Each start of a function pays for what it loads.
DECODERS = {"JPEG": JpegImageFile, "PNG": PngImageFile, "WEBP": WebPImageFile}
MODES = {1: "L", 3: "RGB"}
# EXIF orientation -> the move that makes the picture upright; from 5 on, width and height change places.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
PROFILE_SPACE = slice(16, 20)  # where an ICC profile says which colours it is for
PROFILE_SPACES = {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}
FIRST_SIDEWAYS = 5
# Cheap shrinking, while a JPEG is decoded and by whole factors, stops at these multiples of the target, so
# that the last resize still sees enough pixels to weigh. Decoding at 2, a photo of 1 MP for a model of 224 px
# would gain nothing; at 1.5 it takes half the time, and differs by 0.6 of 255 on average from a full decode.
DECODE_HEADROOM = 1.5
SHRINK_HEADROOM = 2
# RGB and CMYK alike.
JPEG_PIXEL_BYTES = 4
# Left for the copy that detectors get, in the forms that it goes through: at most 1600 px square each.
EXAMINED_BYTES = 44 * MEBIBYTE
DEFAULT_LIMITS = ImageLimits()


@dataclass(frozen=True)
class ModelInput:
    """One image as the model takes it, and what was blurred in it.

    `pixels` are height * width * channels bytes, by rows.
    """

    pixels: bytes
    spec: InputSpec
    redacted: tuple[Region, ...] = ()

    def png(self) -> bytes:
        """The same pixels as a PNG, for the training shards; made of nothing else, so without metadata."""
        buffer = io.BytesIO()
        image = Image.frombytes(MODES[self.spec.channels], (self.spec.width, self.spec.height), self.pixels)
        # Runs and Huffman codes alone: 40 % less time than a search for repeats, which photos hardly have.
        image.save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
        return buffer.getvalue()


def prepare(
    data: bytes, spec: InputSpec, limits: ImageLimits = DEFAULT_LIMITS, detector: Detector | None = None
) -> ModelInput:
    """The one path from bytes to pixels, for training and for serving.

    With a `detector`, what it finds is blurred, and an image that it cannot examine is rejected. Raises
    ImageRejected, and what the detector raises when its service fails.

    A detector's copy takes room too, so that with one pictures may be a little smaller.
    """
    if detector is not None:
        limits = replace(limits, max_decoder_bytes=limits.max_decoder_bytes - EXAMINED_BYTES)
    header = inspect(data, limits)
    side = int(DECODE_HEADROOM * max(spec.width, spec.height))
    with _faults_are_the_senders(header):
        decoded = _decode(header, (side, side), limits)
        opened = _opened(decoded, spec)
        upright = opened.upright(_sides_as_stored(spec, opened.orientation))
        if detector is None:
            return ModelInput(upright.tobytes(), spec)
        examined = _for_detectors(decoded, spec, limits)
    # The large picture goes before a detector needs room.
    del decoded, opened
    regions = _found(detector, examined)
    return ModelInput(blur(upright, regions).tobytes(), spec, regions)


def to_model_input(data: bytes, spec: InputSpec, limits: ImageLimits = DEFAULT_LIMITS) -> bytes:
    """The image as the endpoint takes it: height * width * channels bytes, by rows. Raises ImageRejected."""
    return prepare(data, spec, limits).pixels


def to_png(data: bytes, spec: InputSpec, limits: ImageLimits = DEFAULT_LIMITS) -> bytes:
    """The same pixels as `to_model_input`, as a PNG for the training shards. Raises ImageRejected."""
    return prepare(data, spec, limits).png()


@contextmanager
def _faults_are_the_senders(header: Header) -> Generator[None]:
    """Whatever a decoder stumbles over lies in the sender's bytes: it is never this program's failure."""
    try:
        yield
    except (ImageRejected, MemoryError):
        raise
    except Exception as error:
        raise ImageRejected(ImageFault.CORRUPT, f"the {header.format} cannot be decoded: {error}") from error


def _for_detectors(decoded: _Decoded, spec: InputSpec, limits: ImageLimits) -> Image.Image:
    """A larger copy of the image, upright and in RGB: in the model's, detectors would miss small faces."""
    structure = decoded.header.structure
    scale = min(1.0, EXAMINED_SIDE / max(structure.width, structure.height))
    size = max(1, round(structure.width * scale)), max(1, round(structure.height * scale))
    if decoded.scaled:
        decoded = _decode(decoded.header, size, limits)
    image, extent = _shrink(_plain(decoded.image), decoded.extent, EXAMINED_SIDE)
    # Before all that makes copies: the picture may have twice the copy's sides.
    small = image.resize(size, Image.Resampling.BILINEAR, box=(0.0, 0.0, *extent))
    small.info = image.info
    turned = orientation(structure.exif, structure.xmp)
    opaque = _opaque(_to_srgb(_eight_bit(small)), replace(spec, channels=3))
    upright = _Opened(opaque, size, turned).upright(size)
    # Of pixels alone: Pillow carries metadata along, and writes a JPEG's comment into the next one.
    return Image.frombytes(upright.mode, upright.size, upright.tobytes())


def _found(detector: Detector, examined: Image.Image) -> tuple[Region, ...]:
    try:
        return tuple(detector.find(examined))
    except NotExamined as fault:
        raise ImageRejected(ImageFault.NOT_EXAMINED, str(fault)) from fault


class _TimedBytes(io.BytesIO):
    """Bytes that stop being readable at a deadline: the way to end a decoder that runs in any thread.

    Decoders ask for the next block between steps. A step itself is bounded by the pixel and scan limits.
    """

    def __init__(self, data: bytes, seconds: float) -> None:
        super().__init__(data)
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def read(self, size: int | None = -1, /) -> bytes:
        self.check()
        return super().read(size)

    def check(self) -> None:
        if time.monotonic() > self._deadline:
            raise ImageRejected(ImageFault.TOO_SLOW, f"decoding took longer than {self._seconds:g} s")


@dataclass(frozen=True)
class _Opened:
    """A decoded image in the model's channels, as it is stored.

    Shrinking rounds the sides up: the picture covers `extent` (px, with fractions) of them.
    """

    image: Image.Image
    extent: tuple[float, float]
    orientation: int

    def upright(self, size: tuple[int, int]) -> Image.Image:
        """The image stretched to `size`, then turned upright."""
        resized = self.image.resize(size, Image.Resampling.BILINEAR, box=(0.0, 0.0, *self.extent))
        return resized.transpose(UPRIGHT[self.orientation]) if self.orientation in UPRIGHT else resized


@dataclass(frozen=True)
class _Decoded:
    """What the decoder gave, covering `extent` (px, with fractions); `scaled` if it was asked for less."""

    header: Header
    image: Image.Image
    extent: tuple[float, float]
    scaled: bool


def _decode(header: Header, least: tuple[int, int], limits: ImageLimits) -> _Decoded:
    """The picture as it is stored; a JPEG scaled down while it is decoded, to `least` (px) or more."""
    structure = header.structure
    stream = _TimedBytes(structure.data, limits.decode_seconds)
    image = DECODERS[header.format](stream)
    # JPEG decodes straight to 1/2, 1/4 or 1/8: 12 MP in 37 ms instead of 233.
    drafted = image.draft(None, least)
    if header.format == "JPEG":
        taken = structure.decoder_bytes + image.width * image.height * JPEG_PIXEL_BYTES
        check_decoder_bytes(taken, structure.width, structure.height, limits)
    image.load()
    stream.check()
    if drafted is None:
        return _Decoded(header, image, image.size, scaled=False)
    return _Decoded(header, image, drafted[1][2:], scaled=image.size != (structure.width, structure.height))


def _opened(decoded: _Decoded, spec: InputSpec) -> _Opened:
    """The image in the model's channels, no smaller than the model's sides unless the file is."""
    least = SHRINK_HEADROOM * max(spec.width, spec.height)
    image, extent = _shrink(_plain(decoded.image), decoded.extent, least)
    structure = decoded.header.structure
    turned = orientation(structure.exif, structure.xmp)
    return _Opened(_opaque(_to_srgb(_eight_bit(image)), spec), extent, turned)


def _plain(image: Image.Image) -> Image.Image:
    """L, LA, RGB, RGBA or CMYK with 8 bits a channel, or I, from whatever the decoder gave."""
    if image.mode.startswith("I"):
        return image if image.mode == "I" else image.convert("I")
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in ("L", "RGB") and "transparency" in image.info:
        return image.convert("LA" if image.mode == "L" else "RGBA")
    return image


def _shrink(
    image: Image.Image, extent: tuple[float, float], least: int
) -> tuple[Image.Image, tuple[float, float]]:
    """Averaged down by whole factors: colour management and the resize then see few pixels.

    By one for each side: a strip of 20,000 x 800 px is large, although its shorter side is not.
    """
    across, down = (max(1, length // least) for length in image.size)
    if across == down == 1:
        return image, extent
    smaller = image.reduce((across, down))
    smaller.info = image.info
    return smaller, (extent[0] / across, extent[1] / down)


def _eight_bit(image: Image.Image) -> Image.Image:
    """The high byte of 16 bits, as for 16-bit colour: convert("L") would clip all above 255 to white."""
    if image.mode != "I":
        return image
    scaled = image.point(lambda value: value * (1 / 256)).convert("L")
    scaled.info = image.info
    return scaled


def _to_srgb(image: Image.Image) -> Image.Image:
    """Colours as sRGB means them, by the embedded profile if it is one for this kind of image."""
    embedded = image.info.get("icc_profile")
    converted = _by_profile(image, embedded) if embedded else None
    if converted is not None:
        return converted
    return image.convert("RGB") if image.mode == "CMYK" else image


def _by_profile(image: Image.Image, embedded: bytes) -> Image.Image | None:
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colour = image if alpha is None else image.convert(image.mode[:-1])
    if embedded[PROFILE_SPACE] != PROFILE_SPACES[colour.mode]:
        return None  # a profile for another kind of image: as good as none
    from PIL import ImageCms  # noqa: PLC0415 - 15 ms that only images with a profile pay

    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(harmless(embedded)))
        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(colour, profile, srgb, outputMode="RGB")
    except (OSError, ImageCms.PyCMSError):
        return None  # a broken profile: read the image as sRGB, as viewers do
    if converted is not None and alpha is not None:
        converted.putalpha(alpha)
    return converted


def _opaque(image: Image.Image, spec: InputSpec) -> Image.Image:
    """Transparent parts show the declared background; the result has the model's channels."""
    if image.mode in ("LA", "RGBA"):
        alpha = image.getchannel("A")
        background = Image.new("RGB", image.size, spec.background)
        image = Image.composite(image.convert("RGB"), background, alpha)
    mode = MODES[spec.channels]
    return image if image.mode == mode else image.convert(mode)


def _sides_as_stored(spec: InputSpec, orientation: int) -> tuple[int, int]:
    """The model's sides, before the image is turned upright."""
    return (spec.width, spec.height) if orientation < FIRST_SIDEWAYS else (spec.height, spec.width)
