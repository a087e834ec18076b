"""What is told of trials whose maps are in no mean, whatever the maps are of."""

from collections.abc import Sequence

from orchestrator.report.content.receptive_fields import Unreadable

_MAX_NAMED = 5


def unreadable_notes(unreadable: Sequence[Unreadable], *, what: str) -> tuple[str, ...]:
    """One sentence for each reason why maps of trials can't be read.

    Args:
        unreadable: the trials.
        what: which maps, as the sentence begins: `Receptive fields`.
    """
    by_reason: dict[str, list[str]] = {}
    for trial in unreadable:
        by_reason.setdefault(trial.reason, []).append(f"{trial.cell.key}/{trial.arm}/seed{trial.seed}")
    return tuple(
        f"{what} of {len(names)} {'trial' if len(names) == 1 else 'trials'} are in no mean map "
        f"({first_named(names)}): {reason}."
        for reason, names in by_reason.items()
    )


def first_named(names: Sequence[str]) -> str:
    """The first ones and how many more; "and 1 more" would be as long as the name."""
    if len(names) <= _MAX_NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_MAX_NAMED])} and {len(names) - _MAX_NAMED} more"
