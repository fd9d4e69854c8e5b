"""What an accepted image looks like to the model: depth, colours, transparency, orientation (R24)."""

import io
import time

import pytest
from PIL import Image

from tests.lambda_src import odd_images as odd
from vision_runtime.images import to_model_input, to_png
from vision_runtime.spec import InputSpec

GREY = InputSpec(16, 16, 1)
COLOUR = InputSpec(16, 16, 3)


def middle(data: bytes, spec: InputSpec = COLOUR) -> tuple[int, ...]:
    """The model's pixel in the middle of the image."""
    start = (spec.height // 2 * spec.width + spec.width // 2) * spec.channels
    return tuple(to_model_input(data, spec)[start : start + spec.channels])


def close(found: tuple[int, ...], wanted: tuple[int, ...], tolerance: int = 3) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(found, wanted, strict=True))


def test_grey_input_is_one_byte_a_pixel_and_colour_three() -> None:
    data = odd.saved(odd.gradient(), "PNG")
    assert len(to_model_input(data, GREY)) == 16 * 16
    assert len(to_model_input(data, COLOUR)) == 16 * 16 * 3
    assert len(to_model_input(data, InputSpec(20, 10, 3))) == 20 * 10 * 3


def test_image_of_the_models_size_keeps_its_pixels() -> None:
    image = odd.gradient(16, 16)
    assert to_model_input(odd.saved(image, "PNG"), COLOUR) == image.tobytes()


