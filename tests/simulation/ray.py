"""A Ray that never was: jobs that start late, answers that get lost, a head that forgets; and a Tune that asks the real
feed for trials, calls the real recorder, and loses executions."""

import pickle
import signal
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ray.tune.search import Searcher

from orchestrator.capacity import Capacity, Node
from orchestrator.driving.trainable import REPORT
from orchestrator.errors import RayUnavailableError
from orchestrator.service.jobs import Job, JobStatus
from tests.simulation.scheduler import Process
from tests.simulation.training import EPOCHS, Training

if TYPE_CHECKING:
    from tests.simulation.world import World

NODES = {"n1": "one", "n2": "two"}
_CPUS_PER_NODE = 2
_KILL_AFTER_SECONDS = 30.0


class SimulatedJob:
    def __init__(self, job_id: str) -> None:
        self.id = job_id
        self.status, self.message, self.exit_code = JobStatus.PENDING, "not started yet", None
        self.process: Process | None = None
        self.was_stopped = False


class Cluster:
    """Head and nodes."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.jobs: dict[str, SimulatedJob] = {}
        self.session, self._sessions = "session-1", 1
        self.away_until = 0.0
        self.sick: str | None = None
        self.busy: dict[str, int] = dict.fromkeys(NODES, 0)

    @property
    def capacity(self) -> Capacity:
        return Capacity(tuple(Node(_CPUS_PER_NODE, 0.0) for _ in NODES), None)

    def place(self, avoid: frozenset[str]) -> str | None:
        """A node with a free place."""
        free = [node for node, busy in self.busy.items() if busy < _CPUS_PER_NODE and node not in avoid]
        return self._world.scheduler.random.choice(free) if free else None

    # ---- jobs ----

    def submit(self, job_id: str) -> None:
        if job_id in self.jobs:
            return
        job = self.jobs[job_id] = SimulatedJob(job_id)
        world = self._world
        slow = world.chance.happens("slow", 3.0)
        world.later(world.chance.seconds(60.0, 700.0) if slow else 2.0, lambda: self._start(job))

    def _start(self, job: SimulatedJob) -> None:
        if self.jobs.get(job.id) is not job or job.status is not JobStatus.PENDING:
            return
        if job.was_stopped:
            job.status, job.message = JobStatus.STOPPED, "stopped before it started"
            return
        job.status, job.message = JobStatus.RUNNING, "running"
        job.process = self._world.start_driver(job.id)
        job.process.on_exit.append(lambda: self._ended(job))

    def _ended(self, job: SimulatedJob) -> None:
        world = self._world

        def tell() -> None:
            code = job.process.exit_code
            job.exit_code = code
            job.status = JobStatus.STOPPED if job.was_stopped else JobStatus.FAILED if code else JobStatus.SUCCEEDED
            job.message = f"exit code {code}"

        # After a head's restart it says RUNNING of a dead driver for minutes.
        world.later(world.chance.seconds(10.0, 120.0) if world.chance.happens("head") else 0.2, tell)

    def stop(self, job_id: str) -> None:
        job = self.jobs.get(job_id)
        if job is None or job.status.is_terminal:
            return
        job.was_stopped = True
        if job.process is not None:
            process, world = job.process, self._world
            world.told_to_end(process)
            world.scheduler.send(process, signal.SIGTERM)
            world.later(_KILL_AFTER_SECONDS, lambda: world.scheduler.kill(process))

    def restart(self) -> None:
        """The head goes down and comes back without its table; what ran on it lives on for a moment."""
        world = self._world
        self._sessions += 1
        self.session = f"session-{self._sessions}"
        self.away_until = world.scheduler.now + world.chance.seconds(1.0, 40.0)
        for job in self.jobs.values():
            if job.process is not None and job.process.is_alive:
                world.coverage.sometimes("a head's restart lost a job")
                world.excuse(job.process, "its head restarted")
                process = job.process
                world.later(world.chance.seconds(0.0, 25.0), lambda process=process: world.scheduler.kill(process))
        self.jobs.clear()


class SimulatedJobs:
    """`RayJobs` of one service."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def submit(self, job_id: str, entrypoint: str, env: Mapping[str, str], *, working_dir: str | None = None) -> None:
        self._world.require_row(job_id)
        self._ask("submit", lambda: self._world.cluster.submit(job_id), has_effect=True)

    def find(self, job_id: str) -> Job:
        job = self._ask("find", lambda: self._world.cluster.jobs.get(job_id))
        return Job(JobStatus.LOST, "") if job is None else Job(job.status, job.message, job.exit_code)

    def stop(self, job_id: str) -> None:
        self._world.require_reason_to_stop(job_id)
        self._ask("stop", lambda: self._world.cluster.stop(job_id), has_effect=True)

    def logs(self, job_id: str) -> str | None:
        return self._ask("logs", lambda: "the end")

    def cluster(self) -> str | None:
        return self._ask("cluster", lambda: self._world.cluster.session)

    def check(self) -> None:
        self.cluster()

    def _ask(self, what: str, answer: Callable[[], Any], *, has_effect: bool = False) -> Any:
        world, place = self._world, f"RayJobs.{what}"
        world.before(place, may_crash=has_effect)
        if world.cluster.away_until > world.scheduler.now:
            raise RayUnavailableError("nobody answers")
        if world.chance.happens("ray"):
            if has_effect and world.chance.choice(True, False):
                world.coverage.sometimes(f"a {'submission' if what == 'submit' else 'stop'} came late")
                world.later(world.chance.seconds(5.0, 300.0), answer)
            raise RayUnavailableError("the request was lost")
        found = answer()
        if has_effect and world.chance.happens("ray"):
            answer()
        if has_effect and world.chance.happens("ray", 2.0):
            if what == "submit":
                world.coverage.sometimes("a submission's answer was lost")
            raise RayUnavailableError("the answer was lost")
        world.after(place, may_crash=has_effect)
        return found


