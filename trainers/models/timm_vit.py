"""ViTs of timm by name: `vit_relpos_*` (RelPosMlp and RelPosBias) and plain ViTs (absolute position)."""

import difflib
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Self

import timm
import torch
from pydantic import Field, field_validator, model_validator
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_relpos import VisionTransformerRelPos
from torch import nn

from trainers.errors import ConfigError
from trainers.models.attachment import find_sites, patch_embedding
from trainers.models.flops import count_forward_flops
from trainers.models.grid import check_image_size
from trainers.strict import StrictModel

_FAMILIES = ("vision_transformer_relpos", "vision_transformer", "deit")
"""Files of timm whose models are, with few exceptions, `VisionTransformer` or `VisionTransformerRelPos`."""


class TimmVitConfig(StrictModel):
    """A timm model by its name."""

    kind: Literal["timm_vit"] = "timm_vit"
    name: str
    """timm's model name, such as `vit_relpos_small_patch16_224`, with or without the tag of its weights."""
    pretrained: bool = False
    """Whether to start from timm's published weights (from the hub, or timm's local cache)."""
    image_size_px: int | None = Field(default=None, ge=16, le=2048)
    """Side of the square input image (`None`: the model's own)."""
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    """Stochastic depth rate of the last block."""

    @field_validator("name")
    @classmethod
    def _name_is_known(cls, name: str) -> str:
        if name not in _known_names():
            nearest = difflib.get_close_matches(name, sorted(_known_names()), n=3, cutoff=0.3)
            raise ValueError(f"timm has no ViT named {name!r}; the nearest names are {', '.join(nearest) or 'none'}")
        _inspect(name)
        return name

    @model_validator(mode="after")
    def _fits_the_model(self) -> Self:
        facts = _inspect(self.name)
        if self.pretrained and not facts.has_weights:
            raise ValueError(f"timm has no published weights for {self.name}; set pretrained to false")
        check_image_size(self.input_size_px, facts.patch_size_px)
        return self

    @property
    def label(self) -> str:
        """Short name: timm's, and whatever differs from the defaults."""
        marks = [
            f"px{self.image_size_px}" if self.image_size_px is not None else "",
            f"dp{self.drop_path:g}" if self.drop_path else "",
            "pretrained" if self.pretrained else "",
        ]
        return "_".join([self.name, *filter(None, marks)])

    @property
    def input_size_px(self) -> int:
        """Side of the square input image."""
        return _inspect(self.name).image_size_px if self.image_size_px is None else self.image_size_px

    @property
    def input_mean(self) -> tuple[float, float, float]:
        """Mean of each channel that the input is normalised with: what timm's weights expect."""
        return _inspect(self.name).mean

    @property
    def input_std(self) -> tuple[float, float, float]:
        """Standard deviation of each channel that the input is normalised with."""
        return _inspect(self.name).std

    def build(self, num_classes: int) -> nn.Module:
        """The model, with fresh weights from torch's global random numbers or with timm's published ones.

        Raises:
            ConfigError: published weights are asked for, and neither the hub nor the local cache has them.
        """
        if not self.pretrained:
            return _create(self, num_classes, torch.device("cpu"))
        try:
            return _create(self, num_classes, torch.device("cpu"))
        # Every way in which the hub or the network fails (huggingface_hub, requests, urllib) is an OSError.
        except OSError as error:
            raise ConfigError(
                f"the published weights of {self.name} could not be loaded: they come from the Hugging Face hub, or "
                f"from its local cache (HF_HOME) where the hub can't be reached; pretrained: false does without. "
                f"The hub said: {error}"
            ) from error

    def forward_flops_per_image(self) -> float:
        """Floating-point operations of one image's forward pass (2 per multiply-add)."""
        return _forward_flops(self)


@dataclass(frozen=True)
class _Facts:
    image_size_px: int
    patch_size_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    has_weights: bool


@lru_cache(maxsize=1)
def _known_names() -> frozenset[str]:
    families = list(_FAMILIES)
    return frozenset(timm.list_models(module=families) + timm.list_models(module=families, include_tags=True))


@lru_cache(maxsize=1024)
def _inspect(name: str) -> _Facts:
    """What timm says about a model (built on `meta`: no memory, no random number, no download).

    Raises:
        ValueError: the model exists, but no attention bias can be added to it.
    """
    vit = timm.create_model(name, device=torch.device("meta"))
    try:
        find_sites(vit)
        assert isinstance(vit, VisionTransformer | VisionTransformerRelPos)  # else there would be no site
        patches = patch_embedding(vit)
    except ConfigError as error:
        raise ValueError(f"{name} can't be used: {error}") from error
    published = timm.models.get_pretrained_cfg(name)
    if published is None or patches.img_size is None:
        raise ValueError(f"{name} can't be used: timm publishes neither its input size nor its normalisation")
    red_mean, green_mean, blue_mean = published.mean
    red_std, green_std, blue_std = published.std
    return _Facts(
        image_size_px=patches.img_size[0],
        patch_size_px=patches.patch_size[0],
        mean=(red_mean, green_mean, blue_mean),
        std=(red_std, green_std, blue_std),
        has_weights=bool(published.has_weights),
    )


def _create(config: TimmVitConfig, num_classes: int, device: torch.device) -> nn.Module:
    return timm.create_model(
        config.name,
        pretrained=config.pretrained,
        num_classes=num_classes,
        img_size=config.input_size_px,
        drop_path_rate=config.drop_path,
        device=device,
    )


@lru_cache(maxsize=256)
def _forward_flops(config: TimmVitConfig) -> float:
    # The head's size is noise here: 10 classes stand for any number.
    model = _create(config.model_copy(update={"pretrained": False}), 10, torch.device("meta"))
    return count_forward_flops(model, config.input_size_px)
