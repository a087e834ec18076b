"""Models of timm by name, of every family in `trainers.models.families`."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from trainers.errors import ConfigError
from trainers.models.flops import count_forward_flops
from trainers.models.grid import check_image_size
from trainers.models.grids import ModelGrids, grids_of
from trainers.models.position import PositionEmbedding, find_position, set_position_embedding
from trainers.models.remembered import remembered
from trainers.models.state_names import mismatch_of
from trainers.models.weights_file import WeightsFile
from trainers.strict import StrictModel

if TYPE_CHECKING:
    import torch
    from torch import nn


class TimmConfig(StrictModel):
    """A timm model by its name: relative-position and plain ViT, DeiT, BEiT, Swin v1 and v2, EVA02."""

    kind: Literal["timm"] = "timm"
    name: str
    """timm's model name, such as `vit_relpos_small_patch16_224`, with or without the tag of its weights."""
    pretrained: bool = False
    """Whether to start from timm's published weights (from the hub, or timm's local cache)."""
    weights: WeightsFile | None = None
    """A file of weights to start from instead of timm's (`None`: none); the head is fresh unless it has as many
    classes as the data set."""
    position_embedding: PositionEmbedding = "keep"
    """`reinitialise` draws the learned position embedding anew (the paper's control, with `pretrained`), `zero`
    starts it at zero; all other weights stay."""
    layer_scale: float | None = Field(default=None, gt=0, le=1)
    """Initial value of every LayerScale (`None`: the model's own, 1e-5 for most). An untrained model attends to next
    to nothing but itself there; at 1 it attends as if it had no LayerScale. Models without one stay as they are."""
    image_size_px: int | None = Field(default=None, ge=16, le=2048)
    """Side of the square input image (`None`: the model's own)."""
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    """Stochastic depth rate of the last block."""

    @field_validator("name")
    @classmethod
    def _name_is_known(cls, name: str) -> str:
        _inspect(name)
        return name

    @model_validator(mode="after")
    def _fits_the_model(self) -> Self:
        facts = _inspect(self.name)
        if self.pretrained and not facts.has_weights:
            raise ValueError(f"timm has no published weights for {self.name}; set pretrained to false")
        if self.pretrained and self.weights is not None:
            raise ValueError("pretrained and weights exclude each other; set pretrained to false")
        if self.layer_scale is not None and (self.pretrained or self.weights is not None):
            raise ValueError("loaded weights bring their own LayerScale; leave out layer_scale, or the weights")
        if self.position_embedding != "keep" and facts.no_position is not None:
            raise ValueError(f"{self.name}: {facts.no_position}")
        check_image_size(self.input_size_px, facts.patch_size_px, is_windowed=facts.is_windowed)
        return self

    @property
    def label(self) -> str:
        """Short name: timm's, and whatever differs from the defaults."""
        marks = [
            f"px{self.image_size_px}" if self.image_size_px is not None else "",
            f"dp{self.drop_path:g}" if self.drop_path else "",
            f"ls{self.layer_scale:g}" if self.layer_scale is not None else "",
            "pretrained" if self.pretrained else "",
            f"weights_{self.weights.sha256[:8]}" if self.weights is not None else "",
            f"pos_{self.position_embedding}" if self.position_embedding != "keep" else "",
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

    def build(self, num_classes: int, *, position_seed: int = 0, data_root: Path | None = None) -> "nn.Module":
        """The model, with fresh weights from torch's global random numbers, timm's published ones or those of a file.

        Args:
            num_classes: of the head, which is always fresh unless it has timm's published number of classes.
            position_seed: of a re-initialised position embedding; it moves no other random number.
            data_root: where a relative path of `weights` starts (`None`: the current folder).

        Raises:
            ConfigError: published weights are asked for, and neither the hub nor the local cache has them; or the
                weights in the file are not this model's.
            CheckpointError: the file of weights is missing, is another one, or can't be read.
        """
        with published_weights(self.name):
            model = _create(self, num_classes, "cpu")
        if self.weights is not None:
            _load(model, self, self.weights.read(data_root))
        set_position_embedding(
            model,
            self.position_embedding,
            build_fresh=lambda: self.build_fresh(num_classes),
            seed=position_seed,
        )
        return model

    def build_fresh(self, num_classes: int) -> "nn.Module":
        """The model as timm's initialisation leaves it, whatever weights and position embedding it would get."""
        return _create(self._without_weights(), num_classes, "cpu")

    def forward_flops_per_image(self) -> float:
        """Floating-point operations of one image's forward pass (2 per multiply-add)."""
        return _forward_flops(self._without_weights())

    def grids(self) -> ModelGrids:
        """Where its tokens lie, layer by layer."""
        return _grids(self._without_weights())

    def _without_weights(self) -> Self:
        return self.model_copy(update={"pretrained": False, "weights": None, "position_embedding": "keep"})


@contextmanager
def published_weights(name: str) -> Iterator[None]:
    """Around timm's `create_model`, which may load published weights.

    Raises:
        ConfigError: neither the hub nor the local cache has them.
    """
    try:
        yield
    # Every way in which the hub or the network fails (huggingface_hub, requests, urllib) is an OSError.
    except OSError as error:
        raise ConfigError(
            f"the published weights of {name} could not be loaded: they come from the Hugging Face hub, or "
            f"from its local cache (HF_HOME) where the hub can't be reached; pretrained: false does without. "
            f"The hub said: {error}"
        ) from error


def is_in_family(name: str) -> bool:
    """Whether timm's model takes an attention bias."""
    return name in _known_names()


_LAYER_SCALES = ("gamma", "gamma_1", "gamma_2")
"""What timm's ViTs call the parameter of a LayerScale; BEiT and EVA have theirs in the block itself."""


@dataclass(frozen=True)
class _Facts:
    image_size_px: int
    patch_size_px: int
    is_windowed: bool
    takes_any_size: bool
    """Whether timm builds it for images of any size, unless told otherwise."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    has_weights: bool
    heads: tuple[str, ...]
    """Modules that give the logits."""
    no_position: str | None
    """Why the position embedding can't be changed, if it can't."""


@lru_cache(maxsize=1)
def _known_names() -> frozenset[str]:
    import timm

    from trainers.models.families import FAMILIES

    files = [file for family in FAMILIES for file in family.timm_files]
    return frozenset(timm.list_models(module=files) + timm.list_models(module=files, include_tags=True))


def _unknown_name(name: str) -> str:
    import timm

    from trainers.models.families import FAMILIES

    nearest = ", ".join(difflib.get_close_matches(name, sorted(_known_names()), n=3, cutoff=0.3)) or "none"
    if not timm.is_model(name):
        return f"timm has no model named {name!r}; the nearest names are {nearest}"
    families = "; ".join(family.title for family in FAMILIES)
    return f"timm's {name!r} is of no family that takes an attention bias ({families}); the nearest names are {nearest}"


@lru_cache(maxsize=1024)
def _inspect(name: str) -> _Facts:
    """What timm says about a model, now or when it was last asked.

    Raises:
        ValueError: timm has no such model, or no attention bias can be added to it.
    """
    return remembered("facts", name, _Facts, lambda: _ask_timm(name))


def _ask_timm(name: str) -> _Facts:
    """What timm says about a model (built on `meta`: no memory, no random number, no download)."""
    if name not in _known_names():
        raise ValueError(_unknown_name(name))
    import timm
    import torch
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    from trainers.models.attachment import find_sites
    from trainers.models.families import FAMILIES
    from trainers.models.families.patches import patch_embedding

    meta = torch.device("meta")
    model = timm.create_model(name, device=meta)
    # Some take images of any size; built for one size they compute the same, on a grid that is known.
    takes_any_size = isinstance(model, VisionTransformer | Eva) and model.dynamic_img_size
    if takes_any_size:
        model = timm.create_model(name, device=meta, dynamic_img_size=False)
    try:
        find_sites(model)
        patches = patch_embedding(model)
    except ConfigError as error:
        raise ValueError(f"{name} can't be used: {error}") from error
    published = timm.models.get_pretrained_cfg(name)
    if published is None or patches.img_size is None:
        raise ValueError(f"{name} can't be used: timm publishes neither its input size nor its normalisation")
    heads: str | tuple[str, ...] | None = published.classifier
    red_mean, green_mean, blue_mean = published.mean
    red_std, green_std, blue_std = published.std
    return _Facts(
        image_size_px=patches.img_size[0],
        patch_size_px=patches.patch_size[0],
        takes_any_size=takes_any_size,
        is_windowed=any(family.windowed and family.find_sites(model) for family in FAMILIES),
        mean=(red_mean, green_mean, blue_mean),
        std=(red_std, green_std, blue_std),
        has_weights=bool(published.has_weights),
        heads=(heads,) if isinstance(heads, str) else tuple(heads or ()),
        no_position=_why_without_position(model),
    )


def _why_without_position(model: "nn.Module") -> str | None:
    try:
        find_position(model)
    except ConfigError as error:
        return str(error)
    return None


def _create(config: TimmConfig, num_classes: int, device: Literal["cpu", "meta"]) -> "nn.Module":
    import timm
    import torch

    model = timm.create_model(
        config.name,
        pretrained=config.pretrained,
        num_classes=num_classes,
        drop_path_rate=config.drop_path,
        device=torch.device(device),
        **_sizing(config),
    )
    if config.layer_scale is not None:
        # Set, not passed to timm as `init_values`: Swin knows no such argument, and 0 and None mean other things to it.
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.rpartition(".")[2] in _LAYER_SCALES:
                    parameter.fill_(config.layer_scale)
    return model


def _sizing(config: TimmConfig) -> dict[str, Any]:
    fixed = {"dynamic_img_size": False} if _inspect(config.name).takes_any_size else {}
    return {"img_size": config.input_size_px, **fixed}


def _load(model: "nn.Module", config: TimmConfig, weights: "dict[str, torch.Tensor]") -> None:
    """Copy weights into a fresh model, except a head for another number of classes.

    timm itself loads them, into a second model of the checkpoint's own number of classes: so its conversions (names
    of old releases, tables and embeddings for another image size) apply, and a name that is missing or left over is
    an error. With the model's own number of classes it would only be a line in the log.

    Raises:
        ConfigError: they don't fit.
    """
    import timm
    import torch

    heads = _inspect(config.name).heads
    # Swin's own releases call "head" what timm calls "head.fc".
    found = [weights[f"{head}.weight"].shape[0] for head in (*heads, "head") if f"{head}.weight" in weights]
    num_classes = found[0] if found else 0
    try:
        # The first model has drawn its weights by now; these draws must move nothing that comes after.
        with torch.random.fork_rng(devices=[]):
            loaded = timm.create_model(
                config.name,
                pretrained=True,
                pretrained_cfg_overlay={"state_dict": weights, "num_classes": num_classes},
                num_classes=num_classes,
                **_sizing(config),
            ).state_dict()
    except (RuntimeError, KeyError, ValueError) as error:
        assert config.weights is not None
        raise ConfigError(
            f"the weights in {config.weights.path} are not those of {config.name}: {mismatch_of(error)}"
        ) from error
    is_own_head = num_classes == model.num_classes
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if is_own_head or not name.startswith(tuple(f"{head}." for head in heads)):
                value.copy_(loaded[name])


@lru_cache(maxsize=256)
def _forward_flops(config: TimmConfig) -> float:
    # The head's size is noise here: 10 classes stand for any number.
    def count() -> float:
        return count_forward_flops(_create(config, 10, "meta"), config.input_size_px)

    return remembered("flops", config.model_dump_json(), float, count)


@lru_cache(maxsize=256)
def _grids(config: TimmConfig) -> ModelGrids:
    def find() -> ModelGrids:
        return grids_of(_create(config, 10, "meta"), config.input_size_px)

    return remembered("grids", config.model_dump_json(), ModelGrids, find)
