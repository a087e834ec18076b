"""A process is killed in the middle of its writes: what it had committed is there, what it had not is not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select, text

from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.store.database import Database
from orchestrator.store.events import events_after
from orchestrator.store.tables import DriverAttemptRow, ExperimentRow, IdempotencyKeyRow, MetricRow, TrialRow
from trainers.result import TrialResult

# Imports once, then forks a writer for every line on stdin; a writer says what it has committed.
MOTHER = """
import os, sys
from datetime import UTC, datetime

from orchestrator.planning.expansion import Expansion
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import open_database
from orchestrator.store.experiments import begin_attempt, insert_experiment, move
from orchestrator.store.idempotency import keep_key
from orchestrator.store.telemetry import record_epoch
from orchestrator.store.trials import plan_trials, start_trial, succeed_trial
from trainers.result import EpochReport, TrialResult

spec = ExperimentSpec.model_validate_json(sys.argv[2])
planned = Expansion(spec, data_root=None).confirm_trials({})
report = EpochReport(epoch=0, metrics={"train/loss": 1.0, "val/top1": 0.5}, seconds=1.0)
result = TrialResult(
    epochs=[report],
    best_epoch=0,
    metrics={"test/top1": 0.5},
    predictions_file=None,
    training_seconds=1.0,
    provenance={},
)


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())


def write_for_ever():
    database = open_database(sys.argv[1])
    while True:
        with database.write() as session:
            experiment_id = insert_experiment(session, spec, "digest").id
            keep_key(session, f"key of {experiment_id}", b"", experiment_id)
            trials = list(plan_trials(session, experiment_id, planned).values())
        say("experiment", experiment_id)
        with database.write() as session:
            attempt = begin_attempt(session, experiment_id, "job")
            move(session, experiment_id, ExperimentStatus.STARTING)
        say("starting", experiment_id)
        with database.write() as session:
            move(session, experiment_id, ExperimentStatus.RUNNING, attempt=attempt)
        for trial in trials:
            with database.write() as session:
                start_trial(session, trial, attempt)
            with database.write() as session:
                record_epoch(session, trial, report, datetime.now(UTC), attempt)
            say("epoch", trial)
            with database.write() as session:
                succeed_trial(session, trial, result, attempt)
            say("succeeded", trial)
        with database.write() as session:
            move(session, experiment_id, ExperimentStatus.SUCCEEDED, attempt=attempt)
        say("ended", experiment_id)


for line in sys.stdin:
    child = os.fork()
    if child == 0:
        write_for_ever()
    say("pid", child)
    os.waitpid(child, 0)
    say("dead", child)
"""


@pytest.fixture
def mother(database: Database, database_url: str, small_spec: ExperimentSpec) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", MOTHER, database_url, small_spec.model_dump_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    # Its writers, too, should the test have failed.
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def kill_after(mother: "subprocess.Popen[str]", num_commits: int) -> list[tuple[str, str]]:
    """Let a new writer commit so often, then kill it; gives all that it said it had committed."""
    mother.stdin.write("go\n")
    mother.stdin.flush()
    pid, said = 0, []
    while True:
        what, name = mother.stdout.readline().split()
        if what == "dead":
            return said
        if what == "pid":
            pid = int(name)
        else:
            said.append((what, name))
        if pid and len(said) >= num_commits:
            # The pipe lags behind: the writer is anywhere in its next commits by now.
            os.kill(pid, signal.SIGKILL)
            pid, num_commits = 0, sys.maxsize


def test_a_killed_writer_leaves_whole_transactions_and_no_lock(
    database: Database, mother: "subprocess.Popen[str]"
) -> None:
    said = [line for num_commits in (1, 2, 3, 4, 6, 9, 13, 20) for line in kill_after(mother, num_commits)]
    # Nobody else's lock is in the way.
    with database.write() as session:
        session.execute(text("UPDATE leases SET token = 1"))
    with database.read() as session:
        experiments = {row.id: row for row in session.scalars(select(ExperimentRow))}
        trials = {row.id: row for row in session.scalars(select(TrialRow))}
        keys = {row.experiment_id for row in session.scalars(select(IdempotencyKeyRow))}
        attempts = list(session.scalars(select(DriverAttemptRow)))
        rows = session.execute(select(MetricRow.trial_id, func.count()).group_by(MetricRow.trial_id))
        metrics = dict(row for row in rows)
        events = {one: events_after(session, one) for one in experiments}

    # What was said to be committed is there.
    assert {name for what, name in said if what == "experiment"} <= set(experiments)
    assert {name for what, name in said if what == "ended"} <= {
        one for one, row in experiments.items() if row.status == "succeeded"
    }
    assert all(trials[int(name)].status == "succeeded" for what, name in said if what == "succeeded")
    assert all(metrics[int(name)] == 2 for what, name in said if what == "epoch")

    # What is there is whole.
    assert keys == set(experiments)
    assert {(one.experiment_id, one.number) for one in attempts} == {
        (one, row.attempt) for one, row in experiments.items() if row.attempt
    }
    for experiment_id, row in experiments.items():
        own = [trial for trial in trials.values() if trial.experiment_id == experiment_id]
        assert len(own) == row.num_confirm_trials == 4
        told = [event.payload for event in events[experiment_id] if event.kind == "status"]
        assert told[-1]["status"] == row.status
        told = [event.payload for event in events[experiment_id] if event.kind == "trial"]
        for trial in own:
            statuses = [one["status"] for one in told if one["trial_id"] == trial.id]
            assert ["pending", *statuses][-1] == trial.status
            assert (trial.result is not None) == (trial.status == "succeeded")
            if trial.result is not None:
                assert TrialResult.model_validate_json(trial.result).metrics == trial.final_metrics
    assert set(metrics.values()) == {2}
