"""What is read of metadata, the orientation and the colours, and what no library gets to see (R24, R33)."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from tests.fuzz.corpus_jpeg import segment
from tests.fuzz.kinds import exif_of_many_entries, profile_of_many_elements
from tests.lambda_src import odd_images as odd
from vision_runtime.images import ImageFault, ImageLimits, ImageRejected, to_model_input
from vision_runtime.images.header import inspect
from vision_runtime.images.orientation import orientation
from vision_runtime.images.profile import harmless
from vision_runtime.spec import InputSpec

COLOUR = InputSpec(16, 16, 3)
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
TURNED = to_model_input(odd.with_orientation(odd.gradient(), 6, "PNG"), COLOUR)
PLAIN = to_model_input(odd.saved(odd.gradient(), "PNG"), COLOUR)


def exif(value: int, order: str = "<", kind: int = 3, entries: int = 1) -> bytes:
    """EXIF with the orientation as its last entry."""
    form = {1: "B3x", 3: "H2x", 4: "I"}[kind]
    others = b"".join(struct.pack(f"{order}HHIHH", 0x0100 + n, 3, 1, 7, 0) for n in range(entries - 1))
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, entries)
    return head + others + struct.pack(f"{order}HHI{form}", 0x0112, kind, 1, value) + bytes(4)


class TestOrientation:
    @pytest.mark.parametrize("value", range(10))
    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("kind", [1, 3, 4])
    def test_is_read_as_pillow_reads_it(self, value: int, order: str, kind: int) -> None:
        data = exif(value, order, kind, entries=5)
        theirs = Image.Exif()
        theirs.load(b"Exif\0\0" + data)
        expected = theirs.get(0x0112) if theirs.get(0x0112) in range(1, 9) else 1
        assert orientation(data, b"") == orientation(b"Exif\0\0" + data, b"") == expected

    @pytest.mark.parametrize("data", [b"", b"II", b"II*\0\xff\xff\xff\xff", exif(6)[:15], b"rubbish" * 9])
    def test_of_broken_metadata_is_none(self, data: bytes) -> None:
        assert orientation(data, b"") == 1

    def test_of_xmp_is_used_where_exif_has_none(self) -> None:
        assert orientation(b"", XMP) == 6
        assert orientation(exif(3), XMP) == 3

    @pytest.mark.parametrize("packed", [False, True])
    def test_of_xmp_is_found_in_every_format(self, packed: bool) -> None:
        jpeg = odd.jpeg_segments(odd.saved(odd.gradient(), "JPEG", quality=100))
        name = b"http://ns.adobe.com/xap/1.0/\0"
        assert inspect(
            odd.joined([jpeg[0], segment(0xE1, name + XMP), *jpeg[1:]]), ImageLimits()
        ).structure.xmp
        text = b"XML:com.adobe.xmp\0" + bytes((packed, 0)) + b"\0\0" + (zlib.compress(XMP) if packed else XMP)
        rows = odd.saved(odd.gradient(), "PNG")
        assert to_model_input(rows[:33] + odd.chunk(b"iTXt", text) + rows[33:], COLOUR) == TURNED
        webp = odd.saved(odd.gradient(), "WEBP", lossless=True, xmp=XMP)
        assert to_model_input(webp, COLOUR) == TURNED

    def test_of_exif_in_a_text_is_read(self) -> None:
        rows = odd.saved(odd.gradient(), "PNG")
        text = b"Raw profile type exif\0" + b"\nexif\n      32\n" + exif(6).hex().encode()
        assert to_model_input(rows[:33] + odd.chunk(b"tEXt", text) + rows[33:], COLOUR) == TURNED

    def test_among_thousands_of_entries_costs_no_more_than_the_bytes(self) -> None:
        rows = odd.saved(odd.gradient(), "PNG")
        data = exif_of_many_entries(500, 100_000, orientation=6)[6:]
        assert to_model_input(rows[:33] + odd.chunk(b"eXIf", data) + rows[33:], COLOUR) == TURNED


class TestDecoders:
    def test_get_a_jpeg_without_metadata_fill_bytes_or_what_follows(self) -> None:
        whole = odd.jpeg_segments(odd.saved(odd.gradient(), "JPEG", icc_profile=odd.swapped_profile()))
        extra = [
            segment(0xE1, b"Exif\0\0" + exif(6)),
            segment(0xFE, b"a comment"),
            segment(0xED, b"Photoshop 3.0\0"),
        ]
        given = odd.joined([whole[0], *extra, (0, b"\xff" * 1000), *whole[1:]]) + b"what follows"
        structure = inspect(given, ImageLimits()).structure
        assert structure.data == odd.joined(whole)
        assert structure.exif == b"Exif\0\0" + exif(6)
        with Image.open(io.BytesIO(structure.data)) as image:
            assert image.info["icc_profile"] == odd.swapped_profile()

    def test_get_no_profile_whose_elements_never_end(self) -> None:
        endless = profile_of_many_elements(50)
        assert b"D2B0" in endless
        assert b"D2B0" not in harmless(endless)
        assert harmless(odd.swapped_profile()) == odd.swapped_profile()
        assert harmless(b"no profile") == b"no profile"
        data = odd.saved(odd.gradient(), "PNG", icc_profile=endless)
        assert to_model_input(data, COLOUR) == PLAIN


class TestMemory:
    @pytest.mark.parametrize(
        ("data", "bytes_of_a_pixel"),
        [
            (odd.saved(Image.new("RGB", (100, 80)), "PNG"), 4),
            (odd.saved(Image.new("RGBA", (100, 80)), "PNG"), 8),
            (odd.saved(Image.new("RGB", (100, 80)), "WEBP"), 16),
            (odd.saved(Image.new("RGBA", (100, 80)), "WEBP", lossless=True), 20),
            (odd.saved(Image.new("L", (96, 80)), "JPEG", progressive=True), 2),
            (odd.saved(Image.new("RGB", (96, 80)), "JPEG", progressive=True, subsampling=0), 6),
            (odd.saved(Image.new("RGB", (96, 80)), "JPEG", progressive=True, subsampling=2), 3),
            (odd.saved(Image.new("RGB", (96, 80)), "JPEG"), 0),
        ],
        ids=["png", "png-alpha", "webp", "webp-alpha", "grey", "4:4:4", "4:2:0", "baseline"],
    )
    def test_of_decoding_is_known_by_the_header(self, data: bytes, bytes_of_a_pixel: int) -> None:
        found = inspect(data, ImageLimits()).structure
        assert found.decoder_bytes == found.width * found.height * bytes_of_a_pixel

    def test_is_limited_and_the_refusal_says_what_to_do(self) -> None:
        data = odd.saved(Image.new("RGB", (1000, 1000)), "WEBP")
        assert to_model_input(data, COLOUR, ImageLimits(max_decoder_bytes=16_000_000))
        with pytest.raises(ImageRejected, match=r"16 MB; at most 15 go: .* baseline JPEG") as caught:
            to_model_input(data, COLOUR, ImageLimits(max_decoder_bytes=15_000_000))
        assert caught.value.fault is ImageFault.TOO_MANY_PIXELS


def test_strips_are_shrunk_along_their_long_side_and_keep_their_picture() -> None:
    halves = Image.new("RGB", (6000, 40), (200, 20, 20))
    halves.paste((20, 20, 200), (3000, 0, 6000, 40))
    row = to_model_input(odd.saved(halves, "PNG"), COLOUR)[: 16 * 3]
    # The two in the middle mix.
    assert row[: 7 * 3] == bytes((200, 20, 20)) * 7
    assert row[9 * 3 :] == bytes((20, 20, 200)) * 7
