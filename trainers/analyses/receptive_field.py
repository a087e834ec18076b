"""The effective receptive field: which pixels a token's final feature depends on (paper, section 3).

For each image: the gradient of the channel mean of one token with respect to the input; its mean over colour
channels; negative values set to 0. Summed over images and divided by the total. Any timm model whose features lie on
a grid will do: `forward_intermediates` gives them without prefix tokens.

Batches are exact: images don't see each other in evaluation mode, so the gradient of the SUM of the images' targets
holds each image's own gradient.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from typing import NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from timm.layers.layer_scale import LayerScale, LayerScale2d
from timm.models.eva import EvaBlockPostNorm
from timm.models.swin_transformer_v2 import SwinTransformerV2Block
from timm.models.vision_transformer import ResPostBlock
from timm.models.vision_transformer_relpos import ResPostRelPosBlock
from torch import Tensor, nn

from trainers.analyses.map_metrics import ReceptiveField
from trainers.analyses.questions import FeaturePoint, ReceptiveFieldConfig, chosen_layer
from trainers.analyses.single_query import single_query
from trainers.analyses.targets import Place
from trainers.arithmetic import fp32_products
from trainers.errors import AnalysisError, NoReceptiveFieldError
from trainers.ranks import ALONE, World

logger = logging.getLogger(__name__)

_POST_NORM_BLOCKS = (ResPostBlock, ResPostRelPosBlock, SwinTransformerV2Block, EvaBlockPostNorm)
_DEAD_LAYER_SCALE = 1e-4
_UNIFORM_WEIGHT = 1e-3
_ROUNDING_STEPS = 256
"""A gradient of the channel mean is noise if it is smaller than so many rounding errors of the gradients that it is a
mean of. Where that mean is constant by construction (a norm with equal weights), they cancel but for rounding: exactly
on one CPU, to some 0.2 to 7 rounding errors on another. Where it is not, the smallest seen was 26,000 (the first stage
of a fresh Swin)."""


class _HasIntermediates(Protocol):
    def forward_intermediates(
        self,
        x: Tensor,
        indices: list[int],
        *,
        norm: bool,
        stop_early: bool,
        output_fmt: str,
        intermediates_only: bool,
    ) -> list[Tensor]: ...


def receptive_fields(
    model: nn.Module,
    batches: Iterable[Tensor],
    config: ReceptiveFieldConfig | None = None,
    *,
    world: World = ALONE,
) -> list[ReceptiveField]:
    """One receptive field per target, over all images of all ranks.

    Args:
        model: a timm model, on any device; left as it was (mode and `requires_grad` included).
        batches: normalised images, each [B, 3, S, S], all of one size; with several ranks this one's share. Rank 0 has
            one image at least.
        config: what is looked at.
        world: the ranks that share the images and hold equal models; every one of them calls this function.

    Returns:
        The same on every rank.

    Raises:
        AnalysisError: the model has no feature grid or no such layer or token, or there are no images.
        NoReceptiveFieldError: no gradient reaches the pixels, or only what rounding leaves of zero.
    """
    config = config or ReceptiveFieldConfig()
    layer = _layer(model, config.point)
    mine = iter(batches)
    first: list[Tensor] = []

    def look_first() -> tuple[tuple[int, int], list[Place]]:
        """On rank 0, whose first image is the first of all: so what is refused does not depend on the ranks."""
        first.extend(islice(mine, 1))
        if not first:
            raise AnalysisError("a receptive field needs at least one image; none was given")
        found = _places(model, _leaf(model, first[0])[:1], layer, config)
        for warning in warnings_for(model, config.point):
            logger.warning("%s", warning)
        return found

    with _frozen(model), fp32_products(tf32=False):
        grid, places = world.from_main(look_first)
        shares = world.from_all(lambda: _share(model, chain(first, mine), layer, config, grid, places))
    num_images = sum(share.num_images for share in shares)
    # A rank that has no image has no sums.
    of_target = zip(*(share.sums for share in shares if share.num_images), strict=True)
    return [
        _field(np.sum(sums, axis=0), place, grid, num_images) for sums, place in zip(of_target, places, strict=True)
    ]


class _Share(NamedTuple):
    """What the images of one rank add up to."""

    sums: list[npt.NDArray[np.float64]]
    """Of each target's gradients, [S, S]."""
    num_images: int


