"""Receptive fields of an experiment: planted maps in trials' folders, and what the report makes of them."""

import csv
import io
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

from orchestrator.report import Report, TrialRecord
from orchestrator.report.content.receptive_fields import PREFIXES
from orchestrator.report.formats.folder import write_report
from orchestrator.report.formats.terminal import to_text
from orchestrator.report.sections.receptive_fields.tables import (
    field_comparison_table,
    field_level_table,
    field_notes,
)
from orchestrator.status import TrialStatus
from orchestrator.store.database import Database, open_database
from orchestrator.stored.report import read_experiment, report_of
from tests.orchestrator.planted_maps import PLACE, planted_map, rms_radius_tokens, with_fields, write_all
from tests.orchestrator.synthetic import CELL, make_records, make_spec, play, report_on
from trainers.result import FieldRemark, Moment

SEEDS = range(6)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory):
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('store') / 'db'}")
    yield database
    database.close()


@pytest.fixture(scope="module")
def experiment_id(store: Database) -> str:
    spec = make_spec(analyses=[{"kind": "receptive_field", "every_epochs": 2}])
    return play(store, spec, [with_fields(record) for record in make_records(spec, num_epochs=5)])


def reported(store: Database, experiment_id: str, storage: Path | None) -> Report:
    with store.read() as session:
        return report_of(read_experiment(session, experiment_id), storage=storage)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("storage")
    write_all(folder, make_records(make_spec(), num_epochs=1))
    return folder


@pytest.fixture(scope="module")
def report(store: Database, experiment_id: str, storage: Path) -> Report:
    return reported(store, experiment_id, storage)


def planted_mean(arm: str, moment: str) -> np.ndarray:
    return np.mean([planted_map(arm, seed, moment) for seed in SEEDS], axis=0)


def test_mean_maps_are_the_means(report: Report) -> None:
    means = {(mean.arm, mean.moment): mean for mean in report.receptive_fields.means}
    assert list(means) == [
        (arm, moment) for arm in ("control", "gaussian", "placebo") for moment in ("initial", "final")
    ]
    for (arm, moment), mean in means.items():
        np.testing.assert_allclose(mean.map, planted_mean(arm, moment), rtol=1e-6)
        assert (mean.target, mean.grid, mean.seeds) == (PLACE, (8, 8), tuple(SEEDS))


def test_the_fit_of_a_mean_map_is_that_of_scipy(report: Report) -> None:
    mean = next(mean for mean in report.receptive_fields.means if (mean.arm, mean.moment) == ("gaussian", "final"))
    down, across = np.mgrid[:32, :32]

    def gaussian(place, height, y, x, sigma_y, sigma_x):
        return height * np.exp(-((place[0] - y) ** 2) / (2 * sigma_y**2) - (place[1] - x) ** 2 / (2 * sigma_x**2))

    values = planted_mean("gaussian", "final").ravel()
    start = (values.max(), 13.0, 13.0, 5.0, 5.0)
    (_, _, _, sigma_y, sigma_x), _ = optimize.curve_fit(gaussian, (down.ravel(), across.ravel()), values, start)
    assert mean.metrics.sigma_y_tokens == pytest.approx(sigma_y / 4, rel=1e-4)
    assert mean.metrics.sigma_x_tokens == pytest.approx(sigma_x / 4, rel=1e-4)
    assert mean.metrics.rms_radius_tokens == pytest.approx(rms_radius_tokens(planted_mean("gaussian", "final")))
    assert mean.metrics.fit_px.is_gaussian


@pytest.mark.parametrize("moment", ["initial", "final"])
def test_the_comparison_is_a_paired_one_outside_holms_family(report: Report, moment: str) -> None:
    prefix = {"initial": "receptive_field_initial", "final": "receptive_field"}[moment]
    comparison = next(
        each
        for each in report.receptive_fields.comparisons
        if (each.metric, each.treatment) == (f"{prefix}/rms_radius_tokens", "gaussian")
    )
    control, treatment = (
        np.array([rms_radius_tokens(planted_map(arm, seed, moment)) for seed in SEEDS])
        for arm in ("control", "gaussian")
    )
    expected = stats.ttest_rel(treatment, control).confidence_interval(0.95)
    assert (comparison.ci_low, comparison.ci_high) == pytest.approx((expected.low, expected.high))
    differences = treatment - control
    flips = [abs(np.dot(signs, differences)) for signs in itertools.product((-1, 1), repeat=len(differences))]
    assert comparison.p_value == pytest.approx(np.mean([flip >= flips[0] * (1 - 1e-12) for flip in flips]))
    assert comparison.p_holm is None
    assert {each.metric for each in report.comparisons} == {"test/top1"}


