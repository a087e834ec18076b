"""A small configurable ViT, built from timm's own classes."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from trainers.models.grid import check_image_size
from trainers.models.grids import ModelGrids
from trainers.models.model import Channels, Model
from trainers.models.position import PositionEmbedding, set_position_embedding

if TYPE_CHECKING:
    from torch import nn

_LABEL_MARKS = {"num_heads": "h", "mlp_ratio": "mlp", "image_size_px": "px", "patch_size_px": "p", "drop_path": "dp"}
_REL_MLP_HIDDEN = 128
"""Hidden units of timm's `RelPosMlp`."""


class SmallVitConfig(Model):
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
    """Side of one square patch."""
    position: Literal["rel_bias", "rel_mlp", "absolute"] = "rel_bias"
    """Position embedding: a relative table, a relative MLP, or a learned absolute one."""
    position_embedding: PositionEmbedding = "keep"
    """`reinitialise` draws the position embedding from a stream of its own, `zero` starts it at zero."""
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    """Stochastic depth rate of the last block."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        if int(self.width * self.mlp_ratio) < 1:
            raise ValueError(f"mlp_ratio {self.mlp_ratio} leaves the MLP of width {self.width} without a hidden unit")
        check_image_size(self.image_size_px, self.patch_size_px)
        return self

    @property
    def label(self) -> str:
        """Short name: width, depth, position, and whatever differs from the defaults."""
        marks = [
            f"{mark}{getattr(self, field):g}"
            for field, mark in _LABEL_MARKS.items()
            if getattr(self, field) != type(self).model_fields[field].default
        ]
        if self.position_embedding != "keep":
            marks.append(f"pos_{self.position_embedding}")
        return "_".join([f"small_vit_{self.width}x{self.depth}", self.position, *marks])

    @property
    def input_size_px(self) -> int:
        """Side of the square input image."""
        return self.image_size_px

    @property
    def input_mean(self) -> Channels:
        """Mean of each channel that the input is normalised with."""
        return (0.5, 0.5, 0.5)

    @property
    def input_std(self) -> Channels:
        """Standard deviation of each channel that the input is normalised with."""
        return (0.5, 0.5, 0.5)

    @property
    def weights(self) -> None:
        """It starts from no file."""

    @property
    def no_bias(self) -> str | None:
        """Why no attention bias can be added: one always can."""
        return None

    def build(self, num_classes: int, *, position_seed: int = 0, data_root: Path | None = None) -> "nn.Module":
        """The model with fresh weights from torch's global random numbers: [B, 3, px, px] -> [B, num_classes].

        Args:
            num_classes: of the head.
            position_seed: of a re-initialised position embedding; it moves no other random number.
            data_root: not used.
        """
        model = self.build_fresh(num_classes)
        set_position_embedding(
            model,
            self.position_embedding,
            build_fresh=lambda: self.build_fresh(num_classes),
            seed=position_seed,
        )
        return model

    def without_weights(self) -> Self:
        """The same network, its position embedding as drawn."""
        return self.model_copy(update={"position_embedding": "keep"})

    def build_fresh(self, num_classes: int) -> "nn.Module":
        """The model as its initialisation leaves it, whatever is done to its position embedding."""
        return _build(self, num_classes)

    def forward_flops_per_image(self) -> float:
        """Floating-point operations of one image's forward pass (2 per multiply-add).

        By formula: to build the network, even on `meta`, a plan would have to import torch.
        """
        tokens = self._tokens_per_side**2
        block = (
            # Queries, keys, values and their projection; attention itself, twice; the MLP.
            4 * tokens * self.width**2
            + 2 * tokens**2 * self.width
            + 2 * tokens * self.width * int(self.width * self.mlp_ratio)
        )
        if self.position == "rel_mlp":
            displacements = (2 * self._tokens_per_side - 1) ** 2
            block += displacements * _REL_MLP_HIDDEN * (2 + self.num_heads)
        patches = 3 * self.patch_size_px**2 * tokens * self.width
        # The head's size is noise here: 10 classes stand for any number.
        return 2.0 * (patches + self.depth * block + 10 * self.width)

    def grids(self) -> ModelGrids:
        """Where its tokens lie, layer by layer."""
        everywhere = ((self._tokens_per_side, self._tokens_per_side),) * self.depth
        return ModelGrids(features=everywhere, attention=everywhere)

    @property
    def _tokens_per_side(self) -> int:
        return self.image_size_px // self.patch_size_px


def _build(config: SmallVitConfig, num_classes: int) -> "nn.Module":
    from timm.models.vision_transformer import VisionTransformer
    from timm.models.vision_transformer_relpos import VisionTransformerRelPos

    position = (
        {"class_token": False, "pos_embed": "learn"}
        if config.position == "absolute"
        else {"rel_pos_type": "bias" if config.position == "rel_bias" else "mlp"}
    )
    vit_class = VisionTransformer if config.position == "absolute" else VisionTransformerRelPos
    return vit_class(
        img_size=config.image_size_px,
        patch_size=config.patch_size_px,
        num_classes=num_classes,
        embed_dim=config.width,
        depth=config.depth,
        num_heads=config.num_heads,
        mlp_ratio=config.mlp_ratio,
        drop_path_rate=config.drop_path,
        # 0 is timm's "no LayerScale"; its default of 1e-6 would hide every attention bias from the logits.
        init_values=0.0,
        global_pool="avg",
        # Both classes normalise before pooling; left alone, VisionTransformer would do it after.
        fc_norm=False,
        **position,
    )
