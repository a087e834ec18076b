"""From an image file's bytes to an image in RGB, or to a message that names the file."""

from collections.abc import Callable
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from trainers.data.color import to_rgb
from trainers.errors import DataError

DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
"""What Pillow's decoders raise for broken files."""


def decode_image(
    content: str | BinaryIO, name: str, convert: Callable[[Image.Image], Image.Image] = to_rgb
) -> Image.Image:
    """An image in RGB, whatever its file's colour mode.

    Args:
        content: a file, or its path.
        name: what to call it in a message.
        convert: makes RGB of what was decoded.

    Raises:
        DataError: names the file and says what the decoder found.
    """
    try:
        with Image.open(content) as image:
            return convert(image)
    except DECODER_ERRORS as error:
        raise DataError(f"{name} can't be read as an image: {decoder_message(error)}; replace or remove it") from error


def decoder_message(error: Exception) -> str:
    """What a decoder found, without the address of an object in memory."""
    return "no known image format" if isinstance(error, UnidentifiedImageError) else str(error)
