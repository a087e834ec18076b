"""The grids of tokens that a model has, found without memory or random numbers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from trainers.errors import AnalysisError, ConfigError

if TYPE_CHECKING:
    from torch import Tensor, nn

GridSize = tuple[int, int]
"""Height and width in tokens."""


class ModelGrids(NamedTuple):
    """Where tokens lie, layer by layer."""

    features: tuple[GridSize, ...]
    """Of what each block (a hierarchical model: each stage) puts out."""
    attention: tuple[GridSize, ...]
    """Of what each attention layer sees at once, the whole image or one window; layers with one bias are one. Empty
    where no bias can be added."""


def grids_of(model: "nn.Module", input_size_px: int) -> ModelGrids:
    """The grids of a model; on `meta` it costs next to nothing.

    Raises:
        AnalysisError: its features lie on no grid, or not on one for each of its layers.
    """
    import torch

    from trainers.models.attachment import find_sites

    image = torch.zeros(1, 3, input_size_px, input_size_px, device=next(model.parameters()).device)
    try:
        sites = find_sites(model)
    except ConfigError:
        sites = []
    try:
        with torch.no_grad():
            features = _features(model.eval(), image, None)
            # Some number their blocks in one place and their stages in another: a layer asked for would not be it.
            is_numbered = bool(sites) or _features(model, image, len(features) - 1)[0].shape == features[-1].shape
    except (AttributeError, TypeError, ValueError, IndexError, AssertionError, RuntimeError) as error:
        raise AnalysisError(f"timm's {type(model).__name__} gives no grid of features: {error}") from error
    if not is_numbered or any(each.ndim != 4 for each in features):
        raise AnalysisError(f"timm's {type(model).__name__} gives no grid of features for each of its layers")
    return ModelGrids(
        tuple((each.shape[-2], each.shape[-1]) for each in features),
        tuple((site.grid.height, site.grid.width) for site in sites),
    )


def _features(model: "nn.Module", image: "Tensor", layer: int | None) -> "Sequence[Tensor]":
    """Of one layer, or of all."""
    indices = None if layer is None else [layer]
    # Most of timm's models have this method, nn.Module has not.
    found = model.forward_intermediates(image, indices, stop_early=True, intermediates_only=True)  # type: ignore[operator]
    return cast("Sequence[Tensor]", found)
