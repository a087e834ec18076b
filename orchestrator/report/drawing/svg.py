"""The element around a glyph's shapes."""

from collections.abc import Iterable

from markupsafe import escape


def svg(look: str, width: float, height: float, shapes: Iterable[str], *, words: str, role: str = "img") -> str:
    """A picture that says in words what it shows; styles and colours are the page's.

    Args:
        look: classes.
        width: in px, as drawn; it may be scaled.
        height: in px.
        shapes: elements, escaped.
        words: for who does not see it; not escaped yet.
        role: `group` where links lie inside, which an image would hide from who does not see it.
    """
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg class="{look}" {size} role="{role}" aria-label="{escape(words)}">{"".join(shapes)}</svg>'