def test_curves_begin_before_training(report: Report) -> None:
    curve = report.receptive_fields.curves[0]
    assert (curve.arm, curve.metric, curve.epochs) == ("control", "rms_radius_tokens", (0, 2, 4))
    widths = [rms_radius_tokens(planted_map("control", seed, "final")) for seed in SEEDS]
    assert curve.mean[1] == pytest.approx(np.mean(widths) + 0.1)
    assert len(curve.seeds) == len(SEEDS)


def test_every_format_has_them(report: Report, tmp_path: Path) -> None:
    files = write_report(report, tmp_path)
    assert {"receptive_field_maps_png", "receptive_field_curves_svg", "receptive_fields_csv"} <= set(files)
    with np.load(tmp_path / "receptive_field_maps.npz") as arrays:
        assert len(arrays.files) == 6
        stored = arrays[f"{CELL.key}/gaussian/final/{PLACE[0]}_{PLACE[1]}"]
    np.testing.assert_allclose(stored, planted_mean("gaussian", "final"), rtol=1e-6)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "receptive_fields.csv").read_text())))
    assert len(rows) == len(report.receptive_fields.comparisons) == 6
    for name in ("report.md", "report.html", "report.txt"):
        assert "rms radius" in (tmp_path / name).read_text()
    assert "Receptive fields" in (tmp_path / "report.html").read_text()
    # The arrays are not in the JSON, and it can be read back without them.
    again = Report.model_validate_json((tmp_path / "report.json").read_text())
    assert "pixels" not in (tmp_path / "report.json").read_text()
    assert again.receptive_fields.comparisons == report.receptive_fields.comparisons


def test_tables_say_what_they_are(report: Report) -> None:
    table = field_comparison_table(report)
    assert "descriptive" in table.title
    shares = next(row for row in table.rows if row[2] == "area of half the mass (%)")
    assert shares[6] == "12.5 ± 1.9"
    row = field_level_table(report.receptive_fields).rows[0]
    assert row[2:4] == ("control", "6")
    before, after = (
        [rms_radius_tokens(planted_map("control", seed, moment)) for seed in SEEDS] for moment in ("initial", "final")
    )
    assert row[4] == f"{np.mean(before):.2f} → {np.mean(after):.2f} ± {np.std(after, ddof=1):.2f}"


def test_a_failed_trial_is_called_failed_beside_its_field() -> None:
    """Not "succeeded without"; and its pair counts in no comparison."""
    spec = make_spec(name="failed", analyses=[{"kind": "receptive_field"}], seeds=[0, 1, 2])
    records = [with_fields(record) for record in make_records(spec, num_epochs=3)]
    lost = {"status": TrialStatus.FAILED, "result": None, "error": "out of memory"}
    records[0] = records[0].model_copy(update=lost)
    comparison = report_on(spec, records).receptive_fields.comparisons[0]
    assert (comparison.num_pairs, comparison.num_planned_pairs) == (2, 3)
    assert comparison.pairs[0].missing_because == "control: failed (out of memory)"


def test_maps_that_cannot_be_read_are_counted_and_named(store: Database, experiment_id: str, tmp_path: Path) -> None:
    files = write_all(tmp_path, make_records(make_spec(), num_epochs=1))
    files[0].unlink()
    files[1].write_bytes(b"no archive")
    report = reported(store, experiment_id, tmp_path)
    by_arm = {mean.arm: mean.seeds for mean in report.receptive_fields.means}
    assert by_arm == {"control": (1, 2, 3, 4, 5), "gaussian": (1, 2, 3, 4, 5), "placebo": tuple(SEEDS)}
    missing, broken = field_notes(report.receptive_fields)
    assert (
        f"Receptive fields of 1 trial are in no mean map ({CELL.key}/control/seed0): no receptive_field.npz" in missing
    )
    assert "gaussian/seed0" in broken
    assert "is not what a trial writes" in broken
    assert broken.split(":")[0] in " ".join(to_text(report).split())


