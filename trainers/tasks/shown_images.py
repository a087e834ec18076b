"""A few scored images with what is true and what was said of them, small enough to be kept for pictures.

The file in a trial's folder: what writes it and what reads it. Needs no torch.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainers.atomic_file import replaced_file

SHOWN_IMAGES = "shown_images.npz"
"""Name of the file, in a trial's folder."""
MAX_IMAGES = 64
"""Of a split, evenly spread over it."""
MAX_SIDE_PX = 192
"""Of a kept image's longer side; larger ones are made smaller. So a file is below 4 MiB, and mostly below 1."""
NO_REGION = 255
"""In a map of regions: nothing is told of the pixel."""
_JPEG_QUALITY = 90


class Told(NamedTuple):
    """What is true of an image, or what was said of it: its regions, which are classes or objects."""

    regions: npt.NDArray[np.uint8]
    """[H, W] number of the region that each pixel belongs to, or `NO_REGION`."""
    classes: npt.NDArray[np.int64]
    """[r] class of each region; at most 255 regions."""
    boxes: npt.NDArray[np.float32]
    """[r, 4] left, top, right and bottom edge, in pixels of the kept image; NaN of what has no box."""
    scores: npt.NDArray[np.float32]
    """[r] how sure the model is; NaN where nothing is said of that."""


class ShownImage(NamedTuple):
    """One image."""

    place: int
    """In the data set."""
    pixels: npt.NDArray[np.uint8]
    """[H, W, 3]."""
    true: Told
    said: Told


class ShownSplit(NamedTuple):
    """What one trial has kept, read back."""

    class_names: tuple[str, ...]
    """By their numbers."""
    images: tuple[ShownImage, ...]
    """In the order of their places."""


def spread_over(length: int) -> list[int]:
    """Positions in a split of this length that are kept: all, or `MAX_IMAGES` at even distances."""
    number = min(length, MAX_IMAGES)
    return [position * length // number for position in range(number)]


def write_shown_images(file: Path, images: Sequence[ShownImage], class_names: Sequence[str]) -> None:
    """Write them, whole or not at all.

    Args:
        file: to be written.
        images: at least one.
        class_names: of the data set.

    Raises:
        OSError: it can't be written.
    """
    jpegs = [_jpeg(image.pixels) for image in images]
    arrays: dict[str, npt.NDArray[Any]] = {
        "class_names": np.array(class_names),
        "index": np.array([image.place for image in images]),
        "size_px": np.array([image.pixels.shape[:2] for image in images]),
        "jpeg": np.frombuffer(b"".join(jpegs), dtype=np.uint8),
        "jpeg_length": np.array([len(jpeg) for jpeg in jpegs]),
        **_stored("true", [image.true for image in images]),
        **_stored("said", [image.said for image in images]),
    }
    with replaced_file(file) as opened:
        np.savez_compressed(opened, **arrays)  # type: ignore[arg-type]


def _jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def _stored(name: str, told: Sequence[Told]) -> dict[str, npt.NDArray[Any]]:
    return {
        f"num_{name}": np.array([len(each.classes) for each in told]),
        f"{name}_regions": np.concatenate([each.regions.ravel() for each in told]),
        f"{name}_class": np.concatenate([each.classes for each in told]),
        f"{name}_box": np.concatenate([each.boxes for each in told]),
        f"{name}_score": np.concatenate([each.scores for each in told]),
    }


def read_shown_images(file: Path) -> ShownSplit:
    """What `write_shown_images` has written.

    Raises:
        OSError, KeyError, ValueError, zipfile.BadZipFile: it can't be read, or does not hold them.
    """
    with np.load(file) as stored:
        arrays = {name: stored[name] for name in stored}
    sizes = [(int(height), int(width)) for height, width in arrays["size_px"]]
    stops = np.cumsum(arrays["jpeg_length"]).tolist()
    jpegs = arrays["jpeg"].tobytes()
    pixels = [np.asarray(Image.open(io.BytesIO(jpegs[a:b]))) for a, b in zip([0, *stops], stops, strict=False)]
    rows = zip(
        arrays["index"].tolist(), pixels, _read("true", arrays, sizes), _read("said", arrays, sizes), strict=True
    )
    return ShownSplit(tuple(map(str, arrays["class_names"])), tuple(ShownImage(*row) for row in rows))


def _read(name: str, arrays: Mapping[str, npt.NDArray[Any]], sizes: Sequence[tuple[int, int]]) -> list[Told]:
    ends = np.cumsum(arrays[f"num_{name}"])[:-1]
    classes, boxes, scores = (np.split(arrays[f"{name}_{part}"], ends) for part in ("class", "box", "score"))
    pixels = np.split(arrays[f"{name}_regions"], np.cumsum([height * width for height, width in sizes])[:-1])
    return [
        Told(regions.reshape(size), *rest)
        for regions, size, *rest in zip(pixels, sizes, classes, boxes, scores, strict=True)
    ]
