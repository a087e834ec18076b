"""What a model learned about position: its relative bias as a function of displacement, and its absolute embedding.

Paper (arXiv 2305.04722), section 3: a trained relative position embedding looks like a two-dimensional Gaussian, but
perhaps not in the last layers; so layers are told one by one. No image is needed.

Shapes: h = heads, H x W = grid of patch tokens, T = H*W.
"""

import logging
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from timm.layers.pos_embed_rel import RelPosBias, RelPosMlp
from timm.models import beit, swin_transformer, swin_transformer_v2
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from trainers.analyses.bias_maps import view_name
from trainers.analyses.gaussian_fit import GaussianFit, fit_gaussian
from trainers.analyses.questions import LearnedBiasConfig
from trainers.analyses.targets import CenterTarget, Place, TargetConfig
from trainers.errors import AnalysisError, ConfigError, MissingPackageError
from trainers.models.attached_bias import AttachedBias
from trainers.models.families.patches import patch_grid
from trainers.models.grid import TokenGrid
from trainers.result import BiasPart, FitVerdict, LayerFit

Array = npt.NDArray[np.float64]

logger = logging.getLogger(__name__)

_NOTHING = 1e-6
"""A map whose values differ by less, relative to its largest, is flat: fp32 rounds to about that."""


class LearnedBias(NamedTuple):
    """What was learned: maps, and the Gaussians laid through them."""

    fits: tuple[LayerFit, ...]
    """Of every layer: its own embedding, and the sum with the Gaussian if it has one; then of every absolute one."""
    maps: dict[str, Array]
    """`own_00`, `sum_00`: [h, 2H-1, 2W-1] by layer, displacement 0 in the middle; `absolute`: [H, W].

    What a query token sees, as images: `query/own/00/<row>_<column>`, `query/gaussian/00/...`, `query/sum/00/...`:
    [h, H, W] (a Gaussian that all heads share: [1, H, W]); `query/absolute/<row>_<column>`: [H, W].
    """

    def metrics(self) -> dict[str, float]:
        """`rpe_sigma/00`, `rpe_r_squared/00` of each layer's own embedding, `ape_...` of an absolute one."""
        named: dict[str, float] = {}
        for fit in self.fits:
            if fit.head is not None or fit.part == "sum" or fit.sigma is None or fit.r_squared is None:
                continue
            prefix, layer = ("ape", "") if fit.layer is None else ("rpe", f"/{fit.layer:02d}")
            named |= {f"{prefix}_sigma{layer}": fit.sigma, f"{prefix}_r_squared{layer}": fit.r_squared}
        return named


@torch.no_grad()
def learned_bias(model: nn.Module, config: LearnedBiasConfig | None = None) -> LearnedBias:
    """Read and fit every position embedding of a model; its mode and random numbers stay as they are.

    Args:
        model: of any family in `trainers.models.families`, with or without a Gaussian.
        config: how closely it is looked at.

    Returns:
        Fits and maps; empty for a model with neither a learned position embedding nor a Gaussian. A map that is flat,
        broken or too small to be fitted is there without a fit, and says why. Where a layer's grid has not all
        the queries (the windows of Swin's stages differ), only that of its middle token has images.
    """
    config = config or LearnedBiasConfig()
    why_not: list[str] = []
    fits: list[LayerFit] = []
    maps: dict[str, Array] = {}
    # The MLP over distances has dropout inside.
    was_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        for layer, (grid, parts) in enumerate(_layers(model)):
            places = _places(config.query, grid, why_not)
            for name, bias_hTT in parts.items():
                seen = bias_hTT.double().cpu().numpy().reshape(-1, grid.height, grid.width, grid.height, grid.width)
                maps |= {view_name(name, layer, (y, x)): seen[:, y, x] for y, x in places}
                if name == "gaussian":
                    # Its sigma is known: nothing is to be fitted.
                    continue
                part: BiasPart = "own" if name == "own" else "sum"
                by_head = displacement_map(bias_hTT, grid)
                maps[f"{part}_{layer:02d}"] = by_head
                fits.append(_fit(by_head.mean(axis=0), part, layer))
                if config.per_head:
                    fits += [_fit(values, part, layer, head) for head, values in enumerate(by_head)]
        for grid, embedding in _absolute(model):
            maps |= {
                view_name("absolute", None, (y, x)): similarity_map(embedding, grid, (y, x))
                for y, x in _places(config.query, grid, why_not)
            }
            maps["absolute"] = similarity_map(embedding, grid)
            fits.append(_fit(_without_self(maps["absolute"]), "absolute", None))
    finally:
        for module in was_training:
            module.training = True
    for reason in dict.fromkeys(why_not):
        logger.warning("the position bias is shown from the middle token only: %s", reason)
    return LearnedBias(tuple(fits), maps)


