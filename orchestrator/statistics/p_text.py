"""How a p is written, for people."""

_MOST_DECIMALS = 6


def p_text(p: float | None, *, level: float = 0.05, missing: str = "-") -> str:
    """`0.031`; `< 0.001` below what three digits can show; `0.0496` where three would read as the level itself.

    So nobody has to ask why a p of "0.050" confirms an effect, or does not.

    Args:
        p: the p.
        level: what it is held against.
        missing: what is written where there is none.
    """
    if p is None:
        return missing
    if p < 0.001:
        return "< 0.001"
    decimals = 3
    while decimals < _MOST_DECIMALS and p != level and round(p, decimals) == round(level, decimals):
        decimals += 1
    return f"{p:.{decimals}f}"
