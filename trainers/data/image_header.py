"""What an image file's header says of how it should look, without decoding a pixel."""

import re
import struct
import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import ExifTags, Image

from trainers.data.decoding import UndecodableError, decoder_at_work
from trainers.data.tree import ImageFile
from trainers.fence import fence

NUM_LOOKED_AT = 4_096
"""Files of a data set whose headers are read: 0.1 to 0.2 ms each."""
_UPRIGHT = 1
_PNG_START = 8
_PNG_CHUNK = struct.Struct(">I4s")
_PNG_TEXT = (b"iTXt", b"tEXt", b"zTXt")
_ORIENTATION = re.compile(rb"^Raw profile type exif|tiff:Orientation")


class Header(NamedTuple):
    """What one file's header says."""

    is_turned: bool
    """Whether EXIF says that viewers must turn or mirror it."""
    has_alpha: bool
    """Whether it may be transparent somewhere."""
    is_animated: bool
    """Whether it has several frames."""
    size_px: tuple[int, int]
    """Width and height, as stored."""
    is_readable: bool = True
    """Whether it is an image at all."""


class HeaderCounts(NamedTuple):
    """How many images of a data set are of a kind that may look otherwise than they are read."""

    num_looked_at: int
    num_turned: int
    num_with_alpha: int
    num_animated: int
    unreadable: tuple[str, ...]
    """Paths of the files that are not images."""
    sizes_px: dict[str, tuple[int, int]]
    """Path -> width and height of those that are, as stored."""


def count_headers(files: Sequence[ImageFile]) -> HeaderCounts:
    """Read the headers of all files or, of a large set, of 4,096 that are spread evenly over it."""
    num_chosen = min(NUM_LOOKED_AT, len(files))
    chosen = [files[number * len(files) // num_chosen] for number in range(num_chosen)]
    with warnings.catch_warnings():
        # Of broken EXIF, of huge images: who trains on them gets to see these.
        warnings.simplefilter("ignore")
        headers = list(_headers(chosen))
    return HeaderCounts(
        num_looked_at=len(chosen),
        num_turned=sum(header.is_turned for header in headers),
        num_with_alpha=sum(header.has_alpha for header in headers),
        num_animated=sum(header.is_animated for header in headers),
        unreadable=tuple(f.path for f, header in zip(chosen, headers, strict=True) if not header.is_readable),
        sizes_px={f.path: header.size_px for f, header in zip(chosen, headers, strict=True) if header.is_readable},
    )


def _headers(files: Iterable[ImageFile]) -> Iterable[Header]:
    for file in files:
        fence().count(file.path, 0)
        try:
            modified_ns = Path(file.path).stat().st_mtime_ns
        except OSError:
            modified_ns = 0
        yield _header(file.path, file.size, modified_ns)


@lru_cache(maxsize=16 * NUM_LOOKED_AT)
def _header(path: str, size: int, modified_ns: int) -> Header:
    """Remembered as long as the file does not change: a service plans the same data set many times."""
    try:
        with decoder_at_work(), Path(path).open("rb") as file, Image.open(file) as image:
            return Header(
                is_turned=_is_turned(image, file),
                has_alpha=image.has_transparency_data,
                # Some of Pillow's formats have one frame only, and no such attribute.
                is_animated=bool(getattr(image, "is_animated", False)),
                size_px=image.size,
            )
    except UndecodableError:
        return Header(is_turned=False, has_alpha=False, is_animated=False, size_px=(0, 0), is_readable=False)


def _is_turned(image: Image.Image, file: BinaryIO) -> bool:
    # Pillow itself turns TIFFs. For PNGs it would decode all pixels to look behind them.
    if image.format == "TIFF" or (image.format == "PNG" and not _png_has_exif(file)):
        return False
    return bool(image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT) in range(2, 9))


def _png_has_exif(file: BinaryIO) -> bool:
    """Walk over the chunks of a PNG, from one length to the next, for one that tells an orientation."""
    position = _PNG_START
    while True:
        file.seek(position)
        start = file.read(_PNG_CHUNK.size)
        if len(start) < _PNG_CHUNK.size:
            return False
        length, kind = _PNG_CHUNK.unpack(start)
        if kind == b"eXIf" or (kind in _PNG_TEXT and _ORIENTATION.search(file.read(length))):
            return True
        position += _PNG_CHUNK.size + length + 4
