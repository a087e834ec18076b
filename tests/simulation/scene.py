"""What happens in a schedule: experiments come, things go wrong, all calms down, and everything must be well."""

import signal
from contextlib import suppress

from sqlalchemy import select, text

from orchestrator.errors import StatusConflictError, StoreError
from orchestrator.service.experiments import Experiments
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.status import AttemptEnd, ExperimentStatus
from orchestrator.store.experiments import get_experiment, insert_experiment
from orchestrator.store.tables import DriverAttemptRow, EventRow, ExperimentRow, MetricRow, TrialRow
from orchestrator.store.trials import plan_trials
from orchestrator.tracking.naming import trial_key
from orchestrator.tracking.outbox import Outbox
from tests.simulation.coverage import Coverage
from tests.simulation.scheduler import EndlessError, Process
from tests.simulation.training import EPOCHS, value_of
from tests.simulation.world import World, expansion_of

_CALM_SECONDS = 1500.0


def _spec(name: str, sigma: float, seeds: list[int], reuse: str = "always") -> ExperimentSpec:
    return ExperimentSpec.model_validate(
        {
            "name": name,
            "models": [{"kind": "small_vit", "width": 12, "depth": 1, "num_heads": 1, "image_size_px": 16}],
            "datasets": [{"kind": "digits", "num_train": 100, "num_val": 50, "num_test": 50}],
            "optimization": {"epochs": EPOCHS, "global_batch_size": 20},
            "arms": [
                {"name": "control", "role": "control"},
                {"name": "gaussian", "patch": {"attention_bias": {"kind": "gaussian", "sigma": sigma}}},
            ],
            "seeds": seeds,
        }
    )


SPECS = [_spec("first", 2.0, [0, 1]), _spec("same-control", 3.0, [0, 1]), _spec("same", 2.0, [0])]
"""Two have their control in common, one is a part of another."""


