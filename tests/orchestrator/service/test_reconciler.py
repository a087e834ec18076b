"""The reconciler at work: a real SQLite file, real HTTP, and drivers that the test plays itself."""

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, update

from orchestrator.errors import RayUnavailableError, StaleAttemptError, StoreError
from orchestrator.planning.expansion import Expansion
from orchestrator.service.jobs import RayJobs
from orchestrator.service.observation import look
from orchestrator.service.reconciler import Reconciler, job_id_of
from orchestrator.settings import Settings
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.status import AttemptEnd, ExperimentStatus
from orchestrator.store.database import Database, open_database
from orchestrator.store.experiments import (
    begin_attempt,
    end_attempt,
    get_experiment,
    heartbeat,
    insert_experiment,
    move,
    newest_attempt,
    request_cancel,
)
from orchestrator.store.tables import DriverAttemptRow, ExperimentRow, LeaseRow
from orchestrator.store.telemetry import record_epoch
from orchestrator.store.trials import plan_trials, start_trial, trials_of
from tests.orchestrator.another_writer import another_writer, stop
from tests.orchestrator.hand_clock import Clock
from trainers.result import EpochReport


class Lab:
    """A database, a dashboard, and a reconciler between them."""

    def __init__(self, database: Database, dashboard, settings: Settings) -> None:
        self.database, self.dashboard, self.settings, self.clock = database, dashboard, settings, Clock()
        self.reconciler = self.another_reconciler()

    def another_reconciler(self) -> Reconciler:
        return Reconciler(self.database, RayJobs(self.dashboard.url), self.settings, self.clock)

    def submit(self, spec: ExperimentSpec) -> str:
        with self.database.write() as session:
            experiment_id = insert_experiment(session, spec, "digest").id
            plan_trials(session, experiment_id, Expansion(spec, data_root=None).confirm_trials({}))
        return experiment_id

    def get(self, experiment_id: str) -> ExperimentRow:
        with self.database.read() as session:
            return get_experiment(session, experiment_id)

    def attempt(self, experiment_id: str) -> DriverAttemptRow:
        with self.database.read() as session:
            return newest_attempt(session, experiment_id)

    def statuses(self, experiment_id: str) -> list[str]:
        with self.database.read() as session:
            return [trial.status for trial in trials_of(session, experiment_id)]

    def drive(self, experiment_id: str) -> int:
        """What a driver does first: it moves to running, says that it lives, and starts a trial."""
        with self.database.write() as session:
            number = get_experiment(session, experiment_id).attempt
            heartbeat(session, experiment_id, number)
            move(session, experiment_id, ExperimentStatus.RUNNING, attempt=number)
            start_trial(session, trials_of(session, experiment_id)[0].id, number)
        job = self.dashboard.jobs.get(job_id_of(experiment_id, number))
        if job is not None:
            job["status"] = "RUNNING"
        return number

    def wait(self, seconds: float) -> None:
        """Let time pass, in which the reconciler looks and everybody is silent."""
        end = self.clock.seconds + seconds
        while self.clock.seconds < end:
            self.clock.seconds = min(end, self.clock.seconds + 10.0)
            self.reconciler.tick()


@pytest.fixture
def lab(tmp_path: Path, dashboard) -> Iterator[Lab]:
    settings = Settings(
        heartbeat_timeout_seconds=60,
        home=tmp_path,
        mlflow_tracking_uri="http://mlflow:5000",
        max_driver_attempts=2,
        max_concurrent_experiments=2,
        api_token="api secret",
    )
    database = open_database(settings.effective_database_url)
    yield Lab(database, dashboard, settings)
    database.close()