class SimulatedTrial:
    """What Tune hands to its callbacks."""

    def __init__(self, config: dict[str, Any], number: int) -> None:
        self.config, self.number = config, number
        self.trial_id = f"t{number}"
        self.avoid = frozenset(config["avoid"])
        self.run_metadata = SimpleNamespace(num_failures=0)
        self.pickled_error_file: str | None = None
        self.training: Training | None = None
        self.heard: list[str] = []
        """Reports of epochs, over all executions."""

    def update_resources(self, group: Any) -> None:
        (selector,) = group.bundle_label_selector or [{}]
        self.avoid = frozenset(selector["ray.io/node-id"][4:-1].split(",")) if selector else frozenset()

    def get_error(self) -> None:
        return None


class SimulatedTuner:
    """`ray.tune.Tuner`: one for each phase of a driver."""

    def __init__(self, world: "World", trainable: object, *, tune_config: Any, run_config: Any) -> None:
        self._world, self._feed, self._run = world, tune_config.search_alg, run_config
        self._inbox: deque[tuple[SimulatedTrial, Training, str, Any]] = deque()
        self._live: list[SimulatedTrial] = []
        self._num_trials = 0

    def fit(self) -> None:
        world = self._world
        folder = Path(self._run.storage_path)
        folder.mkdir(parents=True, exist_ok=True)
        world.touch(folder)
        self._driver, is_finished = world.scheduler.process, False
        try:
            while True:
                if self._run.stop.stop_all():
                    break
                is_finished = self._fill() or is_finished
                self._start_waiting()
                if is_finished and not self._live:
                    break
                if not self._inbox:
                    world.scheduler.sleep(0.5)
                if self._inbox:
                    self._take(*self._inbox.popleft())
        finally:
            for trial in list(self._live):
                self._end(trial)
                trial.training.kill(0.0 if self._driver.is_alive else None)

    def _fill(self) -> bool:
        while True:
            name = f"t{self._num_trials + 1}"
            config = self._feed.suggest(name)
            if config is None:
                return False
            if config == Searcher.FINISHED:
                return True
            self._num_trials += 1
            self._live.append(SimulatedTrial(config, self._num_trials))

    def _start_waiting(self) -> None:
        for trial in self._live:
            if trial.training is not None:
                continue
            node = self._world.cluster.place(trial.avoid)
            if node is None:
                return

            def post(training: Training, kind: str, value: object, trial: SimulatedTrial = trial) -> None:
                self._inbox.append((trial, training, kind, value))

            trial.training = Training(self._world, self._driver, trial.config, node, post)
            self._call("on_trial_start", trial)

    def _take(self, trial: SimulatedTrial, training: Training, kind: str, value: Any) -> None:
        if trial not in self._live or training is not trial.training:
            return
        if kind == "report":
            self._note(trial, value)
            self._call("on_trial_result", trial, result=dict(value))
        elif kind == "done":
            if len(set(trial.heard)) < EPOCHS:
                self._world.coverage.sometimes("a result brought epochs that nobody had reported")
            self._call("on_trial_result", trial, result=dict(value))
            self._end(trial)
            self._call("on_trial_complete", trial)
        else:
            self._lost(trial, value)

    def _note(self, trial: SimulatedTrial, told: dict[str, str]) -> None:
        if REPORT in told:
            if told[REPORT] in trial.heard:
                self._world.coverage.sometimes("an epoch was reported twice")
            trial.heard.append(told[REPORT])

    def _lost(self, trial: SimulatedTrial, error: Exception | None) -> None:
        trial.run_metadata.num_failures += 1
        trial.pickled_error_file = None
        if error is not None:
            file = Path(self._run.storage_path) / f"{trial.trial_id}-error.pkl"
            file.write_bytes(pickle.dumps(error))
            self._world.touch(file.parent)
            trial.pickled_error_file = str(file)
        trial.training = None
        if trial.run_metadata.num_failures <= self._run.failure_config.max_failures:
            self._world.coverage.sometimes("a trial was lost and tried again")
            self._call("on_trial_recover", trial)
        else:
            self._world.coverage.sometimes("a trial was lost too often")
            self._end(trial)
            self._call("on_trial_error", trial)

    def _end(self, trial: SimulatedTrial) -> None:
        self._live.remove(trial)
        self._feed.on_trial_complete(trial.trial_id)

    def _call(self, name: str, trial: SimulatedTrial, **info: object) -> None:
        for callback in self._run.callbacks:
            getattr(callback, name)(iteration=0, trials=[], trial=trial, **info)
