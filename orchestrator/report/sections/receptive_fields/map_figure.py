"""Mean receptive fields as pictures: of all arms beside each other, and of one arm or trial."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from orchestrator.report.content.receptive_fields import MOMENT_WORDS, FieldMaps, MeanField
from orchestrator.report.drawing.panels import cell_title
from orchestrator.report.sections.receptive_fields.captions import SCORED
from orchestrator.report.sections.receptive_fields.choice import MAX_BESIDE, choose, in_report
from orchestrator.report.sections.receptive_fields.means import measured
from orchestrator.report.sections.receptive_fields.tiles import FieldRow, FieldTile, draw_fields
from trainers.analyses.field_maps import FIELD_MAPS

MAX_TOKENS = 9
"""Rows of the figure of one arm."""

_MAX_NAMED = 4


def field_map_figure(maps: FieldMaps, arms: Sequence[str], control: str) -> Figure:
    """Maps of the control and the treatments, and differences from the control; rows: before and after training.

    Args:
        maps: of all arms, called as the picture is to call them.
        arms: what they are called, in the order of the spec.
        control: what the control is called.
    """
    means = maps.means
    choice = in_report(means)
    seen = {mean.arm for mean in means}
    columns = sorted((name for name in arms if name in seen), key=lambda name: name != control)
    rows = []
    for cell, token in choice.places:
        of_place = [mean for mean in means if (mean.cell, mean.beside) == (cell, token)]
        for moment in MOMENT_WORDS:
            of_moment = [mean for mean in of_place if mean.moment == moment]
            if of_moment:
                where = f"{cell.dataset}\n{cell.model}\n{_tokens(of_place)}\n" if len(choice.places) > 1 else ""
                tiles = {mean.arm: _tile(mean) for mean in of_moment}
                differences = {
                    each.arm: each.map
                    for each in maps.differences
                    if (each.cell, each.moment, each.target) == (cell, moment, token)
                }
                rows.append(FieldRow(f"{where}{of_moment[0].moment_words}", tiles, differences))
    title = ""
    if len(choice.places) == 1:
        ((cell, token),) = choice.places
        title = f"{cell_title(cell)}, {_tokens([mean for mean in means if mean.beside == token])}"
    shown = [mean for mean in means if (mean.cell, mean.beside) in choice.places]
    note = f"{_seeds(shown, control)} {_note(means, choice.left_out)}".strip()
    return draw_fields(rows, columns, reference=control, title=title, note=note)


def mean_field_figure(fields: Sequence[MeanField]) -> Figure:
    """Maps of one arm or trial: rows are tokens, columns the moments and what changed between them.

    With one moment only, tokens stand side by side instead.
    """
    moments = list(dict.fromkeys(field.moment_words for field in fields))
    is_wide = len(moments) == 1
    choice = choose(fields, MAX_BESIDE * 2 if is_wide else MAX_TOKENS, where=FIELD_MAPS)
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


def _seeds(shown: Sequence[MeanField], control: str) -> str:
    """How many seeds the maps are means of; who has other ones, for then two means differ by more than their arms."""
    if not shown:
        return ""
    seeds = {(mean.cell.key, mean.arm): mean.seeds for mean in shown}
    most = max(seeds.values(), key=len)
    fewer = [f"{place}/{arm}: {len(each)}" for (place, arm), each in seeds.items() if each != most]
    words = f"Means over {len(most)} {'seed' if len(most) == 1 else 'seeds'}"
    if fewer:
        words += f" ({', '.join(fewer[:_MAX_NAMED])}{', …' if len(fewer) > _MAX_NAMED else ''})"
    arms = {mean.arm for mean in shown}
    return f"{words}; differences over pairs of the same seed." if {control} < arms else f"{words}."


def _note(fields: Sequence[MeanField], left_out: str) -> str:
    is_scored = any(field.is_trained and field.moment == "final" for field in fields)
    weights = f"After training: {SCORED}." if is_scored else ""
    return f"{weights} {left_out}".strip()


def _tile(field: MeanField) -> FieldTile:
    return FieldTile(field.map, field.target, field.grid, measured(field).metrics)


def _tokens(means: Sequence[MeanField]) -> str:
    """Of arms that stand beside each other: `token 3,3`, or `tokens 3,3 of 8 x 8 and 1,1 of 4 x 4`."""
    seen = dict.fromkeys((mean.target, mean.grid) for mean in means)
    if len({target for target, _ in seen}) == 1:
        return _token(means[0].target)
    return f"tokens {' and '.join(f'{row},{column} of {grid[0]} x {grid[1]}' for (row, column), grid in seen)}"


def _token(target: tuple[int, int]) -> str:
    return f"token {target[0]},{target[1]}"