class Scene:
    """One schedule."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ids: list[str] = []
        self._scene = Process("scene", "user")
        self._is_played = False
        self._client = Experiments(world.database(), world.settings)

    def play(self) -> None:
        world = self.world
        world.scheduler.spawn(self._scene, "user", self._act)
        for name in ("service-1", "service-2")[: world.scheduler.random.choice((1, 2))]:
            world.start_service(name)
        try:
            world.scheduler.run(lambda: self._is_played, 4000.0)
            self._calm_down()
            world.scheduler.run(self._is_over, _CALM_SECONDS)
            # What a dead driver left goes after an hour.
            world.scheduler.now += 2 * 3600.0
            world.scheduler.run(lambda: not world.leftovers(), 300.0)
        except EndlessError as error:
            world.complain(f"{error}: {self._told()}")
            return
        self._judge()

    # ---- what happens ----

    def _act(self) -> None:
        world = self.world
        for spec in world.scheduler.random.sample(SPECS, world.scheduler.random.choice((1, 2, 3))):
            self._submit(spec)
            world.scheduler.sleep(world.chance.seconds(0.0, 20.0))
        end = world.scheduler.now + world.chance.seconds(20.0, 250.0)
        while world.scheduler.now < end and not self._all_final():
            world.scheduler.sleep(world.chance.seconds(1.0, 15.0))
            kind = world.scheduler.random.choice(sorted(world.chance.kinds) or ["none"])
            # A user whose request fails, or comes too late, does something else next.
            with suppress(StoreError, StatusConflictError):
                getattr(self, f"_{kind}", lambda: None)()
        self._is_played = True

    def _submit(self, spec: ExperimentSpec) -> None:
        expansion = expansion_of(spec)
        with self.world.quiet_database.write() as session:
            row = insert_experiment(session, spec, expansion.digest)
            plan_trials(session, row.id, expansion.confirm_trials({}))
        self.ids.append(row.id)

    def _crash(self) -> None:
        self._any(self.world.scheduler.kill, "service", "driver", "trial")

    def _power(self) -> None:
        world = self.world
        if world.chance.choice(True, False, False):
            world.coverage.sometimes("all processes died at once")
            world.cluster.restart()
            for process in world.of_kind("service", "driver", "trial"):
                world.scheduler.kill(process)

    def _stop(self) -> None:
        seconds = self.world.chance.seconds(5.0, 200.0)
        self._any(lambda process: self.world.scheduler.stop(process, seconds), "service", "driver", "trial")

    def _head(self) -> None:
        if self.world.chance.choice(True, False):
            self.world.cluster.restart()

    def _mlflow(self) -> None:
        self.world.tracking.away_until = self.world.scheduler.now + self.world.chance.seconds(5.0, 100.0)

    def _disk(self) -> None:
        self.world.disk.full_until = self.world.scheduler.now + self.world.chance.seconds(2.0, 60.0)

    def _node(self) -> None:
        self.world.cluster.sick = self.world.chance.choice("n1", "n2", None)

    def _clock(self) -> None:
        step = self.world.chance.choice(-3600.0, -70.0, -5.0, 5.0, 70.0, 3600.0)
        self.world.coverage.sometimes(f"the database's clock was set {'back' if step < 0 else 'forward'}")
        self.world.database_skew += step

    def _terminate(self) -> None:
        self._any(self._send_sigterm, "driver")
        if self.world.chance.choice(True, False):
            self.world.preempted_until = self.world.scheduler.now + self.world.chance.seconds(10.0, 60.0)

    def _send_sigterm(self, process: Process) -> None:
        self.world.coverage.sometimes("a driver left when it was told to")
        self.world.scheduler.send(process, signal.SIGTERM)

    def _user(self) -> None:
        world, id_ = self.world, self.world.scheduler.random.choice(self.ids)
        with self.world.quiet_database.read() as session:
            status = get_experiment(session, id_).status
        if ExperimentStatus(status).is_final:
            self._resume(id_)
            return
        if status == ExperimentStatus.STARTING:
            world.coverage.sometimes("a cancel was asked for while a driver started")
        if status == ExperimentStatus.RUNNING:
            world.coverage.sometimes("a cancel was asked for while a driver ran")
        self._client.cancel(id_)

    def _sleep(self) -> None:
        world, seconds = self.world, self.world.chance.seconds(100.0, 2000.0)
        world.coverage.sometimes("everything stood still")
        for process in world.of_kind("service", "driver", "trial"):
            process.stopped_until = max(process.stopped_until, world.scheduler.now + seconds)
        world.scheduler.asleep_until = world.scheduler.now + seconds

    def _any(self, does: object, *kinds: str) -> None:
        processes = self.world.of_kind(self.world.scheduler.random.choice(kinds))
        if processes:
            does(self.world.scheduler.random.choice(processes))

    # ---- the end ----

    def _calm_down(self) -> None:
        world = self.world
        world.chance.is_calm = True
        world.cluster.sick = None
        world.preempted_until = 0.0
        world.disk.full_until = world.tracking.away_until = world.cluster.away_until = 0.0
        world.scheduler.spawn(self._scene, "user", self._resume_all)

    def _resume_all(self) -> None:
        """Whoever has an experiment that failed or was cancelled goes on with it, and gets it."""
        while not self._is_over():
            self.world.scheduler.sleep(30.0)
            for id_ in self.ids:
                with self.world.quiet_database.read() as session:
                    status = ExperimentStatus(get_experiment(session, id_).status)
                if status in (ExperimentStatus.FAILED, ExperimentStatus.CANCELLED):
                    self._look_at_failure(id_)
                    self._resume(id_)
                elif status is ExperimentStatus.SUCCEEDED:
                    self._resume(id_)

    def _look_at_failure(self, id_: str) -> None:
        with self.world.quiet_database.read() as session:
            row = get_experiment(session, id_)
        if row.status == ExperimentStatus.FAILED and "gave up" in row.reason:
            self.world.coverage.sometimes("attempts in vain were too many, and the experiment failed")
            if self.world.attempts_in_vain.get(id_, 0) < self.world.settings.max_driver_attempts:
                self.world.complain(f"{id_} was given up without cause: {row.reason.splitlines()[0]}")

    def _resume(self, id_: str) -> None:
        try:
            self._client.resume(id_, retry=True)
        except (StatusConflictError, StoreError) as error:
            self.refusal = str(error)
            return
        self.world.coverage.sometimes("an experiment was resumed")

    def _all_final(self) -> bool:
        return bool(self.ids) and all(row[1] in ("succeeded", "failed", "cancelled") for row in self._statuses())

    def _is_over(self) -> bool:
        # One that is cancelled while its last trial ends has nothing to go on with.
        return self._all_final() and self._are_complete() and self._is_shipped()

    def _statuses(self) -> list[tuple[str, str, str]]:
        with self.world.looking.connect() as connection:
            return [tuple(row) for row in connection.execute(text("SELECT id, status, reason FROM experiments"))]

    def _are_complete(self) -> bool:
        with self.world.looking.connect() as connection:
            return not connection.execute(text("SELECT count(*) FROM trials WHERE status != 'succeeded'")).scalar()

    def _is_shipped(self) -> bool:
        with self.world.quiet_database.read() as session:
            return Outbox("mlflow").backlog(session).is_empty

    def _told(self) -> str:
        return "; ".join(
            [*(f"{id_} {status}: {reason}" for id_, status, reason in self._statuses()), *self.world.leftovers()]
        )

    # ---- promises ----

    def _judge(self) -> None:
        with self.world.quiet_database.read() as session:
            rows = list(session.scalars(select(TrialRow)))
            metrics = list(session.scalars(select(MetricRow)))
            events = list(session.scalars(select(EventRow).order_by(EventRow.id)))
            experiments = list(session.scalars(select(ExperimentRow)))
            ends = set(session.scalars(select(DriverAttemptRow.ended_by)))
        if AttemptEnd.UNHEARD in ends:
            self.world.coverage.sometimes("an attempt was never heard of")
        self._judge_numbers(rows, metrics)
        self._judge_tracker(rows, metrics, experiments)
        before: dict[str, str] = {}
        for event in events:
            if event.kind == "status":
                if event.experiment_id in before and before[event.experiment_id] != event.payload["status"]:
                    self.world.coverage.moves[before[event.experiment_id], event.payload["status"]] += 1
                before[event.experiment_id] = event.payload["status"]
        pairs = [(e.experiment_id, e.payload["treatment"], e.payload["seed"]) for e in events if e.kind == "pair"]
        if len(pairs) != len(set(pairs)):
            self.world.complain("a pair was told of twice")
        for folder, times in self.world.disk.completed.items():
            if times > 1:
                self.world.complain(f"{folder} was trained to its end {times} times")

    def _judge_numbers(self, rows: list[TrialRow], metrics: list[MetricRow]) -> None:
        found: dict[int, dict[tuple[str, int], float]] = {}
        for metric in metrics:
            found.setdefault(metric.trial_id, {})[metric.key, metric.step] = metric.value
        for row in rows:
            folder = f"{row.identity}-cpu-1"
            if row.final_metrics.get("test/top1") != value_of(folder, "test/top1", 0):
                self.world.complain(f"trial {row.id} has the numbers of another one")
            wanted = {
                (key, epoch): value_of(folder, key, epoch)
                for key in ("train/loss", "val/loss", "val/top1")
                for epoch in range(EPOCHS)
            }
            if row.reused_from is not None:
                self.world.coverage.sometimes("a trial's training was taken over from another experiment")
            values = found.get(row.id, {})
            if values != wanted and not (row.reused_from is not None and values.items() <= wanted.items()):
                self.world.complain(f"trial {row.id} has not every value of its epochs once: {sorted(values)}")

    def _judge_tracker(self, rows: list[TrialRow], metrics: list[MetricRow], experiments: list[ExperimentRow]) -> None:
        runs = list(self.world.tracking.runs.values())
        keys = [run.key for run in runs]
        if len(keys) != len(set(keys)):
            self.world.complain(f"the tracker has runs twice: {sorted(key for key in keys if keys.count(key) > 1)}")
        if len(keys) != len(rows) + len(experiments):
            self.world.complain(f"the tracker has {len(keys)} runs for {len(rows)} trials")
        keys_of = {row.id: trial_key(row) for row in rows}
        times = {(keys_of[each.trial_id], each.key, each.step): each.recorded_at for each in metrics}
        for run in runs:
            if run.status not in ("succeeded", *(["cancelled"] if run.key.endswith("summary") else [])):
                self.world.complain(f"the tracker's run {run.key} was not closed: {run.status!r}")
            curves = [point for point in run.points if point.key.startswith(("train/", "val/"))]
            places = [(point.key, point.step) for point in curves]
            if any(times.get((run.key, point.key, point.step), point.at) != point.at for point in curves):
                self.world.complain(f"the tracker has points of {run.key} with another time than their own")
            if len(places) != len(set(places)):
                self.world.complain(f"the tracker has points of {run.key} twice")
            if not run.key.endswith("summary") and len(set(places)) != 3 * EPOCHS:
                self.world.complain(f"the tracker has {len(set(places))} of {3 * EPOCHS} points of {run.key}")


def play(seed: int) -> tuple[list[str], Coverage]:
    """One schedule: broken promises, and what it has reached."""
    with World(seed).running() as world:
        scene = Scene(world)
        scene.play()
        for task, error in world.scheduler.errors:
            if task.process.kind in ("service", "scene", "trial"):
                world.complain(f"{task.process} {task.name} broke: {error!r}")
        return world.complaints, world.coverage
