"""Progress in pairs: the lines that a driver prints and the events that a watcher gets."""

import logging
from collections.abc import Callable, Iterable, Sequence

from orchestrator.driving.work import Ending, OpenTrial
from orchestrator.errors import StaleAttemptError
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.metric import metric_named
from orchestrator.status import Phase, TrialStatus
from orchestrator.store.database import Database
from orchestrator.store.events import append_event, events_of_kind
from orchestrator.store.experiments import fence
from orchestrator.store.tables import TrialRow

Say = Callable[[str], None]

_CHUNK = 200
"""Events in one transaction: others may write in between."""

_log = logging.getLogger(__name__)


class PairProgress:
    """Knows every confirm trial that has ended, and says when a pair is complete or can't be completed."""

    def __init__(
        self,
        database: Database,
        experiment_id: str,
        attempt: int,
        spec: ExperimentSpec,
        cells: Iterable[Cell],
        say: Say,
    ) -> None:
        self._database, self._experiment_id, self._attempt, self._say = database, experiment_id, attempt, say
        self._control, self._treatments = spec.control.name, [arm.name for arm in spec.treatments]
        self._metric_name, self._metric = spec.primary_metric, metric_named(spec.primary_metric, spec.task)
        self._task = spec.task
        self._has_many_cells = len(list(cells)) > 1
        self.num_pairs = spec.num_pairs
        self._values: dict[tuple[str, str, int], float | None] = {}
        self._complete: set[tuple[str, str, int]] = set()

    def plan(self, num_pairs: int) -> None:
        """The pairs that are asked for are so many: planned looks have ended some comparisons."""
        self.num_pairs = num_pairs

    @property
    def num_complete(self) -> int:
        """Pairs whose control and treatment both have a value."""
        return len(self._complete)

    @property
    def num_succeeded(self) -> int:
        """Confirm trials with a value."""
        return sum(value is not None for value in self._values.values())

    def know(self, rows: Iterable[TrialRow]) -> None:
        """Take over what rows say, without a word.

        Events of pairs that nobody told of are written: both trials were reused, or a driver died before it did.
        """
        for row in rows:
            status = TrialStatus(row.status)
            if status in (TrialStatus.SUCCEEDED, TrialStatus.FAILED):
                self._values[row.cell, row.arm, row.seed] = self._value(Ending(status, row.final_metrics))
        for cell, arm, seed in self._values:
            if arm != self._control and self._ends(cell, arm, seed) is not None:
                self._complete.add((cell, arm, seed))
        self._tell_untold()

    def trial_ended(self, trial: OpenTrial, ending: Ending) -> None:
        """A trial has ended: say what that means."""
        if trial.phase is not Phase.CONFIRM:
            self._say(f"search: {trial.name} {trial.params}: {self._outcome(ending)}")
            return
        self._values[trial.cell, trial.arm, trial.seed] = self._value(ending)
        if ending.status is TrialStatus.FAILED:
            self._say(f"trial failed: {trial.name}: {ending.error}")
        for treatment in self._treatments if trial.arm == self._control else [trial.arm]:
            self._look_at_pair(trial.cell, treatment, trial.seed)

    def _look_at_pair(self, cell: str, treatment: str, seed: int) -> None:
        if (cell, self._control, seed) not in self._values or (cell, treatment, seed) not in self._values:
            return
        where = f"{cell}, seed {seed}" if self._has_many_cells else f"seed {seed}"
        ends = self._ends(cell, treatment, seed)
        if ends is None:
            self._say(f"pair incomplete: {treatment} ({where}): a trial of it failed")
            return
        control, treated = ends
        self._complete.add((cell, treatment, seed))
        place, effect = self.num_complete, treated - control
        self._say(f"pair {place}/{self.num_pairs} complete: {treatment} {effect:+.2f} {self._metric.unit} ({where})")
        self._tell([self._payload((cell, treatment, seed), place)])

    def _tell_untold(self) -> None:
        with self._database.read() as session:
            events = events_of_kind(session, self._experiment_id, "pair")
        told = {(event["cell"], event["treatment"], event["seed"]) for event in events}
        untold = sorted(self._complete - told, key=lambda pair: (pair[2], pair[0], pair[1]))
        first = self.num_complete - len(untold) + 1
        payloads = [self._payload(pair, place) for place, pair in enumerate(untold, start=first)]
        for start in range(0, len(payloads), _CHUNK):
            self._tell(payloads[start : start + _CHUNK])

    def _tell(self, payloads: Sequence[dict[str, object]]) -> None:
        try:
            with self._database.write() as session:
                fence(session, self._experiment_id, self._attempt)
                for payload in payloads:
                    append_event(session, self._experiment_id, "pair", payload)
        except StaleAttemptError as error:
            # The attempt that goes on tells of them; the watch finds out that this one must stop.
            _log.warning("complete pairs could not be reported: %s", error)

    def _payload(self, pair: tuple[str, str, int], place: int) -> dict[str, object]:
        cell, treatment, seed = pair
        ends = self._ends(cell, treatment, seed)
        assert ends is not None
        control, treated = ends
        return {
            "cell": cell,
            "treatment": treatment,
            "seed": seed,
            "metric": self._metric_name,
            "unit": self._metric.unit,
            "control": control,
            "treated": treated,
            "effect": treated - control,
            "pairs_complete": place,
            "pairs_total": self.num_pairs,
        }

    def _ends(self, cell: str, treatment: str, seed: int) -> tuple[float, float] | None:
        """Control's and treatment's values (`None`: one is missing)."""
        control = self._values.get((cell, self._control, seed))
        treated = self._values.get((cell, treatment, seed))
        return None if control is None or treated is None else (control, treated)

    def _value(self, ending: Ending) -> float | None:
        if ending.status is not TrialStatus.SUCCEEDED or self._metric_name not in ending.metrics:
            return None
        return ending.metrics[self._metric_name] * self._metric.scale

    def _outcome(self, ending: Ending) -> str:
        if ending.status is not TrialStatus.SUCCEEDED:
            return ending.error
        selecting = self._task.metric(self._task.selects_by)
        best = f"best_val/{selecting.name}"
        return f"best val/{selecting.name} {selecting.told(ending.metrics[best])}"
