"""Mean receptive fields as pictures: of all arms beside each other, and of one arm or trial."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from orchestrator.report.content import Report
from orchestrator.report.field_captions import SCORED
from orchestrator.report.field_choice import MAX_BESIDE, choose, in_report
from orchestrator.report.field_content import MOMENT_WORDS, MeanField
from orchestrator.report.field_figure import FieldRow, FieldTile, draw_fields
from orchestrator.report.figures import cell_title
from trainers.analyses.study import MAPS

MAX_TOKENS = 9
"""Rows of the figure of one arm."""


def field_map_figure(report: Report) -> Figure:
    """Maps of the control and the treatments, and differences from the control; rows: before and after training."""
    means = report.receptive_fields.means if report.receptive_fields else ()
    choice = in_report(report.receptive_fields)
    arms = [arm.name for arm in report.arms if any(arm.name == mean.arm for mean in means)]
    arms.sort(key=lambda name: name != report.control)
    rows = []
    for cell, target in choice.places:
        of_place = [mean for mean in means if (mean.cell, mean.target) == (cell, target)]
        for moment in MOMENT_WORDS:
            of_moment = [mean for mean in of_place if mean.moment == moment]
            if of_moment:
                where = f"{cell.dataset}\n{cell.model}\n{_token(target)}\n" if len(choice.places) > 1 else ""
                tiles = {mean.arm: _tile(mean) for mean in of_moment}
                rows.append(FieldRow(f"{where}{of_moment[0].moment_words}", tiles))
    title = ""
    if len(choice.places) == 1:
        ((cell, target),) = choice.places
        title = f"{cell_title(cell)}, {_token(target)}"
    return draw_fields(rows, arms, reference=report.control, title=title, note=_note(means, choice.left_out))


def mean_field_figure(fields: Sequence[MeanField]) -> Figure:
    """Maps of one arm or trial: rows are tokens, columns the moments and what changed between them.

    With one moment only, tokens stand side by side instead.
    """
    moments = list(dict.fromkeys(field.moment_words for field in fields))
    is_wide = len(moments) == 1
    choice = choose(fields, MAX_BESIDE * 2 if is_wide else MAX_TOKENS, where=MAPS)
    tokens = [target for _, target in choice.places]
    by_place = {(field.target, field.moment_words): _tile(field) for field in fields}
    if is_wide:
        columns = [_token(token) for token in tokens]
        rows = [FieldRow("", {_token(token): by_place[token, moments[0]] for token in tokens})]
    else:
        columns = moments
        rows = [
            FieldRow(_token(token), {name: by_place[token, name] for name in moments if (token, name) in by_place})
            for token in tokens
        ]
    return draw_fields(
        rows,
        columns,
        reference=None if is_wide or not moments else moments[0],
        title=_title(fields, moments),
        note=_note(fields, choice.left_out),
    )


def _title(fields: Sequence[MeanField], moments: Sequence[str]) -> str:
    if not fields:
        return ""
    field, count = fields[0], len(fields[0].seeds)
    seeds = f"mean over {count} seeds" if count > 1 else f"seed {field.seeds[0]}"
    when = f"\n{moments[0]}" if len(moments) == 1 else ""
    return f"{field.arm}, {seeds}: {cell_title(field.cell)}{when}"


def _note(fields: Sequence[MeanField], left_out: str) -> str:
    is_scored = any(field.is_trained and field.moment == "final" for field in fields)
    weights = f"After training: {SCORED}." if is_scored else ""
    return f"{weights} {left_out}".strip()


def _tile(field: MeanField) -> FieldTile:
    return FieldTile(field.map, field.target, field.grid, field.metrics)


def _token(target: tuple[int, int]) -> str:
    return f"token {target[0]},{target[1]}"
