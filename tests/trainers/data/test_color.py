import zlib

import numpy as np
import pytest
from PIL import Image

from trainers.data.color import on_white, to_rgb


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_keeps_its_levels(tmp_path, suffix):
    levels = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(levels).save(tmp_path / f"grey.{suffix}")
    with Image.open(tmp_path / f"grey.{suffix}") as image:
        seen = np.asarray(to_rgb(image))
    assert seen.shape == (64, 64, 3)
    assert np.array_equal(seen[..., 0], levels // 256)
    assert np.array_equal(seen[..., 0], seen[..., 2])


def test_pixels_without_a_white_level_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32)).save(tmp_path / "float.tif")
    with Image.open(tmp_path / "float.tif") as image, pytest.raises(ValueError, match="white level is unknown"):
        to_rgb(image)


def test_other_images_are_converted_as_pillow_does():
    colored = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8))
    for mode in ("RGB", "L", "P", "RGBA", "CMYK", "1"):
        image = colored.convert(mode)
        assert np.array_equal(np.asarray(to_rgb(image)), np.asarray(image.convert("RGB")))


WHITE = (255, 255, 255)


def as_read(image, path):
    image.save(path)
    with Image.open(path) as opened:
        return on_white(opened)


@pytest.mark.parametrize(("mode", "suffix"), [("RGBA", "png"), ("LA", "png"), ("RGBA", "webp"), ("RGBA", "tif")])
def test_transparent_pixels_are_white(tmp_path, mode, suffix):
    image = Image.new(mode, (4, 4), (200, 0) if mode == "LA" else (200, 10, 10, 0))
    image.putpixel((0, 0), (50, 255) if mode == "LA" else (50, 60, 70, 255))
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    image.save(tmp_path / f"seen.{suffix}", **options)
    with Image.open(tmp_path / f"seen.{suffix}") as opened:
        seen = on_white(opened)
    assert seen.mode == "RGB"
    assert seen.getpixel((3, 3)) == WHITE
    assert seen.getpixel((0, 0)) == ((50, 50, 50) if mode == "LA" else (50, 60, 70))


def test_half_transparent_pixels_lie_between(tmp_path):
    seen = as_read(Image.new("RGBA", (4, 4), (0, 100, 255, 51)), tmp_path / "half.png")
    # A fifth of the colour, four fifths of white.
    assert seen.getpixel((1, 1)) == (204, 224, 255)


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_palettes_transparent_colour_is_white(tmp_path, suffix):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([9, 9, 9, 200, 10, 10, 0, 0, 255])
    image.putpixel((0, 0), 2)
    image.save(tmp_path / f"palette.{suffix}", transparency=1)
    with Image.open(tmp_path / f"palette.{suffix}") as opened:
        seen = on_white(opened)
    assert (seen.getpixel((0, 0)), seen.getpixel((3, 3))) == ((0, 0, 255), WHITE)


def test_a_palette_may_have_an_alpha_of_its_own(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([9, 9, 9, 200, 100, 0])
    image.save(tmp_path / "palette.png", transparency=bytes([255, 51]))
    with Image.open(tmp_path / "palette.png") as opened:
        assert on_white(opened).getpixel((0, 0)) == (244, 224, 204)


@pytest.mark.parametrize(("mode", "level"), [("RGB", (1, 2, 3)), ("L", 7)])
def test_one_colour_may_be_transparent(tmp_path, mode, level):
    image = Image.new(mode, (4, 4), level)
    image.putpixel((0, 0), 9 if mode == "L" else (9, 9, 9))
    image.save(tmp_path / "key.png", transparency=level)
    with Image.open(tmp_path / "key.png") as opened:
        seen = on_white(opened)
    assert (seen.getpixel((0, 0)), seen.getpixel((3, 3))) == ((9, 9, 9), WHITE)


def test_so_may_one_level_of_sixteen_bits(tmp_path):
    """Pillow writes no such file: the chunk is put in by hand."""
    Image.fromarray(np.array([[0x1234, 0x8000]], dtype=np.uint16)).save(tmp_path / "grey.png")
    content = (tmp_path / "grey.png").read_bytes()
    chunk = b"tRNS" + (0x1234).to_bytes(2, "big")
    chunk = (2).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    place = content.index(b"IDAT") - 4
    (tmp_path / "grey.png").write_bytes(content[:place] + chunk + content[place:])
    with Image.open(tmp_path / "grey.png") as opened:
        assert list(on_white(opened).get_flattened_data()) == [WHITE, (128, 128, 128)]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "1", "P", "I;16"])
def test_opaque_images_are_read_as_ever(mode):
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert("L" if mode == "I;16" else mode).convert(mode)
    assert on_white(image).tobytes() == to_rgb(image).tobytes()
