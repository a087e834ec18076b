"""Models of timm that take no attention bias: their receptive fields can be seen all the same."""

import difflib
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

import timm
from pydantic import field_validator, model_validator
from torch import nn

from trainers.models.timm_model import published_weights
from trainers.strict import StrictModel


class GridModelConfig(StrictModel):
    """Any model of timm that gives its features as a grid: CNNs, hybrids, hierarchical ViTs.

    For analyses only. What is trained and compared has an attention bias, or could have one: `TimmConfig`.
    """

    kind: Literal["timm_grid"] = "timm_grid"
    name: str
    """timm's model name, such as `resnet50` or `convnext_tiny`, with or without the tag of its weights."""
    pretrained: bool = False
    """Whether to start from timm's published weights (from the hub, or timm's local cache)."""

    @field_validator("name")
    @classmethod
    def _name_is_known(cls, name: str) -> str:
        if name not in _names():
            nearest = ", ".join(difflib.get_close_matches(name, sorted(_names()), n=3)) or "none"
            raise ValueError(f"timm has no model named {name!r}; the nearest names are {nearest}")
        if timm.models.get_pretrained_cfg(name) is None:
            raise ValueError(f"{name} can't be used: timm publishes neither its input size nor its normalisation")
        return name

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        if self.pretrained and not _published(self.name).has_weights:
            raise ValueError(f"timm has no published weights for {self.name}; set pretrained to false")
        return self

    @property
    def label(self) -> str:
        """Short name: timm's."""
        return f"{self.name}_pretrained" if self.pretrained else self.name

    @property
    def input_size_px(self) -> int:
        """Side of the square input image: the one that timm publishes."""
        return int(_published(self.name).input_size[-1])

    @property
    def input_mean(self) -> tuple[float, float, float]:
        """Mean of each channel that the input is normalised with."""
        red, green, blue = _published(self.name).mean
        return red, green, blue

    @property
    def input_std(self) -> tuple[float, float, float]:
        """Standard deviation of each channel that the input is normalised with."""
        red, green, blue = _published(self.name).std
        return red, green, blue

    def build(self, num_classes: int, *, position_seed: int = 0, data_root: Path | None = None) -> nn.Module:
        """The model, with fresh weights from torch's global random numbers or timm's published ones.

        Args:
            num_classes: of the head, which no analysis looks at.
            position_seed: unused: no position embedding of such a model is known.
            data_root: unused: no weights come from a file of the config.

        Raises:
            ConfigError: published weights are asked for, and neither the hub nor the local cache has them.
        """
        with published_weights(self.name):
            return timm.create_model(self.name, pretrained=self.pretrained, num_classes=num_classes)

    def build_fresh(self, num_classes: int) -> nn.Module:
        """The model as timm's initialisation leaves it."""
        return self.model_copy(update={"pretrained": False}).build(num_classes)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(timm.list_models() + timm.list_models(include_tags=True))


def _published(name: str) -> timm.models.PretrainedCfg:
    published = timm.models.get_pretrained_cfg(name)
    assert published is not None, "the name was checked"
    return published
