"""All of it together: processes of a service and of drivers that run the real code, and what lies between them."""

import argparse
import errno
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self
from unittest.mock import patch

from sqlalchemy import text

import orchestrator.__main__ as commands
from orchestrator.driving import claiming, driver, node_faults, recorder, storage_faults, tuning, watch
from orchestrator.planning.expansion import Expansion
from orchestrator.service import experiments as experiments_service
from orchestrator.service import janitor, reconciler
from orchestrator.settings import Settings
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.store import experiments as stored_experiments
from orchestrator.store.database import open_database
from orchestrator.tracking import shipper, summary_run
from tests.simulation.chance import Chance
from tests.simulation.coverage import Coverage
from tests.simulation.database import QuietDatabase, SimulatedDatabase, open_engine
from tests.simulation.ray import NODES, Cluster, SimulatedJobs, SimulatedTuner
from tests.simulation.scheduler import Killed, Process, Scheduler
from tests.simulation.threads import OneAfterAnother, Signals, Threading, Time, WallClock, wall
from tests.simulation.tracking import TrackingServer, kind_of
from tests.simulation.training import Disk, Training
from trainers.storage_token import TOKENS, StorageToken

MEMORY = Path("/dev/shm")
"""A file system in memory, where there is one: thousands of databases are made."""


@cache
def template() -> bytes:
    """A migrated database."""
    with tempfile.TemporaryDirectory() as folder:
        open_database(f"sqlite:///{folder}/template.db").close()
        return Path(folder, "template.db").read_bytes()


def expansion_of(spec: ExperimentSpec) -> Expansion:
    """Made once in all schedules."""
    if spec.name not in _expansions:
        _expansions[spec.name] = Expansion(spec, data_root=None)
    return _expansions[spec.name]


_expansions: dict[str, Expansion] = {}


