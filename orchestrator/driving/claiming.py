"""Trainings that several experiments ask for at once: one driver trains, the others wait and take the result over."""

import time
from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from orchestrator.driving.reuse import Reuse
from orchestrator.driving.work import OpenTrial
from orchestrator.planning.hardware import trial_folder
from orchestrator.sightings import Sightings
from orchestrator.store.claims import Holder, release_claim, try_claim

_LOOK_SECONDS = 5.0
"""Pause between two looks at a training that somebody else does."""


class Taken(Enum):
    """What came of a trial whose turn it was."""

    OURS = auto()
    """Nobody else trains it: it is to be trained."""
    HELD = auto()
    """Another experiment trains it: it waits."""
    DONE = auto()
    """A finished training stands in for it."""


class Claims:
    """Life: `take` each trial before it is trained, `release` it after its row is final."""

    def __init__(
        self,
        reuse: Reuse,
        *,
        silence_seconds: float,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is claimed yet.

        Args:
            reuse: what may stand in; knows the experiment, its attempt and where rows are.
            silence_seconds: a driver that was not heard of for longer, while this one watched, is dead, and its claims
                are nobody's.
            say: told what is waited for.
            clock: monotonic seconds.
        """
        self._reuse, self._silence_seconds, self._say, self._clock = reuse, silence_seconds, say, clock
        self._waiting: deque[tuple[float, OpenTrial]] = deque()
        self._told: set[int] = set()
        self._sightings = Sightings(clock)
        self._holders: dict[str, Holder] = {}
        """Folder -> who has it, as it was seen last."""

    @property
    def is_waiting(self) -> bool:
        """Whether a trial waits for another experiment."""
        return bool(self._waiting)

    def next_waiting(self) -> OpenTrial | None:
        """One that has waited for a while (`None`: none has)."""
        if not self._waiting or self._waiting[0][0] > self._clock():
            return None
        return self._waiting.popleft()[1]

    def take(self, trial: OpenTrial) -> Taken:
        """Claim a trial; one that is `HELD` comes back by `next_waiting`.

        Raises:
            StaleAttemptError: the attempt has ended or been replaced.
        """
        reuse = self._reuse
        if reuse.is_own_only:
            # Its folder is nobody else's.
            return Taken.OURS
        folder = self._folder(trial)
        with reuse.database.write() as session:
            holder = try_claim(session, folder, reuse.experiment_id, reuse.attempt, self._dead(folder))
        if holder is not None:
            self._holders[folder] = holder
            self._silent_seconds(folder)
            self._waiting.append((self._clock() + _LOOK_SECONDS, trial))
            if trial.row_id not in self._told:
                self._told.add(trial.row_id)
                self._say(f"{trial.name} waits for experiment {holder.experiment_id}, which is training the same trial")
            return Taken.HELD
        self._holders.pop(folder, None)
        # Only now: whoever had the claim has written its result before it let go.
        if reuse.apply([trial]):
            return Taken.OURS
        self.release(trial)
        return Taken.DONE

    def release(self, trial: OpenTrial) -> None:
        """Others may have it."""
        reuse = self._reuse
        if not reuse.is_own_only:
            with reuse.database.write() as session:
                release_claim(session, self._folder(trial), reuse.experiment_id, reuse.attempt)

    def _dead(self, folder: str) -> Holder | None:
        """Who has it, if that one was silent for too long."""
        holder = self._holders.get(folder)
        return holder if holder is not None and self._silent_seconds(folder) > self._silence_seconds else None

    def _silent_seconds(self, folder: str) -> float:
        self._sightings.begin_look(self._holders.keys())
        return self._sightings.seconds(folder, "claim", self._holders[folder])

    def _folder(self, trial: OpenTrial) -> str:
        return trial_folder(trial.identity, self._reuse.hardware.key)