def displacement_map(bias: Tensor, grid: TokenGrid) -> Array:
    """Mean over queries of the bias towards the key at each displacement: [h, T, T] -> [h, 2H-1, 2W-1].

    Row `H-1 + dy`, column `W-1 + dx`; a displacement counts the queries for which the key lies on the grid.
    """
    height, width = grid.height, grid.width
    by_place = bias.float().cpu().numpy().reshape(-1, height, width, height, width)
    rows = []
    for dy in range(1 - height, height):
        # [h, W, W]: column of the query, column of the key.
        columns = np.diagonal(by_place, dy, axis1=1, axis2=3).mean(axis=-1, dtype=np.float64)
        means = [np.diagonal(columns, dx, axis1=1, axis2=2).mean(axis=-1) for dx in range(1 - width, width)]
        rows.append(np.stack(means, axis=-1))
    return np.stack(rows, axis=1)


def similarity_map(embedding: Tensor, grid: TokenGrid, query: Place | None = None) -> Array:
    """Cosine of one token's embedding with every token's: [T, C] -> [H, W]; NaN where one is zero.

    Args:
        embedding: of the patch tokens.
        grid: where they lie.
        query: row and column of the token (`None`: the centre; of an even grid the upper left of the four middle
            tokens, as in the paper).
    """
    tokens = embedding.double().cpu().numpy()
    norms = np.linalg.norm(tokens, axis=1, keepdims=True)
    units = np.divide(tokens, norms, out=np.full_like(tokens, np.nan), where=norms > 0)
    [(row, column)] = [query] if query else CenterTarget().places(grid.height, grid.width)
    similarity: Array = (units @ units[row * grid.width + column]).reshape(grid.height, grid.width)
    return similarity


def _places(query: TargetConfig, grid: TokenGrid, why_not: list[str]) -> list[Place]:
    """The middle, and what is asked for; where the grid has not all of that, the reason is added."""
    middle = CenterTarget().places(grid.height, grid.width)
    try:
        asked = query.places(grid.height, grid.width)
    except AnalysisError as error:
        why_not.append(str(error))
        return middle
    return list(dict.fromkeys(middle + asked))


def _layers(model: nn.Module) -> Iterator[tuple[TokenGrid, dict[str, Tensor]]]:
    """The bias of every layer, `own`, `gaussian` and their `sum`, without prefix tokens: [h, T, T].

    A layer has what it has: a plain ViT's only the Gaussian.
    """
    shared: Tensor | None = None
    for module in model.modules():
        if isinstance(module, beit.Beit):
            # One table for all layers, which each adds to its own.
            table: nn.Module | None = module.rel_pos_bias
            shared = None if table is None else table().unsqueeze(0)
        found = _own_bias(module, shared)
        gaussian = getattr(module, "gaussian", None)
        parts: dict[str, Tensor] = {}
        if isinstance(gaussian, AttachedBias):
            grid = gaussian.grid
            parts["gaussian"] = gaussian()[:, -grid.num_patch_tokens :, -grid.num_patch_tokens :]
        if found is not None:
            grid, bias = found
            parts["own"] = bias[0, :, -grid.num_patch_tokens :, -grid.num_patch_tokens :].float()
        if len(parts) == 2:
            parts["sum"] = parts["own"] + parts["gaussian"]
        if parts:
            yield grid, parts


def _own_bias(module: nn.Module, shared: Tensor | None) -> tuple[TokenGrid, Tensor] | None:
    """A layer's embedding without the Gaussian: [1, h, N, N] (`None`: it is no such layer)."""
    # timm's attributes have no types.
    layer: Any = module
    if isinstance(module, beit.Attention):
        if layer.relative_position_bias_table is not None:
            own = layer._get_rel_pos_bias()  # noqa: SLF001
            return TokenGrid(*layer.window_size), own if shared is None else own + shared
        if shared is None:
            return None
        side = math.isqrt(shared.shape[-1])
        return TokenGrid(side, side), shared
    return next(
        ((TokenGrid(*layer.window_size), read(layer)) for kind, read in _READERS if isinstance(module, kind)), None
    )


