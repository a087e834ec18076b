"""Mean maps where not all is alike: lost seeds, other tokens, odd files."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from orchestrator.report import Report
from orchestrator.report.drawing.panels import render
from orchestrator.report.sections.receptive_fields.building import field_maps_of, receptive_fields_of
from orchestrator.report.sections.receptive_fields.map_figure import field_map_figure
from orchestrator.report.sections.receptive_fields.means import measured
from orchestrator.report.sections.receptive_fields.tables import field_notes
from orchestrator.report.sections.receptive_fields.tiles import FieldRow
from orchestrator.statistics.pairing import TrialKey
from orchestrator.status import TrialStatus
from tests.orchestrator.planted_maps import GRID_TOKENS, PLACE, planted_map, with_fields
from tests.orchestrator.synthetic import CELL, make_records, make_spec, report_on
from trainers.analyses.field_maps import TrialMaps

SPEC = make_spec(analyses=[{"kind": "receptive_field"}], arms=make_spec().arms[:2], seeds=[0, 1, 2])
RECORDS = [with_fields(record) for record in make_records(SPEC, num_epochs=3)]
NAME = f"final/{PLACE[0]}_{PLACE[1]}"


def whole() -> dict[TrialKey, TrialMaps]:
    return {
        (CELL.key, record.arm, record.seed): TrialMaps(
            (GRID_TOKENS, GRID_TOKENS), {NAME: planted_map(record.arm, record.seed, "final")}
        )
        for record in RECORDS
    }


def with_coarse_tokens(arm: str, tokens: list[tuple[int, int]]) -> dict[TrialKey, TrialMaps]:
    """All trials of an arm have 4 x 4 tokens."""
    maps = {f"final/{row}_{column}": planted_map(arm, 0, "final") for row, column in tokens}
    return whole() | {key: TrialMaps((4, 4), maps) for key in whole() if key[1] == arm}


def fields_of(maps, spec=SPEC):
    return receptive_fields_of(spec, [CELL], RECORDS, maps)


def drawn(maps) -> Report:
    """The report, after its picture was drawn."""
    report = report_on(SPEC, RECORDS).model_copy(update={"receptive_fields": fields_of(maps)})
    render(picture_of(report), "png")
    return report


def picture_of(report: Report) -> Figure:
    return field_map_figure(report.receptive_fields.maps, [arm.name for arm in report.arms], report.control)


def test_differences_are_over_pairs_only() -> None:
    """The control of the lost seed is in its own mean, but in no difference."""
    maps = whole()
    maps[CELL.key, "gaussian", 1] = "lost"
    fields = fields_of(maps)
    assert {mean.arm: mean.seeds for mean in fields.means} == {"control": (0, 1, 2), "gaussian": (0, 2)}
    (difference,) = fields.differences
    assert difference.seeds == (0, 2)
    expected = sum(planted_map("gaussian", s, "final") - planted_map("control", s, "final") for s in (0, 2)) / 2
    np.testing.assert_allclose(difference.map, expected, atol=1e-12)
    drawn(maps)


def test_without_any_pair_there_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[FieldRow] = []
    draw = "orchestrator.report.sections.receptive_fields.map_figure.draw_fields"
    monkeypatch.setattr(draw, lambda given, *_, **__: rows.extend(given))
    maps = whole() | {(CELL.key, "gaussian", seed): "lost" for seed in (0, 1)}
    maps[CELL.key, "control", 2] = "lost"
    picture_of(report_on(SPEC, RECORDS).model_copy(update={"receptive_fields": fields_of(maps)}))
    assert [(set(row.tiles), row.differences) for row in rows] == [({"control", "gaussian"}, {})]
    monkeypatch.undo()
    drawn(maps)


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (TrialMaps((8, 8), {NAME: np.full((16, 16), 1 / 256)}), "16 x 16 pixels and 8 x 8 tokens"),
        (TrialMaps((4, 4), {NAME: planted_map("control", 1, "final")}), "32 x 32 pixels and 4 x 4 tokens"),
    ],
    ids=["another size", "another grid"],
)
def test_an_odd_one_is_named_and_in_no_mean(odd: TrialMaps, reason: str) -> None:
    fields = fields_of(whole() | {(CELL.key, "control", 1): odd})
    assert {mean.arm: mean.seeds for mean in fields.means} == {"control": (0, 2), "gaussian": (0, 1, 2)}
    (note,) = field_notes(fields)
    assert "control/seed1" in note
    assert f"its maps have {reason}, those of other seeds 32 x 32 pixels and 8 x 8 tokens" in note


def test_lengths_in_other_tokens_are_not_compared() -> None:
    fields = drawn(with_coarse_tokens("gaussian", [(1, 1)])).receptive_fields
    assert fields.differences == ()
    assert {each.metric.rpartition("/")[2] for each in fields.comparisons} == {"area_50_fraction"}
    assert "control 8 x 8, gaussian 4 x 4" in field_notes(fields)[0]
    everything = {each.metric.rpartition("/")[2] for each in fields_of(whole()).comparisons}
    assert everything == {"area_50_fraction", "rms_radius_tokens"}


def test_the_middle_stands_beside_the_middle() -> None:
    by_arm = {
        mean.arm: (mean.target, mean.beside) for mean in fields_of(with_coarse_tokens("gaussian", [(1, 1)])).means
    }
    assert by_arm == {"control": ((3, 3), (3, 3)), "gaussian": ((1, 1), (3, 3))}
    # Two tokens have no counterpart in one.
    several = fields_of(with_coarse_tokens("gaussian", [(0, 0), (1, 1)])).means
    assert all(mean.beside == mean.target for mean in several)


def test_the_question_has_one_p() -> None:
    spec = SPEC.model_copy(update={"primary_metric": "receptive_field/rms_radius_tokens"})
    fields = fields_of(whole(), spec)
    assert "receptive_field/rms_radius_tokens" not in {each.metric for each in fields.comparisons}
    assert "receptive_field_initial/rms_radius_tokens" in {each.metric for each in fields.comparisons}
    assert "is the primary metric" in field_notes(fields)[0]


def test_arrays_alone_are_measured_when_they_are_needed() -> None:
    for bare, full in zip(
        field_maps_of(SPEC, [CELL], RECORDS, whole(), is_measured=False).means, fields_of(whole()).means, strict=True
    ):
        assert bare.metrics is None
        assert full.metrics is not None
        assert measured(bare) == full


def test_a_lost_trial_leaves_no_pair_behind() -> None:
    """As in every comparison: the control of a failed treatment counts in none."""
    records = [
        record.model_copy(update={"status": TrialStatus.FAILED, "result": None})
        if (record.arm, record.seed) == ("gaussian", 2)
        else record
        for record in RECORDS
    ]
    (difference,) = receptive_fields_of(SPEC, [CELL], records, whole()).differences
    assert difference.seeds == (0, 1)
