"""A study of receptive fields as files that `python -m trainers.analyses` wrote: read, and drawn."""

from pathlib import Path

import numpy as np

from orchestrator.report.figures import render
from orchestrator.report.receptive_field_figure import FieldPanel, receptive_field_figure
from trainers.analyses.study import MAPS, RESULT, LookedAt, Study
from trainers.atomic_file import replaced_file


def read_study(folder: Path) -> Study:
    """What the study measured."""
    return Study.model_validate_json((folder / RESULT).read_bytes())


def draw_study(folder: Path, study: Study) -> list[Path]:
    """Draw all maps into one picture beside them, as PNG and SVG; gives the files."""
    with np.load(folder / MAPS) as maps:
        panels = [_panel(field, maps[field.key]) for field in study.fields]
    figure = receptive_field_figure(panels)
    files = []
    for kind in ("png", "svg"):
        files.append(folder / f"receptive_field.{kind}")
        with replaced_file(files[-1]) as file:
            file.write(render(figure, kind))
    return files


def _panel(field: LookedAt, values: np.ndarray) -> FieldPanel:
    fit = field.metrics.fit_px
    row, column = field.place
    return FieldPanel(
        title=f"{field.intervention}, token {row},{column}",
        map=values,
        center_px=(fit.center_y, fit.center_x),
        sigma_px=(fit.sigma_y, fit.sigma_x),
        remark=f"sigma {field.metrics.sigma_x_tokens:.2f} x {field.metrics.sigma_y_tokens:.2f} tokens, "
        f"R$^2$ {fit.r_squared:.2f}",
        is_gaussian=fit.is_gaussian,
    )
