"""Finished trainings stand in for open trials that ask for the very same."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from orchestrator.driving.work import OpenTrial
from orchestrator.planning.hardware import Hardware
from orchestrator.store.database import Database
from orchestrator.store.tables import TrialRow
from orchestrator.store.trials import find_reusable, reuse_trial, succeeded_of

_CHUNK = 200
"""Trials in one transaction, and results in memory: others may write in between, and curves are bulky."""


class Reuse(NamedTuple):
    """Which finished trainings may stand in, and for whom."""

    database: Database
    experiment_id: str
    attempt: int
    """Number of this driver attempt."""
    is_own_only: bool
    """Whether other experiments' trainings stay out (the spec's `reuse: never`)."""
    hardware: Hardware
    """What each trial runs on; no training on other hardware stands in."""

    def apply(self, trials: Sequence[OpenTrial]) -> list[OpenTrial]:
        """Let finished trainings stand in; gives the trials that are still open, in the same order.

        Raises:
            StaleAttemptError: the attempt has ended or been replaced.
        """
        remaining: list[OpenTrial] = []
        for start in range(0, len(trials), _CHUNK):
            some = trials[start : start + _CHUNK]
            sources = self._sources({trial.identity for trial in some})
            remaining += [trial for trial in some if trial.identity not in sources]
            if not sources:
                continue
            with self.database.write() as session:
                for trial in some:
                    if trial.identity in sources:
                        reuse_trial(session, trial.row_id, sources[trial.identity], self.attempt)
        return remaining

    def _sources(self, identities: Collection[str]) -> dict[str, TrialRow]:
        with self.database.read() as session:
            if not self.is_own_only:
                return find_reusable(session, identities, self.hardware)
            return {row.identity: row for row in succeeded_of(session, self.experiment_id, identities)}
