"""Holm's correction: many comparisons, one chance of a false alarm."""

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (Holm 1979).

    Keeps the chance of at least one false rejection among all of them at the level, whatever their dependence.
    A comparison that has no p yet counts as one with p = 1, so that the others do not look better while an experiment
    is still incomplete.

    Args:
        p_values: raw p of every comparison, `None` where there is none.

    Returns:
        Corrected p in the same order, `None` where there was none; never below the raw p, never above 1.
    """
    order = sorted(
        (index for index, p in enumerate(p_values) if p is not None), key=lambda index: _known(p_values[index])
    )
    corrected: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * _known(p_values[index])))
        corrected[index] = running
    return corrected


def _known(p_value: float | None) -> float:
    assert p_value is not None
    return p_value
