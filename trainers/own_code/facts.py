"""What was found of a model or a data set of the user's own."""

from trainers.data.splitting import SplitSizes
from trainers.strict import StrictModel

Grids = tuple[tuple[int, int], ...]


class ModelFacts(StrictModel):
    """What planning asks of a model, and only its code can say."""

    forward_flops_per_image: float
    """2 per multiply-add."""
    features: Grids = ()
    """See `trainers.models.grids`."""
    attention: Grids = ()
    """See `trainers.models.grids`."""
    no_grids: str | None = None
    """Why it has no grids (`None`: it has)."""


class DatasetFacts(StrictModel):
    """What planning asks of a data set, and only its code can say."""

    fingerprint: str
    """20 hex digits over images and labels, or the stated version."""
    sizes: SplitSizes
    """Images of each split."""
    class_names: tuple[str, ...]
    """In the order of their numbers."""
    num_copies: int
    """Images of validation or test whose very pixels are in training too; 0 where not all were read."""
    num_unscored_classes: int
    """Classes without a test image, as far as labels are known."""
