"""A training is done once, in whichever experiment; more seeds cost what they add (real Ray; trainings counted)."""

import pytest

from orchestrator.driving.driver import run_experiment
from orchestrator.errors import TrialNotFoundError
from orchestrator.service.experiments import Experiments
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database, open_database
from orchestrator.store.experiments import begin_attempt, move
from orchestrator.stored.report import read_experiment, report_of
from tests.orchestrator.small_experiments import (
    TINY,
    experiment_of,
    metrics_by_trial,
    ray_cluster,  # noqa: F401
    rows_of,
    run,
    settings_in,
    spec_of,
)

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]


@pytest.fixture
def database(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}")
    yield opened
    opened.close()


def num_trained(database: Database, experiment_id: str) -> int:
    """Executions of trials; none of these is lost and tried again."""
    return sum(row.attempt for row in rows_of(database, experiment_id))


def sigma_arm(sigma: float) -> dict:
    return {"name": f"sigma-{sigma:g}", "patch": {"attention_bias": {"kind": "gaussian", "sigma": sigma}}}


def test_a_sweep_shares_its_control_and_extend_trains_only_what_is_missing(database, tmp_path):
    settings = settings_in(tmp_path)
    experiments = Experiments(database, settings)
    control = TINY["arms"][0]

    def extend(experiment_id: str, seeds: list[int]) -> list[str]:
        lines: list[str] = []
        experiments.extend(experiment_id, seeds)
        with database.write() as session:
            attempt = begin_attempt(session, experiment_id, None)
            move(session, experiment_id, ExperimentStatus.STARTING)
        run_experiment(database, settings, experiment_id, attempt, on_progress=lines.append)
        return lines

    sweep = run(database, settings, spec_of(arms=[control, *map(sigma_arm, (1, 2, 4))], seeds=[0]))
    assert num_trained(database, sweep) == 3 + 1
    # One sigma more, as an experiment of its own: its control is there.
    spec = spec_of(name="one-more", arms=[control, sigma_arm(8)], seeds=[0])
    plan = experiments.plan(spec)
    assert (len(plan.reusable), plan.cost.num_trials) == (1, 1)
    lines: list[str] = []
    one_more = run(database, settings, spec, lines)
    assert num_trained(database, one_more) == 1
    assert "reused 1 finished trial" in lines

    # What a trial has put out is found in every experiment that it stands in for.
    (reused,) = (row for row in rows_of(database, one_more) if row.reused_from is not None)
    (trained,) = (row for row in rows_of(database, sweep) if row.arm == "control")
    log = experiments.trial_log(one_more, reused.id)
    assert "epoch 2/2  train loss" in log
    assert log == experiments.trial_log(sweep, trained.id)
    with pytest.raises(TrialNotFoundError, match=f"experiment {one_more} has no trial {trained.id}"):
        experiments.trial_log(one_more, trained.id)

    before = metrics_by_trial(database, sweep)
    extend(sweep, [1, 2])
    assert num_trained(database, sweep) == 3 * (3 + 1)
    after = metrics_by_trial(database, sweep)
    assert {key: after[key] for key in before} == before
    lines = extend(one_more, [2, 1])
    assert num_trained(database, one_more) == 3
    assert "reused 2 finished trials" in lines
    assert "confirm phase: 2 trials to train, 1/3 pairs complete" in lines

    assert experiment_of(database, one_more).status == ExperimentStatus.SUCCEEDED
    assert experiments.get(one_more).progress.trials_reused == 3
    with database.read() as session:
        report = report_of(read_experiment(session, one_more))
    assert {(trial.arm, trial.reused_from) for trial in report.trials} == {("control", sweep), ("sigma-8", None)}
    assert (report.provenance.num_reused, report.comparisons[0].num_pairs) == (3, 3)
    assert any("3 of 6 trials were not trained again" in caveat for caveat in report.caveats)
