"""Who is stopped early, and that a race goes on where a killed driver left it (Ray's ranking, no cluster)."""

from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from orchestrator.driving.races import Races
from orchestrator.driving.trainable import REPORT
from orchestrator.driving.work import RaceRules
from trainers.config import TrialConfig
from trainers.result import EpochReport

NUM_EPOCHS = 9


def runner(name: str) -> SimpleNamespace:
    config = TrialConfig.model_validate(
        {
            "model": {"kind": "small_vit"},
            "dataset": {"kind": "digits"},
            "optimization": {"epochs": NUM_EPOCHS},
        }
    )
    return SimpleNamespace(trial_id=name, config={"race": "cell/arm", "config": config.model_dump_json()})


def epochs_until_stopped(races: Races, name: str, values: list[float]) -> int | None:
    """How many epochs it trained when it was stopped (`None`: to the end)."""
    trial = runner(name)
    races.on_trial_add(None, trial)
    for epoch, value in enumerate(values):
        report = EpochReport(epoch=epoch, metrics={"val/top1": value, "val/loss": 1 - value}, seconds=1.0)
        if races.on_trial_result(None, trial, {REPORT: report.model_dump_json()}) == TrialScheduler.STOP:
            return epoch + 1
    return None


GOOD, POOR, LATE = [0.5] * NUM_EPOCHS, [0.1] * NUM_EPOCHS, [0.6, 0.6, 0.6, *[0.1] * 6]


@pytest.mark.parametrize("metric", ["val/top1", "val/loss"])
def test_who_falls_behind_is_stopped_at_a_rung(metric):
    races = Races({"cell/arm": RaceRules(metric, grace_epochs=2, reduction_factor=2)})
    assert epochs_until_stopped(races, "good", GOOD) is None
    # Rungs after 2, 4 and 8 epochs.
    assert epochs_until_stopped(races, "poor", POOR) == 2
    assert epochs_until_stopped(races, "late", LATE) == 4


def test_a_race_goes_on_among_those_that_ran_before_the_driver_was_killed():
    rules = RaceRules("val/top1", grace_epochs=2, reduction_factor=2)
    # Alone it is ahead of nobody, and stays.
    assert epochs_until_stopped(Races({"cell/arm": rules}), "poor", POOR) is None
    past = (tuple(enumerate(GOOD)), tuple(enumerate(POOR[:2])))
    races = Races({"cell/arm": RaceRules("val/top1", 2, 2, past)})
    assert epochs_until_stopped(races, "poor", POOR) == 2
    assert epochs_until_stopped(races, "late", LATE) == 4
    assert epochs_until_stopped(races, "better", [0.7] * NUM_EPOCHS) is None
