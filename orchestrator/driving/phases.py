"""The two phases as work for Ray Tune: searches side by side, then confirm trials in pair order."""

from collections import deque
from collections.abc import Collection, Sequence
from typing import NamedTuple

from orchestrator.driving.cell_search import CellSearch, Request
from orchestrator.driving.reuse import Reuse
from orchestrator.driving.work import Ending, OpenTrial, RaceRules
from orchestrator.errors import SpecError
from orchestrator.planning.expansion import CellArm, Expansion
from orchestrator.planning.planned import PlannedTrial
from orchestrator.search.early_stopping import Halving
from orchestrator.search.space import Params
from orchestrator.statistics.metric import metric_named
from orchestrator.status import Phase, TrialStatus
from orchestrator.store.database import Database
from orchestrator.store.tables import TrialRow
from orchestrator.store.telemetry import metrics_of
from orchestrator.store.trials import TrialRowKey, fail_trial, get_trial, plan_trials, summaries_of, trials_of

_ENDED = (TrialStatus.SUCCEEDED, TrialStatus.FAILED, TrialStatus.PRUNED)
"""A cancelled trial is open again when its experiment goes on."""


class _Asked(NamedTuple):
    """A search and what it wants trained."""

    key: CellArm
    request: Request


class ConfirmPhase:
    """Open confirm trials in pair order; a training that several trials ask for is done once."""

    def __init__(self, trials: Sequence[OpenTrial]) -> None:
        first_of_each = {trial.identity: trial for trial in reversed(trials)}
        self.races: dict[str, RaceRules] = {}
        self._waiting = deque(trial for trial in trials if first_of_each[trial.identity] is trial)

    def next_trial(self) -> OpenTrial | None:
        """The next trial."""
        return self._waiting.popleft() if self._waiting else None

    @property
    def is_exhausted(self) -> bool:
        """Whether all have been given out."""
        return not self._waiting

    def trial_ended(self, trial: OpenTrial, ending: Ending) -> None:
        """Nothing follows from it."""