class World:
    """Life: `with World(seed).running() as world:`, then the scene plays."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.scheduler = Scheduler(seed)
        self.chance, self.coverage = Chance(seed), Coverage()
        self.cluster, self.disk, self.tracking = Cluster(self), Disk(), TrackingServer()
        self.complaints: list[str] = []
        self.written: set[str] = set()
        """Tables that the open transaction has changed."""
        self.attempts: dict[Process, tuple[str, int]] = {}
        """Driver -> its experiment and attempt."""
        self.attempts_in_vain: dict[str, int] = {}
        """Experiment -> drivers that crashed or stood still."""
        self.database_skew = 0.0
        self.holders: dict[str, Process] = {}
        """Name in a lease -> who that is."""
        self._leases: dict[str, tuple[str, str]] = {}
        self.preempted_until = 0.0
        """Until when each driver is told to end soon after it began."""
        self._excused: set[Process] = set()
        self._told_to_end: set[Process] = set()
        self._scene = Process("scene", "scene")

    @contextmanager
    def running(self) -> Iterator["World"]:
        self.folder = Path(tempfile.mkdtemp(prefix="simulation", dir=MEMORY if MEMORY.is_dir() else None))
        (self.folder / "sigmalab.db").write_bytes(template())
        self.settings = Settings(
            home=self.folder,
            data_root=self.folder,
            heartbeat_timeout_seconds=60,
            driver_start_timeout_seconds=120,
            max_driver_attempts=3,
            max_concurrent_experiments=3,
            reconcile_interval_seconds=3.0,
            mlflow_tracking_uri=None,
        )
        self.engine = open_engine(self.folder / "sigmalab.db", self)
        self.quiet_database = QuietDatabase(self.engine)
        self.looking = self.engine.execution_options(sigmalab_begin="BEGIN")
        with _patched(self):
            try:
                yield self
            finally:
                self.scheduler.close()
                self.engine.dispose()
                shutil.rmtree(self.folder, ignore_errors=True)

    def database(self) -> SimulatedDatabase:
        """A process's own connection."""
        return SimulatedDatabase(self.engine, self)

    def database_seconds(self) -> float:
        return self.scheduler.now + self.database_skew

    def hear(self, line: str) -> None:
        """What a driver says."""
        if "waits for experiment" in line:
            self.coverage.sometimes("a trial waited for another experiment's")
        if "gets no more trials" in line:
            self.coverage.sometimes("a node was avoided")

    def complain(self, what: str) -> None:
        """A promise is broken."""
        self.complaints.append(f"at {self.scheduler.now:.1f} s: {what}")

    def later(self, seconds: float, run: Callable[[], object]) -> None:
        """Somebody outside does something after a while."""
        self.scheduler.spawn(self._scene, "later", run, seconds)

    def leftovers(self) -> list[str]:
        """What drivers have left behind."""
        places = (self.folder / "ray", self.settings.effective_storage / TOKENS)
        return [str(path) for place in places if place.is_dir() for path in place.iterdir()]

    # ---- effects ----

    def before(self, place: str, *, may_crash: bool = True) -> None:
        """A process is about to touch the world: others may run first, and it may die."""
        if self.scheduler.current is None:
            return
        process = self.scheduler.process
        if not process.is_alive:
            raise Killed
        if process.kind == "scene":
            return
        self.scheduler.sleep(self.scheduler.random.uniform(0.0, 0.05))
        # Between a run that was made and its note, say: there it matters most.
        if self.chance.happens("stop", 0.5 if place.startswith("Tracker") else 0.05):
            self.scheduler.stop(process, self.chance.seconds(1.0, 150.0))
            self.scheduler.sleep(0.0)
        if may_crash:
            self._crash(process, place, "before")

    def after(self, place: str, *, may_crash: bool = True) -> None:
        """It has."""
        if may_crash and self.scheduler.current is not None and self.scheduler.process.kind != "scene":
            self._crash(self.scheduler.process, place, "after")

    def _crash(self, process: Process, place: str, when: str) -> None:
        where = f"{process.kind}: {place}"
        self.coverage.effects[where, when] += 1
        if self.chance.crashes_at(where, when):
            self.coverage.crashes[where, when] += 1
            self.scheduler.kill(process)
            raise Killed

    # ---- processes ----

    def start_service(self, name: str) -> Process:
        """API and reconciler; starts again whenever it dies."""
        process = Process("service", name, self.scheduler.random.choice((0.0, 40.0, -3000.0)))

        def reconcile() -> None:
            database, stop = self.database(), self.threading.Event()
            loop = reconciler.Reconciler(database, SimulatedJobs(self), self.settings, self.time.monotonic)
            loop.has_looked = self.threading.Event()
            ship = shipper.Shipper(database, kind_of(self).open(self.settings), storage=self.folder)
            self.holders |= {loop._holder: process, ship._holder: process}
            self.scheduler.spawn(process, "shipper", lambda: ship.run(stop))
            loop.run(stop)

        self.scheduler.spawn(process, "reconciler", reconcile)
        process.on_exit.append(lambda: self.later(self.chance.seconds(1.0, 20.0), lambda: self.start_service(name)))
        return process

    def start_driver(self, job_id: str) -> Process:
        """What Ray starts: `python -m orchestrator drive ID --attempt N`."""
        experiment_id, _, number = job_id.removeprefix("exp-").rpartition("-a")
        process = Process("driver", job_id)
        options = argparse.Namespace(experiment_id=experiment_id, attempt=int(number))
        for other, (id_, attempt) in self.attempts.items():
            if id_ == experiment_id and other.is_alive and not self._is_excused(other):
                self.complain(f"attempt {number} of {id_} has begun while attempt {attempt} is alive and well")
        self.attempts[process] = (experiment_id, int(number))

        def drive() -> None:
            # Imports come first.
            self.scheduler.sleep(self.chance.seconds(0.5, 3.0))
            process.exit_code = commands._drive(self.database(), self.settings, options) and None
            self._woke_up(process)

        def ended() -> None:
            if process.exit_code not in (0, -15) or process.stood_still:
                self.attempts_in_vain[experiment_id] = self.attempts_in_vain.get(experiment_id, 0) + 1

        process.on_exit.append(ended)
        if self.scheduler.now < self.preempted_until:
            self.later(self.chance.seconds(1.0, 4.0), lambda: self.scheduler.send(process, signal.SIGTERM))
        self.scheduler.spawn(process, "driver", drive)
        return process

    def _woke_up(self, process: Process) -> None:
        experiment_id, attempt = self.attempts[process]
        if process.stood_still and any(id_ == experiment_id and n > attempt for id_, n in self.attempts.values()):
            self.coverage.sometimes("a driver woke up after its replacement had begun")

    def of_kind(self, *kinds: str) -> list[Process]:
        return [process for process in self.scheduler.processes if process.is_alive and process.kind in kinds]

    # ---- promises that are looked at as things happen ----

    def excuse(self, process: Process, why: str) -> None:
        """It may be taken for dead, and be alive for a moment."""
        self._excused.add(process)

    def told_to_end(self, process: Process) -> None:
        self._told_to_end.add(process)

    def _is_excused(self, process: Process) -> bool:
        return (
            process in self._excused
            or process.stood_still
            or self.chance.has("database")
            or "database" in self.chance.kinds
        )

    def require_row(self, job_id: str) -> None:
        """A job is submitted only after its row."""
        with self.looking.connect() as connection:
            if not connection.execute(text("SELECT 1 FROM driver_attempts WHERE job_id = :id"), {"id": job_id}).all():
                self.complain(f"{job_id} was submitted before its row was written")

    def require_reason_to_stop(self, job_id: str) -> None:
        """Nobody stops a driver that is well."""
        job = self.cluster.jobs.get(job_id)
        if job is None or job.process is None or not job.process.is_alive or self._is_excused(job.process):
            if job is not None and job.process is not None and job.process.stood_still:
                self.coverage.sometimes("a driver was stopped for its silence")
            return
        experiment_id, _ = self.attempts[job.process]
        with self.looking.connect() as connection:
            query = text("SELECT cancel_requested_at FROM experiments WHERE id = :id")
            if connection.execute(query, {"id": experiment_id}).scalar() is None:
                self.complain(f"{job_id} was stopped, and was alive and well")

    def look_at_neighbours(self, training: Training, others: list[Training]) -> None:
        """Two train in one folder at once only while the older one is on its way out."""
        for other in others:
            if not other.is_dying(self):
                self.complain(f"{training.process} trains in a folder where {other.process} does")

    def look_at_writer(self, training: Training) -> None:
        """Only the newest one writes."""
        newest = self.disk.trainings[training.folder][-1]
        if newest is not training:
            self.complain(f"{training.process} has written over {newest.process}")

    def look_at_leases(self) -> None:
        """A lease changes its holder when it has run out by the database's clock, and at no other time."""
        with self.looking.connect() as connection:
            found = connection.execute(text("SELECT name, holder, expires_at FROM leases")).all()
        now = self.database_seconds()
        for name, holder, expires_at in found:
            before, ends = self._leases.get(name, (holder, ""))
            self._leases[name] = (holder, expires_at)
            if holder != before:
                left = (datetime.fromisoformat(ends).replace(tzinfo=UTC) - wall(now)).total_seconds()
                # One that is further away than its length was written before the clock was set back.
                if 0.5 < left < 30.5:
                    self.complain(f"{holder} took the lease {name}, which {before} had for {left:.1f} s more")
                if self.holders.get(before) in self.of_kind("service"):
                    who = "leader" if name == reconciler.LEASE else "shipper"
                    self.coverage.sometimes(f"the {who} changed while the old one lived")

    def touch(self, path: Path) -> None:
        """A file's age is told by the schedule's clock."""
        os.utime(path, (self.time.time(), self.time.time()))


