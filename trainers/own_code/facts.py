"""What was found of a model of the user's own."""

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
