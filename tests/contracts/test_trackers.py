"""What every tracker has to keep: whoever sends may die between any two calls, and calls again.

A new tracker comes under it by an `Opened` in `tracker_examples.py` and an entry below.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import select

from orchestrator.settings import Settings
from orchestrator.status import TrialStatus
from orchestrator.store.database import Database, open_database
from orchestrator.store.tables import MetricRow
from orchestrator.store.tracking import runs_of
from orchestrator.store.trials import trials_of
from orchestrator.tracking.outbox import Outbox
from orchestrator.tracking.shipper import Shipper
from orchestrator.tracking.tracker import NewRun, Point, TrackerRefusedError, TrackerUnavailableError
from orchestrator.tracking.trackers import TRACKERS
from tests.contracts.tracker_examples import Opened, OpenedMlflow, OpenedTensorboard, single
from tests.orchestrator.synthetic import begin, end, finish, make_record, make_spec, plan, train

EXAMPLES: dict[str, Callable[[pytest.FixtureRequest], Opened]] = {
    "mlflow": lambda request: OpenedMlflow(request.getfixturevalue("mlflow_url")),
    "tensorboard": lambda request: OpenedTensorboard(request.getfixturevalue("tmp_path") / "tensorboard"),
}
AT = datetime(2026, 11, 20, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.mlflow if name == "mlflow" else ()) for name in EXAMPLES])
def place(request: pytest.FixtureRequest) -> Opened:
    return EXAMPLES[request.param](request)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """An experiment that no other test uses."""
    return request.node.name.translate(str.maketrans("_[", "--", "]"))[:60]


def new_run(name: str, number: int = 7) -> NewRun:
    tags = {"arm": "gaussian", "sigmalab.experiment_id": name, "sigmalab.trial": f"{name}/{number}"}
    return NewRun(name, f"{name}/{number}", f"gaussian/seed{number}/small vit", tags, AT, "#0072b2")


@pytest.fixture
def run(place: Opened, name: str) -> str:
    tracker = place.tracker()
    return tracker.ensure_run(tracker.ensure_group(name, name, None), new_run(name))


def points(first: int, last: int) -> list[Point]:
    return [
        Point(key, epoch + 0.1, AT + timedelta(seconds=epoch), epoch)
        for epoch in range(first, last)
        for key in ("val/top1", "sigma/00_head1")
    ]


def told(sent: list[Point]) -> list[tuple[str, int, int, float]]:
    return sorted((each.key, each.step, round(each.at.timestamp() * 1000), single(each.value)) for each in sent)


def test_each_tracker_that_may_be_named_is_asked_here() -> None:
    assert set(EXAMPLES) == set(TRACKERS)


def test_kind_and_tracker_have_one_name(place: Opened, tmp_path: Path) -> None:
    tracker = place.tracker()
    kind = TRACKERS[tracker.name]
    assert (kind.name, kind.title) == (tracker.name, tracker.title)
    settings = Settings(home=tmp_path, mlflow_tracking_uri="http://127.0.0.1:9")
    assert kind.is_on(settings)
    assert type(kind.open(settings)) is type(tracker)
    assert "\n" not in kind.look(settings).reason


def test_what_holds_the_runs_is_made_once(place: Opened, name: str) -> None:
    group = place.tracker().ensure_group(name, name, None)
    assert place.tracker().ensure_group(name, name, None) == group
    assert place.tracker().ensure_group(name, name, group) == group


def test_what_holds_the_runs_is_missed_where_it_is_gone(place: Opened, name: str) -> None:
    tracker = place.tracker()
    with pytest.raises(TrackerRefusedError) as refused:
        tracker.ensure_group(name, name, "987654321")
    assert refused.value.is_missing


def test_a_run_is_made_once_for_its_key(place: Opened, name: str, run: str) -> None:
    tracker = place.tracker()
    group = tracker.ensure_group(name, name, None)
    renamed = new_run(name)._replace(name="another label")
    assert tracker.ensure_run(group, new_run(name)) == tracker.ensure_run(group, renamed) == run
    other = tracker.ensure_run(group, new_run(name, 8))
    assert other != run
    assert dict(place.tracker().known_runs(group, name)) == {f"{name}/7": run, f"{name}/8": other}
    tracker.discard(other)
    assert dict(tracker.known_runs(group, name)) == {f"{name}/7": run}


def test_values_keep_key_step_and_time(place: Opened, run: str) -> None:
    place.tracker().log(run, points(0, 5))
    assert place.shown(run).points == told(points(0, 5))


def test_values_that_are_sent_again_are_there_once(place: Opened, run: str) -> None:
    tracker = place.tracker()
    tracker.log(run, points(0, 4))
    tracker.log(run, points(0, 4))
    # Another process, which does not know how far the first one came.
    place.tracker().log(run, points(2, 6))
    tracker.log(run, points(5, 8))
    assert place.shown(run).points == told(points(0, 8))


def test_many_values_go_in_one_call(place: Opened, run: str) -> None:
    place.tracker().log(run, points(0, 1200))
    assert len(place.shown(run).points) == 2400


def test_no_value_is_nothing(place: Opened, run: str) -> None:
    tracker = place.tracker()
    tracker.log(run, points(0, 1))
    tracker.log(run, [])
    assert place.shown(run).points == told(points(0, 1))


def test_params_are_there_and_may_be_told_again(place: Opened, run: str) -> None:
    params: dict[str, bool | float | str] = {"model.kind": "small_vit", "attention_bias.sigma": 2.5, "compile": False}
    for tracker in (place.tracker(), place.tracker()):
        tracker.params(run, params, AT)
    assert place.shown(run).params == {name: str(value) for name, value in params.items()}


def test_the_newest_description_is_shown(place: Opened, run: str) -> None:
    # The last two at the same time: what is said of a trial may change after its end.
    for minute, note in enumerate(("**first**", "**first**", "**second**", "**third**")):
        place.tracker().describe(run, note, {"sigmalab.status": "failed"}, AT + timedelta(minutes=minute // 2))
    assert place.shown(run).notes[-1].startswith("**third**")


def test_pictures_and_tables_are_attached_once(place: Opened, run: str, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    Image.new("RGBA", (4, 3)).save(folder / "sigma_by_layer.png")
    (folder / "layers.json").write_text(json.dumps({"columns": ["layer", "sigma"], "data": [[0, 2.5], [1, None]]}))
    for tracker in (place.tracker(), place.tracker()):
        tracker.attach(run, folder, AT, ["layers.json"])
    assert place.shown(run).files == ["layers", "sigma_by_layer"]


def test_a_run_that_was_closed_goes_on(place: Opened, run: str) -> None:
    tracker = place.tracker()
    tracker.log(run, points(0, 2))
    for _ in range(2):
        tracker.close(run, TrialStatus.FAILED, AT)
    tracker.reopen(run)
    tracker.log(run, points(2, 4))
    tracker.close(run, TrialStatus.SUCCEEDED, AT + timedelta(minutes=1))
    assert place.shown(run).points == told(points(0, 4))


def test_a_run_that_is_gone_is_refused(place: Opened, name: str) -> None:
    tracker = place.tracker()
    tracker.ensure_group(name, name, None)
    with pytest.raises(TrackerRefusedError) as refused:
        tracker.log("0" * 32, points(0, 1))
    assert refused.value.is_missing


def test_a_place_that_is_away_is_said_so(place: Opened, name: str) -> None:
    with pytest.raises(TrackerUnavailableError):
        place.away().ensure_group(name, name, None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}")
    yield database
    database.close()


def test_a_shipped_experiment_has_what_the_store_has(place: Opened, store: Database, name: str) -> None:
    experiment_id, attempt = begin(store, make_spec(name=name, seeds=[0]))
    for arm in ("control", "gaussian"):
        record = make_record(arm, 0, num_epochs=3)
        trial_id = plan(store, experiment_id, record)
        train(store, trial_id, record, attempt)
        end(store, trial_id, record, attempt)
    finish(store, experiment_id, attempt)
    tracker = place.tracker()
    assert Shipper(store, tracker).drain(60)
    with store.read() as session:
        assert Outbox(tracker.name).backlog(session).is_empty
        runs, trials = runs_of(session, tracker.name, experiment_id), trials_of(session, experiment_id)
        rows = session.scalars(select(MetricRow)).all()
    assert sorted(runs) == [trial.id for trial in trials]
    for trial in trials:
        shown = place.shown(runs[trial.id])
        ours = [Point(row.key, row.value, row.recorded_at, row.step) for row in rows if row.trial_id == trial.id]
        expected = [(_without_rename(key), *rest) for key, *rest in told(ours)]
        finals = ("test/", "best_val/", "delta/")
        assert sorted(
            (_without_rename(key), *rest) for key, *rest in shown.points if not key.startswith(finals)
        ) == sorted(expected)
        (top1,) = [value for key, _, _, value in shown.points if key == "test/top1"]
        assert top1 == single(trial.final_metrics["test/top1"])
        assert shown.params["seed"] in ("0", "0.0")
    assert any(key == "delta/test_top1" for key, *_ in shown.points)


def _without_rename(key: str) -> str:
    return key.removeprefix("gaussian_")
