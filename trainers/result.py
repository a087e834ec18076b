"""What a trial says: one report an epoch, one result at its end."""

from typing import Literal

from pydantic import Field

from trainers.strict import StrictModel

BiasPart = Literal["own", "sum", "absolute"]
"""What a Gaussian was laid through: a layer's own relative position embedding (table or MLP, as timm has it), its sum
with our Gaussian (as attention sees it), or the similarity map of an absolute embedding."""

FitVerdict = Literal[
    "gaussian", "no_gaussian", "hollow", "off_centre", "narrow", "wide", "nothing_learned", "not_fitted"
]
"""What a fit says of its map, the first that holds: `nothing_learned`, the same everywhere; `not_fitted`, broken or too
small; `no_gaussian`, R^2 too low; `hollow`, lowest at its centre; `off_centre`, further than sigma from displacement 0;
`narrow` or `wide`, no width can be told; else a `gaussian` was learned."""

Moment = Literal["initial", "final"]
"""When a receptive field is looked at: before training, or with the weights that are scored."""


class EpochReport(StrictModel):
    """What every epoch reports, as one flat mapping.

    Keys: `train/loss`, `val/loss`; as fractions, 0 to 1, `val/top1`, `val/top5`, `val/balanced_accuracy`,
    `val/macro_f1` and `val/ece` (expected calibration error); `lr`, `images_per_second`, `data_wait_fraction`, and per
    layer `sigma/00`, `amplitude/00` (zero-padded layer number; tokens; per head `sigma/00_head0`). Sigma is reported as
    its absolute value. Where the config asks for the receptive field every k epochs, `receptive_field_epoch/...`: of
    that epoch's weights.
    """

    epoch: int
    """Epoch that has just ended, from 0."""
    metrics: dict[str, float]
    """Named scalars of this epoch."""
    seconds: float
    """Wall time of this epoch, validation included."""


class LayerFit(StrictModel):
    """The Gaussian, with a floor, that fits what one layer learned about position (see `analyses/learned_bias.py`)."""

    part: BiasPart
    """What it was laid through."""
    layer: int | None
    """Layer, from 0 (`None`: the embedding is the whole model's)."""
    head: int | None = None
    """Head, from 0 (`None`: mean over heads)."""
    sigma: float | None = None
    """Width in tokens, geometric mean of both axes (`None`: nothing could be fitted)."""
    sigma_x: float | None = None
    """Width along a row, in tokens."""
    sigma_y: float | None = None
    """Width along a column, in tokens."""
    height: float | None = None
    """What the Gaussian adds at its centre, in logits (cosine for `absolute`); negative for a hollow."""
    r_squared: float | None = None
    """Share of the map's variance that the Gaussian explains."""
    offset: float | None = None
    """Distance of its centre from displacement 0 (`absolute`: from the token that is compared), in tokens."""
    is_gaussian: bool = False
    """Whether a Gaussian was learned: it explains the map, is a hill around displacement 0, and fits into the map."""
    spread: float | None = None
    """Largest minus smallest value of the map (`None`: not finite)."""
    verdict: FitVerdict | None = None
    """What the fit says, for programs (`None`: of a trial that was stored before there was one)."""
    remark: str = ""
    """The same for readers: what they must know before using the numbers; why there is no fit."""


class FieldRemark(StrictModel):
    """What a reader must know of a trial's receptive field: why it misleads, or why there is none."""

    moment: Moment
    """When it was looked at."""
    text: str
    """A sentence without its full stop."""


class TrialResult(StrictModel):
    """What a finished trial leaves behind."""

    epochs: list[EpochReport]
    """One report per epoch, in order; none of a trial that trains nothing."""
    best_epoch: int | None
    """Epoch with the best validation accuracy (the first one, if several are equal; `None`: nothing was trained, all
    numbers are those of the initial weights)."""
    metrics: dict[str, float]
    """`best_val/...` at the best epoch, `test/...` there (only if the config asks for the test split), the last
    epoch's values under their own keys (without an epoch `val/...`, `sigma/..` and `amplitude/..`), and the Gaussian
    fitted to each layer's own relative position embedding: `rpe_sigma/00` (tokens), `rpe_r_squared/00` (absolute
    embeddings: `ape_sigma`, `ape_r_squared`). Where the config asks for the receptive field: `receptive_field/...` of
    the scored weights and, if they were trained, `receptive_field_initial/...`."""
    predictions_file: str | None
    """File of per-image predictions (npz), relative to the trial's storage folder."""
    training_seconds: float
    """Wall time of all epochs, over all attempts."""
    provenance: dict[str, str]
    """Device, versions, data fingerprint, number of workers."""
    initial_bias: dict[str, float] = Field(default_factory=dict)
    """`sigma/00` (tokens) and `amplitude/00` of each layer before the first step; empty without an attention bias, and
    of a trial that was stored before this was kept."""
    token_sides_px: tuple[int | None, ...] = ()
    """Side of a token in pixels, of each layer with an attention bias (`None`: not known); empty without one, and of a
    trial that was stored before this was kept."""
    learned_bias: tuple[LayerFit, ...] = ()
    """What each layer's position embedding looks like at the best epoch; the maps are in `learned_bias.npz` in the
    trial's storage folder. Empty for a model without a learned position embedding."""
    receptive_field_remarks: tuple[FieldRemark, ...] = ()
    """What makes the receptive field misleading or why it is missing, if anything does."""
