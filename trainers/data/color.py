"""From a decoded image of any kind to the three channels of 8 bits that models see."""

import numpy as np
from PIL import Image

SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
UNSCALED = ("I", "F")
"""32-bit integers and floats: nothing in the file says which value is white."""


def require_white_level(image: Image.Image) -> None:
    """Refuse an image that can't be shown as RGB.

    Raises:
        ValueError: its pixels are 32-bit numbers, whose white level is unknown.
    """
    if image.mode in UNSCALED:
        raise ValueError(f"its pixels are 32-bit numbers (Pillow's mode {image.mode}) and their white level is unknown")


def to_rgb(image: Image.Image) -> Image.Image:
    """The image in RGB; 16-bit grey levels are scaled to 8 bits.

    Pillow's own conversion cuts every level above 255 off, which makes nearly all of a 16-bit image white.

    Raises:
        ValueError: its pixels are 32-bit numbers, whose white level is unknown.
    """
    require_white_level(image)
    if image.mode in SIXTEEN_BITS:
        levels = np.asarray(image, dtype=np.uint16)
        image = Image.fromarray((levels >> 8).astype(np.uint8))
    return image.convert("RGB")


def on_white(image: Image.Image) -> Image.Image:
    """The image in RGB as it looks on white paper, as in browsers and print.

    `to_rgb` drops the alpha channel, as timm and torchvision do, and shows the colours that lie hidden under it: two
    files that look the same would be two inputs. White, because transparent drawings are made for it: on black their
    lines would vanish.

    Raises:
        ValueError: its pixels are 32-bit numbers, whose white level is unknown.
    """
    if not image.has_transparency_data:
        return to_rgb(image)
    if image.mode in SIXTEEN_BITS:
        # One level is transparent: white, before 16 bits become 8.
        levels = np.array(image, dtype=np.uint16)
        levels[levels == image.info["transparency"]] = np.iinfo(np.uint16).max
        return to_rgb(Image.fromarray(levels))
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