class SearchPhase:
    """All searches of an experiment side by side, in turns."""

    def __init__(self, expansion: Expansion, reuse: Reuse, *, chosen: Collection[CellArm]) -> None:
        """Rebuild what earlier attempts of the driver proposed and learned.

        Args:
            expansion: the spec's.
            reuse: what may stand in; knows the experiment and where its rows are.
            chosen: searches that are over already.
        """
        self._database, self._experiment_id, self._attempt = reuse.database, reuse.experiment_id, reuse.attempt
        self._expansion, self._reuse = expansion, reuse
        self._metric = expansion.spec.search_metric
        self._sign = 1.0 if metric_named(self._metric, expansion.spec.task).higher_is_better else -1.0
        arms = {arm.name: arm.search for arm in expansion.spec.arms if arm.search is not None}
        self.searches: dict[CellArm, CellSearch] = {
            (planned.cell.key, planned.arm): CellSearch(planned, arms[planned.arm])
            for planned in expansion.searches
            if (planned.cell.key, planned.arm) not in chosen
        }
        with self._database.read() as session:
            rows = summaries_of(session, self._experiment_id, Phase.SEARCH)
        self.races = {
            "/".join(key): self._race_rules(search, rules, rows)
            for key, search in self.searches.items()
            if (rules := arms[key[1]].early_stopping.halving) is not None
        }
        self._turns = deque(self.searches)
        self._in_training: dict[str, list[OpenTrial]] = {}
        """Identity of what was given out -> trials that asked for the very same meanwhile."""
        self._ready: deque[_Asked] = deque()
        """Those whose twin has ended."""
        self.num_reused = 0
        """Trials that a finished training stands in for, so far."""
        self._restore(rows)

    def next_trial(self) -> OpenTrial | None:
        """The next trial of the search whose turn it is; finished trainings are taken over on the way."""
        passed = 0
        while self._ready or passed < len(self._turns):
            if self._ready:
                asked = self._ready.popleft()
            else:
                key = self._turns[0]
                self._turns.rotate(-1)
                request = self.searches[key].next_request()
                if request is None:
                    passed += 1
                    continue
                asked = _Asked(key, request)
            passed = 0
            trial = self._open(asked)
            if trial is not None:
                return trial
        return None

    @property
    def is_exhausted(self) -> bool:
        """Whether every search is over."""
        return all(search.is_over for search in self.searches.values())

    def trial_ended(self, trial: OpenTrial, ending: Ending) -> None:
        """Tell the search that asked, and those that asked for the very same training meanwhile."""
        self._tell((trial.cell, trial.arm), trial.params, trial.seed, ending)
        for twin in self._in_training.pop(trial.identity, []):
            if ending.status is TrialStatus.FAILED:
                with self._database.write() as session:
                    fail_trial(session, twin.row_id, ending.error, self._attempt)
                self._tell((twin.cell, twin.arm), twin.params, twin.seed, ending)
            else:
                # A result stands in for it; one that lost another race has none, and is trained.
                self._ready.append(_Asked((twin.cell, twin.arm), Request(twin.params, twin.seed, bool(twin.race))))

    def _race_rules(self, search: CellSearch, rules: Halving, rows: Sequence[TrialRow]) -> RaceRules:
        # The metric of every epoch is the best epoch's without its prefix.
        metric, planned = self._metric.removeprefix("best_"), search.planned
        place = (planned.cell.key, planned.arm, planned.seeds[0])
        runners = [row.id for row in rows if (row.cell, row.arm, row.seed) == place and row.status in _ENDED]
        with self._database.read() as session:
            past = tuple(tuple(metrics_of(session, row_id).get(metric, ())) for row_id in runners)
        return RaceRules(metric, rules.grace_epochs, rules.reduction_factor, past)

    def _restore(self, rows: Sequence[TrialRow]) -> None:
        # One after another, as they went: some algorithms learn from who was known when.
        for row in rows:
            key = (row.cell, row.arm)
            if key in self.searches:
                self.searches[key].restore(row.params)
                if row.status in _ENDED:
                    self._tell(key, row.params, row.seed, ending_of(row))

    def _open(self, asked: "_Asked") -> OpenTrial | None:
        """Plan the row; `None` if there is nothing to train now."""
        key, request = asked
        search = self.searches[key]
        try:
            planned = self._expansion.search_trial(search.planned.cell, key[1], request.params, request.seed)
        except SpecError as error:
            search.ended(request.params, request.seed, None, failure=str(error))
            return None
        with self._database.write() as session:
            row_id = plan_trials(session, self._experiment_id, [planned], self._attempt)[TrialRowKey.of(planned)]
            row = get_trial(session, row_id)
        trial = OpenTrial.of(row, race="/".join(key) if request.is_race else "")
        is_reused = row.status not in _ENDED and not self._reuse.apply([trial])
        self.num_reused += is_reused
        if is_reused or row.status in _ENDED:
            with self._database.read() as session:
                self._tell(key, request.params, request.seed, ending_of(get_trial(session, row_id)))
            return None
        if trial.identity in self._in_training:
            self._in_training[trial.identity].append(trial)
            return None
        self._in_training[trial.identity] = []
        return trial

    def _tell(self, key: CellArm, params: Params, seed: int, ending: Ending) -> None:
        value = None
        if ending.status is TrialStatus.SUCCEEDED:
            value = self._sign * ending.metrics[self._metric]
        failure = ending.error if ending.status is TrialStatus.FAILED else ""
        self.searches[key].ended(params, seed, value, failure=failure)


def ending_of(row: TrialRow) -> Ending:
    """What became of a trial, from its row."""
    return Ending(TrialStatus(row.status), row.final_metrics, row.error)


def open_confirm_trials(
    database: Database, experiment_id: str, attempt: int, planned: Sequence[PlannedTrial]
) -> list[OpenTrial]:
    """Plan the rows that are not there yet; gives those that have not ended, in pair order."""
    with database.write() as session:
        ids = plan_trials(session, experiment_id, planned, attempt)
    with database.read() as session:
        # Without those that have ended: their curves are the bulk of a large table.
        rows = {row.id: row for row in trials_of(session, experiment_id, Phase.CONFIRM, but=_ENDED)}
    row_ids = [ids[TrialRowKey.of(trial)] for trial in planned]
    return [OpenTrial.of(rows[row_id]) for row_id in row_ids if row_id in rows]
