"""The use cases, on both databases: what a user asks for and what is in the rows afterwards."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import func, select, update

from orchestrator.errors import (
    ExperimentNotFoundError,
    IdempotencyConflictError,
    IdempotencyInFlightError,
    SpecError,
    StatusConflictError,
)
from orchestrator.report.formats.appendix import to_latex_appendix
from orchestrator.report.formats.html import to_html
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.report.formats.terminal import to_text
from orchestrator.service.experiments import Experiments
from orchestrator.service.reconciler import LEASE, LEASE_SECONDS
from orchestrator.service.views import Condition, Origin
from orchestrator.settings import Settings
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.comparison import Basis
from orchestrator.statistics.look_plan import Looks
from orchestrator.status import ExperimentStatus, Phase
from orchestrator.store.clock import DatabaseNow
from orchestrator.store.database import Database, open_database
from orchestrator.store.experiments import (
    avoid_node,
    begin_attempt,
    get_experiment,
    heartbeat,
    move,
    set_chosen_params,
)
from orchestrator.store.leases import try_acquire
from orchestrator.store.tables import ExperimentRow, LeaseRow, TrialRow
from orchestrator.store.telemetry import record_epoch
from orchestrator.store.trials import cancel_open_trials, fail_trial, start_trial, succeed_trial, trials_of
from orchestrator.tracking.outbox import Outbox
from tests.orchestrator.another_writer import another_writer, stop
from trainers.data.folder import FolderConfig
from trainers.result import EpochReport, TrialResult

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ACCURACY = {("control", 0): 0.50, ("gaussian", 0): 0.60, ("control", 1): 0.52, ("gaussian", 1): 0.64}


@pytest.fixture
def settings(tmp_path: Path, dashboard) -> Settings:
    return Settings(
        home=tmp_path,
        data_root=tmp_path,
        ray_dashboard_url=dashboard.url,
        mlflow_tracking_uri="http://127.0.0.1:1/mlflow",
    )


@pytest.fixture
def experiments(database: Database, settings: Settings) -> Experiments:
    return Experiments(database, settings)


def result(accuracy: float) -> TrialResult:
    report = EpochReport(epoch=0, metrics={"train/loss": 1.0, "sigma/00": 2.0}, seconds=1.0)
    return TrialResult(
        epochs=[report, report.model_copy(update={"epoch": 1})],
        best_epoch=1,
        metrics={"test/top1": accuracy, "best_val/top1": accuracy},
        predictions_file=None,
        training_seconds=3.0,
        provenance={"device": "cpu", "num_workers": "1"},
    )


def begin(database: Database, experiment_id: str) -> int:
    with database.write() as session:
        number = begin_attempt(session, experiment_id, f"exp-{experiment_id}-a1")
        move(session, experiment_id, ExperimentStatus.STARTING)
        move(session, experiment_id, ExperimentStatus.RUNNING, attempt=number)
        heartbeat(session, experiment_id, number)
    return number


def run_to_the_end(database: Database, experiment_id: str) -> None:
    """What a driver would leave behind."""
    number = begin(database, experiment_id)
    with database.write() as session:
        for trial in trials_of(session, experiment_id):
            if trial.status == "pending":
                start_trial(session, trial.id, number)
                succeed_trial(session, trial.id, result(ACCURACY.get((trial.arm, trial.seed), 0.55)), number)
        move(session, experiment_id, ExperimentStatus.SUCCEEDED, attempt=number)


# ---- submit ----


def test_what_was_found_of_a_folder_is_kept_shown_and_reported(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec, tmp_path: Path
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (9, 9), (number, ord(name[0]), 0)).save(tmp_path / "pets" / name / f"{number}.gif")
            (tmp_path / "pets" / name / f"{number}.txt").touch()
    line = "2 classes, 14/3/3 images, 20 files of other kinds (.txt 20)"
    dataset = FolderConfig(path=str(tmp_path / "pets"))
    optimization = small_spec.optimization.model_copy(update={"global_batch_size": 8})
    spec = small_spec.model_copy(update={"datasets": (dataset,), "optimization": optimization})
    assert experiments.plan(spec).data_found == {"pets": line}
    view = experiments.submit(spec)
    assert view.data_found == experiments.get(view.id).data_found == {"pets": line}
    # The report says what was found then.
    (tmp_path / "pets" / "dog" / "more.txt").touch()
    run_to_the_end(database, view.id)
    report = experiments.report(view.id)
    assert f"Data\n  * pets: {line}" in to_text(report)
    assert f"| data | pets: {line} |" in to_markdown(report)
    assert line in to_html(report)
    assert line in to_latex_appendix(report).replace("\\allowbreak{}", "")
    extended = experiments.extend(view.id, [7])
    assert extended.data_found == {"pets": line.replace("20 files", "21 files").replace(".txt 20", ".txt 21")}


def test_data_that_are_made_need_no_line(experiments: Experiments, small_spec: ExperimentSpec) -> None:
    assert experiments.submit(small_spec).data_found == {}


def test_submit_stores_the_experiment_and_its_trials(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    view = experiments.submit(small_spec)
    assert (view.name, view.question, view.status, view.attempt) == ("small", "Does it help?", "queued", 0)
    assert (view.progress.trials_total, view.progress.pairs_total, view.progress.pairs_complete) == (4, 2, 0)
    assert view.digest == experiments.plan(small_spec).digest
    assert {trial.status for trial in experiments.trials(view.id)} == {"pending"}
    assert experiments.get(view.id) == view
    assert experiments.spec(view.id) == small_spec


def test_submit_refuses_what_can_not_be_trained_and_stores_nothing(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    arms = (
        small_spec.arms[0],
        small_spec.arms[1].model_copy(update={"patch": {"attention_bias": {"kind": "gausian"}}}),
    )
    with pytest.raises(SpecError, match=r"arm `gaussian` in cell"):
        experiments.submit(small_spec.model_copy(update={"arms": arms}), idempotency_key="key")
    assert experiments.list().items == ()
    # The key is still free.
    assert experiments.submit(small_spec, idempotency_key="key").status == "queued"


def test_the_same_key_and_body_find_the_first_experiment(experiments: Experiments, small_spec: ExperimentSpec) -> None:
    first = experiments.submit(small_spec, idempotency_key="key", body=b"{}")
    again = experiments.submit(small_spec, idempotency_key="key", body=b"{}")
    assert again.id == first.id
    assert len(experiments.list().items) == 1
    with pytest.raises(IdempotencyConflictError, match="another body"):
        experiments.submit(small_spec, idempotency_key="key", body=b"{ }")
    assert experiments.submit(small_spec).id != first.id


def test_a_key_that_is_in_flight_is_refused(
    experiments: Experiments, small_spec: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, may_go_on = threading.Event(), threading.Event()
    expand = Experiments._expand

    def slow_expand(self: Experiments, *args: object):
        inside.set()
        may_go_on.wait()
        return expand(self, *args)

    monkeypatch.setattr(Experiments, "_expand", slow_expand)
    first = threading.Thread(target=experiments.submit, args=(small_spec,), kwargs={"idempotency_key": "key"})
    first.start()
    assert inside.wait(60)
    with pytest.raises(IdempotencyInFlightError, match="'key' is not answered yet; try again"):
        experiments.submit(small_spec, idempotency_key="key")
    may_go_on.set()
    first.join()
    assert len(experiments.list().items) == 1
    assert experiments.submit(small_spec, idempotency_key="key").id == experiments.list().items[0].id


def test_services_that_are_asked_at_once_unless_it_runs_make_one_experiment(
    database: Database, database_url: str, settings: Settings, small_spec: ExperimentSpec
) -> None:
    databases = [open_database(database_url) for _ in range(4)]
    barrier = threading.Barrier(len(databases))
    found = []

    def submit(opened: Database) -> None:
        service = Experiments(opened, settings)
        barrier.wait()
        found.append(service.hand_in(small_spec, unless_running=True))

    threads = [threading.Thread(target=submit, args=(opened,)) for opened in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for opened in databases:
        opened.close()
    assert len({each.view.id for each in found}) == 1
    assert sorted(each.origin for each in found) == [Origin.NEW, *3 * [Origin.TWIN]]


def test_only_what_is_on_its_way_keeps_the_same_question_out(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    first = experiments.submit(small_spec)
    twin = experiments.hand_in(small_spec, idempotency_key="key", unless_running=True)
    assert (twin.view.id, twin.origin) == (first.id, Origin.TWIN)
    other = small_spec.model_copy(update={"seeds": (7, 8)})
    assert experiments.hand_in(other, unless_running=True).origin is Origin.NEW
    run_to_the_end(database, first.id)
    # The key stands for what was answered first, the question may be asked again.
    replay = experiments.hand_in(small_spec, idempotency_key="key", unless_running=True)
    assert (replay.view.id, replay.origin) == (first.id, Origin.REPLAY)
    assert experiments.hand_in(small_spec, unless_running=True).origin is Origin.NEW


def test_two_services_and_one_key_make_one_experiment(
    database: Database, database_url: str, settings: Settings, small_spec: ExperimentSpec
) -> None:
    """Each service has its own connections and its own idea of what is in flight."""
    databases = [open_database(database_url) for _ in range(4)]
    barrier = threading.Barrier(len(databases))
    ids: list[str] = []

    def submit(opened: Database) -> None:
        service = Experiments(opened, settings)
        barrier.wait()
        ids.append(service.submit(small_spec, idempotency_key="key").id)

    threads = [threading.Thread(target=submit, args=(opened,)) for opened in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for opened in databases:
        opened.close()
    assert len(ids) == 4
    assert len(set(ids)) == 1
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(ExperimentRow)) == 1
        assert session.scalar(select(func.count()).select_from(TrialRow)) == 4


# ---- plan ----


def test_a_plan_knows_what_is_done_and_what_it_took(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    fresh = experiments.plan(small_spec)
    assert (fresh.reusable, fresh.cost.num_trials) == ((), 4)
    run_to_the_end(database, experiments.submit(small_spec).id)
    larger = experiments.plan(small_spec.model_copy(update={"seeds": (0, 1, 2)}))
    assert len(larger.reusable) == 4
    assert larger.cost.num_trials == 2
    # Two trials of 3 s on one core.
    assert larger.cost.cpu_hours == pytest.approx(2 * 3.0 / 3600)
    assert len(experiments.list().items) == 1


# ---- looking ----


def test_a_running_experiment_shows_progress_and_conditions(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    experiment_id = experiments.submit(small_spec).id
    number = begin(database, experiment_id)
    with database.write() as session:
        rows = trials_of(session, experiment_id)
        succeed_trial(session, rows[0].id, result(0.5), number)
        succeed_trial(session, rows[1].id, result(0.6), number)
        fail_trial(session, rows[2].id, "loss became nan", number)
        start_trial(session, rows[3].id, number)
    view = experiments.get(experiment_id)
    counted = view.progress
    assert (counted.trials_total, counted.trials_done, counted.trials_failed, counted.trials_running) == (4, 2, 1, 1)
    assert counted.pairs_complete == 1
    conditions = {condition.type: condition for condition in view.conditions}
    assert conditions["driver"].ok
    assert f"attempt 1 (exp-{experiment_id}-a1) was last heard of" in conditions["driver"].reason
    assert conditions["trials"].reason == "1 trial has failed; a pair with a failed trial enters no comparison"
    assert not conditions["trials"].ok


def test_an_unknown_id_is_refused_everywhere(experiments: Experiments) -> None:
    for ask in (
        experiments.get,
        experiments.trials,
        experiments.events,
        experiments.comparisons,
        experiments.report,
        experiments.logs,
        experiments.cancel,
        experiments.spec,
        lambda experiment_id: experiments.extend(experiment_id, [7]),
    ):
        with pytest.raises(ExperimentNotFoundError, match="no experiment has the id 'nobody'"):
            ask("nobody")


def test_pages_lead_to_each_other(experiments: Experiments, small_spec: ExperimentSpec) -> None:
    ids = [experiments.submit(small_spec).id for _ in range(3)]
    first = experiments.list(limit=2)
    second = experiments.list(limit=2, cursor=first.next_cursor)
    assert {item.id for item in (*first.items, *second.items)} == set(ids)
    assert second.next_cursor is None
    assert experiments.list(status=ExperimentStatus.FAILED).items == ()


def test_comparisons_and_report_come_from_rows(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    experiment_id = experiments.submit(small_spec).id
    (preview,) = experiments.comparisons(experiment_id)
    assert (preview.num_pairs, preview.effect) == (0, None)
    run_to_the_end(database, experiment_id)
    (comparison,) = experiments.comparisons(experiment_id)
    assert (comparison.treatment, comparison.num_pairs, comparison.unit) == ("gaussian", 2, "pp")
    assert comparison.effect == pytest.approx(11.0)
    report = experiments.report(experiment_id)
    assert report.comparisons == (comparison,)
    assert (report.experiment.id, len(report.trials)) == (experiment_id, 4)


def test_a_spec_of_another_version_is_named_as_such(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    experiment_id = experiments.submit(small_spec).id
    with database.write() as session:
        row = get_experiment(session, experiment_id)
        row.spec = row.spec.replace('"question"', '"riddle"')
    assert experiments.get(experiment_id).name == "small"
    with pytest.raises(StatusConflictError, match="written by another version of sigmalab"):
        experiments.comparisons(experiment_id)


def test_events_tell_the_story_and_can_be_resumed(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    experiment_id = experiments.submit(small_spec).id
    run_to_the_end(database, experiment_id)
    events = experiments.events(experiment_id)
    assert [event.payload["status"] for event in events if event.kind == "status"] == [
        "queued", "starting", "running", "succeeded",
    ]  # fmt: skip
    assert (events[-1].kind, events[-1].payload["status"]) == ("end", "succeeded")
    assert experiments.events(experiment_id, after=events[2].id, limit=3) == events[3:6]


def test_logs_are_those_of_the_newest_driver(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec, dashboard
) -> None:
    experiment_id = experiments.submit(small_spec).id
    assert experiments.logs(experiment_id) == "no driver has been started yet\n"
    begin(database, experiment_id)
    assert experiments.logs(experiment_id) == f"Ray no longer knows the job exp-{experiment_id}-a1\n"
    dashboard.jobs[f"exp-{experiment_id}-a1"] = {"status": "RUNNING", "message": "", "logs": "epoch 1\n"}
    assert experiments.logs(experiment_id) == "epoch 1\n"


def test_a_node_that_is_avoided_is_named(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    experiment_id = experiments.submit(small_spec).id
    number = begin(database, experiment_id)

    def nodes() -> Condition:
        return next(one for one in experiments.get(experiment_id).conditions if one.type == "nodes")

    assert (nodes().ok, nodes().reason) == (True, "no node is avoided")
    with database.write() as session:
        avoid_node(session, experiment_id, "gpu-1 (10.0.0.7)", "/data/pets is missing", number)
    assert not nodes().ok
    assert nodes().reason == "no trial is given to gpu-1 (10.0.0.7): /data/pets is missing"


def test_each_tracker_that_is_on_has_its_word(
    database: Database, settings: Settings, small_spec: ExperimentSpec
) -> None:
    both = Experiments(database, settings.model_copy(update={"trackers": ("mlflow", "tensorboard")}))
    experiment_id = both.submit(small_spec).id
    with database.write() as session:
        move(session, experiment_id, ExperimentStatus.STARTING)
        trial, *_ = trials_of(session, experiment_id)
        record_epoch(session, trial.id, EpochReport(epoch=0, metrics={"a": 1.0, "b": 2.0}, seconds=1), NOON)
        outbox = Outbox("tensorboard")
        outbox.claim_run(session, experiment_id, trial.id, "a run")
        outbox.mark_shipped(session, trial, outbox.unshipped_metrics(session, trial, 10))

    def told(experiments: Experiments) -> tuple[bool, str]:
        view = experiments.get(experiment_id)
        (found,) = [condition for condition in view.conditions if condition.type == "tracking"]
        return found.ok, found.reason

    assert told(both) == (False, "2 values wait to be sent to MLflow; TensorBoard has every value")
    assert {"mlflow", "tensorboard"} <= set(both.readiness())
    only = Experiments(database, settings.model_copy(update={"trackers": ("tensorboard",)}))
    assert told(only) == (True, "TensorBoard has every value")
    none = Experiments(database, settings.model_copy(update={"trackers": ()}))
    assert told(none) == (True, "no tracker is set; the store keeps everything")


def test_readiness_names_what_does_not_answer(experiments: Experiments, dashboard) -> None:
    conditions = experiments.readiness()
    assert {name: condition.ok for name, condition in conditions.items()} == {
        "database": True, "reconciler": False, "ray": True, "mlflow": False,
    }  # fmt: skip
    assert "MLflow at 127.0.0.1:1 does not answer" in conditions["mlflow"].reason
    dashboard.is_broken = True
    assert "answered 500" in experiments.readiness()["ray"].reason


def test_readiness_says_who_leads(experiments: Experiments, database: Database) -> None:
    assert (
        experiments.readiness()["reconciler"].reason
        == "no process of the service leads yet, so no experiment is started"
    )
    with database.write() as session:
        try_acquire(session, LEASE, "host:4711", LEASE_SECONDS)
    leads = experiments.readiness()["reconciler"]
    assert (leads.ok, leads.reason) == (True, "host:4711 leads")
    for offset, when in ((-7.0, "7 s ago"), (3600.0, "before a clock was set back")):
        with database.write() as session:
            session.execute(update(LeaseRow).values(expires_at=DatabaseNow(offset)))
        nobody = experiments.readiness()["reconciler"]
        assert not nobody.ok
        assert nobody.reason.endswith(f"the lease of host:4711 ended {when}")


def test_readiness_names_the_stopped_process_that_nobody_can_write_for(tmp_path: Path, migrated_sqlite: Path) -> None:
    file = tmp_path / "home" / "sigmalab.db"
    file.parent.mkdir()
    file.write_bytes(migrated_sqlite.read_bytes())
    database = open_database(f"sqlite:///{file}")
    stuck = Experiments(database, Settings(home=file.parent, mlflow_tracking_uri=None))
    with another_writer(file) as process:
        assert stuck.readiness()["database"].ok
        stop(process)
        found = stuck.readiness()["database"]
    assert not found.ok
    assert found.reason.startswith(f"process {process.pid} (")
    assert f"is stopped and holds the write lock of sqlite:///{file}: nobody can write" in found.reason
    database.close()


def test_the_link_to_mlflow_appears_with_its_experiment(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    experiment_id = experiments.submit(small_spec).id
    assert experiments.get(experiment_id).mlflow_url is None
    with database.write() as session:
        Outbox("mlflow").set_group(session, experiment_id, "42")
    url = experiments.get(experiment_id).mlflow_url
    assert url.startswith("http://127.0.0.1:1/mlflow/#/experiments/42/")
    assert experiment_id in url


# ---- cancel and extend ----


def test_cancel_of_a_queued_experiment_is_immediate(experiments: Experiments, small_spec: ExperimentSpec) -> None:
    experiment_id = experiments.submit(small_spec).id
    assert experiments.cancel(experiment_id).status == "cancelled"
    assert {trial.status for trial in experiments.trials(experiment_id)} == {"cancelled"}
    assert experiments.events(experiment_id)[-1].kind == "end"
    with pytest.raises(StatusConflictError, match="already cancelled"):
        experiments.cancel(experiment_id)


def test_cancel_of_a_running_experiment_asks_its_driver(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    experiment_id = experiments.submit(small_spec).id
    begin(database, experiment_id)
    assert experiments.cancel(experiment_id).status == "cancelling"
    assert experiments.cancel(experiment_id).status == "cancelling"
    assert {trial.status for trial in experiments.trials(experiment_id)} == {"pending"}


def test_extend_adds_seeds_and_keeps_what_is_done(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    experiment_id = experiments.submit(small_spec).id
    run_to_the_end(database, experiment_id)
    before = experiments.get(experiment_id)
    view = experiments.extend(experiment_id, [7, 5])
    assert (view.status, view.reason, view.ended_at) == ("queued", "extended by seeds 7, 5", None)
    assert (view.progress.trials_total, view.progress.trials_done, view.progress.pairs_total) == (8, 4, 4)
    assert view.digest != before.digest
    larger = small_spec.model_copy(update={"seeds": (0, 1, 7, 5)})
    assert experiments.spec(experiment_id) == larger
    assert view.digest == experiments.plan(larger).digest
    run_to_the_end(database, experiment_id)
    assert experiments.comparisons(experiment_id)[0].num_pairs == 4


def test_a_report_tells_that_seeds_were_added_after_a_look(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    def caveats() -> list[str]:
        run_to_the_end(database, experiment_id)
        return [
            caveat for caveat in experiments.report(experiment_id).caveats if "after results could already" in caveat
        ]

    experiment_id = experiments.submit(small_spec).id
    assert caveats() == []
    assert experiments.comparisons(experiment_id)[0].basis is Basis.FIXED
    experiments.extend(experiment_id, [7])
    (once,) = caveats()
    assert experiments.comparisons(experiment_id)[0].basis is Basis.ANYTIME
    assert any("any-time ones" in caveat for caveat in experiments.report(experiment_id).caveats)
    assert once.startswith("Seeds were added once after results could already be seen.")
    experiments.extend(experiment_id, [8, 9])
    (twice,) = caveats()
    assert twice.startswith("Seeds were added 2 times after")


def test_extend_goes_on_from_one_planned_look_to_the_next(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    looked_at = small_spec.model_copy(update={"looks": Looks(kind="pocock", at=(2, 4, 6))})
    experiment_id = experiments.submit(looked_at).id
    run_to_the_end(database, experiment_id)
    assert experiments.comparisons(experiment_id)[0].basis is Basis.LOOKS
    experiments.extend(experiment_id, [7, 5])
    assert experiments.comparisons(experiment_id)[0].basis is Basis.ANYTIME  # it is on its way
    # The driver goes from look to look, and adds trials as it goes.
    assert {trial.seed for trial in experiments.trials(experiment_id)} == {0, 1}
    assert experiments.spec(experiment_id).planned_looks == looked_at.looks


@pytest.mark.parametrize("added", [[7], [7, 5, 9]])
def test_extend_otherwise_than_planned_leaves_the_plan(
    added: list[int], experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    looked_at = small_spec.model_copy(update={"looks": Looks(kind="pocock", at=(2, 4))})
    experiment_id = experiments.submit(looked_at).id
    run_to_the_end(database, experiment_id)
    experiments.extend(experiment_id, added)
    run_to_the_end(database, experiment_id)
    (comparison,) = experiments.comparisons(experiment_id)
    assert (comparison.basis, comparison.num_pairs) == (Basis.ANYTIME, 2 + len(added))
    assert experiments.spec(experiment_id).planned_looks is None
    assert any("but seeds were added otherwise" in caveat for caveat in experiments.report(experiment_id).caveats)


def test_extend_after_an_early_end_forgets_seeds_that_no_trial_has_reached(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    looked_at = small_spec.model_copy(update={"looks": Looks(at=(2, 4)), "seeds": (0, 1, 2, 3)})
    experiment_id = experiments.submit(looked_at).id
    assert {trial.seed for trial in experiments.trials(experiment_id)} == {0, 1}
    run_to_the_end(database, experiment_id)
    experiments.extend(experiment_id, [9, 8])
    assert experiments.spec(experiment_id).seeds == (0, 1, 9, 8)
    assert {trial.seed for trial in experiments.trials(experiment_id)} == {0, 1, 8, 9}
    assert experiments.spec(experiment_id).looks.abandoned


def test_extend_goes_on_with_what_was_cancelled(experiments: Experiments, small_spec: ExperimentSpec) -> None:
    experiment_id = experiments.submit(small_spec).id
    experiments.cancel(experiment_id)
    assert experiments.extend(experiment_id, [2]).status == "queued"
    assert [trial.status for trial in experiments.trials(experiment_id)] == ["pending"] * 6


def test_extend_uses_the_params_that_the_search_chose(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    search = {"space": {"attention_bias.sigma": {"kind": "uniform", "low": 1, "high": 3}}, "num_candidates": 2}
    searched = small_spec.model_dump(mode="json")
    searched["arms"][1]["search"] = search
    experiment_id = experiments.submit(ExperimentSpec.model_validate(searched)).id
    assert len(experiments.trials(experiment_id, phase=Phase.CONFIRM)) == 2
    cell = experiments.trials(experiment_id)[0].cell.key
    number = begin(database, experiment_id)
    with database.write() as session:
        set_chosen_params(session, experiment_id, cell, "gaussian", {"attention_bias.sigma": 2.5}, number)
        move(session, experiment_id, ExperimentStatus.FAILED, attempt=number)
    experiments.extend(experiment_id, [9])
    params = [trial.params for trial in experiments.trials(experiment_id) if trial.arm == "gaussian"]
    assert params == [{"attention_bias.sigma": 2.5}] * 3


def fail(database: Database, experiment_id: str) -> None:
    """One trial succeeds, one fails, two are not tried."""
    number = begin(database, experiment_id)
    with database.write() as session:
        good, bad, *_ = trials_of(session, experiment_id)
        for trial in (good, bad):
            start_trial(session, trial.id, number)
        succeed_trial(session, good.id, result(0.5), number)
        fail_trial(session, bad.id, "the loss is nan", number)
        cancel_open_trials(session, experiment_id, number)
        row = move(session, experiment_id, ExperimentStatus.FAILED, "gave up", attempt=number)
        row.attempt_ends = {"crashed": 5}


@pytest.mark.parametrize(
    ("retry", "statuses", "reason"),
    [
        (False, ["succeeded", "failed", "pending", "pending"], "resumed"),
        (True, ["succeeded", "pending", "pending", "pending"], "resumed with failed trials"),
    ],
)
def test_resume_goes_on_with_what_is_missing(
    experiments: Experiments,
    database: Database,
    small_spec: ExperimentSpec,
    retry: bool,
    statuses: list[str],
    reason: str,
) -> None:
    experiment_id = experiments.submit(small_spec).id
    fail(database, experiment_id)
    view = experiments.resume(experiment_id, retry=retry)
    assert (view.status, view.reason, view.ended_at) == ("queued", reason, None)
    assert [trial.status for trial in experiments.trials(experiment_id)] == statuses
    assert all(condition.ok for condition in view.conditions if condition.type == "driver")
    with database.read() as session:
        assert get_experiment(session, experiment_id).attempt_ends == {}
    run_to_the_end(database, experiment_id)
    assert experiments.get(experiment_id).progress.trials_failed == (0 if retry else 1)


def test_resume_refuses_what_makes_no_sense(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    experiment_id = experiments.submit(small_spec).id
    with pytest.raises(StatusConflictError, match="is queued; only one that has ended can be resumed"):
        experiments.resume(experiment_id)
    run_to_the_end(database, experiment_id)
    for retry in (False, True):
        with pytest.raises(StatusConflictError, match=r"is succeeded and all its trials have ended$"):
            experiments.resume(experiment_id, retry=retry)
    with database.write() as session:
        trial = trials_of(session, experiment_id)[0]
        trial.status, trial.result = "failed", None
    with pytest.raises(StatusConflictError, match=r"; 1 failed trial can be tried again \(`--retry`\)"):
        experiments.resume(experiment_id)
    with database.write() as session:
        get_experiment(session, experiment_id).digest = "0ld"
    with pytest.raises(StatusConflictError, match="the code or the data differ from what"):
        experiments.resume(experiment_id, retry=True)


def test_extend_refuses_what_makes_no_sense(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    experiment_id = experiments.submit(small_spec).id
    with pytest.raises(StatusConflictError, match="is queued; only one that has ended can be extended"):
        experiments.extend(experiment_id, [7])
    run_to_the_end(database, experiment_id)
    with pytest.raises(SpecError, match="/seeds: no seed is given"):
        experiments.extend(experiment_id, [])
    with pytest.raises(SpecError, match=r"/seeds: seeds \[1\] are already part of the experiment"):
        experiments.extend(experiment_id, [7, 1])
    with pytest.raises(SpecError, match=r"(?i)seeds"):
        experiments.extend(experiment_id, [7, 7])
    with pytest.raises(SpecError, match=r"(?i)seeds"):
        experiments.extend(experiment_id, [-1])
    assert experiments.get(experiment_id).status == "succeeded"


def test_extend_never_mixes_two_versions_of_the_code(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec
) -> None:
    experiment_id = experiments.submit(small_spec).id
    run_to_the_end(database, experiment_id)
    with database.write() as session:
        # As if an older version had trained it.
        trials_of(session, experiment_id)[0].identity = "0ld"
    with pytest.raises(StatusConflictError, match="has trials by another version of the code or on other data"):
        experiments.extend(experiment_id, [7])
