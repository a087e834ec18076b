"""A block computed for one token's sake: its projection and MLP see that token only.

What the other tokens come out as does not matter when only one of them is looked at. Attention still mixes all
tokens; after it, everything in a pre-norm block works token by token, and the residual addition broadcasts. So the
place of the target holds the right values, and the others hold nonsense that nobody reads.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from timm.models.beit import Block as BeitBlock
from timm.models.eva import EvaBlock
from timm.models.vision_transformer import Block
from timm.models.vision_transformer_relpos import RelPosBlock
from torch import Tensor, nn

_PRE_NORM_BLOCKS = (Block, RelPosBlock, BeitBlock, EvaBlock)


@contextmanager
def single_query(model: nn.Module, layer: int, grid: tuple[int, int], place: tuple[int, int]) -> Iterator[bool]:
    """Compute a layer for one token only, while the context is open, where the family allows it.

    Args:
        model: a timm model.
        layer: the block whose output is looked at.
        grid: height and width of the token grid.
        place: row and column of the token.

    Yields:
        Whether it is done; else the model works as ever.
    """
    blocks = getattr(model, "blocks", None)
    block = None
    # Other models number their layers otherwise, or call something else their blocks.
    if isinstance(blocks, nn.Sequential | nn.ModuleList) and layer < len(blocks):
        block = blocks[layer]
    if not isinstance(block, _PRE_NORM_BLOCKS):
        yield False
        return
    num_patch_tokens = grid[0] * grid[1]
    index = place[0] * grid[1] + place[1]

    def keep_target(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        first, *rest = inputs
        # Prefix tokens come first, so the target is counted from the end.
        token = first.shape[1] - num_patch_tokens + index
        return (first[:, token : token + 1], *rest)

    after_attention = (block.get_submodule("attn.proj"), block.get_submodule("norm2"))
    hooks = [module.register_forward_pre_hook(keep_target) for module in after_attention]
    try:
        yield True
    finally:
        for hook in hooks:
            hook.remove()
