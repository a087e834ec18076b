"""When the state of a trial is saved: by time, in mid-epoch too, while training goes on."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from trainers.errors import InterruptedTrainingError
from trainers.ranks import World
from trainers.training.checkpoint import CheckpointFolder, TrainingState
from trainers.training.descent import STEPS_BETWEEN_CHECKS

_LOOK_SECONDS = 5.0
"""How long several ranks train before they ask rank 0 again whether to save: the answer makes GPUs wait, and whoever
preempts a machine gives it half a minute."""


class _Wish(NamedTuple):
    """What rank 0 wants of all ranks."""

    save: bool
    stop: bool
    steps: int
    """Until they ask again."""


class Saver:
    """Life: `after_step` and `after_epoch` while the trial trains, on every rank; `close`.

    A step costs nothing, and a save the time of a copy to the CPU: writing goes on in a thread of rank 0. Whatever
    failed there is raised at the next look. While a state is being written no other is begun.
    """

    def __init__(
        self, files: CheckpointFolder | None, *, every_seconds: float, world: World, stop: threading.Event
    ) -> None:
        """Count the time from now on.

        Args:
            files: where states go (`None`: nowhere).
            every_seconds: from the beginning of one save to the next.
            world: the ranks.
            stop: set on rank 0 when the training is to save its state now and end; by a signal, say.
        """
        self._files, self._every_seconds, self._world, self._stop = files, every_seconds, world, stop
        self._writer = ThreadPoolExecutor(1, "checkpoint") if files is not None and world.is_main else None
        self._writing: Future[None] | None = None
        self._saved_at = self._looked_at = time.monotonic()
        self._steps_since_look, self._steps_to_look = 0, 1

    def after_step(self, state: Callable[[], TrainingState]) -> None:
        """Save, if it is time.

        Args:
            state: makes the state of this moment; called on all ranks or on none.

        Raises:
            InterruptedTrainingError: on every rank, after saving, if the training is to stop.
            OSError: on every rank, an earlier state could not be written.
        """
        self._steps_since_look += 1
        if self._world.size == 1 or self._steps_since_look >= self._steps_to_look:
            self._look(state)

    def after_epoch(self, state: Callable[[], TrainingState]) -> None:
        """The same where an epoch has ended, scoring included."""
        self._look(state)

    def finish(self) -> None:
        """Wait for what is being written, if anything.

        Raises:
            OSError: it could not be written.
        """
        if self._writing is not None:
            self._writing.result()

    def close(self) -> None:
        """End the thread, once it has written what it is writing."""
        if self._writer is not None:
            self._writer.shutdown()

    def _look(self, state: Callable[[], TrainingState]) -> None:
        wish = self._world.from_main(self._wish)
        self._steps_since_look, self._steps_to_look = 0, wish.steps
        if wish.save:
            self._save(state())
        if wish.stop:
            self.finish()
            raise InterruptedTrainingError("its state is saved" if wish.save else "nothing is kept without a storage")

    def _wish(self) -> _Wish:
        now = time.monotonic()
        is_stopped = self._stop.is_set()
        is_busy = self._writing is not None and not self._writing.done()
        is_due = now - self._saved_at >= self._every_seconds and not is_busy
        if not is_busy or is_stopped:
            self.finish()
        steps = int(_LOOK_SECONDS * self._steps_since_look / max(now - self._looked_at, 1e-9))
        self._looked_at = now
        return _Wish(
            save=self._files is not None and (is_due or is_stopped),
            stop=is_stopped,
            # A GPU's queue hides how long steps take, until a check of the losses empties it.
            steps=min(max(steps, 1), STEPS_BETWEEN_CHECKS),
        )

    def _save(self, state: TrainingState) -> None:
        if self._writer is None or self._files is None:
            return
        self._saved_at = time.monotonic()
        self._writing = self._writer.submit(self._files.save, state.on_cpu())
