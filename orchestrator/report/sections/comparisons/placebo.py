"""Treatment - placebo: the arm with a Gaussian against the one with the same Gaussian over permuted tokens."""

from collections.abc import Collection, Mapping, Sequence

from orchestrator.report.content.pairs import PlaceboContrast
from orchestrator.report.content.report import TrialRecord
from orchestrator.report.sections.hyperparameters import flat_settings
from orchestrator.statistics.comparison import Comparison
from orchestrator.statistics.inference import inference_beside
from orchestrator.statistics.interval import spread
from orchestrator.status import Phase
from trainers.config import TrialConfig

_MAKES_A_PLACEBO = frozenset({"seed", "attention_bias.kind", "attention_bias.permutation_seed"})
"""In these fields a treatment and its placebo always differ, or those of one pair never do."""


def placebo_contrasts(
    comparisons: Sequence[Comparison], placebos: Collection[str], trials: Sequence[TrialRecord]
) -> tuple[PlaceboContrast, ...]:
    """The paired difference by seed, for every arm with a Gaussian and every placebo that share a completed seed.

    Args:
        comparisons: all of one experiment.
        placebos: arms whose Gaussian lies over permuted tokens.
        trials: for the configs of the two arms: a placebo of another sigma tells of more than locality.
    """
    configs = {(trial.cell.key, trial.arm): trial.config for trial in trials if trial.phase is Phase.CONFIRM}
    contrasts = [
        _contrast(treatment, placebo, configs)
        for placebo in comparisons
        for treatment in comparisons
        if placebo.treatment in placebos and treatment.treatment not in placebos and placebo.cell == treatment.cell
    ]
    return tuple(contrast for contrast in contrasts if contrast is not None)


def _contrast(
    treatment: Comparison, placebo: Comparison, configs: Mapping[tuple[str, str], TrialConfig]
) -> PlaceboContrast | None:
    """`None` where there is nothing to contrast: no pair, or a treatment without a Gaussian."""
    by_seed = {pair.seed: pair.treatment for pair in placebo.pairs}
    differences = [
        pair.treatment - other
        for pair in treatment.pairs
        if pair.treatment is not None and (other := by_seed.get(pair.seed)) is not None
    ]
    effect = spread(differences).mean
    if effect is None:
        return None
    mine = configs[treatment.cell.key, treatment.treatment]
    if mine.attention_bias.is_none or mine.attention_bias.is_placebo:
        return None
    interval = inference_beside(treatment.basis).interval(differences, treatment.confidence)
    return PlaceboContrast(
        cell=treatment.cell,
        treatment=treatment.treatment,
        placebo=placebo.treatment,
        other_differences=_other_differences(mine, configs[placebo.cell.key, placebo.treatment]),
        num_pairs=len(differences),
        effect=effect,
        ci_low=interval[0] if interval else None,
        ci_high=interval[1] if interval else None,
    )


def _other_differences(one: TrialConfig, other: TrialConfig) -> tuple[str, ...]:
    first, second = (dict(flat_settings(config.model_dump(mode="json"))) for config in (one, other))
    paths = [path for path in {**first, **second} if path not in _MAKES_A_PLACEBO]
    return tuple(path for path in paths if first.get(path) != second.get(path))
