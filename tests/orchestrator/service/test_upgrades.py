"""An upgrade between two submissions: what it did not touch goes on, and a refusal names what it did."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select, update

from orchestrator.errors import StatusConflictError
from orchestrator.planning.expansion import Expansion
from orchestrator.service.experiments import Experiments
from orchestrator.settings import Settings
from orchestrator.spec.experiment import ExperimentSpec, parse_spec
from orchestrator.status import ExperimentStatus, TrialStatus
from orchestrator.store.codes import changes_of_code
from orchestrator.store.database import Database
from orchestrator.store.experiments import move, set_chosen_params
from orchestrator.store.tables import CodeRow, TrialRow
from orchestrator.store.trials import cancel_open_trials, plan_trials, start_trial, succeed_trial, trials_of
from tests.orchestrator.service.test_experiments import begin, result, run_to_the_end
from trainers import version

Upgrade = Callable[..., None]


@pytest.fixture
def experiments(database: Database, tmp_path: Path, dashboard) -> Experiments:
    return Experiments(database, Settings(home=tmp_path, data_root=tmp_path, ray_dashboard_url=dashboard.url))


@pytest.fixture
def upgrade(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Upgrade:
    """Goes on with source of which some files have another text."""

    def change(**texts: str) -> None:
        package = tmp_path / "upgraded"
        shutil.copytree(version.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "prepare"))
        for name, text in texts.items():
            path = package.joinpath(*name.split("__")).with_suffix(".py")
            path.write_text((path.read_text() if path.exists() else "") + text)
        monkeypatch.setattr(version, "PACKAGE", package)

    return change


def test_what_an_upgrade_did_not_touch_is_extended_and_reused(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec, upgrade: Upgrade
) -> None:
    experiment_id = experiments.submit(small_spec).id
    run_to_the_end(database, experiment_id)
    planned = experiments.plan(small_spec)
    upgrade(
        data__mine="from trainers.data.dataset import Dataset\n",
        kinds="from trainers.data.mine import Dataset\n",
        training__trial="# Better said.\n",
        analyses__receptive_field="_MORE = 1\n",
    )
    assert experiments.plan(small_spec) == planned
    assert len(planned.reusable) == 4
    assert experiments.extend(experiment_id, [7]).status == "queued"
    with database.read() as session:
        assert len(trials_of(session, experiment_id)) == 6
        assert changes_of_code(session, experiment_id) == ""


def test_what_has_changed_is_named(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec, upgrade: Upgrade
) -> None:
    experiment_id = experiments.submit(small_spec).id
    run_to_the_end(database, experiment_id)
    upgrade(models__gaussian="_MORE = 1\n")
    refusal = (
        rf"^experiment {experiment_id} has trials by another version of the code \(trainers\.models\.gaussian\); one "
        "table must not mix the two: submit the spec again with all seeds$"
    )
    with pytest.raises(StatusConflictError, match=refusal):
        experiments.extend(experiment_id, [7])
    # The control is what it was.
    assert len(experiments.plan(small_spec).reusable) == 2


def stop(database: Database, experiment_id: str, attempt: int, *, done: set[str]) -> None:
    """End an experiment of which these arms have been trained."""
    with database.write() as session:
        for trial in trials_of(session, experiment_id):
            if trial.arm in done and trial.status == TrialStatus.PENDING:
                start_trial(session, trial.id, attempt)
                succeed_trial(session, trial.id, result(0.5), attempt)
        cancel_open_trials(session, experiment_id, attempt)
        move(session, experiment_id, ExperimentStatus.FAILED, attempt=attempt)


def test_an_arm_that_was_open_is_not_trained_by_two_versions(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec, upgrade: Upgrade
) -> None:
    experiment_id = experiments.submit(small_spec).id
    stop(database, experiment_id, begin(database, experiment_id), done={"control"})
    before = experiments.trials(experiment_id)
    upgrade(models__gaussian="_MORE = 1\n")
    with pytest.raises(StatusConflictError, match=r"has trials by another version of the code \(trainers\.models\.gau"):
        experiments.extend(experiment_id, [7])
    assert experiments.trials(experiment_id) == before
    assert experiments.get(experiment_id).status == "failed"


@pytest.mark.parametrize("changed", [False, True])
def test_params_that_another_version_chose_are_not_trained(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec, upgrade: Upgrade, changed: bool
) -> None:
    document = small_spec.model_dump(mode="json")
    space = {"attention_bias.sigma": {"kind": "uniform", "low": 1, "high": 3}}
    document["arms"][1]["search"] = {"space": space, "num_candidates": 2}
    spec = ExperimentSpec.model_validate(document)
    experiment_id = experiments.submit(spec).id
    attempt = begin(database, experiment_id)
    expansion, chosen = Expansion(spec, data_root=None), {"attention_bias.sigma": 2.5}
    (cell,) = expansion.cells
    with database.write() as session:
        tried = expansion.search_trial(cell, "gaussian", chosen, seed=100)
        plan_trials(session, experiment_id, [tried], attempt)
        set_chosen_params(session, experiment_id, cell.key, "gaussian", chosen, attempt)
    stop(database, experiment_id, attempt, done={"gaussian", "control"})
    if not changed:
        assert experiments.extend(experiment_id, [7]).status == "queued"
        return
    upgrade(models__gaussian="_MORE = 1\n")
    with pytest.raises(StatusConflictError, match=r"has trials by another version of the code \(trainers\.models\.gau"):
        experiments.extend(experiment_id, [7])


def test_resuming_names_it_too(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec, upgrade: Upgrade
) -> None:
    experiment_id = experiments.submit(small_spec).id
    attempt = begin(database, experiment_id)
    with database.write() as session:
        move(session, experiment_id, ExperimentStatus.FAILED, attempt=attempt)
    upgrade(training__trial="from trainers import mine\n", mine="")
    changed = r"\(trainers\.mine \(new\), trainers\.training\.trial\)"
    refusal = rf"^the code differs {changed} from what experiment {experiment_id} was submitted with"
    with pytest.raises(StatusConflictError, match=refusal):
        experiments.resume(experiment_id)


def test_libraries_are_named_with_their_versions(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    experiment_id = experiments.submit(small_spec).id
    with database.write() as session:
        for row in session.scalars(select(CodeRow)):
            row.parts = {**row.parts, "torch": "1.0", "trainers.gone": "0"}
    with database.read() as session:
        now = version.library_versions()["torch"]
        assert changes_of_code(session, experiment_id) == f"torch (1.0, now {now}), trainers.gone (gone)"
        assert changes_of_code(session, experiment_id, versions=()) == ""


def test_of_trials_that_kept_no_code_nothing_is_said(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec, upgrade: Upgrade
) -> None:
    experiment_id = experiments.submit(small_spec).id
    run_to_the_end(database, experiment_id)
    with database.write() as session:
        session.execute(update(TrialRow).values(code=None))
    upgrade(models__gaussian="_MORE = 1\n")
    with pytest.raises(StatusConflictError, match="by another version of the code or on other data; one table"):
        experiments.extend(experiment_id, [7])


def test_parts_are_kept_once_for_all_trials_that_share_them(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    for _ in range(2):
        experiments.submit(small_spec)
    with database.read() as session:
        rows = {row.arm: row.code for row in session.scalars(select(TrialRow))}
        kept = {row.version: json.dumps(row.parts) for row in session.scalars(select(CodeRow))}
    assert set(kept) == set(rows.values())
    assert len(kept) == 2
    assert "gaussian_attention" in kept[rows["gaussian"]]
    assert "gaussian_attention" not in kept[rows["control"]]


@pytest.mark.parametrize(("kind", "is_touched"), [("paper_augmentation", True), ("crop_flip", False)])
def test_a_digest_covers_the_kinds_that_a_search_may_propose(
    small_spec: ExperimentSpec, upgrade: Upgrade, kind: str, is_touched: bool
) -> None:
    values = {"kind": "choice", "values": [{"kind": "none"}, {"kind": "paper"}]}
    control, treatment = small_spec.model_dump(mode="json")["arms"]
    searched = treatment | {"search": {"space": {"augmentation": values}, "algorithm": {"kind": "grid"}}}
    spec = parse_spec(small_spec.model_dump(mode="json") | {"arms": [control, searched]})
    before = Expansion(spec, data_root=None).digest
    upgrade(**{f"data__{kind}": "_MORE = 1\n"})
    assert (Expansion(spec, data_root=None).digest != before) is is_touched
