"""What is unequal about how two arms are tuned: an arm that is searched longer, or better, looks better."""

import json

from orchestrator.search.space import Choice, Distribution
from orchestrator.spec.experiment import Arm, ArmSearch

_OWN_PATHS = "attention_bias"
"""What only a treatment can vary."""


def search_differences(arm: Arm, control: Arm) -> tuple[str, ...]:
    """Everything in which the search of a treatment is unlike its control's, each as `what (its against control's)`.

    Args:
        arm: a treatment.
        control: its control.

    Returns:
        Nothing if both are tuned alike, or neither is.
    """
    if arm.search is None or control.search is None:
        if arm.search is control.search:
            return ()
        return (f"trials per cell ({_num_trials(arm.search)} against {_num_trials(control.search)})",)
    mine, other = arm.search, control.search
    rows = (
        ("trials per cell", mine.num_trials, other.num_trials),
        ("candidates", mine.num_points, other.num_points),
        ("seeds per candidate", len(mine.seeds), len(other.seeds)),
        ("algorithm", mine.algorithm.words, other.algorithm.words),
        ("early stopping", mine.early_stopping.words, other.early_stopping.words),
    )
    differences = [f"{what} ({a} against {b})" for what, a, b in rows if a != b]
    # As many candidates over another range are another search: one range may not hold a good value at all.
    differences += [
        f"`{path}` ({distribution_words(mine.space[path])} against {distribution_words(other.space[path])})"
        for path in mine.space
        if path in other.space and mine.space[path] != other.space[path]
    ]
    alone = [path for path in mine.space if path not in other.space and path.partition(".")[0] != _OWN_PATHS]
    if alone:
        differences.append(f"{' and '.join(f'`{path}`' for path in alone)} (searched against fixed)")
    # Pairs then differ in more than the bias, whichever side the tuning favours.
    control_alone = [path for path in other.space if path not in mine.space]
    if control_alone:
        differences.append(f"{' and '.join(f'`{path}`' for path in control_alone)} (fixed against searched)")
    return tuple(differences)


def distribution_words(distribution: Distribution) -> str:
    """`one of 1, 2, 4`, `log uniform from 0.001 to 0.1`."""
    if isinstance(distribution, Choice):
        return f"one of {', '.join(json.dumps(value, sort_keys=True) for value in distribution.values)}"
    return f"{distribution.kind.replace('_', ' ')} from {distribution.low:g} to {distribution.high:g}"


def _num_trials(search: ArmSearch | None) -> int:
    return search.num_trials if search else 0
