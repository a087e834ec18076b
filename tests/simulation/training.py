"""One execution of a trial: epochs that take time, a checkpoint after each, a result at the end. Its numbers are a
function of the trial and the epoch, so whatever was lost on the way, the end is known."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.exceptions import RayActorError

from orchestrator.driving.node_faults import NodeFaultError
from orchestrator.driving.trainable import REPORT, RESULT, STORAGE
from tests.simulation.scheduler import Killed, Process
from trainers.result import EpochReport, TrialResult

if TYPE_CHECKING:
    from tests.simulation.world import World

EPOCHS = 2


class Disk:
    """What is in the trials' folders, and who trains there."""

    def __init__(self) -> None:
        self.full_until = 0.0
        self.checkpoints: dict[str, int] = {}
        """Folder -> epochs in its checkpoint."""
        self.results: dict[str, str] = {}
        self.trainings: dict[str, list[Training]] = {}
        """Folder -> those that are alive in it, oldest first."""
        self.completed: Counter[str] = Counter()
        """How often each was trained to its end."""


class Training:
    """Life: starts at once in a process of its own, posts what Tune would hear of it."""

    def __init__(
        self,
        world: "World",
        driver: Process,
        config: dict[str, Any],
        node: str,
        post: Callable[["Training", str, object], None],
    ) -> None:
        self._world, self._config, self.node, self._post = world, config, node, post
        self._driver = driver
        runtime = json.loads(config["runtime"])
        self.folder, self.identity = Path(runtime["storage"]).name, runtime["planned"]["trial"]
        self.process = Process("trial", f"{self.folder[:6]} of {driver}", driver.clock_skew)
        world.cluster.busy[node] += 1
        self.process.on_exit.append(self._ended)
        driver.on_exit.append(lambda: self.kill(world.scheduler.random.uniform(0.0, 10.0)))
        self._has_told_its_end = False
        self._started_at = world.scheduler.now
        world.scheduler.spawn(self.process, "training", self._run, delay=world.scheduler.random.uniform(0.1, 2.0))

    def kill(self, delay: float | None) -> None:
        """Ray ends it some time after its driver (`None`: somebody else does)."""
        if delay is None or not self.process.is_alive:
            return
        self._has_told_its_end = True
        self._world.later(delay, lambda: self._world.scheduler.kill(self.process))

    def is_dying(self, world: "World") -> bool:
        """Whether its driver is dead, and Ray about to end it."""
        return (
            not self._driver.is_alive or self._has_told_its_end or self._driver.stood_still or self.process.stood_still
        )

    def _ended(self) -> None:
        world = self._world
        world.cluster.busy[self.node] -= 1
        there = world.disk.trainings.get(self.folder, [])
        if self in there:
            there.remove(self)
        if not self._has_told_its_end:
            world.later(0.5, lambda: self._post(self, "lost", RayActorError(error_msg="the actor died")))

    def _run(self) -> None:
        world, disk = self._world, self._world.disk
        if world.cluster.sick == self.node:
            self._tell("lost", NodeFaultError("the data are not there", self.node, self.node, 1.0))
            return
        if self.folder not in disk.results:
            self._train()
        else:
            world.coverage.sometimes("a finished trial's result was found by the next execution")
        self._tell("done", {RESULT: disk.results[self.folder]})

    def _train(self) -> None:
        world, disk = self._world, self._world.disk
        others = disk.trainings.setdefault(self.folder, [])
        world.look_at_neighbours(self, others)
        others.append(self)
        epoch = disk.checkpoints.get(self.folder, 0)
        if epoch:
            world.coverage.sometimes("a trial went on from its checkpoint")
        while epoch < EPOCHS:
            world.before("Training.epoch")
            world.scheduler.sleep(world.scheduler.random.uniform(3.0, 9.0))
            epoch += 1
            # By time, not after each: the last one always.
            if epoch == EPOCHS or world.scheduler.random.random() < 0.8:
                self._patiently(lambda epoch=epoch: disk.checkpoints.__setitem__(self.folder, epoch))
            self._post(self, "report", {REPORT: report_json(self.folder, epoch - 1)})
        self._patiently(self._finish)
        others.remove(self)

    def _finish(self) -> None:
        self._world.disk.results[self.folder] = result_json(self.folder, self.identity)
        self._world.disk.completed[self.folder] += 1

    def _patiently(self, write: Callable[[], None]) -> None:
        """Write to the disk, as soon as that is possible."""
        world = self._world
        world.before("Training.save")
        world.look_at_writer(self)
        if world.chance.happens("disk"):
            world.coverage.sometimes("an fsync failed")
            world.disk.full_until = world.scheduler.now + 3.0
        while world.disk.full_until > world.scheduler.now:
            world.coverage.sometimes("trials waited for the storage")
            self._post(self, "report", {STORAGE: "the storage is full"})
            world.scheduler.sleep(2.0)
            if world.disk.full_until <= world.scheduler.now:
                self._post(self, "report", {STORAGE: ""})
        write()
        world.after("Training.save")

    def _tell(self, kind: str, value: object) -> None:
        if not self.process.is_alive:
            raise Killed
        self._has_told_its_end = True
        self._post(self, kind, value)


def value_of(folder: str, key: str, epoch: int) -> float:
    return int.from_bytes(hashlib.sha256(f"{folder}{key}{epoch}".encode()).digest()[:4]) / 2**32


@cache
def report_of(folder: str, epoch: int) -> EpochReport:
    keys = ("train/loss", "val/loss", "val/top1")
    return EpochReport(epoch=epoch, metrics={key: value_of(folder, key, epoch) for key in keys}, seconds=5.0)


@cache
def report_json(folder: str, epoch: int) -> str:
    return report_of(folder, epoch).model_dump_json()


@cache
def result_json(folder: str, identity: str) -> str:
    top1 = value_of(folder, "test/top1", 0)
    return TrialResult(
        epochs=[report_of(folder, epoch) for epoch in range(EPOCHS)],
        best_epoch=0,
        metrics={"test/top1": top1, "best_val/top1": top1},
        predictions_file=None,
        training_seconds=10.0,
        provenance={
            "device": "cpu",
            "num_workers": "1",
            "trial": identity,
            "code_version": "c0de",
            "data_fingerprint": "da7a",
        },
    ).model_dump_json()
