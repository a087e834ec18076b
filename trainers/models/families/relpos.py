"""timm's `vit_relpos_*` and `vit_srelpos_*`: the bias joins the relative position module.

`get_bias` is what is overridden, because timm's fused attention never calls `rel_pos.forward`. In `vit_srelpos_*`
all layers share one such module, and so one Gaussian.
"""

import torch
from timm.layers.pos_embed_rel import RelPosBias, RelPosMlp
from timm.models.vision_transformer_relpos import RelPosBlock, ResPostRelPosBlock, VisionTransformerRelPos
from torch import nn

from trainers.models.attached_bias import AttachedBias
from trainers.models.families.addition import add_gaussian
from trainers.models.families.family import (
    AttachmentSite,
    Family,
    PositionParameters,
    Swaps,
    make_site,
    modules_of,
    path_of,
    unknown_layer,
)
from trainers.models.families.patches import patch_grid
from trainers.models.grid import TokenGrid


class GaussianRelPosBias(RelPosBias):
    """timm's table of relative positions, plus the Gaussian."""

    gaussian: AttachedBias

    def get_bias(self) -> torch.Tensor:
        """Table + Gaussian: [1, heads, N, N]."""
        return add_gaussian(super().get_bias(), self.gaussian)

    def set_window_size(self, window_size: tuple[int, int]) -> None:
        """Resize the table; lay the Gaussian over the new grid."""
        super().set_window_size(window_size)
        self.gaussian.set_grid(TokenGrid(*window_size, self.prefix_tokens))


class GaussianRelPosMlp(RelPosMlp):
    """timm's MLP of relative positions, plus the Gaussian."""

    gaussian: AttachedBias

    def get_bias(self) -> torch.Tensor:
        """MLP + Gaussian: [1, heads, N, N]."""
        # Only the Gaussian could be cached over a step: the MLP has dropout inside.
        return add_gaussian(super().get_bias(), self.gaussian)

    def set_window_size(self, window_size: tuple[int, int]) -> None:
        """Resize the MLP's grid; lay the Gaussian over the new one."""
        super().set_window_size(window_size)
        self.gaussian.set_grid(TokenGrid(*window_size, self.prefix_tokens))


_SWAPS: Swaps = {RelPosBias: GaussianRelPosBias, RelPosMlp: GaussianRelPosMlp}


def _find_sites(model: nn.Module) -> list[AttachmentSite]:
    return [site for name, vit in modules_of(model, VisionTransformerRelPos) for site in _sites_of(vit, name)]


def _sites_of(vit: VisionTransformerRelPos, name: str) -> list[AttachmentSite]:
    grid = patch_grid(vit, vit.num_prefix_tokens)
    sites: list[AttachmentSite] = []
    for i, block in enumerate(vit.blocks):
        path = path_of(name, f"blocks.{i}")
        if not isinstance(block, RelPosBlock | ResPostRelPosBlock):
            raise unknown_layer(path, block, RelPosBlock, ResPostRelPosBlock)
        heads = block.attn.num_heads
        if block.attn.rel_pos is not None:
            sites.append(make_site(f"{path}.attn.rel_pos", block.attn.rel_pos, grid, heads, _SWAPS))
        elif vit.shared_rel_pos is not None and not sites:
            sites.append(make_site(path_of(name, "shared_rel_pos"), vit.shared_rel_pos, grid, heads, _SWAPS))
    return sites


def _find_position(model: nn.Module) -> PositionParameters:
    found = PositionParameters()
    for name, module in model.named_modules():
        if isinstance(module, RelPosBias):
            table = path_of(name, "relative_position_bias_table")
            found += PositionParameters((table,), (table,))
        elif isinstance(module, RelPosMlp):
            parameters = [path_of(name, f"mlp.{each}") for each, _ in module.mlp.named_parameters()]
            last_layer = path_of(name, "mlp.fc2.")
            found += PositionParameters(
                tuple(parameters), tuple(each for each in parameters if each.startswith(last_layer))
            )
    return found


FAMILY = Family(
    title="vit_relpos_* and vit_srelpos_*",
    timm_files=("vision_transformer_relpos",),
    find_sites=_find_sites,
    find_position=_find_position,
)
