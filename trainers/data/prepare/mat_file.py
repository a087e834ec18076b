"""MATLAB files, in which Stanford keeps its lists.

The one place of `trainers` that knows scipy: only `sigmalab data prepare` comes here, never a trial.
"""

import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.io
from scipy.io.matlab import MatReadError

from trainers.errors import DataError


def read_variable(file: Path, name: str) -> npt.NDArray[np.void]:
    """One variable of a file (up to version 7.2), as an array of one dimension.

    Cell arrays and arrays of numbers give their elements; an array of structs gives records with named fields.

    Raises:
        DataError: the file can't be read, or lacks the variable.
    """
    try:
        content = scipy.io.loadmat(file, squeeze_me=True)
    # All of these come out of scipy's reader for broken files.
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError, zlib.error) as error:
        raise DataError(f"{file} can't be read as a MATLAB file: {error}; download it again") from error
    if name not in content:
        there = ", ".join(sorted(key for key in content if not key.startswith("__"))) or "none"
        raise DataError(f"{file} has no variable {name!r} (it has: {there}); it is not the file of the published set")
    return np.atleast_1d(content[name]).ravel()


def read_strings(file: Path, name: str) -> list[str]:
    """A cell array of strings.

    Raises:
        DataError: see `read_variable`.
    """
    return [str(text) for text in read_variable(file, name)]


def read_records(file: Path, name: str, fields: tuple[str, str]) -> list[tuple[str, int]]:
    """A string field and an integer field of an array of structs.

    Raises:
        DataError: see `read_variable`; or a field is missing.
    """
    records = read_variable(file, name)
    there = records.dtype.names or ()
    for field in fields:
        if field not in there:
            raise DataError(
                f"{name!r} in {file} has no field {field!r} (it has: {', '.join(there) or 'none'}); "
                "it is not the file of the published set"
            )
    text, number = fields
    return [(str(name), int(value)) for name, value in zip(records[text], records[number], strict=True)]
