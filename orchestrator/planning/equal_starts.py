"""Whether two trainings start alike in all that their arms do not change."""

from collections.abc import Mapping

from orchestrator.planning.changes import FIELDS, changed_fields
from trainers.config import TrialConfig
from trainers.start_facts import BATCHES, START_WORDS

_ALL = frozenset(START_WORDS)
_MAY_DIFFER = {
    # Another network, or another number of classes, draws other weights, and so leaves another random state.
    "model": _ALL,
    "dataset": _ALL,
    "augmentation": frozenset({BATCHES}),
}
"""Field of a trial's config -> what of the start may differ where arms differ in it."""


def unexplained(
    mine: TrialConfig, other: TrialConfig, my_start: Mapping[str, str], other_start: Mapping[str, str]
) -> list[str]:
    """What of the start differs, and is not what the configs change: such a pair compares more than the change.

    Args:
        mine: config of the treatment's trial.
        other: config of the control's, of the same seed.
        my_start: digests of `trainers.start`, by name (others may be among them; none, of older code).
        other_start: the control's.

    Returns:
        Names of facts, see `trainers.start_facts`.
    """
    may_differ = set[str]().union(*(_MAY_DIFFER.get(field, ()) for field in _fields(mine, other)))
    if _batches(mine) != _batches(other):
        may_differ.add(BATCHES)
    return [fact for fact in differing(my_start, other_start) if fact not in may_differ]


def differing(my_start: Mapping[str, str], other_start: Mapping[str, str]) -> list[str]:
    """What of the start is known of both, and differs."""
    known = [fact for fact in START_WORDS if fact in my_start and fact in other_start]
    return [fact for fact in known if my_start[fact] != other_start[fact]]


def changes_alone(mine: TrialConfig, other: TrialConfig) -> str:
    """`changes the attention bias alone`; what an arm does, as its config says."""
    fields = [FIELDS[field] for field in _fields(mine, other)]
    return f"changes {' and '.join(fields)} alone" if fields else "changes nothing"


def _fields(mine: TrialConfig, other: TrialConfig) -> list[str]:
    return changed_fields(*({field: getattr(config, field) for field in FIELDS} for config in (mine, other)))


def _batches(config: TrialConfig) -> tuple[int, int]:
    return config.optimization.global_batch_size, config.optimization.accumulation_steps
