"""Two experiments that ask for one training: one trains, the other waits and takes the result over."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.tune.search import Searcher

from orchestrator.driving.claiming import Claims, Taken
from orchestrator.driving.node_faults import NodeFaults
from orchestrator.driving.phases import ConfirmPhase
from orchestrator.driving.recorder import ROW_ID, Recorder
from orchestrator.driving.reuse import Reuse
from orchestrator.driving.tuning import Engine, _Feed
from orchestrator.driving.watch import StopReason, Watch
from orchestrator.driving.work import OpenTrial
from orchestrator.planning.hardware import Hardware
from orchestrator.status import AttemptEnd
from orchestrator.store.database import Database, open_database
from orchestrator.store.experiments import end_attempt, heartbeat
from orchestrator.store.trials import fail_trial, get_trial, start_trial, succeed_trial
from tests.orchestrator.hand_clock import Clock
from tests.orchestrator.small_experiments import begin, rows_of, settings_in, spec_of, submit
from trainers.planned_identity import PlannedIdentity
from trainers.result import EpochReport, TrialResult
from trainers.runtime import Runtime

LONG = 60.0


def result_with(top1: float) -> TrialResult:
    return TrialResult(
        epochs=[EpochReport(epoch=0, metrics={"val/top1": top1}, seconds=1.0)],
        best_epoch=0,
        metrics={"test/top1": top1},
        predictions_file=None,
        training_seconds=1.0,
        provenance={"device": "cpu", "num_workers": "1"},
    )


class Lab:
    """An experiment whose driver lives, and what it may train."""

    def __init__(self, database: Database, folder: Path, clock: Clock, **changes: object) -> None:
        settings, spec = settings_in(folder), spec_of(**changes)
        self.database, self.clock, self.lines = database, clock, []
        self.id = submit(database, settings, spec)
        self.attempt = begin(database, self.id)
        with database.write() as session:
            heartbeat(session, self.id, self.attempt)
        self.trials = [OpenTrial.of(row) for row in rows_of(database, self.id)]
        hardware = Hardware.asked_for(spec.resources)
        reuse = Reuse(database, self.id, self.attempt, is_own_only=spec.reuse == "never", hardware=hardware)
        self.claims = Claims(reuse, silence_seconds=LONG, say=self.lines.append, clock=clock)


@pytest.fixture
def labs(tmp_path: Path, migrated_sqlite: Path, clock: Clock) -> Iterator[tuple[Lab, Lab]]:
    file = tmp_path / "sigmalab.db"
    file.write_bytes(migrated_sqlite.read_bytes())
    database = open_database(f"sqlite:///{file}")
    yield Lab(database, tmp_path, clock), Lab(database, tmp_path, clock)
    database.close()


def come_back(lab: Lab) -> OpenTrial | None:
    lab.clock.seconds += 5.0
    return lab.claims.next_waiting()


def test_the_second_waits_and_takes_the_result_over(labs: tuple[Lab, Lab]) -> None:
    first, second = labs
    trial, same = first.trials[0], second.trials[0]
    assert first.claims.take(trial) is Taken.OURS
    assert second.claims.take(same) is Taken.HELD
    assert second.claims.is_waiting
    assert second.lines == [f"{same.name} waits for experiment {first.id}, which is training the same trial"]
    # Not at once, and said once.
    assert second.claims.next_waiting() is None
    assert come_back(second) == same
    assert second.claims.take(same) is Taken.HELD
    assert len(second.lines) == 1
    with first.database.write() as session:
        start_trial(session, trial.row_id, first.attempt)
        succeed_trial(session, trial.row_id, result_with(0.7), first.attempt)
    first.claims.release(trial)
    assert come_back(second) == same
    assert second.claims.take(same) is Taken.DONE
    assert not second.claims.is_waiting
    row = rows_of(second.database, second.id)[0]
    assert (row.status, row.reused_from) == ("succeeded", first.id)
    # Both go on with what nobody trains.
    assert second.claims.take(second.trials[1]) is Taken.OURS
    assert first.claims.take(first.trials[1]) is Taken.HELD


def test_what_failed_elsewhere_is_tried_here(labs: tuple[Lab, Lab]) -> None:
    first, second = labs
    first.claims.take(first.trials[0])
    second.claims.take(second.trials[0])
    with first.database.write() as session:
        start_trial(session, first.trials[0].row_id, first.attempt)
        fail_trial(session, first.trials[0].row_id, "no space left", first.attempt)
    first.claims.release(first.trials[0])
    assert second.claims.take(come_back(second)) is Taken.OURS


def test_a_dead_drivers_trials_are_taken_up(labs: tuple[Lab, Lab]) -> None:
    first, second = labs
    first.claims.take(first.trials[0])
    second.claims.take(second.trials[0])
    with first.database.write() as session:
        end_attempt(session, first.id, first.attempt, AttemptEnd.CRASHED)
    assert second.claims.take(come_back(second)) is Taken.OURS


def test_the_trials_of_one_that_was_silent_while_it_was_watched_are_taken_up(labs: tuple[Lab, Lab]) -> None:
    first, second = labs
    first.claims.take(first.trials[0])
    trial = second.trials[0]
    # A laptop that slept: by the clock everybody is silent, and nobody was watched.
    assert second.claims.take(trial) is Taken.HELD
    second.clock.seconds += 100 * LONG
    assert second.claims.take(second.claims.next_waiting()) is Taken.HELD
    looks = 0
    while (taken := second.claims.take(come_back(second))) is Taken.HELD:
        looks += 1
    assert taken is Taken.OURS
    assert LONG / 5 - 4 <= looks <= LONG / 5


def test_reuse_never_waits_for_nobody(labs: tuple[Lab, Lab], tmp_path: Path, clock: Clock) -> None:
    first, _ = labs
    first.claims.take(first.trials[0])
    alone = Lab(first.database, tmp_path, clock, reuse="never")
    assert alone.claims.take(alone.trials[0]) is Taken.OURS


class FourSlots:
    number = 4


def test_the_feed_gives_what_is_free_and_ends_only_when_nothing_is_waited_for(
    labs: tuple[Lab, Lab], tmp_path: Path
) -> None:
    first, second = labs
    ended: list[tuple[int, str]] = []
    watch = Watch(second.database, second.id, second.attempt, heartbeat_seconds=10.0)
    recorder = Recorder(
        second.database, second.attempt, watch, lambda trial, ending: ended.append((trial.row_id, ending.status))
    )
    resources = spec_of().resources
    codes = {arm.name: tmp_path / arm.name for arm in spec_of().arms}
    engine = Engine(
        resources, 1, Runtime(storage=tmp_path), codes, tmp_path, second.claims, NodeFaults(), lambda name, why: None
    )
    feed = _Feed(ConfirmPhase(second.trials[:2]), recorder, watch, engine, FourSlots())
    held, free = second.trials[:2]
    first.claims.take(first.trials[0])
    job = feed.suggest("a")
    assert job[ROW_ID] == free.row_id
    with second.database.read() as session:
        row = get_trial(session, free.row_id)
    runtime = Runtime.model_validate_json(job["runtime"])
    assert runtime.planned == PlannedIdentity(trial=row.identity, code=row.code)
    assert runtime.code == codes[row.arm]
    # All are given out, but one waits.
    assert feed.suggest("b") is None
    with first.database.write() as session:
        start_trial(session, first.trials[0].row_id, first.attempt)
        succeed_trial(session, first.trials[0].row_id, result_with(0.7), first.attempt)
    first.claims.release(first.trials[0])
    second.clock.seconds += 5.0
    # It is taken over in passing; the next question ends the phase.
    assert [feed.suggest("c"), feed.suggest("d")].count(Searcher.FINISHED) >= 1
    assert ended == [(held.row_id, "succeeded")]
    # Whoever was replaced stops instead of training.
    with second.database.write() as session:
        end_attempt(session, second.id, second.attempt, AttemptEnd.SILENT)
    late = _Feed(ConfirmPhase(second.trials[2:]), recorder, watch, engine, FourSlots())
    assert late.suggest("e") == Searcher.FINISHED
    assert watch.reason is StopReason.STALE