def _share(
    model: nn.Module,
    batches: Iterable[Tensor],
    layer: int,
    config: ReceptiveFieldConfig,
    grid: tuple[int, int],
    places: Sequence[Place],
) -> _Share:
    sums: list[Tensor] = []
    num_images = 0
    for batch in batches:
        images = _leaf(model, batch)
        if not sums:
            sums = [torch.zeros(images.shape[-2:], dtype=torch.float64, device=images.device) for _ in places]
        for total, gradient in zip(sums, _gradients(model, images, layer, config, grid, places), strict=True):
            total += gradient.mean(dim=1).clamp(min=0).sum(dim=0, dtype=torch.float64)
        num_images += len(images)
    return _Share([total.cpu().numpy() for total in sums], num_images)


def _leaf(model: nn.Module, images: Tensor) -> Tensor:
    """The images where the model is, to be differentiated by."""
    return images.to(next(model.parameters()).device).detach().requires_grad_()


def warnings_for(model: nn.Module, point: FeaturePoint) -> list[str]:
    """What makes the receptive field of this model misleading, in words; empty if nothing is known."""
    return [*_misleading(model, point), *_constant_means(model, point)]


def _misleading(model: nn.Module, point: FeaturePoint) -> Iterator[str]:
    """What makes a field another one than a reader expects."""
    scales = [module.gamma for module in model.modules() if isinstance(module, LayerScale | LayerScale2d)]
    if scales and max(float(gamma.detach().abs().max()) for gamma in scales) < _DEAD_LAYER_SCALE:
        yield (
            "every LayerScale is below 1e-4, as in an untrained timm model: each block is nearly the identity, and the "
            "receptive field of a token is its own patch; take published or trained "
            "weights, or give the model a `layer_scale` such as 1"
        )
    if point.norm != "before" and isinstance(getattr(model, "norm", None), nn.Identity):
        yield 'the model has no final norm over tokens: the target "after" the norm is the one before it'
    if point.norm == "after_if_trained" and _has_equal_final_norm(model):
        yield (
            "taken before the final norm, whose weights are all equal, as in an untrained model: another quantity than "
            "the one after a trained norm"
        )


def _constant_means(model: nn.Module, point: FeaturePoint) -> Iterator[str]:
    """Where the mean over channels is constant, so that a field is rounding noise."""
    branch_norms = [
        norm
        for block in model.modules()
        if isinstance(block, _POST_NORM_BLOCKS)
        for norm in (block.norm1, block.norm2)
        if isinstance(norm, nn.LayerNorm)
    ]
    if branch_norms and all(map(_is_uniform, branch_norms)):
        yield (
            "every block ends its branches in a LayerNorm with equal weights, as in an untrained model with post-norm "
            "blocks (Swin V2): their channel mean is constant, so what attention and MLPs add has no gradient, and the "
            "receptive field of a token is its own patch or rounding noise, whatever the attention does"
        )
    if point.norm == "after" and _has_equal_final_norm(model):
        yield (
            "the final LayerNorm has equal weights, so the channel mean after it is constant and its gradient is "
            'rounding noise; use "norm": "before"'
        )


def _has_equal_final_norm(model: nn.Module) -> bool:
    """Whether there is a final LayerNorm whose weights are all equal."""
    norm = getattr(model, "norm", None)
    return isinstance(norm, nn.LayerNorm) and _is_uniform(norm)


def _is_after_norm(model: nn.Module, point: FeaturePoint) -> bool:
    """Whether the target lies behind the final norm of this model."""
    return point.norm == "after" or (point.norm == "after_if_trained" and not _has_equal_final_norm(model))


def _is_uniform(norm: nn.LayerNorm) -> bool:
    if not norm.elementwise_affine:
        return True
    weight = norm.weight.detach().float()
    # Not `<`: Swin V2 starts with weights of 0.
    return float(weight.std(unbiased=False)) <= _UNIFORM_WEIGHT * float(weight.abs().mean())


def _layer(model: nn.Module, point: FeaturePoint) -> int:
    if not hasattr(model, "forward_intermediates") or not hasattr(model, "feature_info"):
        raise AnalysisError(
            f"{type(model).__name__} gives no feature grid; a receptive field needs a timm model with "
            "forward_intermediates"
        )
    return chosen_layer(point, len(cast("Sequence[object]", model.feature_info)), type(model).__name__)


