"""Real image files, good, odd and hostile ones, made with Pillow and by hand where Pillow refuses to."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from PIL import Image, ImageCms

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
ORIENTATION = 0x0112


def gradient(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    """A picture that differs at every place, so that turned, cut or shifted ones are told apart."""
    across = bytes(x * 255 // width for x in range(width))
    stripes = bytes(place * 7 % 256 for place in range(width + height))
    bands = (
        across * height,
        b"".join(bytes([y * 255 // height]) * width for y in range(height)),
        b"".join(stripes[y : y + width] for y in range(height)),
    )
    return Image.merge("RGB", [Image.frombytes("L", (width, height), band) for band in bands]).convert(mode)


def saved(image: Image.Image, name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def with_orientation(image: Image.Image, value: int, name: str) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    options: dict[str, Any] = (
        {"quality": 95} if name == "JPEG" else {"lossless": True} if name == "WEBP" else {}
    )
    return saved(image, name, exif=exif, **options)


def animated(name: str) -> bytes:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green", "blue")]
    return saved(frames[0], name, save_all=True, append_images=frames[1:], duration=50)


# ---- PNG by hand


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return PNG_MAGIC + b"".join(body)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(PNG_MAGIC)
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length


def png_16_bit(values: list[int], channels: int = 1) -> bytes:
    """One row of values repeated over as many rows; every channel holds the same value."""
    row = b"\0" + b"".join(struct.pack(">H", value) * channels for value in values)
    return png(len(values), len(values), 16, {1: 0, 3: 2, 2: 4}[channels], row * len(values))


# ---- JPEG by hand


def jpeg_segments(data: bytes) -> list[tuple[int, bytes]]:
    """(marker, bytes) of all parts of a JPEG, start and end included; a scan with its coded data."""
    segments = [(0xD8, data[:2])]
    position = 2
    while data[position + 1] != 0xD9:
        marker = data[position + 1]
        (length,) = struct.unpack_from(">H", data, position + 2)
        end = position + 2 + length
        if marker == 0xDA:
            while not (data[end] == 0xFF and data[end + 1] not in (0, *range(0xD0, 0xD8))):
                end += 1
        segments.append((marker, data[position:end]))
        position = end
    return [*segments, (0xD9, data[position : position + 2])]


def joined(segments: list[tuple[int, bytes]]) -> bytes:
    return b"".join(content for _, content in segments)


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated until there are `count`."""
    segments = jpeg_segments(saved(gradient(), "JPEG", progressive=True))
    scans = [segment for segment in segments if segment[0] == 0xDA]
    return joined([*segments[:-1], *[scans[-1]] * (count - len(scans)), segments[-1]])


def jpeg_comments(total: int) -> bytes:
    """A JPEG with `total` bytes of comments."""
    segments = jpeg_segments(saved(gradient(), "JPEG"))
    comment = b"\xff\xfe" + struct.pack(">H", 65_002) + b"x" * 65_000
    return joined([segments[0], *[(0xFE, comment)] * (total // 65_000 + 1), *segments[1:]])


# ---- colour profiles


def swapped_profile() -> bytes:
    """An RGB profile whose red is sRGB's green and the other way round."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    table = {
        bytes(profile[entry : entry + 4]): entry
        for entry in range(132, 132 + 12 * struct.unpack_from(">I", profile, 128)[0], 12)
    }
    red, green = (table[name] for name in (b"rXYZ", b"gXYZ"))
    profile[red + 4 : red + 8], profile[green + 4 : green + 8] = (
        profile[green + 4 : green + 8],
        profile[red + 4 : red + 8],
    )
    return bytes(profile)


def cmyk_profile() -> bytes:
    """A CMYK printer profile in which full black ink is white paper and everything else is black."""
    straight = bytes(range(256))
    grid = b"".join(
        bytes([255 if node & 1 else 0, 128, 128]) for node in range(16)
    )  # Lab; black varies fastest
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + straight * 4 + grid + straight * 3
    lut += bytes(-len(lut) % 4)
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(lut))
    header = struct.pack(">I4sI4s4s4s", 144 + len(lut), b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return header + bytes(128 - len(header)) + tags + lut