class TestDepth:
    def test_sixteen_bit_grey_is_scaled_not_clipped(self) -> None:
        values = [number * 4096 for number in range(16)]
        row = to_model_input(odd.png_16_bit(values), GREY)[:16]
        assert list(row) == [number * 16 for number in range(16)]

    @pytest.mark.parametrize("channels", [2, 3])
    def test_sixteen_bit_colour_and_alpha_are_scaled_alike(self, channels: int) -> None:
        found = middle(odd.png_16_bit([32768] * 16, channels))
        if channels == 2:  # half transparent over white
            assert close(found, (191, 191, 191))
        else:
            assert close(found, (128, 128, 128), tolerance=1)

    @pytest.mark.parametrize("depth", [1, 2, 4])
    def test_few_bits_reach_full_white(self, depth: int) -> None:
        row = b"\0" + b"\xff" * (16 * depth // 8)
        assert middle(odd.png(16, 16, depth, 0, row * 16), GREY) == (255,)

    def test_bilevel_image(self) -> None:
        assert middle(odd.saved(Image.new("1", (20, 20), 1), "PNG"), GREY) == (255,)


class TestColours:
    def test_embedded_profile_decides_the_colour(self) -> None:
        red = Image.new("RGB", (32, 32), (255, 0, 0))
        for name in ("PNG", "JPEG", "WEBP"):
            data = odd.saved(
                red, name, icc_profile=odd.swapped_profile(), **({} if name == "PNG" else {"quality": 95})
            )
            assert close(middle(data), (0, 255, 0), tolerance=6), name

    def test_profile_holds_for_transparent_images_too(self) -> None:
        red = Image.new("RGBA", (32, 32), (255, 0, 0, 255))
        assert close(middle(odd.saved(red, "PNG", icc_profile=odd.swapped_profile())), (0, 255, 0))

    def test_palette_image_with_profile(self) -> None:
        red = Image.new("RGB", (32, 32), (255, 0, 0)).convert("P")
        assert close(middle(odd.saved(red, "PNG", icc_profile=odd.swapped_profile())), (0, 255, 0))

    @pytest.mark.parametrize(
        "profile", [b"not a profile" * 20, odd.swapped_profile()[:300], odd.cmyk_profile()]
    )
    def test_broken_or_foreign_profile_leaves_the_image_as_srgb(self, profile: bytes) -> None:
        red = Image.new("RGB", (32, 32), (255, 0, 0))
        assert middle(odd.saved(red, "PNG", icc_profile=profile)) == (255, 0, 0)

    def test_cmyk_without_profile(self) -> None:
        assert close(middle(odd.saved(Image.new("CMYK", (32, 32), (0, 0, 0, 0)), "JPEG")), (255, 255, 255))
        assert close(
            middle(odd.saved(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG")), (255, 0, 0), 12
        )

    def test_cmyk_by_its_profile(self) -> None:
        """In this profile full black ink is white: read without it, the image would be black."""
        black_ink = Image.new("CMYK", (32, 32), (0, 0, 0, 255))
        data = odd.saved(black_ink, "JPEG", icc_profile=odd.cmyk_profile())
        assert close(middle(data), (255, 255, 255), tolerance=6)


class TestTransparency:
    clear = Image.new("RGBA", (32, 32), (200, 10, 10, 0))

    @pytest.mark.parametrize("name", ["PNG", "WEBP"])
    def test_transparent_parts_show_the_declared_background(self, name: str) -> None:
        data = odd.saved(self.clear, name)
        assert middle(data) == (255, 255, 255)
        assert middle(data, InputSpec(16, 16, 3, background=(0, 40, 80))) == (0, 40, 80)
        assert middle(data, InputSpec(16, 16, 1, background=(0, 0, 0))) == (0,)

    def test_half_transparent(self) -> None:
        half = Image.new("LA", (32, 32), (0, 128))
        assert close(middle(odd.saved(half, "PNG"), GREY), (127,))

    def test_transparent_palette_entry_and_colour_key(self) -> None:
        palette = Image.new("RGB", (32, 32), (204, 0, 0)).convert("P")  # a colour of the web palette
        assert middle(odd.saved(palette, "PNG", transparency=palette.getpixel((0, 0)))) == (255, 255, 255)
        keyed = odd.saved(Image.new("RGB", (32, 32), (200, 10, 10)), "PNG", transparency=(200, 10, 10))
        assert middle(keyed) == (255, 255, 255)
        grey = odd.saved(Image.new("L", (32, 32), 7), "PNG", transparency=7)
        assert middle(grey, GREY) == (255,)


class TestOrientation:
    turns = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # stored turned by 90 degrees, to be turned back by 270
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }

    @pytest.mark.parametrize("value", turns)
    @pytest.mark.parametrize("name", ["PNG", "WEBP", "JPEG"])
    def test_every_exif_orientation_ends_upright(self, value: int, name: str) -> None:
        upright = Image.new("RGB", (48, 96))
        for place, colour in {(0, 0): "red", (24, 0): "green", (0, 48): "blue", (24, 48): "white"}.items():
            upright.paste(colour, (*place, place[0] + 24, place[1] + 48))
        turn = self.turns[value]
        stored = upright if turn is None else upright.transpose(turn)
        found = to_model_input(odd.with_orientation(stored, value, name), InputSpec(8, 16, 3))
        corners = [tuple(found[(y * 8 + x) * 3 :][:3]) for x, y in ((1, 3), (6, 3), (1, 12), (6, 12))]
        wanted = [(255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255)]
        assert all(close(a, b, tolerance=8) for a, b in zip(corners, wanted, strict=True)), corners

    @pytest.mark.parametrize("value", [0, 9, 700])
    def test_senseless_orientation_is_ignored(self, value: int) -> None:
        image = odd.gradient(16, 16)
        assert to_model_input(odd.with_orientation(image, value, "PNG"), COLOUR) == image.tobytes()

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF")
    def test_broken_exif_is_ignored(self) -> None:
        image = odd.gradient(16, 16)
        data = odd.saved(image, "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"\x80" * 40)
        assert to_model_input(data, COLOUR) == image.tobytes()


class TestPng:
    exif = Image.Exif()
    exif[0x010E] = "a secret caption"
    exif[0x0112] = 6

    @pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
    def test_result_carries_pixels_and_nothing_else(self, name: str) -> None:
        data = odd.saved(odd.gradient(), name, exif=self.exif, icc_profile=odd.swapped_profile())
        prepared = to_png(data, COLOUR)
        assert {kind for kind, _ in odd.png_chunks(prepared)} == {b"IHDR", b"IDAT", b"IEND"}
        assert b"secret" in data
        assert b"secret" not in prepared

    @pytest.mark.parametrize("spec", [GREY, COLOUR, InputSpec(9, 31, 3)])
    @pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
    def test_training_and_serving_see_the_same_pixels(self, name: str, spec: InputSpec) -> None:
        data = odd.with_orientation(odd.gradient(301, 200), 6, name)
        with Image.open(io.BytesIO(to_png(data, spec))) as trained_on:
            assert trained_on.tobytes() == to_model_input(data, spec)

    def test_same_image_gives_the_same_bytes(self) -> None:
        data = odd.saved(odd.gradient(301, 200), "JPEG")
        assert to_png(data, COLOUR) == to_png(data, COLOUR)


class TestLargeImages:
    def test_shrinking_while_decoding_changes_little(self) -> None:
        photo = odd.gradient(96, 64).resize((3072, 2048), Image.Resampling.BICUBIC)
        shrunk = to_model_input(odd.saved(photo, "JPEG", quality=95), COLOUR)
        whole = to_model_input(odd.saved(photo, "PNG", compress_level=1), COLOUR)
        assert max(abs(a - b) for a, b in zip(shrunk, whole, strict=True)) <= 6

    @pytest.mark.parametrize("name", ["JPEG", "PNG"])
    @pytest.mark.parametrize("sides", [(301, 203), (1003, 669), (1999, 1337)])
    def test_shrinking_moves_nothing_when_sides_do_not_divide(
        self, name: str, sides: tuple[int, int]
    ) -> None:
        """Half black, half white: the border stays in the middle, to a small part of a pixel."""
        image = Image.new("L", sides, 255)
        image.paste(0, (0, 0, sides[0] // 2, sides[1]))
        row = to_model_input(odd.saved(image, name), InputSpec(20, 20, 1))[:20]
        dark = sum(255 - value for value in row) / 255
        assert dark == pytest.approx(20 * (sides[0] // 2) / sides[0], abs=0.05)

    def test_twelve_megapixels_take_well_under_a_second(self) -> None:
        data = odd.saved(odd.gradient(40, 30).resize((4000, 3000)), "JPEG")
        started = time.process_time()
        to_model_input(data, COLOUR)
        assert time.process_time() - started < 0.5
