"""Turns an image into the model's input: decoded, in sRGB, opaque, resized, upright, without metadata."""

from __future__ import annotations

import importlib
import io
import time
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PIL import Image

from vision_runtime.images.header import Header, inspect
from vision_runtime.images.orientation import orientation
from vision_runtime.images.profile import harmless
from vision_runtime.images.rules import ImageFault, ImageLimits, ImageRejected
from vision_runtime.images.structure import check_decoder_bytes
from vision_runtime.redaction import EXAMINED_SIDE, Detector, NotExamined, Region, blur

if TYPE_CHECKING:
    from vision_runtime.spec import InputSpec

# Pillow's decoders load now, while the function starts with full CPU, instead of in the first request.
Image.preinit()
importlib.import_module("PIL.WebPImagePlugin")  # not among them; a format it lacks makes it load all it has

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
    """
    header = inspect(data, limits)
    with _faults_are_the_senders(header):
        opened = _opened(header, spec, limits)
        upright = opened.upright(_sides_as_stored(spec, opened.orientation))
    if detector is None:
        return ModelInput(upright.tobytes(), spec)
    regions = _found(detector, header, spec, limits)
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


def _found(detector: Detector, header: Header, spec: InputSpec, limits: ImageLimits) -> tuple[Region, ...]:
    """What `detector` finds in a larger copy of the image: in the model's it would miss small faces."""
    copy = replace(spec, width=EXAMINED_SIDE, height=EXAMINED_SIDE, channels=3)
    with _faults_are_the_senders(header):
        opened = _opened(header, copy, limits)
        scale = min(1.0, EXAMINED_SIDE / max(opened.extent))
        width, height = (max(1, round(side * scale)) for side in opened.extent)
        upright = opened.upright((width, height))
        # Of pixels alone: Pillow carries metadata along, and writes a JPEG's comment into the next one.
        examined = Image.frombytes(upright.mode, upright.size, upright.tobytes())
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


def _opened(header: Header, spec: InputSpec, limits: ImageLimits) -> _Opened:
    """The image, no smaller than the model's sides unless the file is."""
    image, extent = _decode(header, spec, limits)
    image, extent = _shrink(_plain(image), extent, spec)
    turned = orientation(header.structure.exif, header.structure.xmp)
    return _Opened(_opaque(_to_srgb(_eight_bit(image)), spec), extent, turned)


def _decode(header: Header, spec: InputSpec, limits: ImageLimits) -> tuple[Image.Image, tuple[float, float]]:
    structure = header.structure
    stream = _TimedBytes(structure.data, limits.decode_seconds)
    image = Image.open(stream, formats=[header.format])
    side = int(DECODE_HEADROOM * max(spec.width, spec.height))
    # JPEG decodes straight to 1/2, 1/4 or 1/8: 12 MP in 37 ms instead of 233.
    drafted = image.draft(None, (side, side))
    if header.format == "JPEG":
        picture = image.width * image.height * JPEG_PIXEL_BYTES
        check_decoder_bytes(structure.decoder_bytes + picture, structure.width, structure.height, limits)
    image.load()
    stream.check()
    return image, drafted[1][2:] if drafted else image.size


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
    image: Image.Image, extent: tuple[float, float], spec: InputSpec
) -> tuple[Image.Image, tuple[float, float]]:
    """Averaged down by whole factors: colour management and the resize then see few pixels.

    By one for each side: a strip of 20,000 x 800 px is large, although its shorter side is not.
    """
    side = SHRINK_HEADROOM * max(spec.width, spec.height)
    across, down = (max(1, length // side) for length in image.size)
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
