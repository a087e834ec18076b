"""Large JPEGs may be decoded at a half, a quarter or an eighth of their side, which is quicker and another image."""

from typing import Literal, TypeAlias

JpegDecoding: TypeAlias = Literal["full", "scaled"]

_MARGIN = 2
"""Sides of the model's input that a scaled image's shorter side keeps at least: so a random crop of a quarter of its
area is not enlarged."""


def shorter_side_px(decoding: JpegDecoding, input_size_px: int) -> int | None:
    """What the shorter side of a JPEG keeps, at least, when it is decoded (`None`: all that there is)."""
    return _MARGIN * input_size_px if decoding == "scaled" else None
