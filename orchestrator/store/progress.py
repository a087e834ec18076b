"""How far experiments are, counted in SQL: no row of a trial is loaded to be counted."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple

from sqlalchemy import JSON, ColumnElement, bindparam, cast, func, select, type_coerce
from sqlalchemy.orm import Session, aliased

from orchestrator.planning.hardware import Hardware
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from orchestrator.store.clock import database_now
from orchestrator.store.tables import ExperimentRow, TrialRow
from trainers.config import TrialConfig, canonical_json

_RECENT = 64
"""Newest trials of a cell that a guess of its cost looks at."""
_CHUNK = 500
"""Cells in one IN list."""


_TIMES = select(
    TrialRow.status,
    TrialRow.cell,
    TrialRow.attempt,
    TrialRow.started_at,
    TrialRow.ended_at,
    TrialRow.training_seconds,
    TrialRow.reused_from,
)


class ExpectedEnd(NamedTuple):
    """An estimate, and what it rests on."""

    at: datetime
    num_finished: int
    """Trials whose times are known."""
    num_running: int
    """Trials that train at once."""


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
    trained_seconds: float = 0.0
    """Training time of those that ended here: what stands in from elsewhere took none."""
    open_seconds: float | None = 0.0
    """What those that may still train will take, by the mean of their cell, else of all (`None`: no trial tells)."""
    mean_seconds: float | None = None
    """Of those whose time is known, stand-ins included (`None`: there is none)."""


class _CellCounts(NamedTuple):
    """Trials of one cell of an experiment."""

    known: int
    known_search: int
    done: int
    failed: int
    reused: int
    running: int
    cancelled: int
    num_timed: int
    timed_seconds: float
    trained_seconds: float

    @property
    def num_open(self) -> int:
        return self.known - self.done - self.failed


def count_trials(session: Session, experiment_ids: Collection[str]) -> dict[str, TrialCounts]:
    """Experiment -> its counts, for all of them in one query."""
    done = TrialRow.status.in_((TrialStatus.SUCCEEDED, TrialStatus.PRUNED))
    rows = session.execute(
        select(
            TrialRow.experiment_id,
            TrialRow.cell,
            func.count(),
            func.count().filter(TrialRow.phase == Phase.SEARCH),
            func.count().filter(done),
            func.count().filter(TrialRow.status == TrialStatus.FAILED),
            func.count().filter(TrialRow.reused_from.is_not(None)),
            func.count().filter(TrialRow.status == TrialStatus.RUNNING),
            func.count().filter(TrialRow.status == TrialStatus.CANCELLED),
            func.count(TrialRow.training_seconds),
            func.coalesce(func.sum(TrialRow.training_seconds), 0.0),
            func.coalesce(func.sum(TrialRow.training_seconds).filter(TrialRow.reused_from.is_(None)), 0.0),
        )
        .where(TrialRow.experiment_id.in_(experiment_ids))
        .group_by(TrialRow.experiment_id, TrialRow.cell)
    )
    cells: dict[str, list[_CellCounts]] = {experiment_id: [] for experiment_id in experiment_ids}
    for experiment_id, _, *numbers in rows:
        cells[experiment_id].append(_CellCounts(*numbers))
    return {experiment_id: _counted_up(found) for experiment_id, found in cells.items()}


def _counted_up(cells: Collection[_CellCounts]) -> TrialCounts:
    num_timed = sum(cell.num_timed for cell in cells)
    mean = sum(cell.timed_seconds for cell in cells) / num_timed if num_timed else None
    open_seconds: float | None = None
    if mean is not None or not any(cell.num_open for cell in cells):
        open_seconds = sum(
            cell.num_open * (cell.timed_seconds / cell.num_timed if cell.num_timed else mean or 0.0) for cell in cells
        )
    return TrialCounts(
        known=sum(cell.known for cell in cells),
        known_search=sum(cell.known_search for cell in cells),
        done=sum(cell.done for cell in cells),
        failed=sum(cell.failed for cell in cells),
        reused=sum(cell.reused for cell in cells),
        running=sum(cell.running for cell in cells),
        cancelled=sum(cell.cancelled for cell in cells),
        trained_seconds=sum(cell.trained_seconds for cell in cells),
        open_seconds=open_seconds,
        mean_seconds=mean,
    )


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


def others_in_training(session: Session, experiment_id: str) -> dict[str, int]:
    """Name of every other experiment that trains right now -> its trials in training."""
    rows = session.execute(
        select(ExperimentRow.name, func.count())
        .join(TrialRow, TrialRow.experiment_id == ExperimentRow.id)
        .where(
            ExperimentRow.id != experiment_id,
            ExperimentRow.status.in_([status for status in ExperimentStatus if not status.is_final]),
            TrialRow.status == TrialStatus.RUNNING,
        )
        .group_by(ExperimentRow.name)
    )
    return dict(rows.all())


def expected_end(session: Session, row: ExperimentRow) -> ExpectedEnd | None:
    """When an experiment will end, if all goes on as it does now (`None`: nothing trains, or too little is known)."""
    if row.status != ExperimentStatus.RUNNING:
        return None
    own = TrialRow.experiment_id == row.id
    now = database_now(session)
    num_by_status, pending = defaultdict[str, int](int), dict[str, int]()
    for status, cell, number in session.execute(
        select(TrialRow.status, TrialRow.cell, func.count()).where(own).group_by(TrialRow.status, TrialRow.cell)
    ):
        num_by_status[status] += number
        if status == TrialStatus.PENDING:
            pending[cell] = number
    running = [
        (trial.cell, (now - trial.started_at).total_seconds() if trial.attempt == 1 else 0.0)
        for trial in session.execute(_TIMES.where(own, TrialRow.status == TrialStatus.RUNNING))
    ]
    took, num_finished = _recent_seconds(session, row.id)
    if not took or not running:
        return None
    overall = median(seconds for values in took.values() for seconds in values)
    typical = {cell: median(values) for cell, values in took.items()}
    num_known = sum(num_by_status.values())
    num_unknown = max(0, row.num_confirm_trials + row.num_search_trials - num_known)
    left = [max(0.0, typical.get(cell, overall) - elapsed) for cell, elapsed in running]
    waiting = sum(typical.get(cell, overall) * number for cell, number in pending.items()) + num_unknown * overall
    seconds = max(*left, (sum(left) + waiting) / len(running))
    return ExpectedEnd(now + timedelta(seconds=seconds), num_finished, len(running))


def _recent_seconds(session: Session, experiment_id: str) -> tuple[dict[str, list[float]], int]:
    """Cell -> what its newest finished trials took; and how many have finished at all."""
    finished = (
        select(
            TrialRow.id,
            func.row_number().over(partition_by=TrialRow.cell, order_by=TrialRow.id.desc()).label("place"),
            func.count().over().label("number"),
        )
        .where(
            TrialRow.experiment_id == experiment_id,
            TrialRow.status == TrialStatus.SUCCEEDED,
            TrialRow.training_seconds.is_not(None),
        )
        .subquery()
    )
    took, num_finished = defaultdict[str, list[float]](list), 0
    newest = _TIMES.add_columns(finished.c.number).join(finished, finished.c.id == TrialRow.id)
    for trial in session.execute(newest.where(finished.c.place <= _RECENT)):
        num_finished = trial.number
        # With the start of its process, unless it stood still in between.
        is_whole = trial.attempt == 1 and trial.reused_from is None
        took[trial.cell].append(
            (trial.ended_at - trial.started_at).total_seconds() if is_whole else trial.training_seconds
        )
    return took, num_finished


def median_seconds_by_cell(
    session: Session,
    configs: Mapping[str, Collection[TrialConfig]],
    num_epochs: int,
    hardware: Hardware,
    *,
    accelerator_type: str | None = None,
) -> dict[str, float]:
    """Cell key -> seconds that a trial of so many epochs takes on such hardware.

    Cells without a finished trial on it are left out: what a CPU took says nothing of eight GPUs, nor what fp32 took of
    bf16, nor one model of GPU of another: of several, the one that trained last counts. The median over the newest
    trials, scaled by the number of epochs. What a trial without epochs takes is unknown here: the time of epochs is all
    that is kept.

    Args:
        session: an open read.
        configs: cell key -> what is trained there. A key is made of labels, which a user may give to another model
            tomorrow: a trial counts if one of these has its model, data set, precision and choice to compile.
        num_epochs: of the trials to come.
        hardware: what they are to run on.
        accelerator_type: Ray's name of their GPUs' model (`None`: any).
    """
    if not num_epochs:
        return {}
    per_epoch = TrialRow.training_seconds / TrialRow.num_epochs
    newest_first = func.row_number().over(partition_by=TrialRow.cell, order_by=TrialRow.id.desc())
    finished = (
        select(TrialRow.id, TrialRow.cell, per_epoch.label("seconds"), newest_first.label("place"))
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
    newest = (
        select(finished.c.cell, finished.c.seconds, TrialRow.config, _device(session).label("device"))
        .join(TrialRow, TrialRow.id == finished.c.id)
        .where(finished.c.place <= _RECENT)
        .order_by(finished.c.place)
    )
    # `A100-80G` is one of several A100s; torch's name of it says A100, too.
    model = (accelerator_type or "").partition("-")[0]
    trained = {cell: {_trained(config) for config in several} for cell, several in configs.items()}
    wanted, found, devices = sorted(configs), defaultdict[str, list[float]](list), dict[str, str]()
    for start in range(0, len(wanted), _CHUNK):
        for cell, value, config, device in session.execute(newest, {"cells": wanted[start : start + _CHUNK]}):
            is_alike = any(all(part in config for part in parts) for parts in trained[cell])
            if is_alike and _is_a(device, model) and devices.setdefault(cell, device) == device:
                found[cell].append(float(value))
    return {cell: median(values) * num_epochs for cell, values in sorted(found.items())}


def _device(session: Session) -> ColumnElement[str]:
    """Device of a finished trial, as torch names it."""
    # SQLite reads JSON from text; a cast there would make a number of it.
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    result = type_coerce(TrialRow.result, JSON) if is_sqlite else cast(TrialRow.result, JSON)
    device: ColumnElement[str] = result["provenance", "device"].as_string()
    return device


def _is_a(device: str, model: str) -> bool:
    """Whether a device is a GPU of this model (empty: any): `NVIDIA A100-SXM4-80GB` is an `A100`."""
    return not model or model in re.split("[ -]", device)


def _trained(config: TrialConfig) -> tuple[str, ...]:
    """What decides how long an epoch takes, as it stands in a row's config: canonical JSON has one text for each."""
    optimization = config.optimization
    return (
        f'"model":{canonical_json(config.model)}',
        f'"dataset":{canonical_json(config.dataset)}',
        f'"precision":"{optimization.precision}"',
        f'"compile":{"true" if optimization.compile else "false"}',
    )
