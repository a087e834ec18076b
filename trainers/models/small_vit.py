"""A small configurable ViT, built from timm's own classes."""

from typing import Literal

from pydantic import Field

from trainers.strict import StrictModel


class SmallVitConfig(StrictModel):
    """A ViT of any small size, without LayerScale, average-pooled (no class token)."""

    kind: Literal["small_vit"] = "small_vit"
    width: int = Field(default=48, ge=8, le=4096)
    """Embedding dimension; a multiple of `num_heads`."""
    depth: int = Field(default=3, ge=1, le=64)
    """Number of blocks."""
    num_heads: int = Field(default=3, ge=1, le=64)
    """Attention heads per block."""
    mlp_ratio: float = Field(default=4.0, gt=0, le=16)
    """Hidden width of the block's MLP, as a multiple of `width`."""
    image_size_px: int = Field(default=32, ge=8, le=1024)
    """Side of the square input image; a multiple of `patch_size_px`."""
    patch_size_px: int = Field(default=4, ge=1, le=64)
    """Side of one patch."""
    position: Literal["rel_bias", "rel_mlp", "absolute"] = "rel_bias"
    """Position embedding: a relative table, a relative MLP, or a learned absolute one."""
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    """Stochastic depth rate of the last block."""