def _swin_v2_bias(module: Any) -> Tensor:  # noqa: ANN401 (timm's attributes have no types)
    """Swin v2 has this inline in `forward`: 16 sigmoid(MLP(log-spaced displacement))."""
    table = module.cpb_mlp(module.relative_coords_table).view(-1, module.num_heads)
    num_tokens = module.window_size[0] * module.window_size[1]
    bias = table[module.relative_position_index.view(-1)].view(num_tokens, num_tokens, -1)
    return 16 * torch.sigmoid(bias.permute(2, 0, 1)).unsqueeze(0)


# timm's own functions, not the methods: those of our subclasses add the Gaussian.
_READERS: tuple[tuple[type[nn.Module], Callable[..., Tensor]], ...] = (
    (RelPosBias, RelPosBias.get_bias),
    (RelPosMlp, RelPosMlp.get_bias),
    (swin_transformer.WindowAttention, swin_transformer.WindowAttention._get_rel_pos_bias),  # noqa: SLF001
    (swin_transformer_v2.WindowAttention, _swin_v2_bias),
)


def _absolute(model: nn.Module) -> Iterator[tuple[TokenGrid, Tensor]]:
    """Every absolute position embedding, of the patch tokens: [T, C]."""
    for module in model.modules():
        if not isinstance(module, VisionTransformer | beit.Beit | Eva) or module.pos_embed is None:
            continue
        try:
            grid = patch_grid(module, module.num_prefix_tokens)
        except ConfigError:
            # Tokens that lie on no fixed grid have no map.
            continue
        yield grid, module.pos_embed[0, -grid.num_patch_tokens :]


def _without_self(similarity: Array) -> Array:
    """The centre's similarity with itself is 1 whatever was learned: the mean of its neighbours takes its place."""
    height, width = similarity.shape
    row, column = (height - 1) // 2, (width - 1) // 2
    places = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
    neighbours = [similarity[y, x] for y, x in places if 0 <= y < height and 0 <= x < width]
    filled = similarity.copy()
    if neighbours:
        filled[row, column] = np.mean(neighbours)
    return filled


def _fit(values: Array, part: BiasPart, layer: int | None, head: int | None = None) -> LayerFit:
    """Never fails: a fit is not worth a trial."""
    spread = float(np.ptp(values))
    place = {"part": part, "layer": layer, "head": head, "spread": spread if np.isfinite(spread) else None}
    if spread <= _NOTHING * float(np.abs(values).max()):
        remark = "nothing learned: the same at every displacement"
        return LayerFit.model_validate({**place, "verdict": "nothing_learned", "remark": remark})
    try:
        fit = fit_gaussian(values, with_floor=True, is_quick=True)
    except (AnalysisError, MissingPackageError, ValueError) as error:
        return LayerFit.model_validate({**place, "verdict": "not_fitted", "remark": str(error)})
    offset = float(np.hypot(fit.center_y - (values.shape[0] - 1) // 2, fit.center_x - (values.shape[1] - 1) // 2))
    verdict, remark = _judge(fit, offset)
    return LayerFit.model_validate(
        {
            **place,
            "sigma": fit.sigma,
            "sigma_x": fit.sigma_x,
            "sigma_y": fit.sigma_y,
            "height": fit.height,
            "r_squared": fit.r_squared,
            "offset": offset,
            "is_gaussian": verdict == "gaussian",
            "verdict": verdict,
            "remark": remark,
        }
    )


def _judge(fit: GaussianFit, offset: float) -> tuple[FitVerdict, str]:
    """Whether this is a bell around the query; why not, in words.

    An MLP over distances is smooth before any training: a piece of a wide Gaussian, or a hollow, fits it well.
    """
    if fit.is_gaussian and fit.height < 0:
        return "hollow", "a hollow, not a hill"
    if fit.is_gaussian and offset > fit.sigma:
        return "off_centre", f"a hill {offset:.1f} tokens away from its query"
    return fit.verdict, fit.remark
