"""What the recorder writes of a result (real rows, no Ray)."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.driving.recorder import ROW_ID, Recorder
from orchestrator.driving.trainable import RESULT
from orchestrator.driving.watch import Watch
from orchestrator.driving.work import Ending, OpenTrial
from orchestrator.status import TrialStatus
from orchestrator.store.database import open_database
from tests.orchestrator.small_experiments import begin, rows_of, settings_in, spec_of, submit
from trainers.result import EpochReport, TrialResult


def result_of(trial: str, code: str) -> TrialResult:
    return TrialResult(
        epochs=[EpochReport(epoch=0, metrics={"val/top1": 0.5}, seconds=1.0)],
        best_epoch=0,
        metrics={"test/top1": 0.5},
        predictions_file=None,
        training_seconds=1.0,
        provenance={
            "device": "cpu",
            "num_workers": "1",
            "trial": trial,
            "code_version": code,
            "data_fingerprint": "da7a",
        },
    )


@pytest.mark.parametrize("is_planned", [True, False])
def test_only_what_was_trained_as_planned_succeeds(tmp_path: Path, migrated_sqlite: Path, is_planned: bool) -> None:
    file = tmp_path / "sigmalab.db"
    file.write_bytes(migrated_sqlite.read_bytes())
    database = open_database(f"sqlite:///{file}")
    experiment_id = submit(database, settings_in(tmp_path), spec_of())
    attempt = begin(database, experiment_id)
    trial = OpenTrial.of(rows_of(database, experiment_id)[0])
    endings: list[Ending] = []
    watch = Watch(database, experiment_id, attempt, heartbeat_seconds=10.0)
    recorder = Recorder(database, attempt, watch, lambda _trial, ending: endings.append(ending))
    recorder.expect(trial)
    of_tune = SimpleNamespace(config={ROW_ID: trial.row_id})
    recorder.on_trial_start(0, [], of_tune)
    result = result_of(trial.identity, trial.code or "") if is_planned else result_of("an0ther", "0lder")
    recorder.on_trial_result(0, [], of_tune, {RESULT: result.model_dump_json()})
    row = rows_of(database, experiment_id)[0]
    if is_planned:
        assert (row.status, row.error, endings[0].status) == ("succeeded", "", TrialStatus.SUCCEEDED)
    else:
        assert (row.status, row.result, row.final_metrics) == ("failed", None, {})
        assert "the code here (version 0lder) is not that which trial" in row.error
        assert f"(version {trial.code})" in row.error
        assert row.error == endings[0].error
    database.close()
