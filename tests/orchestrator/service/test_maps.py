"""Maps by themselves: each costs the trials that it is a mean of, and no report."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import MapNotFoundError
from orchestrator.planning.hardware import trial_folder
from orchestrator.report.sections.receptive_fields.map_figure import mean_field_figure
from orchestrator.service.maps import Maps
from orchestrator.store.database import Database, open_database
from orchestrator.stored.report import read_experiment, report_of
from tests.orchestrator.planted_maps import PLACE, planted_map, with_fields, write_maps
from tests.orchestrator.planted_views import planted_view, write_views
from tests.orchestrator.report.test_search_history import ONE, TRIED
from tests.orchestrator.synthetic import CELL, make_records, make_spec, play
from trainers.analyses.field_maps import MappedField, write_field_maps
from trainers.config import TrialConfig

SPEC = make_spec(seeds=[0, 1, 2], analyses=[{"kind": "receptive_field"}])
RECORDS = [with_fields(record) for record in make_records(SPEC, num_epochs=2)]
FIELD = f"{CELL.key}/gaussian/final/{PLACE[0]}_{PLACE[1]}"
VIEW = f"{CELL.key}/gaussian/sum/00/3_3"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'db'}")
    yield database
    database.close()


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    folder = tmp_path / "storage"
    for record in RECORDS:
        write_maps(folder, record.identity, record.arm, record.seed)
        write_views(folder, record.identity, record.arm, record.seed)
    return folder


@pytest.fixture
def maps(database: Database, storage: Path) -> Maps:
    return Maps(database, play(database, SPEC, RECORDS), storage)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a trial's config was made of a document, by who was asked to."""
    calls: Counter[str] = Counter()

    def counting(name: str) -> Callable[..., TrialConfig]:
        plain = getattr(TrialConfig, name).__func__

        def call(cls: type[TrialConfig], *args: object, **kwargs: object) -> TrialConfig:
            calls[name] += 1
            return plain(cls, *args, **kwargs)

        return classmethod(call)

    for name in ("model_validate", "model_validate_json", "model_validate_strings"):
        monkeypatch.setattr(TrialConfig, name, counting(name))
    return calls


def break_others(storage: Path, kept: str) -> None:
    """All files of arms but one can't be read."""
    for record in RECORDS:
        if record.arm != kept:
            for file in (storage / trial_folder(record.identity, "cpu-1")).iterdir():
                file.write_bytes(b"")


def test_one_map_costs_the_trials_of_its_arm(maps: Maps, storage: Path, parsed: Counter[str]) -> None:
    break_others(storage, "gaussian")
    expected = np.mean([planted_map("gaussian", seed, "final") for seed in SPEC.seeds], axis=0)
    np.testing.assert_allclose(maps.field(FIELD).map, expected)
    assert parsed.total() == len(SPEC.seeds)
    expected = np.mean([planted_view("sum", 0, seed, (8, 8), 2) for seed in SPEC.seeds], axis=0)
    np.testing.assert_allclose(maps.view(VIEW).map, expected, rtol=1e-6)
    assert parsed.total() == 2 * len(SPEC.seeds)


def test_no_map_builds_a_report(maps: Maps, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a report")

    for name in ("build_report", "compare_arms", "discordant_images_of"):
        monkeypatch.setattr(f"orchestrator.stored.report.{name}", refuse)
    assert maps.field(FIELD).seeds == SPEC.seeds
    assert maps.view(VIEW).seeds == SPEC.seeds
    assert len(maps.fields(is_measured=True).means) == 2 * len(SPEC.arms)
    assert {view.arm for view in maps.views().means} == {arm.name for arm in SPEC.arms}


def test_they_are_those_of_the_report(maps: Maps, database: Database, storage: Path) -> None:
    with database.read() as session:
        (experiment_id,) = session.connection().exec_driver_sql("SELECT id FROM experiments").scalars()
        report = report_of(read_experiment(session, experiment_id), storage=storage)
    assert maps.fields(is_measured=True) == report.receptive_fields.maps
    assert maps.views() == report.bias_views


def test_a_key_that_is_none_is_told_the_nearest_of_all_arms(maps: Maps) -> None:
    with pytest.raises(MapNotFoundError, match=rf"the nearest of its 6: '{FIELD}'"):
        maps.field(FIELD.replace("gaussian", "gausian"))
    with pytest.raises(MapNotFoundError, match=rf"'{VIEW}'"):
        maps.view(VIEW.replace("/00/", "/0/"))


def test_an_arm_with_tokens_of_its_own_is_drawn_by_its_own_places(maps: Maps, storage: Path) -> None:
    """In the picture of all arms it stands beside another token of the control."""
    for record in RECORDS:
        if record.arm == "gaussian":
            field = MappedField("final/1_1", planted_map("gaussian", record.seed, "final"), 0.3, (4, 4))
            write_field_maps(storage / trial_folder(record.identity, "cpu-1"), [field])
    key = f"{CELL.key}/gaussian/final/1_1"
    (beside,) = [mean.beside for mean in maps.fields().means if mean.key == key]
    assert beside == PLACE
    mean = maps.field(key)
    assert mean.beside == (1, 1)
    assert any("token 1,1" in text.get_text() for text in mean_field_figure([mean]).texts)


def test_a_report_parses_each_config_once(database: Database, parsed: Counter[str], tmp_path: Path) -> None:
    spec = ONE.model_copy(update={"analyses": SPEC.analyses})
    tried = [
        record.model_copy(update={"identity": f"tried{place}"})
        for place, record in enumerate(TRIED)
        if record.result is not None
    ]
    confirmed = [with_fields(record) for record in make_records(spec, num_epochs=2)]
    experiment_id = play(database, spec, [*tried, *confirmed])
    parsed.clear()
    with database.read() as session:
        stored = read_experiment(session, experiment_id)
    report = report_of(stored, storage=tmp_path)
    assert report.receptive_fields.unreadable
    assert report.bias_views.unreadable
    assert report.searches
    assert parsed.total() == len(stored.trials) == len(report.trials) == len(tried) + len(confirmed)
