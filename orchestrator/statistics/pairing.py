"""Pairs: control and treatment of one cell that share a seed."""

from collections.abc import Mapping, Sequence

from orchestrator.statistics.comparison import Cell, Pair
from orchestrator.status import TrialStatus
from trainers.strict import StrictModel

TrialKey = tuple[str, str, int]
"""Cell key, arm, seed: one confirm trial."""


class TrialOutcome(StrictModel):
    """What became of one confirm trial."""

    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    seed: int
    """The replicate."""
    status: TrialStatus
    """Where it stands; only a succeeded trial has a value to compare."""
    error: str = ""
    """Why it failed or has no such value, for people."""
    metrics: dict[str, float]
    """Final metrics by name; NaN and infinite values are refused."""


def index_outcomes(outcomes: Sequence[TrialOutcome]) -> dict[TrialKey, TrialOutcome]:
    """Outcomes by what they are the outcome of.

    Raises:
        ValueError: two outcomes claim the same cell, arm and seed (a mean over both would count a seed twice).
    """
    index: dict[TrialKey, TrialOutcome] = {}
    for outcome in outcomes:
        key = (outcome.cell.key, outcome.arm, outcome.seed)
        if key in index:
            raise ValueError(f"two outcomes for cell `{key[0]}`, arm `{key[1]}`, seed {key[2]}")
        index[key] = outcome
    return index


def pair_outcomes(
    outcomes: Mapping[TrialKey, TrialOutcome],
    *,
    cell: Cell,
    control: str,
    treatment: str,
    seeds: Sequence[int],
    metric: str,
    scale: float = 1.0,
) -> tuple[Pair, ...]:
    """Pair control and treatment by seed; an incomplete pair stays in the list and says why.

    Args:
        outcomes: see `index_outcomes`.
        cell: the cell.
        control: name of the control arm.
        treatment: name of the treatment arm.
        seeds: all seeds that the plan asks for.
        metric: the compared metric.
        scale: factor from recorded values to those of the pairs.

    Returns:
        One pair per seed, ascending.
    """
    return tuple(
        _pair(
            seed,
            control,
            outcomes.get((cell.key, control, seed)),
            treatment,
            outcomes.get((cell.key, treatment, seed)),
            metric,
            scale,
        )
        for seed in sorted(seeds)
    )


def _pair(
    seed: int,
    control: str,
    control_outcome: TrialOutcome | None,
    treatment: str,
    treatment_outcome: TrialOutcome | None,
    metric: str,
    scale: float,
) -> Pair:
    reasons = [
        f"{arm}: {reason}"
        for arm, outcome in ((control, control_outcome), (treatment, treatment_outcome))
        if (reason := _why_missing(outcome, metric)) is not None
    ]
    return Pair(
        seed=seed,
        control=_value(control_outcome, metric, scale),
        treatment=_value(treatment_outcome, metric, scale),
        missing_because="; ".join(reasons) or None,
    )


def _value(outcome: TrialOutcome | None, metric: str, scale: float) -> float | None:
    if outcome is None or outcome.status is not TrialStatus.SUCCEEDED or metric not in outcome.metrics:
        return None
    return outcome.metrics[metric] * scale


def _why_missing(outcome: TrialOutcome | None, metric: str) -> str | None:
    """Why there is no value, for people; `None` if there is one."""
    if outcome is None:
        return "missing (no such trial was recorded)"
    if outcome.status is TrialStatus.SUCCEEDED:
        return None if metric in outcome.metrics else outcome.error or f"succeeded without `{metric}`"
    if outcome.status is TrialStatus.FAILED:
        return f"failed ({outcome.error or 'no error was recorded'})"
    return str(outcome.status)
