"""An experiment's trials, read back from their rows."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from orchestrator.report import TrialRecord
from orchestrator.statistics.comparison import Cell
from orchestrator.status import Phase, TrialStatus
from orchestrator.store.tables import TrialRow
from trainers.config import TrialConfig
from trainers.result import TrialResult


class StoredTrial(NamedTuple):
    """One trial; its config and curves, the bulk of it, are parsed once for all that asks for them."""

    row: TrialRow
    """As the database has it: this tells where its files lie."""
    record: TrialRecord
    """The same, parsed."""


def stored_trials(rows: Sequence[TrialRow], runs: Mapping[int, str] = MappingProxyType({})) -> list[StoredTrial]:
    """What rows tell of trials, one entry for each.

    Args:
        rows: any number of each trial (see `newest_of_each`).
        runs: id of a row -> its run in MLflow, where there is one.
    """
    return [StoredTrial(row, trial_record(row, runs.get(row.id))) for row in newest_of_each(rows)]


def confirm_trials(session: Session, experiment_id: str) -> list[TrialRow]:
    """Confirm trials, one of each, without config and curves (which are the bulk of a row and stay unread)."""
    query = select(TrialRow).where(TrialRow.experiment_id == experiment_id, TrialRow.phase == Phase.CONFIRM)
    bulk = (TrialRow.config, TrialRow.result)
    return newest_of_each(list(session.scalars(query.options(*(defer(column) for column in bulk)))))


def confirm_trials_of(session: Session, experiment_id: str, place: tuple[str, str] | None) -> list[TrialRow]:
    """Rows of confirm trials, whole.

    Args:
        session: to read in.
        experiment_id: whose.
        place: cell's key and arm (`None`: all of them).
    """
    query = select(TrialRow).where(TrialRow.experiment_id == experiment_id, TrialRow.phase == Phase.CONFIRM)
    if place is not None:
        query = query.where(TrialRow.cell == place[0], TrialRow.arm == place[1])
    return list(session.scalars(query.order_by(TrialRow.id)))


def newest_of_each(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """One row per phase, cell, arm, seed and params: the one planned last.

    Several rows share them if the code changed between two attempts of the driver: their identities differ, and a
    pair counts only once.
    """
    newest: dict[tuple[str, str, str, int, str], TrialRow] = {}
    for row in sorted(rows, key=lambda row: row.id):
        # In the confirm phase params are fixed; in the search phase they are what tells candidates apart.
        params = repr(sorted(row.params.items())) if row.phase == Phase.SEARCH else ""
        newest[row.phase, row.cell, row.arm, row.seed, params] = row
    return list(newest.values())


def trial_record(row: TrialRow, mlflow_run_id: str | None = None) -> TrialRecord:
    """All that is known of a trial, parsed."""
    # Labels of models and data sets have no slash.
    model, _, dataset = row.cell.partition("/")
    return TrialRecord(
        identity=row.identity,
        cell=Cell(model=model, dataset=dataset),
        arm=row.arm,
        seed=row.seed,
        phase=Phase(row.phase),
        params=row.params,
        config=TrialConfig.model_validate_json(row.config),
        status=TrialStatus(row.status),
        error=row.error,
        attempt=row.attempt,
        reused_from=row.reused_from,
        result=TrialResult.model_validate_json(row.result) if row.result else None,
        mlflow_run_id=mlflow_run_id,
    )
