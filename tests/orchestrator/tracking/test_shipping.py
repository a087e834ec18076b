"""What MLflow holds after shipping, read back from a real server."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from sqlalchemy import func, select, update

from orchestrator.planning.hardware import Hardware
from orchestrator.status import ExperimentStatus, TrialStatus
from orchestrator.store.database import Database
from orchestrator.store.experiments import begin_attempt, get_experiment, move, update_spec
from orchestrator.store.tables import MetricRow, TrackingRow, TrialRow
from orchestrator.store.tracking import EXPERIMENT, groups_of, runs_of
from orchestrator.store.trials import find_reusable, reuse_trial, trials_of
from orchestrator.tracking.mlflow.naming import tracked_key
from orchestrator.tracking.mlflow.tracker import MlflowTracker
from orchestrator.tracking.outbox import Outbox
from orchestrator.tracking.shipper import Shipper
from tests.orchestrator.planted_maps import planted_map, rms_radius_tokens, with_fields, write_all
from tests.orchestrator.planted_views import write_views
from tests.orchestrator.synthetic import (
    DIGEST,
    begin,
    end,
    finish,
    make_record,
    make_records,
    make_spec,
    plan,
    play,
    train,
)

pytestmark = pytest.mark.mlflow

OUTBOX = Outbox("mlflow")
Point = tuple[str, int, int, float]
"""Key, step, time in ms, value."""


@pytest.fixture
def spec_name(request: pytest.FixtureRequest) -> str:
    """An MLflow experiment that no other test uses."""
    return request.node.name.replace("_", "-").lower()[:60].rstrip("-")


def shown_runs(client: MlflowClient, store: Database, experiment_id: str) -> dict[str, Run]:
    """Run name -> run; fails if a name comes twice."""
    with store.read() as session:
        (group,) = groups_of(session, "mlflow", [experiment_id]).values()
    known = MlflowTracker(client.tracking_uri).known_runs(group, experiment_id)
    found = [client.get_run(run_id) for _, run_id in known]
    names = [run.info.run_name for run in found]
    assert len(names) == len(set(names)), sorted(names)
    return dict(zip(names, found, strict=True))


def points_of(client: MlflowClient, run_id: str) -> Iterator[Point]:
    for key in client.get_run(run_id).data.metrics:
        for metric in client.get_metric_history(run_id, key):
            yield key, metric.step, metric.timestamp, metric.value


def stored_points(store: Database, trial_id: int) -> set[Point]:
    with store.read() as session:
        rows = session.scalars(select(MetricRow).where(MetricRow.trial_id == trial_id)).all()
    return {(tracked_key(row.key), row.step, int(row.recorded_at.timestamp() * 1000), row.value) for row in rows}


def test_everything_arrives_once(client: MlflowClient, tracker: MlflowTracker, store: Database, spec_name: str) -> None:
    experiment_id = play(store, make_spec(name=spec_name, seeds=[0, 1]))
    shipper = Shipper(store, tracker)
    assert shipper.drain(60)
    assert shipper.ship_once() == 0

    runs = shown_runs(client, store, experiment_id)
    with store.read() as session:
        trials, tracked = trials_of(session, experiment_id), runs_of(session, "mlflow", experiment_id)
    assert len(runs) == len(trials) + 1
    for trial in trials:
        run = runs[f"{trial.arm}/seed{trial.seed}/{trial.cell}"]
        assert run.info.run_id == tracked[trial.id]
        assert run.info.status == "FINISHED"
        points = list(points_of(client, run.info.run_id))
        curves = [point for point in points if not point[0].startswith(("test/", "best_val/", "delta/"))]
        assert len(curves) == len(set(curves))
        assert set(curves) == stored_points(store, trial.id)
        finals = {key: value for key, _, _, value in points if key.startswith(("test/", "best_val/"))}
        assert finals == {key: trial.final_metrics[key] for key in finals}
        assert {"test/top1", "best_val/top1"} <= set(finals)
        assert run.data.tags["arm"] == trial.arm
        assert run.data.tags["pair"] == f"{trial.cell}/seed{trial.seed}"
        assert run.data.tags["sigmalab.digest"] == DIGEST
        assert run.data.params["seed"] == str(trial.seed)


def test_deltas_and_receptive_fields_sit_on_the_treatment_and_the_summary(
    client: MlflowClient, tracker: MlflowTracker, store: Database, spec_name: str, tmp_path: Path
) -> None:
    spec = make_spec(name=spec_name, analyses=[{"kind": "receptive_field", "every_epochs": 2}])
    records = [with_fields(record) for record in make_records(spec, num_epochs=5)]
    experiment_id = play(store, spec, records)
    write_all(tmp_path, records)
    for record in records:
        if record.arm != "placebo":
            write_views(tmp_path, record.identity, record.arm, record.seed)
    assert Shipper(store, tracker, storage=tmp_path).drain(120)
    runs = shown_runs(client, store, experiment_id)
    with store.read() as session:
        trials = {(row.arm, row.seed): row for row in trials_of(session, experiment_id)}
    for (arm, seed), trial in trials.items():
        metrics = runs[f"{arm}/seed{seed}/{trial.cell}"].data.metrics
        if arm == "control":
            assert "delta/test_top1" not in metrics
        else:
            control = trials["control", seed].final_metrics["test/top1"]
            assert metrics["delta/test_top1"] == pytest.approx(100 * (trial.final_metrics["test/top1"] - control))

    summary = runs[f"summary {experiment_id}"]
    cell = trials["control", 0].cell
    # The planted gain is 7.2 pp; a pair's noise has an sd of about 1.7 pp.
    assert summary.data.metrics[f"delta/{cell}/gaussian"] == pytest.approx(7.2, abs=2.5)
    low, high = (summary.data.metrics[f"delta_ci_{end}/{cell}/gaussian"] for end in ("low", "high"))
    assert 0 < low < summary.data.metrics[f"delta/{cell}/gaussian"] < high
    assert summary.data.metrics[f"p_value/{cell}/gaussian"] == 0.03125
    assert summary.data.tags["phase"] == "summary"
    assert "gaussian: suggestive" in summary.data.tags["verdict"]
    assert "suggestive" in summary.data.tags["mlflow.note.content"]
    assert summary.info.status == "FINISHED"
    files = {file.path for file in client.list_artifacts(summary.info.run_id, "report")}
    assert {"report/report.html", "report/table.tex", "report/effects.svg", "report/sigma.png"} <= files
    assert {f"report/receptive_field_{name}" for name in ("maps.png", "curves.png", "maps.npz")} <= files
    widths = {
        arm: [rms_radius_tokens(planted_map(arm, seed, "final")) for seed in spec.seeds]
        for arm in ("control", "gaussian")
    }
    expected = np.mean(widths["gaussian"]) - np.mean(widths["control"])
    assert summary.data.metrics[f"receptive_field_delta/rms_radius_tokens/{cell}/gaussian"] == pytest.approx(expected)
    assert f"receptive_field_initial_delta_ci_low/rms_radius_tokens/{cell}/gaussian" in summary.data.metrics
    pictures = {
        arm: {file.path for file in client.list_artifacts(runs[f"{arm}/seed0/{cell}"].info.run_id)}
        for arm in ("control", "gaussian", "placebo")
    }
    assert pictures["control"] == {"receptive_field.png", "learned_bias.png"}
    assert {"receptive_field.png", "learned_bias.png"} <= pictures["gaussian"]
    # Its file is lost.
    assert "learned_bias.png" not in pictures["placebo"]


def test_sigma_is_a_table_and_a_figure(
    client: MlflowClient, tracker: MlflowTracker, store: Database, spec_name: str, tmp_path: Path
) -> None:
    experiment_id = play(store, make_spec(name=spec_name, seeds=[3]))
    assert Shipper(store, tracker).drain(60)
    runs = shown_runs(client, store, experiment_id)
    gaussian = next(run for name, run in runs.items() if name.startswith("gaussian/"))
    table = json.loads(downloaded(client, gaussian, "sigma_by_layer.json", tmp_path))
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [row["layer"] for row in rows] == [0, 1, 2]
    assert [row["sigma_initial"] for row in rows] == [2.0] * 3
    assert rows[2]["sigma_final"] == gaussian.data.metrics["sigma/02"]
    assert json.loads(gaussian.data.tags["mlflow.loggedArtifacts"]) == [
        {"path": "sigma_by_layer.json", "type": "table"}
    ]
    assert downloaded(client, gaussian, "sigma_by_layer.png", tmp_path).startswith(b"\x89PNG")
    control = next(run for name, run in runs.items() if name.startswith("control/"))
    assert client.list_artifacts(control.info.run_id) == []


def downloaded(client: MlflowClient, run: Run, artifact: str, folder: Path) -> bytes:
    return Path(client.download_artifacts(run.info.run_id, artifact, str(folder))).read_bytes()


def test_sent_again_after_a_crash_nothing_doubles(
    client: MlflowClient, tracker: MlflowTracker, store: Database, spec_name: str
) -> None:
    """As if the process had died after every request and before every note in the store."""
    experiment_id = play(store, make_spec(name=spec_name, seeds=[0, 1]))
    assert Shipper(store, tracker).drain(60)
    before = everything(client, store, experiment_id)
    with store.write() as session:
        session.execute(update(TrackingRow).values(run_id=None, shipped_to=0, told_status=None, told_ended_at=None))
    assert Shipper(store, tracker).drain(60)
    assert everything(client, store, experiment_id) == before


def everything(client: MlflowClient, store: Database, experiment_id: str) -> dict[str, tuple[str, list[Point]]]:
    runs = shown_runs(client, store, experiment_id)
    return {name: (run.info.run_id, sorted(points_of(client, run.info.run_id))) for name, run in runs.items()}


def test_two_shippers_at_once_do_not_double(
    client: MlflowClient, tracker: MlflowTracker, store: Database, spec_name: str
) -> None:
    experiment_id = play(store, make_spec(name=spec_name, seeds=[0, 1]))
    shippers = [Shipper(store, tracker) for _ in range(2)]
    threads = [threading.Thread(target=shipper.drain, args=(60,)) for shipper in shippers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as session:
        assert OUTBOX.backlog(session).is_empty
        trials, tracked = trials_of(session, experiment_id), runs_of(session, "mlflow", experiment_id)
    runs = shown_runs(client, store, experiment_id)
    assert len(runs) == len(trials) + 1
    for trial in trials:
        curves = [point for point in points_of(client, tracked[trial.id]) if point[0] in ("train/loss", "sigma/00")]
        expected = {point for point in stored_points(store, trial.id) if point[0] in ("train/loss", "sigma/00")}
        assert sorted(curves) == sorted(expected)


def test_runs_follow_a_trial_that_fails_and_is_retried(
    client: MlflowClient, tracker: MlflowTracker, store: Database, spec_name: str
) -> None:
    experiment_id, attempt = begin(store, make_spec(name=spec_name, seeds=[0]))
    record = make_record("gaussian", 0)
    trial_id = plan(store, experiment_id, record)
    shipper = Shipper(store, tracker)

    train(store, trial_id, record, attempt, epochs=slice(0, 5))
    shipper.ship_once()
    name = f"gaussian/seed0/{record.cell.key}"
    assert shown_runs(client, store, experiment_id)[name].info.status == "RUNNING"
    assert len(client.get_metric_history(shown_runs(client, store, experiment_id)[name].info.run_id, "val/top1")) == 5

    failed = record.model_copy(update={"status": TrialStatus.FAILED, "error": "the node went away"})
    end(store, trial_id, failed, attempt)
    shipper.ship_once()
    run = shown_runs(client, store, experiment_id)[name]
    assert run.info.status == "FAILED"
    assert run.data.tags["sigmalab.error"] == "the node went away"

    # The retry starts from its checkpoint and reports epoch 4 again, with another value: the first one stays.
    repeated = record.result.epochs[4].model_copy(update={"metrics": {"val/top1": 0.99}})
    again = record.result.model_copy(
        update={"epochs": [*record.result.epochs[:4], repeated, *record.result.epochs[5:]]}
    )
    train(store, trial_id, record.model_copy(update={"result": again}), attempt, epochs=slice(4, None))
    shipper.ship_once()
    assert shown_runs(client, store, experiment_id)[name].info.status == "RUNNING"
    end(store, trial_id, record, attempt)
    shipper.ship_once()
    run = shown_runs(client, store, experiment_id)[name]
    assert run.info.status == "FINISHED"
    assert run.data.tags["sigmalab.error"] == ""
    history = client.get_metric_history(run.info.run_id, "val/top1")
    assert [metric.value for metric in history] == [report.metrics["val/top1"] for report in record.result.epochs]


def test_a_reused_trial_has_its_own_run(
    client: MlflowClient, tracker: MlflowTracker, store: Database, spec_name: str
) -> None:
    first = play(store, make_spec(name=spec_name, seeds=[0]))
    second, attempt = begin(store, make_spec(name=spec_name, seeds=[0]))
    for arm in ("control", "gaussian", "placebo"):
        record = make_record(arm, 0)
        trial_id = plan(store, second, record)
        with store.write() as session:
            reuse_trial(
                session,
                trial_id,
                find_reusable(session, [record.identity], Hardware("cpu", 1))[record.identity],
                attempt,
            )
    finish(store, second, attempt)
    assert Shipper(store, tracker).drain(60)
    originals, stand_ins = shown_runs(client, store, first), shown_runs(client, store, second)
    for name, run in stand_ins.items():
        if name.startswith("summary"):
            continue
        original = originals[name]
        assert run.info.run_id != original.info.run_id
        assert run.data.tags["sigmalab.reused_from"] == first
        assert run.data.metrics == pytest.approx(original.data.metrics)
        values = [(point[0], point[1], point[3]) for point in points_of(client, run.info.run_id)]
        assert sorted(values) == sorted(
            (point[0], point[1], point[3]) for point in points_of(client, original.info.run_id)
        )


def test_runs_are_called_by_the_labels_of_their_arms_and_keyed_by_their_names(
    client: MlflowClient, tracker: MlflowTracker, store: Database, spec_name: str, tmp_path: Path
) -> None:
    label = "Für σ_2 (ours)"
    arms = [arm.model_copy(update={"label": label if arm.name == "gaussian" else None}) for arm in make_spec().arms]
    experiment_id = play(store, make_spec(name=spec_name, seeds=[0, 1], arms=arms))
    assert Shipper(store, tracker).drain(60)
    runs = shown_runs(client, store, experiment_id)
    cell = make_record("gaussian", 0).cell.key
    assert runs[f"{label}/seed1/{cell}"].data.tags["arm"] == "gaussian"
    assert runs[f"placebo/seed1/{cell}"].data.tags["arm"] == "placebo"
    summary = runs[f"summary {experiment_id}"]
    assert f"delta/{cell}/gaussian" in summary.data.metrics
    table = client.download_artifacts(summary.info.run_id, "comparisons.json", str(tmp_path))
    assert label in str(json.loads(Path(table).read_text())["data"])


def test_extending_updates_the_summary(
    client: MlflowClient, tracker: MlflowTracker, store: Database, spec_name: str
) -> None:
    spec = make_spec(name=spec_name, seeds=[0, 1])
    experiment_id = play(store, spec)
    shipper = Shipper(store, tracker)
    assert shipper.drain(60)
    larger = make_spec(name=spec_name, seeds=[0, 1, 2])
    with store.write() as session:
        update_spec(session, get_experiment(session, experiment_id), larger, DIGEST)
        move(session, experiment_id, ExperimentStatus.QUEUED)
        attempt = begin_attempt(session, experiment_id, None)
        move(session, experiment_id, ExperimentStatus.STARTING)
        move(session, experiment_id, ExperimentStatus.RUNNING)
    for arm in ("control", "gaussian", "placebo"):
        record = make_record(arm, 2)
        trial_id = plan(store, experiment_id, record)
        train(store, trial_id, record, attempt)
        end(store, trial_id, record, attempt)
    finish(store, experiment_id, attempt)
    assert shipper.drain(60)
    runs = shown_runs(client, store, experiment_id)
    assert len(runs) == 10
    summary = runs[f"summary {experiment_id}"]
    key = f"delta/{make_record('gaussian', 0).cell.key}/gaussian"
    # One point per number of pairs: how the effect settles.
    assert [metric.step for metric in client.get_metric_history(summary.info.run_id, key)] == [2, 3]
    assert "n = 3 pairs" in summary.data.tags["mlflow.note.content"]


def test_a_server_that_lost_everything_gets_everything_again(
    client: MlflowClient, tracker: MlflowTracker, store: Database, spec_name: str
) -> None:
    experiment_id, attempt = begin(store, make_spec(name=spec_name, seeds=[0]))
    record = make_record("gaussian", 0)
    trial_id = plan(store, experiment_id, record)
    train(store, trial_id, record, attempt, epochs=slice(0, 5))
    with store.write() as session:
        # What another, empty server would look like: neither this run nor this experiment was ever there.
        OUTBOX.set_group(session, experiment_id, "987654321")
        OUTBOX.claim_run(session, experiment_id, trial_id, "0" * 32)
        session.execute(update(TrackingRow).values(shipped_to=select(func.max(MetricRow.id)).scalar_subquery()))
    end(store, trial_id, record, attempt)
    finish(store, experiment_id, attempt)
    assert Shipper(store, tracker).drain(60)
    runs = shown_runs(client, store, experiment_id)
    run = runs[f"gaussian/seed0/{record.cell.key}"]
    assert len(client.get_metric_history(run.info.run_id, "val/top1")) == 5
    assert run.info.end_time - run.info.start_time < timedelta(minutes=10).total_seconds() * 1000


def test_a_refused_trial_does_not_hold_up_the_others(
    client: MlflowClient, tracker: MlflowTracker, store: Database, spec_name: str
) -> None:
    experiment_id, attempt = begin(store, make_spec(name=spec_name, seeds=[0, 1]))
    shipper = Shipper(store, tracker)
    ids = {}
    for seed in (0, 1):
        record = make_record("gaussian", seed)
        ids[seed] = plan(store, experiment_id, record)
        train(store, ids[seed], record, attempt, epochs=slice(0, 1))
    shipper.ship_once()
    with store.read() as session:
        runs = runs_of(session, "mlflow", experiment_id)
    # Somebody deletes a run by hand: MLflow refuses to log to it.
    client.delete_run(runs[ids[0]])
    for seed in (0, 1):
        end(store, ids[seed], make_record("gaussian", seed), attempt)
    shipper.ship_once()
    assert client.get_run(runs[ids[1]]).info.status == "FINISHED"
    with store.read() as session:
        assert OUTBOX.backlog(session).trials == 1
    # Put back, it is sent after its pause.
    client.restore_run(runs[ids[0]])
    assert shipper.drain(30)
    assert client.get_run(runs[ids[0]]).info.status == "FINISHED"


def test_what_another_version_wrote_holds_up_nobody(client: MlflowClient, store: Database, spec_name: str) -> None:
    old, attempt = begin(store, make_spec(name=spec_name, seeds=[0]))
    record = make_record("gaussian", 0, num_epochs=2)
    end(store, plan(store, old, record), record, attempt)
    with store.write() as session:
        get_experiment(session, old).spec = '{"name": "of another version"}'
    new, attempt = begin(store, make_spec(name=spec_name, seeds=[1]))
    broken, sound = (make_record(arm, 1, num_epochs=2) for arm in ("gaussian", "placebo"))
    ids = [plan(store, new, record) for record in (broken, sound)]
    for trial_id, record in zip(ids, (broken, sound), strict=True):
        end(store, trial_id, record, attempt)
    with store.write() as session:
        session.execute(update(TrialRow).where(TrialRow.id == ids[0]).values(config="{}"))
    Shipper(store, MlflowTracker(client.tracking_uri)).ship_once()
    with store.read() as session:
        told = select(TrackingRow.told_status).where(TrackingRow.trial_id != EXPERIMENT).order_by(TrackingRow.trial_id)
        assert session.scalars(told.where(TrackingRow.experiment_id == new)).all() == [None, "succeeded"]
