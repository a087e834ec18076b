"""Pairs are told of once, whoever dies (real rows, no Ray)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.driving.progress import PairProgress
from orchestrator.driving.work import Ending, OpenTrial
from orchestrator.status import TrialStatus
from orchestrator.store.database import Database, open_database
from orchestrator.store.events import events_of_kind
from orchestrator.store.tables import TrialRow
from orchestrator.store.trials import start_trial, succeed_trial
from tests.orchestrator.driving.test_phases import result_of
from tests.orchestrator.small_experiments import begin, rows_of, settings_in, spec_of, submit


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}")
    yield opened
    opened.close()


@pytest.fixture
def experiment_id(database: Database, tmp_path: Path) -> str:
    return submit(database, settings_in(tmp_path), spec_of())


def progress_of(database: Database, experiment_id: str, attempt: int) -> PairProgress:
    return PairProgress(database, experiment_id, attempt, spec_of(), [], lambda line: None)


def succeed(database: Database, row: TrialRow, attempt: int, top1: float) -> Ending:
    with database.write() as session:
        start_trial(session, row.id, attempt)
        succeed_trial(session, row.id, result_of(top1), attempt)
    return Ending(TrialStatus.SUCCEEDED, result_of(top1).metrics)


def told(database: Database, experiment_id: str) -> list[tuple[Any, ...]]:
    with database.read() as session:
        events = events_of_kind(session, experiment_id, "pair")
    return [(one["seed"], round(one["effect"], 6), one["pairs_complete"], one["pairs_total"]) for one in events]


def test_a_pair_whose_driver_died_before_it_told_is_told_by_the_next(database: Database, experiment_id: str) -> None:
    attempt = begin(database, experiment_id)
    progress = progress_of(database, experiment_id, attempt)
    for place, row in enumerate(rows_of(database, experiment_id)):
        ending = succeed(database, row, attempt, 0.5 + 0.1 * place)
        if row.seed == 0:
            progress.trial_ended(OpenTrial.of(row), ending)
    assert told(database, experiment_id) == [(0, 10.0, 1, 2)]
    # Here it dies; seed 1 is complete and nobody knows.
    for _ in range(2):
        progress_of(database, experiment_id, begin(database, experiment_id)).know(rows_of(database, experiment_id))
        assert told(database, experiment_id) == [(0, 10.0, 1, 2), (1, 10.0, 2, 2)]


def test_an_attempt_that_was_replaced_tells_nothing(database: Database, experiment_id: str) -> None:
    attempt = begin(database, experiment_id)
    progress = progress_of(database, experiment_id, attempt)
    control, gaussian = rows_of(database, experiment_id)[:2]
    progress.trial_ended(OpenTrial.of(control), succeed(database, control, attempt, 0.5))
    ending = succeed(database, gaussian, attempt, 0.6)
    newer = begin(database, experiment_id)
    progress.trial_ended(OpenTrial.of(gaussian), ending)
    assert told(database, experiment_id) == []
    progress_of(database, experiment_id, newer).know(rows_of(database, experiment_id))
    assert told(database, experiment_id) == [(0, 10.0, 1, 2)]
