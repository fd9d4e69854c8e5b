"""Which images are accepted and which are refused, and why (R24)."""

import random
import struct
import zlib

import pytest
from PIL import Image

from tests.lambda_src import odd_images as odd
from vision_runtime.images import ImageFault, ImageLimits, ImageRejected, to_model_input
from vision_runtime.spec import InputSpec

GREY = InputSpec(16, 16, 1)
DEFAULT = ImageLimits()
MIB = 1024 * 1024


def fault_of(data: bytes, limits: ImageLimits = DEFAULT) -> ImageFault:
    with pytest.raises(ImageRejected) as caught:
        to_model_input(data, GREY, limits)
    assert caught.value.detail
    return caught.value.fault


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(8, 8), (64, 48), (9, 300)])
def test_ordinary_images_are_accepted(name: str, size: tuple[int, int]) -> None:
    assert len(to_model_input(odd.saved(odd.gradient(*size), name), GREY)) == 16 * 16


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", ImageFault.EMPTY),
        (b"seven, I think", ImageFault.NOT_AN_IMAGE),
        (b"\x00" * 500, ImageFault.NOT_AN_IMAGE),
        (odd.saved(odd.gradient(mode="P"), "GIF"), ImageFault.UNSUPPORTED_FORMAT),
        (odd.saved(odd.gradient(), "TIFF"), ImageFault.UNSUPPORTED_FORMAT),
        (odd.saved(odd.gradient(), "BMP"), ImageFault.UNSUPPORTED_FORMAT),
        (b"%PDF-1.7\n", ImageFault.UNSUPPORTED_FORMAT),
        (b"\x00\x00\x00\x18ftypheic\x00\x00", ImageFault.UNSUPPORTED_FORMAT),
        (odd.animated("PNG"), ImageFault.ANIMATED),
        (odd.animated("WEBP"), ImageFault.ANIMATED),
        (odd.saved(Image.new("L", (7, 40)), "PNG"), ImageFault.TOO_SMALL),
        (odd.saved(Image.new("L", (40, 1)), "WEBP"), ImageFault.TOO_SMALL),
        (odd.png(20_001, 8, 8, 0, b""), ImageFault.TOO_LARGE),
        (odd.png(2**31 - 1, 2**31 - 1, 8, 6, b""), ImageFault.TOO_LARGE),
        (odd.png(20_000, 20_000, 1, 0, b"\0" * 1000), ImageFault.TOO_MANY_PIXELS),
        (odd.png(8, 8, 8, 0, b"\0" * 10), ImageFault.CORRUPT),
        (odd.png(8, 8, 3, 0, b"\0" * 72), ImageFault.CORRUPT),
        (odd.png(8, 8, 8, 3, b"\0" * 72), ImageFault.CORRUPT),
        (odd.png(8, 8, 16, 0, b"\0" * 136, odd.chunk(b"tRNS", b"\0\0")), ImageFault.UNSUPPORTED_FEATURE),
        (odd.many_scans(33), ImageFault.TOO_MANY_SCANS),
        (odd.many_scans(5000), ImageFault.TOO_MANY_SCANS),
    ],
)
def test_unacceptable_image_is_refused_with_its_fault(data: bytes, fault: ImageFault) -> None:
    assert fault_of(data) is fault


def test_thirty_two_scans_are_still_accepted() -> None:
    assert to_model_input(odd.many_scans(32), GREY)


def test_too_many_bytes_are_refused_before_anything_is_read() -> None:
    assert fault_of(b"\x00" * 101, ImageLimits(max_bytes=100)) is ImageFault.TOO_MANY_BYTES


def test_refusal_names_what_was_found_and_what_is_accepted() -> None:
    with pytest.raises(ImageRejected, match=r"7 x 40 px; each side must be at least 8 px"):
        to_model_input(odd.saved(Image.new("L", (7, 40)), "PNG"), GREY)


class TestMetadata:
    limits = ImageLimits(max_bytes=16 * MIB)

    def test_jpeg_with_five_megabytes_of_comments(self) -> None:
        assert fault_of(odd.jpeg_comments(5 * MIB), self.limits) is ImageFault.TOO_MUCH_METADATA

    def test_jpeg_with_three_megabytes_of_comments_is_accepted(self) -> None:
        assert to_model_input(odd.jpeg_comments(3 * MIB), GREY, self.limits)

    @pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
    def test_five_megabytes_behind_the_picture(self, name: str) -> None:
        data = odd.saved(odd.gradient(), name) + b"x" * (5 * MIB)
        assert fault_of(data, self.limits) is ImageFault.TOO_MUCH_METADATA

    @pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
    def test_a_little_behind_the_picture_is_accepted(self, name: str) -> None:
        """Phones append previews, films and their own notes."""
        assert to_model_input(odd.saved(odd.gradient(), name) + b"x" * 5000, GREY)

    def test_png_with_a_huge_text(self) -> None:
        data = odd.png(8, 8, 8, 0, b"\0" * 72, odd.chunk(b"tEXt", b"a\0" + b"x" * 5 * MIB))
        assert fault_of(data, self.limits) is ImageFault.TOO_MUCH_METADATA

    def test_png_with_a_text_that_unpacks_to_a_thousand_times_its_size(self) -> None:
        packer = zlib.compressobj(9)
        packed = b"".join(packer.compress(bytes(MIB)) for _ in range(256)) + packer.flush()
        data = odd.png(8, 8, 8, 0, b"\0" * 72, odd.chunk(b"zTXt", b"a\0\0" + packed))
        assert fault_of(data) is ImageFault.TOO_MUCH_METADATA