def test_a_queued_experiment_gets_its_driver(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    assert lab.reconciler.tick()
    request = lab.dashboard.jobs[f"exp-{experiment_id}-a1"]["request"]
    assert request["entrypoint"] == f"exec {sys.executable} -m orchestrator drive {experiment_id} --attempt 1"
    environment = request["runtime_env"]["env_vars"]
    assert environment["SIGMALAB_DATABASE_URL"] == lab.settings.effective_database_url
    assert environment["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert "api secret" not in environment.values()
    assert lab.get(experiment_id).status == "starting"
    assert lab.attempt(experiment_id).job_id == f"exp-{experiment_id}-a1"


def test_ticking_again_changes_nothing(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    for _ in range(3):
        lab.reconciler.tick()
    lab.drive(experiment_id)
    for _ in range(3):
        lab.reconciler.tick()
    assert list(lab.dashboard.jobs) == [f"exp-{experiment_id}-a1"]
    assert lab.get(experiment_id).status == "running"
    assert lab.dashboard.stopped == []


def test_a_service_that_died_before_submitting_goes_on(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    with lab.database.write() as session:
        begin_attempt(session, experiment_id, job_id_of(experiment_id, 1))
        move(session, experiment_id, ExperimentStatus.STARTING)
    lab.reconciler.tick()
    assert list(lab.dashboard.jobs) == [f"exp-{experiment_id}-a1"]


def test_a_dead_driver_is_replaced_and_its_trials_go_on(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    lab.reconciler.tick()
    lab.drive(experiment_id)
    lab.dashboard.end(f"exp-{experiment_id}-a1", "FAILED", "exit code 137", "starting\nKilled")
    lab.reconciler.tick()
    row = lab.get(experiment_id)
    assert row.status == "queued"
    assert row.reason == "starts again: driver attempt 1 ended: exit code 137\nEnd of its log:\nstarting\nKilled"
    assert lab.statuses(experiment_id) == ["pending"] * 4
    # Not at once: a driver that dies at once must not spin.
    lab.reconciler.tick()
    assert lab.get(experiment_id).status == "queued"
    lab.wait(1.0)
    assert lab.attempt(experiment_id).job_id == f"exp-{experiment_id}-a2"
    with pytest.raises(StaleAttemptError), lab.database.write() as session:
        heartbeat(session, experiment_id, 1)


def test_the_last_attempt_fails_the_experiment_and_quotes_the_log(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    for number in (1, 2):
        lab.wait(20.0)
        lab.drive(experiment_id)
        lab.dashboard.end(f"exp-{experiment_id}-a{number}", "FAILED", "exit code 1", "x" * 5000 + "\nNo module named x")
        lab.reconciler.tick()
    row = lab.get(experiment_id)
    assert row.status == "failed"
    assert row.reason.startswith(
        f"gave up after 2 attempts without progress (`sigmalab resume {experiment_id}` goes on): driver attempt 2 "
        "ended: exit code 1\nEnd of its log:\nxxx"
    )
    assert row.reason.endswith("No module named x")
    assert len(row.reason) < 2000
    assert lab.statuses(experiment_id) == ["cancelled"] * 4
    assert lab.attempt(experiment_id).ended_at is not None


def test_a_driver_that_ends_without_a_status_is_replaced(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    lab.reconciler.tick()
    lab.drive(experiment_id)
    lab.dashboard.end(f"exp-{experiment_id}-a1", "SUCCEEDED")
    lab.reconciler.tick()
    assert lab.get(experiment_id).reason == "starts again: driver attempt 1 ended without a result"


def test_a_driver_that_ended_well_is_left_alone(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    lab.reconciler.tick()
    number = lab.drive(experiment_id)
    with lab.database.write() as session:
        move(session, experiment_id, ExperimentStatus.SUCCEEDED, attempt=number)
    lab.dashboard.end(f"exp-{experiment_id}-a1", "SUCCEEDED")
    lab.reconciler.tick()
    assert (lab.get(experiment_id).status, lab.get(experiment_id).attempt) == ("succeeded", 1)


def test_a_forgotten_job_is_replaced_only_when_its_driver_is_silent(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    lab.reconciler.tick()
    lab.drive(experiment_id)
    lab.dashboard.jobs.clear()
    lab.wait(60.0)
    assert lab.get(experiment_id).status == "running"
    lab.wait(20.0)
    assert lab.get(experiment_id).reason.startswith("starts again: driver attempt 1 is lost: Ray no longer knows")


def test_a_driver_that_is_lost_with_its_head_is_replaced_at_once_and_counts_nothing(
    lab: Lab, small_spec: ExperimentSpec
) -> None:
    experiment_id = lab.submit(small_spec)
    for _ in range(4):  # twice as often as a driver may crash
        lab.wait(70.0)
        lab.drive(experiment_id)
        lab.dashboard.restart()
        lab.reconciler.tick()
        assert lab.get(experiment_id).status == "queued"
    assert lab.get(experiment_id).attempt_ends == {"head_lost": 4}


def test_five_polite_ends_are_no_reason_to_give_up(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    for _ in range(5):
        lab.wait(70.0)
        number = lab.drive(experiment_id)
        with lab.database.write() as session:
            end_attempt(session, experiment_id, number, AttemptEnd.TERMINATED, "told to")
        lab.reconciler.tick()
    row = lab.get(experiment_id)
    assert (row.status, row.attempt, row.attempt_ends) == ("queued", 5, {"terminated": 5})
    assert row.reason == "starts again: driver attempt 5 was told to terminate"


def test_crashes_with_progress_in_between_are_no_reason_to_give_up(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    for epoch in range(4):
        lab.wait(20.0)
        number = lab.drive(experiment_id)
        with lab.database.write() as session:
            trial = trials_of(session, experiment_id)[0]
            record_epoch(
                session,
                trial.id,
                EpochReport(epoch=epoch, metrics={"val/top1": 0.5}, seconds=1.0),
                datetime.now(UTC),
                number,
            )
        lab.dashboard.end(job_id_of(experiment_id, number), "FAILED", "exit code 137", exit_code=137)
        lab.reconciler.tick()
        assert lab.get(experiment_id).attempt_ends == {"crashed": 1}
    # The same epoch again is no progress.
    lab.wait(20.0)
    number = lab.drive(experiment_id)
    with lab.database.write() as session:
        assert not record_epoch(
            session, trial.id, EpochReport(epoch=3, metrics={"val/top1": 0.5}, seconds=1.0), datetime.now(UTC), number
        )
    lab.dashboard.end(job_id_of(experiment_id, number), "FAILED", "exit code 137", exit_code=137)
    lab.reconciler.tick()
    assert lab.get(experiment_id).status == "failed"


def test_a_job_that_says_running_of_a_silent_driver_is_stopped_first(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    lab.reconciler.tick()
    lab.drive(experiment_id)
    lab.reconciler.tick()
    lab.wait(70.0)
    lab.reconciler.tick()
    assert lab.dashboard.stopped == [f"exp-{experiment_id}-a1"]
    assert lab.get(experiment_id).status == "running"
    lab.wait(16.0)
    assert lab.dashboard.stopped == [f"exp-{experiment_id}-a1"] * 2
    lab.dashboard.end(f"exp-{experiment_id}-a1", "STOPPED", "Job was intentionally stopped.")
    lab.reconciler.tick()
    row = lab.get(experiment_id)
    assert (row.status, row.attempt_ends) == ("queued", {"silent": 1})


@pytest.mark.parametrize("jump", [timedelta(hours=1), -timedelta(hours=1)])
def test_a_wall_clock_that_jumps_kills_nobody(lab: Lab, small_spec: ExperimentSpec, jump: timedelta) -> None:
    experiment_id = lab.submit(small_spec)
    lab.reconciler.tick()
    number = lab.drive(experiment_id)
    for _ in range(3):
        with lab.database.write() as session:
            newest_attempt(session, experiment_id).heartbeat_at += jump
        lab.wait(40.0)
    assert lab.dashboard.stopped == []
    with lab.database.write() as session:
        heartbeat(session, experiment_id, number)
    lab.reconciler.tick()
    assert (lab.get(experiment_id).status, lab.dashboard.stopped) == ("running", [])


def test_a_service_that_stood_still_only_looks_at_first(lab: Lab, small_spec: ExperimentSpec) -> None:
    """Whoever stopped it (a laptop that slept, SIGSTOP) may have stopped the driver, too."""
    experiment_id = lab.submit(small_spec)
    lab.reconciler.tick()
    number = lab.drive(experiment_id)
    lab.wait(40.0)
    lab.clock.seconds += 3600.0
    lab.reconciler.tick()
    assert lab.dashboard.stopped == []
    with lab.database.write() as session:
        heartbeat(session, experiment_id, number)
    lab.wait(60.0)
    assert lab.dashboard.stopped == []
    lab.wait(20.0)
    assert lab.dashboard.stopped == [f"exp-{experiment_id}-a1"]


def test_a_driver_that_runs_and_never_speaks_is_stopped(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    lab.reconciler.tick()
    lab.dashboard.jobs[f"exp-{experiment_id}-a1"]["status"] = "RUNNING"
    lab.wait(600.0)
    assert lab.dashboard.stopped == []
    lab.wait(20.0)
    assert set(lab.dashboard.stopped) == {f"exp-{experiment_id}-a1"}
    lab.dashboard.end(f"exp-{experiment_id}-a1", "STOPPED")
    lab.reconciler.tick()
    row = lab.get(experiment_id)
    assert (row.status, row.attempt_ends) == ("queued", {"unheard": 1})


def test_drivers_start_one_after_another(lab: Lab, small_spec: ExperimentSpec) -> None:
    first, second = (lab.submit(small_spec) for _ in range(2))
    lab.reconciler.tick()
    lab.wait(30.0)
    assert [lab.get(one).status for one in (first, second)] == ["starting", "queued"]
    assert lab.get(second).reason == "waits: another driver is starting"
    lab.drive(first)
    lab.reconciler.tick()
    assert lab.get(second).status == "starting"


def test_a_start_that_hangs_holds_up_the_others_for_a_minute_only(lab: Lab, small_spec: ExperimentSpec) -> None:
    _, second = (lab.submit(small_spec) for _ in range(2))
    lab.reconciler.tick()
    lab.wait(50.0)
    assert lab.get(second).status == "queued"
    lab.wait(20.0)
    assert lab.get(second).status == "starting"


# ---- cancel ----


def test_a_cancel_gives_the_driver_time_then_stops_its_job(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    lab.reconciler.tick()
    lab.drive(experiment_id)
    with lab.database.write() as session:
        request_cancel(session, experiment_id)
    lab.reconciler.tick()
    lab.wait(20.0)
    assert lab.dashboard.stopped == []
    lab.wait(1.0)
    assert lab.dashboard.stopped == [f"exp-{experiment_id}-a1"]
    assert lab.get(experiment_id).status == "cancelling"
    lab.dashboard.end(f"exp-{experiment_id}-a1", "STOPPED")
    lab.reconciler.tick()
    assert lab.get(experiment_id).status == "cancelled"
    assert lab.statuses(experiment_id) == ["cancelled"] * 4
    assert lab.attempt(experiment_id).ended_at is not None


def test_a_cancel_between_row_and_job_starts_nothing(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    with lab.database.write() as session:
        begin_attempt(session, experiment_id, job_id_of(experiment_id, 1))
        move(session, experiment_id, ExperimentStatus.STARTING)
        request_cancel(session, experiment_id)
    lab.reconciler.tick()
    assert lab.dashboard.jobs == {}
    assert lab.get(experiment_id).status == "cancelled"


# ---- drivers by hand ----


def test_an_experiment_driven_by_hand_is_adopted_only_when_its_driver_is_silent(
    lab: Lab, small_spec: ExperimentSpec
) -> None:
    experiment_id = lab.submit(small_spec)
    with lab.database.write() as session:
        begin_attempt(session, experiment_id, None)
        move(session, experiment_id, ExperimentStatus.STARTING)
    lab.reconciler.tick()
    lab.drive(experiment_id)
    lab.reconciler.tick()
    assert (lab.get(experiment_id).status, lab.dashboard.jobs) == ("running", {})
    lab.wait(61.0)
    assert lab.get(experiment_id).reason.startswith("starts again: driver attempt 1 (started by hand) is silent")
    lab.wait(20.0)
    assert list(lab.dashboard.jobs) == [f"exp-{experiment_id}-a2"]


# ---- limits and faults ----


def test_only_so_many_drivers_at_once(lab: Lab, small_spec: ExperimentSpec) -> None:
    ids = [lab.submit(small_spec) for _ in range(3)]
    lab.wait(80.0)
    waiting = [one for one in ids if lab.get(one).status == "queued"]
    assert len(waiting) == 1
    assert lab.get(waiting[0]).reason == "waits: 2 experiments run already"
    done, _ = running = [one for one in ids if one not in waiting]
    number, _ = (lab.drive(one) for one in running)
    with lab.database.write() as session:
        move(session, done, ExperimentStatus.SUCCEEDED, attempt=number)
    lab.reconciler.tick()
    assert lab.get(waiting[0]).status == "starting"


def test_secrets_that_may_not_be_written_end_an_experiment(
    lab: Lab, small_spec: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Settings) -> None:
        raise PermissionError(13, "Permission denied", "/trials/.driver-secrets/x")

    monkeypatch.setattr(Settings, "write_driver_secrets", refuse)
    experiment_id = lab.submit(small_spec)
    lab.reconciler.tick()
    row = lab.get(experiment_id)
    assert (row.status, lab.dashboard.jobs) == ("failed", {})
    assert "Permission denied: '/trials/.driver-secrets/x'): give that user the right" in row.reason


def test_without_ray_experiments_wait_and_no_attempt_is_spent(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    lab.dashboard.is_broken = True
    for _ in range(3):
        with pytest.raises(RayUnavailableError):
            lab.reconciler.tick()
    row = lab.get(experiment_id)
    assert (row.status, row.attempt) == ("queued", 0)
    assert row.reason.startswith("waits for Ray: Ray's dashboard at")
    lab.dashboard.is_broken = False
    lab.reconciler.tick()
    assert lab.get(experiment_id).status == "starting"


def test_a_long_queue_costs_one_query_and_one_question_to_a_ray_that_is_away(
    lab: Lab, small_spec: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_id = lab.submit(small_spec)
    lab.reconciler.tick()
    lab.drive(experiment_id)
    queued = [lab.submit(small_spec) for _ in range(5)]
    lab.dashboard.is_broken = True
    questions, statements = [], []
    cluster = RayJobs.cluster
    monkeypatch.setattr(RayJobs, "cluster", lambda jobs: questions.append(jobs) or cluster(jobs))

    def note(*about: object) -> None:
        statements.append(str(about[2]))

    event.listen(Engine, "before_cursor_execute", note)
    found = look(lab.database)
    event.remove(Engine, "before_cursor_execute", note)
    assert [(one.id, one.is_open, one.attempt) for one in found] == [
        (experiment_id, True, 1), *((one, False, 0) for one in queued)
    ]  # fmt: skip
    assert sum("FROM experiments" in statement for statement in statements) == 1
    assert not any("FROM driver_attempts" in statement for statement in statements)
    with pytest.raises(RayUnavailableError):
        lab.reconciler.tick()
    assert len(questions) == 1
    assert all(lab.get(one).reason.startswith("waits for Ray") for one in queued)


def test_a_driver_is_not_replaced_while_ray_does_not_answer(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    lab.reconciler.tick()
    lab.drive(experiment_id)
    lab.reconciler.tick()
    lab.dashboard.is_broken = True
    for _ in range(90):
        lab.clock.seconds += 10.0
        with pytest.raises(RayUnavailableError):
            lab.reconciler.tick()
    assert (lab.get(experiment_id).status, lab.attempt(experiment_id).ended_at) == ("running", None)


def test_one_reconciler_at_a_time(lab: Lab, small_spec: ExperimentSpec) -> None:
    first, second = lab.reconciler, lab.another_reconciler()
    assert first.tick()
    experiment_id = lab.submit(small_spec)
    assert not second.tick()
    assert lab.get(experiment_id).status == "queued"
    first.resign()
    assert second.tick()
    assert lab.get(experiment_id).status == "starting"
    lab.clock.seconds += 11.0
    assert not first.tick()


def test_a_reconciler_that_died_is_followed_when_its_lease_ends(lab: Lab) -> None:
    assert lab.reconciler.tick()
    with lab.database.write() as session:
        session.execute(update(LeaseRow).values(expires_at=datetime(2020, 1, 1, tzinfo=UTC)))
    assert lab.another_reconciler().tick()


def test_a_stopped_driver_that_holds_the_write_lock_is_ended_by_a_read_and_ray(
    tmp_path: Path, dashboard, small_spec: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.store.database._BUSY_TIMEOUT_SECONDS", 0.1)
    settings = Settings(home=tmp_path, mlflow_tracking_uri=None)
    database = open_database(settings.effective_database_url)
    lab = Lab(database, dashboard, settings)
    experiment_id, healthy = lab.submit(small_spec), lab.submit(small_spec)
    for one in (experiment_id, healthy):
        lab.reconciler.tick()
        lab.drive(one)
    lab.clock.seconds += 11.0  # the lease is to be renewed
    with another_writer(tmp_path / "sigmalab.db", "drive", experiment_id, "--attempt", "1") as process:
        with pytest.raises(StoreError, match="locked"):
            lab.reconciler.tick()
        assert dashboard.stopped == []
        stop(process)
        with pytest.raises(StoreError, match="locked"):
            lab.reconciler.tick()
        assert dashboard.stopped == [job_id_of(experiment_id, 1)]
    # What Ray did: it killed the process.
    assert lab.reconciler.tick()
    assert dashboard.stopped == [job_id_of(experiment_id, 1)]
    database.close()


def test_two_leaders_at_once_do_no_harm(lab: Lab, small_spec: ExperimentSpec) -> None:
    """The lease may be lost in the middle of a tick: rows and job ids must hold by themselves."""
    ids = [lab.submit(small_spec) for _ in range(2)]
    reconcilers = [lab.another_reconciler() for _ in range(4)]
    for one in reconcilers:
        # Each believes that it has renewed the lease a moment ago.
        one._lease_renewed_at = lab.clock.seconds
    barrier = threading.Barrier(len(reconcilers))
    errors: list[Exception] = []

    def tick(reconciler: Reconciler) -> None:
        barrier.wait()
        try:
            reconciler.tick()
        except Exception as error:  # noqa: BLE001 (a thread's error must reach the test)
            errors.append(error)

    threads = [threading.Thread(target=tick, args=(one,)) for one in reconcilers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert list(lab.dashboard.jobs) == [f"exp-{ids[0]}-a1"]
    assert [lab.get(one).attempt for one in ids] == [1, 0]


def test_run_ticks_until_told_to_stop(lab: Lab, small_spec: ExperimentSpec) -> None:
    experiment_id = lab.submit(small_spec)
    stop = threading.Event()
    thread = threading.Thread(target=lab.another_reconciler().run, args=(stop,))
    thread.start()
    while lab.get(experiment_id).status != "starting":
        assert thread.is_alive()
    stop.set()
    thread.join()
    # The lease was given back.
    assert lab.reconciler.tick()


def test_run_survives_a_defect_and_says_so_once(
    lab: Lab, small_spec: ExperimentSpec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    experiment_id = lab.submit(small_spec)
    tick, calls = Reconciler.tick, iter(range(1000))

    def tick_with_a_defect(self: Reconciler) -> bool:
        if next(calls) < 2:
            raise KeyError("on purpose")
        return tick(self)

    monkeypatch.setattr(Reconciler, "tick", tick_with_a_defect)
    lab.settings = lab.settings.model_copy(update={"reconcile_interval_seconds": 0.01})
    stop = threading.Event()
    thread = threading.Thread(target=lab.another_reconciler().run, args=(stop,))
    thread.start()
    while lab.get(experiment_id).status != "starting":
        assert thread.is_alive()
    stop.set()
    thread.join()
    assert [record.getMessage() for record in caplog.records if "bug" in record.getMessage()] == [
        "a bug in the reconciler: KeyError('on purpose')"
    ]
