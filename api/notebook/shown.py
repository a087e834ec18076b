"""What a terminal prints, as text and as HTML."""

import io
from collections.abc import Callable

from rich.console import Console

_WIDTH = 120
_PAGE = (
    '<pre style="white-space:pre;overflow-x:auto;line-height:1.25;'
    "font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace\">{code}</pre>"
)


class Shown:
    """Something that a terminal prints; a notebook shows it in the same words."""

    def __init__(self, print_it: Callable[[Console], None]) -> None:
        """Print nothing yet."""
        self._print_it = print_it

    def __repr__(self) -> str:
        return self._printed().export_text().rstrip()

    def _repr_html_(self) -> str:
        return self._printed().export_html(inline_styles=True, code_format=_PAGE)

    def _printed(self) -> Console:
        console = Console(record=True, file=io.StringIO(), width=_WIDTH, highlight=False)
        self._print_it(console)
        return console