def _patched(world: World) -> Any:
    """Replace what the real code finds at its edges."""
    scheduler = world.scheduler
    world.threading, world.time = Threading(scheduler), Time(scheduler)
    cluster, draw = world.cluster, random.Random(f"ids {world.seed}")

    class Token(StorageToken):
        """One that a dead process can't remove, and whose age is told by the schedule's clock."""

        @classmethod
        def write(cls, file: Path) -> Self:
            if world.disk.full_until > scheduler.now:
                raise OSError(errno.ENOSPC, "no space", str(file))
            token = super().write(file)
            world.touch(file)
            return token

        def remove(self) -> None:
            if scheduler.process.is_alive:
                super().remove()

    def remove_folder(path: Path, *, ignore_errors: bool) -> None:
        if scheduler.process.is_alive:
            shutil.rmtree(path, ignore_errors=ignore_errors)

    def probe(storage: Path, num_bytes: int = 0) -> str | None:
        return "full" if world.disk.full_until > scheduler.now else None

    replaced: list[tuple[object, str, object]] = [
        (driver, "threading", world.threading),
        (driver, "signal", Signals(scheduler)),
        (driver, "ThreadPoolExecutor", OneAfterAnother),
        (driver, "connect", lambda: None),
        (driver, "capacity", lambda: cluster.capacity),
        (driver, "WaitingNote", _Nothing),
        (driver, "trackers_on", lambda settings: [kind_of(world)]),
        (driver, "Expansion", lambda spec, data_root: expansion_of(spec)),
        (driver, "Claims", partial(claiming.Claims, clock=world.time.monotonic)),
        (driver, "NodeFaults", partial(node_faults.NodeFaults, world.time.monotonic)),
        (driver, "Patience", partial(storage_faults.Patience, scheduler.sleep)),
        (driver, "StorageToken", Token),
        (driver, "_DRAIN_SECONDS", 3.0),
        (storage_faults, "probe", probe),
        (tuning, "shutil", SimpleNamespace(rmtree=remove_folder)),
        (driver, "with_arms", lambda trials, planned, control: trials),
        (commands, "_sayer", lambda stream: world.hear),
        (watch, "threading", world.threading),
        (watch, "time", world.time),
        (watch, "_LOOK_SECONDS", 3.0),
        (shipper, "threading", world.threading),
        (shipper, "time", world.time),
        (shipper, "_IDLE_SECONDS", 5.0),
        (shipper, "secrets", SimpleNamespace(token_hex=lambda length: f"{draw.getrandbits(64):016x}")),
        (summary_run, "write_report", lambda report, folder: None),
        (tuning, "time", world.time),
        (tuning, "capacity", lambda: cluster.capacity),
        (tuning, "fitting_nodes", lambda resources: dict(NODES)),
        (tuning, "Tuner", partial(SimulatedTuner, world)),
        (recorder, "datetime", WallClock(world.time)),
        (reconciler, "trackers_on", lambda settings: [kind_of(world)]),
        (experiments_service, "Expansion", lambda spec, **_: expansion_of(spec)),
        (experiments_service, "trackers_on", lambda settings: []),
        (janitor, "time", world.time),
        (stored_experiments, "time", world.time),
        (stored_experiments, "secrets", SimpleNamespace(randbits=draw.getrandbits)),
    ]
    return _all(replaced)


@contextmanager
def _all(replaced: list[tuple[object, str, object]]) -> Iterator[None]:
    patches = [patch.object(owner, name, value) for owner, name, value in replaced]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in reversed(patches):
            each.stop()


class _Nothing:
    """Stands where a driver looks at what it waits for."""

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...
