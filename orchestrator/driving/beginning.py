"""Before a cell's first training: a proof that its arms start alike in everything that they do not change.

The first trial of each cell that is to be trained builds all arms of its seed side by side, and compares where their
trainings would start, before it trains itself: a moment, in a process that has torch already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from orchestrator.driving.work import OpenTrial
from orchestrator.planning.equal_starts import changes_alone, unexplained
from orchestrator.planning.planned import PlannedTrial
from trainers.config import TrialConfig
from trainers.start_facts import REPLACED, START_WORDS
from trainers.strict import StrictModel


class Arms(StrictModel):
    """All arms of one cell and seed."""

    cell: str
    """Key of the cell."""
    control: str
    """Name of the control."""
    configs: dict[str, TrialConfig]
    """Name of an arm -> its trial's config."""


def with_arms(trials: Sequence[OpenTrial], planned: Sequence[PlannedTrial], control: str) -> list[OpenTrial]:
    """The same trials; the first one of each cell looks at all arms of its seed before it trains.

    Whichever seed that is: where results that were there stand in for the first ones, nobody may have looked.

    Args:
        trials: to be trained, in pair order.
        planned: all confirm trials.
        control: name of the control.
    """
    looked_at: set[str] = set()
    found = []
    for trial in trials:
        if trial.cell not in looked_at:
            looked_at.add(trial.cell)
            beside = [each for each in planned if (each.cell.key, each.seed) == (trial.cell, trial.seed)]
            arms = Arms(cell=trial.cell, control=control, configs={each.arm: each.config for each in beside})
            trial = replace(trial, arms=arms.model_dump_json())
        found.append(trial)
    return found


class Look(NamedTuple):
    """What a look at the arms of a cell has found."""

    complaints: list[str]
    """A sentence for every treatment that starts otherwise than its control in what it does not change."""
    alike: str
    """What is told where there is no complaint."""


def unequal_arms(arms: Arms, data_root: Path | None) -> Look:
    """Compare where the trainings of all arms would start.

    Raises:
        TrainerError: an arm can't be trained as written.
    """
    # torch, which a driver does without.
    from trainers.start import starts_of  # noqa: PLC0415

    starts = dict(zip(arms.configs, starts_of(list(arms.configs.values()), data_root), strict=True))
    return Look(complaints(arms, starts), alike_words(arms, starts))


def complaints(arms: Arms, starts: Mapping[str, Mapping[str, str]]) -> list[str]:
    """See `Look.complaints`.

    Args:
        arms: of one cell and seed.
        starts: name of an arm -> its digests, see `trainers.start.starts_of`.
    """
    if arms.control not in arms.configs:
        return []
    control, start = arms.configs[arms.control], starts[arms.control]
    return [
        f"{arm} in {arms.cell} {changes_alone(config, control)}, but does not start from the same "
        f"{' and '.join(START_WORDS[fact] for fact in facts)} as {arms.control}: its pairs would compare more than that"
        for arm, config in arms.configs.items()
        if (facts := unexplained(config, control, starts[arm], start))
    ]


def alike_words(arms: Arms, starts: Mapping[str, Mapping[str, str]]) -> str:
    """See `Look.alike`; what the user's own change replaces is no complaint, and is said."""
    replaced = "".join(f"; {arm} replaces {start[REPLACED]}" for arm, start in starts.items() if REPLACED in start)
    alike = f"{arms.cell}: {', '.join(arms.configs)} start alike in everything that they do not change ({_FACTS})"
    return alike + replaced


_FACTS = ", ".join(START_WORDS.values())
