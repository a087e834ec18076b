"""Texts of pictures in inches: how long they are, and where their lines must end."""

import re
from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

LINE_SPACING = 1.3
"""Height of a line of text, in sizes of its font."""


def text_height(text: str, size: float) -> float:
    """Of all its lines, in inches.

    Args:
        text: lines.
        size: of the font, in points.
    """
    return len(text.splitlines()) * size * LINE_SPACING / 72


def text_width(text: str, size: float) -> float:
    """Of its longest line, in inches.

    Args:
        text: lines.
        size: of the font, in points.
    """
    return max((_line_width(line, size) for line in text.splitlines()), default=0.0)


def fitted(text: str, size: float, inches: float) -> str:
    """The text in lines that are no wider; what has no spaces ends lines at `_`, `-` and `/`, or anywhere.

    Args:
        text: lines.
        size: of the font, in points.
        inches: room for a line.
    """
    lines = []
    for given in text.splitlines():
        lines.append("")
        for word in given.split(" "):
            pieces = [word] if _line_width(word, size) <= inches else re.findall(r"[^_/-]*[_/-]*", word)
            for place, piece in enumerate(pieces):
                added = f" {piece}" if lines[-1] and place == 0 else piece
                if _line_width(lines[-1] + added, size) <= inches:
                    lines[-1] += added
                else:
                    lines += _broken(piece, size, inches)
    return "\n".join(line for line in lines if line)


def _broken(piece: str, size: float, inches: float) -> list[str]:
    lines = [""]
    for letter in piece:
        if lines[-1] and _line_width(lines[-1] + letter, size) > inches:
            lines.append("")
        lines[-1] += letter
    return lines


@lru_cache(maxsize=4096)
def _line_width(line: str, size: float) -> float:
    width, _, _ = text_to_path.get_text_width_height_descent(line, FontProperties(size=size), ismath=False)
    return float(width) / 72
