"""Races: trials of one cell and arm that are ranked against each other after some epochs, and stopped if far behind."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from orchestrator.driving.recorder import NotKept
from orchestrator.driving.trainable import REPORT
from orchestrator.driving.work import RaceRules
from orchestrator.statistics.metric import metric_named
from trainers.config import TrialConfig
from trainers.result import EpochReport


class Races(NotKept, FIFOScheduler):
    """Trials in the order they come; those of one race are ranked by asynchronous successive halving."""

    def __init__(self, rules: Mapping[str, RaceRules]) -> None:
        """Take the name of each race and its rules."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._rules = rules
        self._rankings: dict[str, TrialScheduler] = {}

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Tune has a new trial."""
        race = trial.config["race"]
        if race:
            self._ranking(race, _num_epochs(trial)).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """An epoch has ended: whether the trial goes on."""
        race = trial.config["race"]
        if not race or REPORT not in result:
            return str(TrialScheduler.CONTINUE)
        report = EpochReport.model_validate_json(result[REPORT])
        num_epochs = _num_epochs(trial)
        if report.epoch + 1 >= num_epochs:
            # It has trained to its end: let it score.
            return str(TrialScheduler.CONTINUE)
        standing = self._standing(race, report.epoch, report.metrics[self._rules[race].metric])
        return str(self._ranking(race, num_epochs).on_trial_result(tune_controller, trial, standing))

    def _ranking(self, race: str, num_epochs: int) -> TrialScheduler:
        if race not in self._rankings:
            rules = self._rules[race]
            self._rankings[race] = ASHAScheduler(
                time_attr="epoch",
                metric="score",
                mode="max",
                max_t=num_epochs,
                grace_period=min(rules.grace_epochs, num_epochs),
                reduction_factor=rules.reduction_factor,
            )
            self._run_again(race, num_epochs)
        return self._rankings[race]

    def _run_again(self, race: str, num_epochs: int) -> None:
        """Rank those that ran under an earlier attempt of the driver: who is alone in a race is never stopped."""
        ranking, nobody = self._rankings[race], cast("TuneController", None)
        for place, curve in enumerate(self._rules[race].past):
            runner = cast("Trial", SimpleNamespace(trial_id=f"past-{place}", is_finished=lambda: True))
            ranking.on_trial_add(nobody, runner)
            for epoch, value in curve:
                if epoch + 1 < num_epochs:
                    ranking.on_trial_result(nobody, runner, self._standing(race, epoch, value))

    def _standing(self, race: str, epoch: int, value: float) -> dict[str, Any]:
        sign = 1.0 if metric_named(self._rules[race].metric).higher_is_better else -1.0
        return {"epoch": epoch + 1, "score": sign * value}


def _num_epochs(trial: Trial) -> int:
    return TrialConfig.model_validate_json(trial.config["config"]).optimization.epochs