def _empty(_whole: bytes) -> bytes:
    return b""


def _flipped(whole: bytes) -> bytes:
    middle = bytearray(whole)
    middle[100] ^= 0xFF
    return bytes(middle)


def _packed(whole: bytes, **arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **(dict(np.load(io.BytesIO(whole))) | arrays))
    return file.getvalue()


def _grid_alone(whole: bytes) -> bytes:
    file = io.BytesIO()
    np.savez(file, grid=np.load(io.BytesIO(whole))["grid"])
    return file.getvalue()


def _one_array(_whole: bytes) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ones((3, 3)))
    return file.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        _empty,
        _one_array,
        _grid_alone,
        lambda whole: _flipped(_packed(whole)),
        lambda whole: _packed(whole, unknown=np.ones((3, 3))),
        lambda whole: _packed(whole, **{"final/0_0": np.ones(5)}),
        lambda whole: _packed(whole, **{"final/0_0": np.full((32, 32), np.nan)}),
        lambda whole: _packed(whole, **{"final/0_0": np.zeros((32, 32))}),
        lambda whole: _packed(whole, **{"final/0_0": np.diag([2.0, -1.0])}),
        lambda whole: _packed(whole, **{"final/0_0": np.full((2, 2), 0.25)}),
        lambda whole: _packed(whole, **{"final/0_0": np.full((32, 32), 1 / 1024, dtype=complex)}),
        lambda whole: _packed(whole, **{"final/8_0": np.full((32, 32), 1 / 1024)}),
        lambda whole: _packed(whole, grid=np.array([0, 0])),
    ],
    ids=[
        "empty",
        "one array",
        "no map",
        "altered",
        "another name",
        "not a matrix",
        "nan",
        "zero",
        "negative",
        "another size",
        "complex",
        "no such token",
        "no tokens",
    ],
)
def test_one_broken_file_costs_its_own_maps_only(
    store: Database, experiment_id: str, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    file, *_ = write_all(tmp_path, make_records(make_spec(), num_epochs=1))
    file.write_bytes(damage(file.read_bytes()))
    fields = reported(store, experiment_id, tmp_path).receptive_fields
    assert [len(mean.seeds) for mean in fields.means] == [5, 5, 6, 6, 6, 6]
    (note,) = field_notes(fields)
    assert "control/seed0" in note
    assert "is not what a trial writes" in note


def test_without_the_folder_the_numbers_stay(store: Database, experiment_id: str) -> None:
    report = reported(store, experiment_id, None)
    assert report.receptive_fields.means == ()
    assert len(report.receptive_fields.unreadable) == 18
    assert len(report.receptive_fields.comparisons) == 6
    assert "can't be reached" in field_notes(report.receptive_fields)[0]


@pytest.mark.parametrize("is_trained", [True, False])
def test_widths_of_what_is_no_gaussian_are_called_so(store: Database, is_trained: bool) -> None:
    """The treatment's fit is good after training only; its sigma before, and the control's, come with a warning."""
    spec = make_spec(
        name="trained" if is_trained else "untrained",
        analyses=[{"kind": "receptive_field"}],
        arms=make_spec().arms[:2],
        seeds=[0, 1],
    )
    r_squared = {"control": (0.9, 0.1), "gaussian": (0.5, 0.95)}
    records = []
    for record in map(with_fields, make_records(spec, num_epochs=5)):
        before, after = r_squared[record.arm]
        metrics = record.result.metrics | {"receptive_field/r_squared": after + 0.02 * record.seed}
        metrics["receptive_field_initial/r_squared"] = before
        if not is_trained:
            metrics = {name: value for name, value in metrics.items() if "_initial/" not in name}
        records.append(record.model_copy(update={"result": record.result.model_copy(update={"metrics": metrics})}))
    report = reported(store, play(store, spec, records), None)
    note = field_notes(report.receptive_fields)[0]
    if is_trained:
        named = f"{CELL.key}/control after training (0.11), {CELL.key}/gaussian before training (0.50). There"
    else:
        named = f"{CELL.key}/control weights as given (0.11). There"
    assert f"mean R² of the seeds' fits below 0.8: {named} the sigma" in note
    assert "describe little" in " ".join(to_text(report).split())


def test_what_trials_say_of_their_own_fields_reaches_the_reader(store: Database) -> None:
    """Once, with the seeds of each arm."""
    spec = make_spec(name="misled", analyses=[{"kind": "receptive_field"}], arms=make_spec().arms[:2], seeds=[0, 1, 2])
    dead = FieldRemark(moment="initial", text="every LayerScale is below 1e-4")
    records = [with_fields(record) for record in make_records(spec, num_epochs=3)]
    for place, record in enumerate(records):
        if (record.arm, record.seed) != ("gaussian", 1):
            result = record.result.model_copy(update={"receptive_field_remarks": (dead,)})
            records[place] = record.model_copy(update={"result": result})
    report = reported(store, play(store, spec, records), None)
    assert [(each.arm, each.seeds) for each in report.receptive_fields.warnings] == [
        ("control", (0, 1, 2)),
        ("gaussian", (0, 2)),
    ]
    told = f"Before training, {CELL.key}/control (3 seeds), {CELL.key}/gaussian (2 seeds): {dead.text}."
    assert field_notes(report.receptive_fields)[0] == told
    assert told in " ".join(to_text(report).split())


def test_who_did_not_ask_gets_nothing(store: Database, storage: Path) -> None:
    report = reported(store, play(store, make_spec(name="other", seeds=[0])), storage)
    assert report.receptive_fields is None
    assert field_comparison_table(report).rows == []


def without_fields(record: TrialRecord, *moments: Moment) -> TrialRecord:
    """What a trial says whose field can't exist: remarks, and no number."""
    assert record.result is not None
    gone = tuple(f"{PREFIXES[moment]}/" for moment in moments)
    metrics = {name: value for name, value in record.result.metrics.items() if not name.startswith(gone)}
    remarks = tuple(FieldRemark(moment=moment, text="not measured: there is no receptive field") for moment in moments)
    result = record.result.model_copy(update={"metrics": metrics, "receptive_field_remarks": remarks})
    return record.model_copy(update={"result": result})


def test_an_arm_and_a_seed_without_a_field_are_told_and_break_nothing(store: Database, tmp_path: Path) -> None:
    """The placebo has no field at all, and the gaussian's first seed none before training."""
    spec = make_spec(
        name="no-field",
        analyses=[{"kind": "receptive_field", "every_epochs": 2}],
        primary_metric="receptive_field/rms_radius_tokens",
    )
    plain = make_records(spec, num_epochs=5)
    records = []
    for record in map(with_fields, plain):
        if record.arm == "placebo":
            record = without_fields(record, "initial", "final")
        elif (record.arm, record.seed) == ("gaussian", 0):
            record = without_fields(record, "initial")
        records.append(record)
    files = write_all(tmp_path / "trials", [record for record in plain if record.arm != "placebo"])
    (first,) = [file for file in files if "gaussian-0" in str(file)]
    with np.load(first) as arrays:
        kept = {name: arrays[name] for name in arrays.files if "initial" not in name}
    np.savez(first, **kept)
    report = reported(store, play(store, spec, records), tmp_path / "trials")
    assert report.receptive_fields is not None
    assert report.receptive_fields.unreadable == ()
    assert {mean.arm for mean in report.receptive_fields.means} == {"control", "gaussian"}
    seeds = {(each.arm, each.moment): each.seeds for each in report.receptive_fields.differences}
    assert seeds == {("gaussian", "initial"): (1, 2, 3, 4, 5), ("gaussian", "final"): (0, 1, 2, 3, 4, 5)}
    gaussian, placebo = report.comparisons
    assert (gaussian.num_pairs, placebo.num_pairs, placebo.effect) == (6, 0, None)
    assert "placebo: succeeded without `receptive_field/rms_radius_tokens`" in str(placebo.pairs[0].missing_because)
    text = to_text(report)
    words = " ".join(text.split())
    assert "placebo (6 seeds)" in words
    assert "gaussian (1 seed)" in words
    assert "nan" not in words.lower().split()
    write_report(report, tmp_path / "report")
    assert (tmp_path / "report" / "report.html").stat().st_size > 1000
