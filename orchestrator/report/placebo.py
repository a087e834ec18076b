"""How much of a gain remains over the placebo: the same numbers on the logits, without locality."""

from collections.abc import Collection, Sequence

from orchestrator.report.content import PlaceboContrast
from orchestrator.statistics.comparison import Comparison
from orchestrator.statistics.interval import paired_t_interval, spread


def placebo_contrasts(comparisons: Sequence[Comparison], placebos: Collection[str]) -> tuple[PlaceboContrast, ...]:
    """The paired difference by seed, for every treatment and placebo of a cell that share a completed seed."""
    contrasts = [
        _contrast(treatment, placebo)
        for placebo in comparisons
        for treatment in comparisons
        if placebo.treatment in placebos and treatment.treatment not in placebos and placebo.cell == treatment.cell
    ]
    return tuple(contrast for contrast in contrasts if contrast is not None)


def _contrast(treatment: Comparison, placebo: Comparison) -> PlaceboContrast | None:
    by_seed = {pair.seed: pair.treatment for pair in placebo.pairs}
    differences = [
        pair.treatment - other
        for pair in treatment.pairs
        if pair.treatment is not None and (other := by_seed.get(pair.seed)) is not None
    ]
    effect = spread(differences).mean
    if effect is None:
        return None
    interval = paired_t_interval(differences, treatment.confidence)
    return PlaceboContrast(
        cell=treatment.cell,
        treatment=treatment.treatment,
        placebo=placebo.treatment,
        num_pairs=len(differences),
        effect=effect,
        ci_low=interval[0] if interval else None,
        ci_high=interval[1] if interval else None,
    )
