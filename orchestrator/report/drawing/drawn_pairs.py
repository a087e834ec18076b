"""Which pairs are drawn as lines: a picture of thousands is as black as it is large."""

from collections.abc import Iterable

from orchestrator.statistics.comparison import Comparison, Pair

MAX_LINES = 200


def drawn_pairs(comparison: Comparison, *, also: int | None = None) -> list[Pair]:
    """The complete pairs, by seed; of many, those at even steps from the least effect to the greatest.

    Args:
        comparison: whose pairs.
        also: seed of one that is drawn in any case.
    """
    pairs = [pair for pair in comparison.pairs if pair.effect is not None]
    if len(pairs) <= MAX_LINES:
        return pairs
    ordered = sorted(pairs, key=lambda pair: pair.effect or 0.0)
    step = (len(ordered) - 1) / (MAX_LINES - 1)
    chosen = {ordered[round(nth * step)].seed for nth in range(MAX_LINES)} | {also}
    return [pair for pair in pairs if pair.seed in chosen]


def not_all_words(comparisons: Iterable[Comparison]) -> str:
    """` (of many, 200 at even steps of the effect)`, to be said where not all pairs are drawn; else empty."""
    is_cut = any(comparison.num_pairs > MAX_LINES for comparison in comparisons)
    return f" (of many, {MAX_LINES} at even steps of the effect)" if is_cut else ""
