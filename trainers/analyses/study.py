"""What a study of receptive fields or position biases leaves behind: a JSON of this shape, beside a file of maps."""

from typing import Literal

from trainers.analyses.gaussian_fit import GOOD_R_SQUARED
from trainers.analyses.map_metrics import ReceptiveFieldMetrics
from trainers.result import LayerFit
from trainers.strict import StrictModel

RESULT, MAPS = "receptive_field.json", "receptive_field.npz"
BIAS_RESULT, BIAS_MAPS = "learned_bias.json", "learned_bias.npz"
GRID = "grid"
"""In a trial's `MAPS`: height and width of the token grid, which turn pixels into tokens."""
GRADIENT_SUM = "gradient_sum"
"""In `MAPS`, before the name of a map: what it was divided by, per image."""


class LookedAt(StrictModel):
    """One receptive field of a study."""

    key: str
    """Name of its map in the file of maps."""
    intervention: str
    """What was done to the model before."""
    place: tuple[int, int]
    """Row and column of the token."""
    grid: tuple[int, int]
    """Height and width of the token grid."""
    num_images: int
    """Images behind it."""
    gradient_sum: float
    """What the map was divided by, per image: times this it is the mean gradient of the channel mean."""
    metrics: ReceptiveFieldMetrics
    """What it measures."""
    remark: str
    """What a reader must know before using the widths; empty if nothing."""
    warnings: tuple[str, ...]
    """What makes it misleading."""


class Study(StrictModel):
    """Receptive fields of one model under several interventions."""

    model: str
    """Label of the model."""
    dataset: str
    """Label of the data set whose validation images were used."""
    fields: tuple[LookedAt, ...]
    """In the order of the interventions, target by target."""


class BiasLook(StrictModel):
    """The position bias of a model after one intervention."""

    intervention: str
    """What was done to the model before; its maps are those whose names start so."""
    fits: tuple[LayerFit, ...]
    """The Gaussian in each layer's own embedding and in the sum, and in an absolute embedding."""
    attention_bias: Literal["none", "gaussian", "permuted_gaussian"]
    """Kind of the model's attention bias: a permuted Gaussian, the placebo, lies around no token."""
    gaussians: dict[str, float]
    """`sigma/00` (tokens) and `amplitude/00` of each layer's Gaussian; empty without one."""


class BiasStudy(StrictModel):
    """Position biases of one model under several interventions."""

    model: str
    """Label of the model."""
    looks: tuple[BiasLook, ...]
    """In the order of the interventions."""
    good_r_squared: float = GOOD_R_SQUARED
    """R^2 from which on a map is called Gaussian."""
