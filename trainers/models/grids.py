"""The grids of tokens that a model has, found without memory or random numbers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from torch import Tensor, nn

GridSize = tuple[int, int]
"""Height and width in tokens."""


class ModelGrids(NamedTuple):
    """Where tokens lie, layer by layer."""

    features: tuple[GridSize, ...]
    """Of what each block (a hierarchical model: each stage) puts out."""
    attention: tuple[GridSize, ...]
    """Of what each attention layer sees at once, the whole image or one window; layers with one bias are one."""


def grids_of(model: "nn.Module", input_size_px: int) -> ModelGrids:
    """The grids of a model that takes an attention bias; on `meta` it costs next to nothing."""
    import torch

    from trainers.models.attachment import find_sites

    image = torch.zeros(1, 3, input_size_px, input_size_px, device=next(model.parameters()).device)
    with torch.no_grad():
        # timm's models have this method, nn.Module has not.
        features = cast("Sequence[Tensor]", model.eval().forward_intermediates(image, intermediates_only=True))  # type: ignore[operator]
    sites = find_sites(model)
    return ModelGrids(
        tuple((each.shape[-2], each.shape[-1]) for each in features),
        tuple((site.grid.height, site.grid.width) for site in sites),
    )
