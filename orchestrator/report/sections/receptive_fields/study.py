"""A study of receptive fields as files that `python -m trainers.analyses` wrote, as a picture."""

from pathlib import Path

from matplotlib.figure import Figure

from orchestrator.report.drawing.panels import render
from orchestrator.report.sections.receptive_fields.choice import MAX_BESIDE, left_out_words, middle_first
from orchestrator.report.sections.receptive_fields.map_figure import MAX_TOKENS
from orchestrator.report.sections.receptive_fields.tiles import FieldRow, FieldTile, draw_fields
from trainers.analyses.field_maps import FIELD_MAPS
from trainers.analyses.study import Study, read_study_maps
from trainers.atomic_file import replaced_file


def draw_study(folder: Path, study: Study) -> list[Path]:
    """Draw the maps into one picture beside them, as PNG and SVG; gives the files."""
    maps = read_study_maps(folder, study)
    tiles = {
        (field.intervention, field.place): FieldTile(maps[field.key], field.place, field.grid, field.metrics)
        for field in study.fields
    }
    figure = study_figure(study, tiles)
    files = []
    for kind in ("png", "svg"):
        files.append(folder / f"receptive_field.{kind}")
        with replaced_file(files[-1]) as file:
            file.write(render(figure, kind))
    return files


def study_figure(study: Study, tiles: dict[tuple[str, tuple[int, int]], FieldTile]) -> Figure:
    """Rows are tokens; columns are interventions, then how each differs from the first.

    With one intervention only, tokens stand side by side instead.
    """
    names = list(dict.fromkeys(name for name, _ in tiles))
    is_wide = len(names) == 1
    grid = study.fields[0].grid
    tokens = middle_first(list(dict.fromkeys(place for _, place in tiles)), grid)
    most = 2 * MAX_BESIDE if is_wide else MAX_TOKENS
    shown = tokens if len(tokens) <= most + 1 else tokens[:most]
    words = {token: f"token {token[0]},{token[1]}" for token in shown}
    if is_wide:
        columns = list(words.values())
        rows = [FieldRow("", {words[token]: tiles[names[0], token] for token in shown})]
    else:
        columns = names
        rows = [
            FieldRow(words[token], {name: tiles[name, token] for name in names if (name, token) in tiles})
            for token in shown
        ]
    done = f"\nintervention: {names[0]}" if is_wide else ""
    return draw_fields(
        rows,
        columns,
        reference=None if is_wide else names[0],
        title=f"{study.model}, {study.fields[0].num_images} images of {study.dataset}{done}",
        note=left_out_words(tokens=len(tokens) - len(shown), cells=0, where=FIELD_MAPS),
    )
