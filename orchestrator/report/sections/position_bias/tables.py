"""The Gaussians in the learned position embeddings, as a table of text."""

from collections.abc import Sequence

from orchestrator.report.content.position_bias import PositionFit
from orchestrator.report.words.numbers import MISSING, mean_sd, signed
from orchestrator.report.words.table import Table

PART_WORDS = {"own": "its own", "sum": "own + Gaussian", "absolute": "absolute"}
"""What was fitted, in a table."""


def position_table(position: Sequence[PositionFit]) -> Table:
    """Does a layer's position embedding look like a Gaussian? One row per arm, part and layer."""
    return Table(
        title="Gaussian fitted to each layer's position embedding (mean over heads), mean ± sd over seeds",
        columns=("model", "data set", "arm", "embedding", "layer", "Gaussian in", "R²", "sigma (tokens)", "height"),
        num_text_columns=5,
        rows=[
            (
                fit.cell.model,
                fit.cell.dataset,
                fit.arm,
                PART_WORDS[fit.part],
                "all" if fit.layer is None else str(fit.layer),
                _gaussian_count(fit),
                mean_sd(fit.r_squared_mean, fit.r_squared_sd, 2),
                # The width of what is not a Gaussian may be anything.
                mean_sd(fit.sigma_mean, fit.sigma_sd, 2) if fit.num_gaussian == fit.num_seeds else MISSING,
                signed(fit.height_mean, 2) if fit.num_gaussian == fit.num_seeds else MISSING,
            )
            for fit in position
        ],
    )


def _gaussian_count(fit: PositionFit) -> str:
    if fit.num_not_fitted == fit.num_seeds:
        return "nothing learned"
    return f"{fit.num_gaussian} of {fit.num_seeds}"