class TestJpegStructure:
    segments = odd.jpeg_segments(odd.saved(odd.gradient(), "JPEG"))

    def replaced(self, marker: int, new: bytes) -> bytes:
        return odd.joined([(kind, new if kind == marker else content) for kind, content in self.segments])

    def frame(self) -> bytes:
        return next(content for kind, content in self.segments if kind == 0xC0)

    def test_two_frames(self) -> None:
        assert fault_of(self.replaced(0xC0, self.frame() * 2)) is ImageFault.CORRUPT

    def test_no_frame(self) -> None:
        assert fault_of(self.replaced(0xC0, b"")) is ImageFault.CORRUPT

    def test_no_scan(self) -> None:
        assert fault_of(self.replaced(0xDA, b"")) is ImageFault.CORRUPT

    @pytest.mark.parametrize("marker", [0xC3, 0xC9, 0xCA])
    def test_lossless_and_arithmetic_coding(self, marker: int) -> None:
        frame = bytes([0xFF, marker]) + self.frame()[2:]
        assert fault_of(self.replaced(0xC0, frame)) is ImageFault.UNSUPPORTED_FEATURE

    def test_twelve_bits(self) -> None:
        frame = self.frame()[:4] + bytes([12]) + self.frame()[5:]
        assert fault_of(self.replaced(0xC0, frame)) is ImageFault.UNSUPPORTED_FEATURE

    def test_open_height(self) -> None:
        frame = self.frame()[:5] + bytes(2) + self.frame()[7:]
        assert fault_of(self.replaced(0xC0, frame)) is ImageFault.UNSUPPORTED_FEATURE

    def test_sides_that_only_the_header_claims(self) -> None:
        frame = self.frame()[:5] + struct.pack(">HH", 60_000, 60_000) + self.frame()[9:]
        assert fault_of(self.replaced(0xC0, frame)) is ImageFault.TOO_LARGE

    def test_two_components(self) -> None:
        frame = self.frame()[:9] + bytes([2]) + self.frame()[10:]
        assert fault_of(self.replaced(0xC0, frame)) is ImageFault.CORRUPT

    def test_missing_end_marker(self) -> None:
        assert fault_of(odd.joined(self.segments[:-1])) is ImageFault.TRUNCATED

    def test_second_start_marker(self) -> None:
        assert fault_of(b"\xff\xd8" + odd.joined(self.segments)) is ImageFault.CORRUPT

    def test_a_hundred_thousand_tiny_segments(self) -> None:
        data = b"\xff\xd8" + b"\xff\xfe\x00\x02" * 100_000 + odd.joined(self.segments[1:])
        assert fault_of(data) is ImageFault.CORRUPT

    def test_fill_bytes_before_markers_are_legal(self) -> None:
        filled = odd.joined([(kind, b"\xff" * 9 * (kind != 0xD8) + part) for kind, part in self.segments])
        assert to_model_input(filled, GREY)


class TestWebpStructure:
    still = odd.saved(odd.gradient(), "WEBP")

    def test_container_longer_than_the_file(self) -> None:
        assert fault_of(self.still[:4] + struct.pack("<I", 10**6) + self.still[8:]) is ImageFault.TRUNCATED

    def test_container_without_picture(self) -> None:
        assert fault_of(b"RIFF" + struct.pack("<I", 4) + b"WEBP") is ImageFault.CORRUPT

    def test_two_pictures(self) -> None:
        body = self.still[12:] * 2
        data = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
        assert fault_of(data) is ImageFault.CORRUPT


@pytest.mark.parametrize(
    "whole",
    [
        odd.saved(odd.gradient(24, 20), "JPEG"),
        odd.saved(odd.gradient(24, 20), "JPEG", progressive=True),
        odd.saved(odd.gradient(24, 20), "PNG"),
        odd.saved(odd.gradient(24, 20), "WEBP"),
        odd.saved(odd.gradient(24, 20, "RGBA"), "WEBP", lossless=True),
    ],
    ids=["jpeg", "progressive", "png", "webp", "webp-lossless"],
)
class TestBrokenFiles:
    def test_every_beginning_of_a_file_is_refused(self, whole: bytes) -> None:
        for length in range(0, len(whole) - 1, 3):
            fault_of(whole[:length])

    def test_flipped_bytes_are_read_or_refused_never_a_crash(self, whole: bytes) -> None:
        dice = random.Random(24)  # noqa: S311 - the same damage every time
        for _ in range(150):
            data = bytearray(whole)
            for _ in range(dice.randint(1, 6)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            try:
                assert len(to_model_input(bytes(data), GREY)) == 256
            except ImageRejected as rejected:
                assert rejected.detail


def test_decoding_ends_at_the_time_limit() -> None:
    data = odd.saved(odd.gradient(400, 400), "PNG")
    assert fault_of(data, ImageLimits(decode_seconds=-1.0)) is ImageFault.TOO_SLOW
