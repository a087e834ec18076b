"""How far experiments are, counted in SQL: no row of a trial is loaded to be counted."""

from collections import defaultdict
from collections.abc import Collection
from statistics import median
from typing import NamedTuple

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session, aliased

from orchestrator.hardware import Hardware
from orchestrator.status import Phase, TrialStatus
from orchestrator.store.tables import ExperimentRow, MetricRow, TrialRow

_RECENT = 64
"""Newest trials of a cell that a guess of its cost looks at."""
_CHUNK = 500
"""Cells in one IN list."""


class TrialCounts(NamedTuple):
    """Trials of one experiment."""

    known: int = 0
    """Rows, of both phases."""
    known_search: int = 0
    """Rows of the search phase."""
    done: int = 0
    """Succeeded or pruned."""
    failed: int = 0
    reused: int = 0
    running: int = 0
    cancelled: int = 0


def count_trials(session: Session, experiment_ids: Collection[str]) -> dict[str, TrialCounts]:
    """Experiment -> its counts, for all of them in one query."""
    done = TrialRow.status.in_((TrialStatus.SUCCEEDED, TrialStatus.PRUNED))
    rows = session.execute(
        select(
            TrialRow.experiment_id,
            func.count(),
            func.count().filter(TrialRow.phase == Phase.SEARCH),
            func.count().filter(done),
            func.count().filter(TrialRow.status == TrialStatus.FAILED),
            func.count().filter(TrialRow.reused_from.is_not(None)),
            func.count().filter(TrialRow.status == TrialStatus.RUNNING),
            func.count().filter(TrialRow.status == TrialStatus.CANCELLED),
        )
        .where(TrialRow.experiment_id.in_(experiment_ids))
        .group_by(TrialRow.experiment_id)
    )
    counts = dict.fromkeys(experiment_ids, TrialCounts())
    counts.update({experiment_id: TrialCounts(*numbers) for experiment_id, *numbers in rows})
    return counts


def count_complete_pairs(session: Session, experiment_ids: Collection[str]) -> dict[str, int]:
    """Experiment -> pairs whose control and treatment both succeeded."""
    control, treatment = aliased(TrialRow), aliased(TrialRow)
    rows = session.execute(
        select(treatment.experiment_id, func.count(treatment.id.distinct()))
        .join(ExperimentRow, ExperimentRow.id == treatment.experiment_id)
        .join(
            control,
            (control.experiment_id == treatment.experiment_id)
            & (control.cell == treatment.cell)
            & (control.seed == treatment.seed)
            & (control.phase == Phase.CONFIRM)
            & (control.arm == ExperimentRow.control)
            & (control.status == TrialStatus.SUCCEEDED),
        )
        .where(
            treatment.experiment_id.in_(experiment_ids),
            treatment.phase == Phase.CONFIRM,
            treatment.status == TrialStatus.SUCCEEDED,
            treatment.arm != ExperimentRow.control,
        )
        .group_by(treatment.experiment_id)
    )
    counts = dict.fromkeys(experiment_ids, 0)
    for experiment_id, number in rows:
        counts[experiment_id] = number
    return counts


def count_unshipped(session: Session, experiment_id: str) -> int:
    """Metric values of an experiment that MLflow does not have yet."""
    return (
        session.scalar(
            select(func.count())
            .select_from(MetricRow)
            .join(TrialRow, TrialRow.id == MetricRow.trial_id)
            .where(TrialRow.experiment_id == experiment_id, MetricRow.shipped.is_(False))
        )
        or 0
    )


def median_seconds_by_cell(
    session: Session, cells: Collection[str], num_epochs: int, hardware: Hardware
) -> dict[str, float]:
    """Cell key -> seconds that a trial of so many epochs takes on such hardware.

    Cells without a finished trial on it are left out: what a CPU took says nothing of eight GPUs. The median over the
    newest trials, scaled by the number of epochs. What a trial without epochs takes is unknown here: the time of epochs
    is all that is kept.
    """
    if not num_epochs:
        return {}
    per_epoch = TrialRow.training_seconds / TrialRow.num_epochs
    newest_first = func.row_number().over(partition_by=TrialRow.cell, order_by=TrialRow.id.desc())
    finished = (
        select(TrialRow.cell, per_epoch.label("seconds"), newest_first.label("place"))
        .where(
            TrialRow.cell.in_(bindparam("cells", expanding=True)),
            TrialRow.status == TrialStatus.SUCCEEDED,
            TrialRow.hardware == hardware.key,
            TrialRow.reused_from.is_(None),
            TrialRow.training_seconds.is_not(None),
            TrialRow.num_epochs > 0,
        )
        .subquery()
    )
    newest = select(finished.c.cell, finished.c.seconds).where(finished.c.place <= _RECENT)
    wanted, found = sorted(set(cells)), defaultdict[str, list[float]](list)
    for start in range(0, len(wanted), _CHUNK):
        for cell, value in session.execute(newest, {"cells": wanted[start : start + _CHUNK]}):
            found[cell].append(float(value))
    return {cell: median(values) * num_epochs for cell, values in sorted(found.items())}
