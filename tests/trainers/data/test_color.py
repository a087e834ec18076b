import numpy as np
import pytest
from PIL import Image

from trainers.data.color import to_rgb


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
