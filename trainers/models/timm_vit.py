"""ViTs of timm by name: `vit_relpos_*` (RelPosMlp and RelPosBias) and plain ViTs (absolute position)."""

from typing import Literal

from pydantic import Field

from trainers.strict import StrictModel


class TimmVitConfig(StrictModel):
    """A timm model by its name."""

    kind: Literal["timm_vit"] = "timm_vit"
    name: str
    """timm's model name, such as `vit_relpos_small_patch16_224`."""
    pretrained: bool = False
    """Whether to start from timm's published weights (from the hub, or timm's local cache)."""
    image_size_px: int | None = Field(default=None, ge=16, le=2048)
    """Side of the square input image (`None`: the model's own)."""
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    """Stochastic depth rate of the last block."""
