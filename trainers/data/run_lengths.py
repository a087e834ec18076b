"""COCO's run lengths of a mask: checked, so that wrong ones reach no decoder that believes them.

The format is that of cocoapi's `maskApi.c`: numbers of zeros and ones in turn, column by column; compressed, every
number is a difference to the one two before, in digits of 5 bits.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
_MAX_DIGITS = 6
"""Of a number: below 2 ** 29, and no image has that many pixels."""


def counts_of(written: str | Sequence[int]) -> Counts:
    """The numbers of zeros and ones in turn.

    Args:
        written: as a file has them: a list, or compressed text.

    Raises:
        ValueError: they are neither; says what is wrong.
    """
    if isinstance(written, str):
        return _decompressed(written)
    try:
        counts = np.asarray(written)
    except (ValueError, OverflowError):
        raise ValueError("its counts are not whole numbers") from None
    if counts.ndim != 1 or (len(counts) and counts.dtype.kind not in "iu") or counts.dtype == np.uint64:
        raise ValueError("its counts are not whole numbers")
    return counts.astype(np.int64)


def require_fit(counts: Counts, height: int, width: int) -> None:
    """Refuse run lengths of another number of pixels.

    Raises:
        ValueError: says how many they are.
    """
    if len(counts) and counts.min() < 0:
        raise ValueError("it has a negative count")
    if (total := int(counts.sum())) != height * width:
        raise ValueError(f"its counts are {total:,} pixels together, and {width} x {height} are {height * width:,}")


def mask_of(counts: Counts, height: int, width: int) -> npt.NDArray[np.uint8]:
    """[H, W]: 1 where the object is.

    Args:
        counts: that fit: see `require_fit`.
        height: H.
        width: W.
    """
    values = (np.arange(len(counts)) % 2).astype(np.uint8)
    return np.repeat(values, counts).reshape(width, height).T


def num_ones(counts: Counts) -> int:
    """Pixels of the object."""
    return int(counts[1::2].sum())


def _decompressed(text: str) -> Counts:
    if not text.isascii():
        raise ValueError("its counts are not compressed run lengths")
    digits = np.frombuffer(text.encode("ascii"), dtype=np.uint8).astype(np.int64) - 48
    if len(digits) == 0:
        return np.zeros(0, dtype=np.int64)
    goes_on = (digits & 0x20) > 0
    if digits.min() < 0 or digits.max() > 0x3F or goes_on[-1]:
        raise ValueError("its counts are not compressed run lengths")
    ends = np.flatnonzero(~goes_on)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _MAX_DIGITS:
        raise ValueError("its counts are too large")
    places = np.arange(len(digits)) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((digits & 0x1F) << (5 * places), starts)
    # The last digit has the sign.
    numbers -= np.where((digits[ends] & 0x10) > 0, 1 << (5 * lengths), 0)
    # The first three stand for themselves.
    for first in (1, 2):
        numbers[first::2] = np.cumsum(numbers[first::2])
    return numbers