def _features(model: nn.Module, images: Tensor, layer: int, *, norm: bool) -> Tensor:
    """[B, C, H, W]."""
    try:
        features = cast("_HasIntermediates", model).forward_intermediates(
            images, [layer], norm=norm, stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
    # What timm's models raise that number their features otherwise or have no grid there.
    except (AttributeError, IndexError, TypeError, AssertionError) as error:
        name = type(model).__name__
        raise AnalysisError(f"timm's {name} gives no grid of features for layer {layer}: {error}") from error
    return features[-1]


def _places(
    model: nn.Module, image: Tensor, layer: int, config: ReceptiveFieldConfig
) -> tuple[tuple[int, int], list[Place]]:
    """Height and width of the features, and the targets on them.

    Raises:
        AnalysisError: there is no such target.
        NoReceptiveFieldError: the gradient of a target is rounding noise, in fp32 whatever the config's precision.
    """
    features = _features(model, image, layer, norm=_is_after_norm(model, config.point))
    height, width = features.shape[-2:]
    places = config.target.places(height, width)
    for row, column in places:
        if _is_noise(features[0, :, row, column], image):
            raise NoReceptiveFieldError(_why_noise(model, config.point, layer))
    return (height, width), places


def _is_noise(token: Tensor, image: Tensor) -> bool:
    """Whether the gradient of the mean over channels is what rounding leaves where the channels' own ones cancel."""
    if not token.requires_grad:
        return True
    # The same channels with other weights, among which nothing cancels by construction.
    weights = torch.randn(token.shape, generator=torch.Generator().manual_seed(0)).to(token)
    of_mean, of_weighted = (
        float(torch.autograd.grad(each.mean(), image, retain_graph=True)[0].norm()) for each in (token, token * weights)
    )
    # A token that is dead in this image (all channels 0 after a ReLU) says nothing about the others.
    return of_weighted > 0 and of_mean < _ROUNDING_STEPS * torch.finfo(token.dtype).eps * of_weighted


def _why_noise(model: nn.Module, point: FeaturePoint, layer: int) -> str:
    unknown = (
        f"the mean over channels is constant in every token of layer {layer}, as after a norm with equal weights in an "
        "untrained model; look at trained weights or at an earlier layer"
    )
    causes = list(_constant_means(model, point)) or [unknown]
    return f"there is no receptive field, its gradient is zero but for rounding: {'; '.join(causes)}"


def _gradients(
    model: nn.Module,
    images: Tensor,
    layer: int,
    config: ReceptiveFieldConfig,
    grid: tuple[int, int],
    places: Sequence[Place],
) -> Iterator[Tensor]:
    """d(channel mean of each target)/d(pixels), one [B, 3, S, S] per target; all targets share one forward pass."""
    with ExitStack() as stack:
        if len(places) == 1:
            stack.enter_context(single_query(model, layer, grid, places[0]))
        stack.enter_context(
            torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16")
        )
        features = _features(model, images, layer, norm=_is_after_norm(model, config.point))
    for i, (row, column) in enumerate(places):
        feature_BC = features[:, :, row, column]
        target = (feature_BC.float() if config.precision == "bf16" else feature_BC).mean(dim=1).sum()
        (gradient,) = torch.autograd.grad(target, images, retain_graph=i + 1 < len(places))
        yield gradient


def _field(array: npt.NDArray[np.float64], place: Place, grid: tuple[int, int], num_images: int) -> ReceptiveField:
    broken = int((~np.isfinite(array)).sum())
    if broken:
        raise NoReceptiveFieldError(f"{broken} pixels of the receptive field of token {place} are NaN or infinite")
    mass = float(array.sum())
    if mass <= 0:
        raise NoReceptiveFieldError(f"token {place} has no receptive field: no pixel raises its mean")
    return ReceptiveField(array / mass, place, grid, num_images, gradient_sum=mass / num_images)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """In evaluation mode, no gradient for parameters: a bias without gradient lets fused attention stay fused."""
    was_training = [module for module in model.modules() if module.training]
    needed_grad = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    for parameter in needed_grad:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in needed_grad:
            parameter.requires_grad_(True)
        for module in was_training:
            module.training = True
