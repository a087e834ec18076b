"""From an image file's bytes to an image in RGB, or to a message that names the file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from trainers.data.color import to_rgb
from trainers.errors import DataError

_TELLING = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, Image.DecompressionBombError)
"""Errors whose message is a decoder's; of any other the kind tells more."""


class UndecodableError(Exception):
    """What a decoder found in a broken file."""


@contextmanager
def decoder_at_work() -> Iterator[None]:
    """Pillow reads a file here, and nothing else happens.

    Raises:
        UndecodableError: the file is broken, whichever error that was to the decoder.
    """
    try:
        yield
    except MemoryError:
        # The machine's fault, not the file's.
        raise
    except Exception as error:
        # A plugin that takes its file at its word raises anything: IndexError (QOI), TypeError (TIFF), RuntimeError.
        raise UndecodableError(_message(error)) from error


def decode_image(
    content: str | BinaryIO,
    name: str,
    convert: Callable[[Image.Image], Image.Image] = to_rgb,
    *,
    keep_px: int | None = None,
) -> Image.Image:
    """An image in RGB, whatever its file's colour mode.

    Args:
        content: a file, or its path.
        name: what to call it in a message.
        convert: makes RGB of what was decoded.
        keep_px: what the shorter side of a JPEG keeps at least (`None`: all); the decoder leaves out what is finer.

    Raises:
        DataError: names the file and says what the decoder found.
    """
    try:
        with decoder_at_work(), Image.open(content) as image:
            if keep_px is not None:
                # Only JPEG's decoder can; of other formats this changes nothing.
                image.draft(None, (keep_px, keep_px))
            return convert(image)
    except UndecodableError as error:
        raise DataError(f"{name} can't be read as an image: {error}; replace or remove it") from error


def _message(error: Exception) -> str:
    """What a decoder found, without the address of an object in memory."""
    if isinstance(error, UnidentifiedImageError):
        return "no known image format"
    return str(error) if isinstance(error, _TELLING) and str(error) else f"{type(error).__name__} {error}".strip()
