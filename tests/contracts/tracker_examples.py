"""Every tracker, opened on something real, and how what it holds is read back: by its own library, not by ours."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple

from orchestrator.tracking.tracker import Tracker

Told = tuple[str, int, int, float]
"""Key, step, time in milliseconds, value in single precision."""


class Shown(NamedTuple):
    """What people see of a run."""

    points: list[Told]
    """Every value, as often as it is there."""
    params: dict[str, str]
    notes: list[str]
    """Descriptions, the newest last."""
    files: list[str]
    """Names of pictures and tables, without their endings, as often as they are there."""


class Opened(ABC):
    """One kind of tracker and its place; each test has one of its own, or names of its own in it."""

    @abstractmethod
    def tracker(self) -> Tracker:
        """A new object, as a new process has it."""

    @abstractmethod
    def away(self) -> Tracker:
        """One whose place can't be reached."""

    @abstractmethod
    def shown(self, run: str) -> Shown:
        """What is there."""


class OpenedMlflow(Opened):
    """A real server."""

    def __init__(self, url: str) -> None:
        from orchestrator.tracking.mlflow.client import open_client

        self._url = url
        self._client = open_client(url)

    def tracker(self) -> Tracker:
        from orchestrator.tracking.mlflow.tracker import MlflowTracker

        return MlflowTracker(self._url)

    def away(self) -> Tracker:
        from orchestrator.tracking.mlflow.tracker import MlflowTracker

        return MlflowTracker("http://127.0.0.1:9")

    def shown(self, run: str) -> Shown:
        found = self._client.get_run(run)
        points = [
            (metric.key, metric.step, metric.timestamp, single(metric.value))
            for key in found.data.metrics
            for metric in self._client.get_metric_history(run, key)
        ]
        files = [Path(file.path).stem for file in self._client.list_artifacts(run)]
        note = found.data.tags.get("mlflow.note.content")
        return Shown(sorted(points), dict(found.data.params), [note] if note else [], sorted(files))


class OpenedTensorboard(Opened):
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def tracker(self) -> Tracker:
        from orchestrator.tracking.tensorboard.tracker import TensorboardTracker

        return TensorboardTracker(self._folder)

    def away(self) -> Tracker:
        from orchestrator.tracking.tensorboard.tracker import TensorboardTracker

        file = self._folder.with_name("a file")
        file.touch()
        return TensorboardTracker(file / "below it")

    def shown(self, run: str) -> Shown:
        from tests.orchestrator.tracking.event_reading import hparams, opened, scalars, texts

        folder = self._folder / run
        points = [(tag, step, round(time * 1000), value) for tag, step, time, value in scalars(folder)]
        notes, found = texts(folder).get("description", []), opened(folder)
        files = [tag for tag in found.Tags()["images"] for _ in found.Images(tag)]
        files += [tag for tag in found.Tags()["tensors"] if tag.startswith("tables/") for _ in found.Tensors(tag)]
        files = [tag.rpartition("/")[2] for tag in files]
        params = {name: str(value) for name, value in hparams(folder).items()}
        return Shown(sorted(points), params, notes, sorted(files))


def single(value: float) -> float:
    """In single precision, as TensorBoard has it."""
    import numpy as np

    return float(np.float32(value))
