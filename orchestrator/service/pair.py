"""One pair of trials side by side: what was set, what they ran with, and how they scored."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.report import TrialRecord
from orchestrator.report.repeats import OF_ONE_TRIAL
from orchestrator.report.sections.hyperparameters import flat_settings
from orchestrator.status import Phase
from orchestrator.store.tables import TrialRow
from orchestrator.stored.trials import newest_of_each, trial_record
from trainers.start_facts import START_WORDS


class PairTrial(NamedTuple):
    """One of both trials."""

    id: int
    """Its row."""
    record: TrialRecord
    """All that is known of it."""

    @property
    def settings(self) -> dict[str, str]:
        """Every field of its config, by dotted path."""
        return dict(flat_settings(self.record.config.model_dump(mode="json")))

    @property
    def circumstances(self) -> dict[str, str]:
        """What it ran on and with, and what it started from; empty before it has a result."""
        found = {} if self.record.result is None else self.record.result.provenance
        told = {START_WORDS.get(name, name.replace("_", " ")): value for name, value in found.items()}
        return {name: value for name, value in told.items() if name not in _OF_ONE_TRIAL}

    @property
    def scores(self) -> dict[str, float]:
        """Its final metrics."""
        return {} if self.record.result is None else self.record.result.metrics


_OF_ONE_TRIAL = {name.replace("_", " ") for name in OF_ONE_TRIAL} - set(START_WORDS.values())


class Fact(NamedTuple):
    """One thing that both trials have, or only one (`None`: the other has not)."""

    name: str
    control: str | None
    treatment: str | None

    @property
    def is_equal(self) -> bool:
        """Whether both have the same."""
        return self.control == self.treatment


class PairTrials(NamedTuple):
    """Both trials of one seed; `None` for one that is not planned (yet)."""

    control: PairTrial | None
    treatment: PairTrial | None

    @property
    def settings(self) -> tuple[Fact, ...]:
        """Every field of their configs."""
        return _facts(*({} if each is None else each.settings for each in self))

    @property
    def circumstances(self) -> tuple[Fact, ...]:
        """What they ran on and with; nothing until both have ended."""
        both = [{} if each is None else each.circumstances for each in self]
        return _facts(*both) if all(both) else ()

    @property
    def scores(self) -> tuple[tuple[str, float | None, float | None], ...]:
        """Each final metric of control and treatment."""
        control, treatment = ({} if each is None else each.scores for each in self)
        return tuple((name, control.get(name), treatment.get(name)) for name in _names(control, treatment))


def _facts(control: Mapping[str, str], treatment: Mapping[str, str]) -> tuple[Fact, ...]:
    return tuple(Fact(name, control.get(name), treatment.get(name)) for name in _names(control, treatment))


def _names(*mappings: Mapping[str, object]) -> Iterable[str]:
    return dict.fromkeys(name for mapping in mappings for name in mapping)


def read_pair(
    session: Session, experiment_id: str, *, cell: str, control: str, treatment: str, seed: int
) -> PairTrials:
    """Both trials of a seed.

    Args:
        session: an open read.
        experiment_id: whose.
        cell: the cell's key.
        control: name of the arm.
        treatment: name of the arm.
        seed: the replicate.
    """
    query = select(TrialRow).where(
        TrialRow.experiment_id == experiment_id,
        TrialRow.phase == Phase.CONFIRM,
        TrialRow.cell == cell,
        TrialRow.seed == seed,
        TrialRow.arm.in_((control, treatment)),
    )
    found = {row.arm: PairTrial(row.id, trial_record(row)) for row in newest_of_each(list(session.scalars(query)))}
    return PairTrials(found.get(control), found.get(treatment))
