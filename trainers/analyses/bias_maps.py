"""Position biases as a file of arrays in a trial's folder: what writes it and what reads it. Needs no torch."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainers.atomic_file import replaced_file

BIAS_MAPS = "learned_bias.npz"
"""Name of the file, in a trial's folder and in a study's."""

VIEW = "query/"
"""Before the name of what a query token sees; the file's other maps are by displacement."""

VIEW_NAME = re.compile(r"(?:(?P<part>own|gaussian|sum)/(?P<layer>\d+)|absolute)/(?P<row>\d+)_(?P<column>\d+)")
"""How what a query sees is named behind that; see `view_name`."""


def view_name(part: str, layer: int | None, query: tuple[int, int]) -> str:
    """`query/own/00/3_4`, `query/absolute/3_4`.

    Args:
        part: `own`, `gaussian`, `sum` or `absolute`.
        layer: from 0 (`None`: the embedding is the whole model's).
        query: row and column of the token that looks.
    """
    place = part if layer is None else f"{part}/{layer:02d}"
    return f"{VIEW}{place}/{query[0]}_{query[1]}"


def write_bias_maps(file: Path, maps: Mapping[str, npt.NDArray[np.floating]]) -> None:
    """Write maps as float32, whole or not at all.

    Args:
        file: to be written.
        maps: by name, see `trainers.analyses.learned_bias.LearnedBias`.

    Raises:
        OSError: they can't be written.
    """
    with replaced_file(file) as opened:
        np.savez_compressed(opened, **{name: values.astype(np.float32) for name, values in maps.items()})  # type: ignore[arg-type]


def read_bias_maps(file: Path) -> dict[str, npt.NDArray[np.float32]]:
    """All of them, by name.

    Raises:
        OSError, ValueError, zipfile.BadZipFile: it can't be read.
    """
    with np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}


def read_views(file: Path) -> dict[str, npt.NDArray[np.float32]]:
    """What a trial's query tokens see, without the rest of the file.

    Returns:
        `own/00/3_4` -> [h, H, W], `absolute/3_4` -> [H, W]; nothing where a version wrote it that stored no views.

    Raises:
        ValueError: it holds something else; says what.
        OSError, EOFError, KeyError, TypeError, NotImplementedError, zipfile.BadZipFile, zlib.error: it can't be read.
    """
    with np.load(file) as arrays:
        views = {
            name.removeprefix(VIEW): arrays[name].astype(np.float32, casting="same_kind", copy=False)
            for name in arrays.files
            if name.startswith(VIEW)
        }
    for name, values in views.items():
        if not values.size or not VIEW_NAME.fullmatch(name) or values.ndim != (2 if name.startswith("absolute") else 3):
            raise ValueError(f"it holds {VIEW}{name} of shape {values.shape}")
    return views
