"""Receptive fields as a file of arrays in a trial's folder: what writes it and what reads it. Needs no torch."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainers.atomic_file import replaced_file

FIELD_MAPS = "receptive_field.npz"
"""Name of the file, in a trial's folder and in a study's."""

GRADIENT_SUM = "gradient_sum"
"""Before the name of a map: what it was divided by, per image."""

_GRID = "grid"
"""Height and width of the token grid, which turn pixels into tokens."""
_NAME = re.compile(r"(initial|final)/(?P<row>\d+)_(?P<column>\d+)")
_SUM_TOLERANCE = 1e-3
"""The maps are float32: their sum is 1 within rounding."""

Array = npt.NDArray[np.float64]


class MappedField(NamedTuple):
    """One receptive field, to be written."""

    name: str
    """`<moment>/<row>_<column>`: before (`initial`) or after (`final`) training, and the token that is looked at."""
    map: Array
    """[H, W], not negative, sum 1."""
    gradient_sum: float
    """What the map was divided by, per image."""
    grid: tuple[int, int]
    """Height and width of the token grid."""


class TrialMaps(NamedTuple):
    """What one trial has stored, read back."""

    grid: tuple[int, int]
    """Height and width of the token grid."""
    maps: Mapping[str, Array]
    """`<moment>/<row>_<column>` -> [H, W], sum 1, all of one size; row and column of the token that is looked at."""


def write_field_maps(folder: Path, fields: Sequence[MappedField]) -> None:
    """Write a trial's maps, whole or not at all.

    Args:
        folder: the trial's.
        fields: of one model, so of one grid.

    Raises:
        OSError: they can't be written.
    """
    arrays: dict[str, npt.NDArray[np.float32 | np.float64 | np.int64]] = {}
    for field in fields:
        arrays[field.name] = field.map.astype(np.float32)
        arrays[f"{GRADIENT_SUM}/{field.name}"] = np.array(field.gradient_sum)
        arrays[_GRID] = np.array(field.grid, dtype=np.int64)
    with replaced_file(folder / FIELD_MAPS) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_field_maps(file: Path) -> TrialMaps:
    """What `write_field_maps` has written.

    Raises:
        ValueError: it holds something else; says what.
        OSError, EOFError, KeyError, TypeError, NotImplementedError, zipfile.BadZipFile, zlib.error: it can't be read.
    """
    with np.load(file) as arrays:
        height, width = (int(length) for length in arrays[_GRID])
        names = [name for name in arrays.files if name != _GRID and not name.startswith(f"{GRADIENT_SUM}/")]
        maps = {name: arrays[name].astype(np.float64, casting="same_kind") for name in names}
    if not maps:
        raise ValueError("it holds no map")
    for name, values in maps.items():
        if fault := _fault(name, values, (height, width)):
            raise ValueError(fault)
    if len({values.shape for values in maps.values()}) > 1:
        raise ValueError("its maps differ in size")
    return TrialMaps((height, width), maps)


def _fault(name: str, values: Array, grid: tuple[int, int]) -> str:
    """What is wrong with a map; empty if nothing."""
    match = _NAME.fullmatch(name)
    if match is None or values.ndim != 2:
        return f"it holds {name!r} of shape {values.shape}"
    if int(match["row"]) >= grid[0] or int(match["column"]) >= grid[1]:
        return f"it holds {name!r} on a grid of {grid[0]} x {grid[1]} tokens"
    # `not` around the whole: NaN compares as false.
    if not (values.size and values.min() >= 0 and abs(values.sum() - 1) <= _SUM_TOLERANCE):
        return f"{name!r} is not a share of a whole: it should hold numbers from 0 that add up to 1"
    return ""
