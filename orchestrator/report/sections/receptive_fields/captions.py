"""What must be told of receptive fields for their pictures and tables to be read: the same words in every format."""

from orchestrator.report.content.receptive_fields import ReceptiveFields
from orchestrator.report.sections.receptive_fields.choice import curves_in_report, in_report
from orchestrator.report.words.numbers import fixed
from trainers.analyses.gaussian_fit import GOOD_R_SQUARED, GaussianFit

INTRODUCTION = (
    "Which pixels a token's final feature depends on: the gradient of the token with respect to the picture "
    "(arXiv 2305.04722, section 3)."
)

LEGEND = (
    "Square: the token that is looked at. Ellipse: one σ of the Gaussian through the map that is shown, as σ "
    "(tokens, across × down) and R² below the map; dotted where it is not a Gaussian "
    f"(R² below {GOOD_R_SQUARED}). Density 1 is an even spread. Maps of a row share one scale, by the square root, "
    "which ends where the surround is brightest: the token's own pixels may lie beyond it."
)
"""Below every picture of maps."""

SCORED = "with the weights that are scored (best validation epoch)"
"""What \"after training\" means in maps and tables."""

R_SQUARED_OF_MEAN = (
    "R² (1 - SSE/SST; the paper's tool has 1 - var(residual)/var(map), in the table) is that of the fit of the mean "
    "map, not the mean of the seeds' R²"
)
R_SQUARED_OF_SEEDS = "R² is the mean over seeds of the R² of each seed's own fit"

NORM_WORDS = {
    "before": "before the final norm",
    "after": "after the final norm",
    "after_if_trained": "after the final norm, but before it where its weights are all equal (untrained)",
}
"""Where the token is looked at, in tables and captions: two quantities, whose maps differ."""


def r_squared_text(fit: GaussianFit) -> str:
    """With two digits, or one more where two would read as a Gaussian that it is not."""
    is_close = not fit.is_gaussian and round(fit.r_squared, 2) >= GOOD_R_SQUARED
    return fixed(fit.r_squared, 3 if is_close else 2)


def map_caption(fields: ReceptiveFields) -> str:
    """Of the picture of maps."""
    trained = any(mean.is_trained for mean in fields.means)
    when = f"before training and after it, {SCORED}" if trained else "with the weights as given"
    sentences = [
        f"Mean maps over seeds {when}, of the token {NORM_WORDS[fields.norm]}; {R_SQUARED_OF_MEAN}.",
        LEGEND,
        in_report(fields.means).left_out,
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def curve_caption(fields: ReceptiveFields) -> str:
    """Of the picture of curves."""
    words = (
        "Width and R² over epochs, with each epoch's own weights: the last point is the last epoch's, "
        f"while maps and tables are {SCORED}. {R_SQUARED_OF_SEEDS}. {curves_in_report(fields).left_out}"
    )
    return words.strip()
