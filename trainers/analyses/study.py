"""What a study of receptive fields leaves behind: a JSON of this shape, beside a file of maps."""

from trainers.analyses.map_metrics import ReceptiveFieldMetrics
from trainers.strict import StrictModel

RESULT, MAPS = "receptive_field.json", "receptive_field.npz"
GRID = "grid"
"""In a trial's `MAPS`: height and width of the token grid, which turn pixels into tokens."""


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
