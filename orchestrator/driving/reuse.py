"""Finished trainings stand in for open trials that ask for the very same."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from orchestrator.driving.work import OpenTrial
from orchestrator.status import TrialStatus
from orchestrator.store.database import Database
from orchestrator.store.tables import TrialRow
from orchestrator.store.trials import find_reusable, reuse_trial, trials_of

_CHUNK = 200
"""Trials in one transaction: others may write in between."""


class Reuse(NamedTuple):
    """Which finished trainings may stand in, and for whom."""

    database: Database
    experiment_id: str
    attempt: int
    """Number of this driver attempt."""
    is_own_only: bool
    """Whether other experiments' trainings stay out (the spec's `reuse: never`)."""

    def apply(self, trials: Sequence[OpenTrial]) -> list[OpenTrial]:
        """Let finished trainings stand in; gives the trials that are still open, in the same order.

        Raises:
            StaleAttemptError: the attempt has ended or been replaced.
        """
        sources = self._sources({trial.identity for trial in trials})
        reusable = [trial for trial in trials if trial.identity in sources]
        for start in range(0, len(reusable), _CHUNK):
            with self.database.write() as session:
                for trial in reusable[start : start + _CHUNK]:
                    reuse_trial(session, trial.row_id, sources[trial.identity], self.attempt)
        return [trial for trial in trials if trial.identity not in sources]

    def _sources(self, identities: Collection[str]) -> dict[str, TrialRow]:
        with self.database.read() as session:
            if not self.is_own_only:
                return find_reusable(session, identities)
            return {
                row.identity: row
                for row in trials_of(session, self.experiment_id)
                if row.identity in identities and row.status == TrialStatus.SUCCEEDED
            }
