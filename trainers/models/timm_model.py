"""Models of timm by name."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from trainers.data.scored_view import ModelView
from trainers.errors import ConfigError
from trainers.models.flops import count_forward_flops
from trainers.models.grid import check_image_size
from trainers.models.grids import ModelGrids, grids_of
from trainers.models.model import Channels, Model
from trainers.models.position import PositionEmbedding, set_position_embedding
from trainers.models.state_names import mismatch, mismatch_of
from trainers.models.timm_arguments import TimmArguments, as_timm_takes_it, check_it_builds
from trainers.models.timm_facts import timm_facts, why_without_bias
from trainers.models.weights_file import WeightsFile
from trainers.remembered import remembered

if TYPE_CHECKING:
    import torch
    from torch import nn


_POST_NORM = re.compile(r"^swinv2_|_rpn_")
"""timm's names of models whose branches end in a norm."""


class TimmConfig(Model):
    """A timm model by its name, whether ViT, CNN or MLP.

    An attention bias can be added to relative-position and plain ViTs, DeiTs, BEiTs, Swins v1 and v2, EVA02s and ViTs
    with rotary position.
    """

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
    arguments: TimmArguments = Field(default_factory=dict)
    """Further arguments of timm's `create_model` for this model, such as `{"drop_rate": 0.1, "global_pool": "max"}`."""

    @field_validator("name")
    @classmethod
    def _name_is_known(cls, name: str) -> str:
        timm_facts(name)
        return name

    @model_validator(mode="after")
    def _fits_the_model(self) -> Self:
        facts = timm_facts(self.name)
        if self.pretrained and not facts.has_weights:
            raise ValueError(f"timm has no published weights for {self.name}; set pretrained to false")
        if self.pretrained and self.weights is not None:
            raise ValueError("pretrained and weights exclude each other; set pretrained to false")
        if self.layer_scale is not None and (self.pretrained or self.weights is not None):
            raise ValueError("loaded weights bring their own LayerScale; leave out layer_scale, or the weights")
        if self.position_embedding != "keep" and facts.no_position is not None:
            raise ValueError(f"{self.name}: {facts.no_position}")
        if self.drop_path and not facts.takes_drop_path:
            raise ValueError(f"{self.name} has no stochastic depth; set drop_path to 0")
        if facts.patch_size_px is not None:
            patch_size_px = self.arguments.get("patch_size", facts.patch_size_px)
            if isinstance(patch_size_px, int):
                check_image_size(self.input_size_px, patch_size_px, is_windowed=facts.is_windowed)
        if facts.no_bias is not None or self.arguments:
            _check_it_builds(self.without_weights())
        return self

    def __hash__(self) -> int:
        """Of the whole config: its arguments are a dict, which has no hash."""
        return hash(self.model_dump_json())

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
            *(_mark(name, value) for name, value in self.arguments.items()),
        ]
        return "_".join([self.name, *filter(None, marks)])

    @property
    def architecture(self) -> str:
        """The name that timm has for it."""
        return self.name

    @property
    def brings_weights(self) -> bool:
        """Whether it starts from timm's published weights or a file's."""
        return self.pretrained or self.weights is not None

    @property
    def ends_blocks_in_norms(self) -> bool:
        """Swin v2 and timm's `*_rpn_*`."""
        return _POST_NORM.search(self.name) is not None

    @property
    def input_size_px(self) -> int:
        """Side of the square input image."""
        return timm_facts(self.name).image_size_px if self.image_size_px is None else self.image_size_px

    @property
    def input_mean(self) -> Channels:
        """Mean of each channel that the input is normalised with: what timm's weights expect."""
        return timm_facts(self.name).mean

    @property
    def input_std(self) -> Channels:
        """Standard deviation of each channel that the input is normalised with."""
        return timm_facts(self.name).std

    @property
    def published_view(self) -> ModelView:
        """The view of scored images that timm's weights are published with."""
        facts = timm_facts(self.name)
        return ModelView(facts.crop_fraction, facts.interpolation)

    @property
    def takes_any_size(self) -> bool:
        """Whether it gives maps of images of other sizes, too: Swins and CNNs do."""
        return _takes_any_size(self.without_weights())

    def for_maps(self) -> "TimmConfig":
        """With windows as large in every stage, where it has any."""
        if not timm_facts(self.name).is_windowed:
            return self
        return self.model_copy(update={"arguments": {"always_partition": True, **self.arguments}})

    @property
    def no_bias(self) -> str | None:
        """Why no attention bias can be added (`None`: one can)."""
        # Arguments may put another attention into every block.
        return _no_bias(self.without_weights()) if self.arguments else timm_facts(self.name).no_bias

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

    def timm_call(self, num_classes: int) -> tuple[str, dict[str, JsonValue]]:
        """What `timm.create_model` needs to build a network that takes the trained weights."""
        return self.name, json.loads(json.dumps({"num_classes": num_classes, **_arguments(self)}))

    def build_fresh(self, num_classes: int) -> "nn.Module":
        """The model as timm's initialisation leaves it, whatever weights and position embedding it would get."""
        return _create(self.without_weights(), num_classes, "cpu")

    def forward_flops_per_image(self) -> float:
        """Floating-point operations of one image's forward pass (2 per multiply-add)."""
        return _forward_flops(self.without_weights())

    def grids(self) -> ModelGrids:
        """Where its tokens lie, layer by layer."""
        return _grids(self.without_weights())

    def without_weights(self) -> Self:
        """The same network, as timm's initialisation leaves it."""
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


_LAYER_SCALES = ("gamma", "gamma_1", "gamma_2")
"""What timm's ViTs call the parameter of a LayerScale; BEiT and EVA have theirs in the block itself."""


def _create(config: TimmConfig, num_classes: int, device: Literal["cpu", "meta"]) -> "nn.Module":
    import timm
    import torch

    with torch.device(device):
        model = timm.create_model(
            config.name, pretrained=config.pretrained, num_classes=num_classes, **_arguments(config)
        )
    if config.layer_scale is not None:
        # Set, not passed to timm as `init_values`: Swin knows no such argument, and 0 and None mean other things to it.
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.rpartition(".")[2] in _LAYER_SCALES:
                    parameter.fill_(config.layer_scale)
    return model


def _arguments(config: TimmConfig) -> dict[str, Any]:
    """All but weights and classes."""
    facts = timm_facts(config.name)
    arguments: dict[str, Any] = {**dict(facts.fixed), **as_timm_takes_it(config.arguments)}
    if facts.takes_image_size:
        arguments["img_size"] = config.input_size_px
    if facts.takes_drop_path:
        arguments["drop_path_rate"] = config.drop_path
    return arguments


@lru_cache(maxsize=1024)
def _check_it_builds(config: TimmConfig) -> None:
    def check() -> bool:
        check_it_builds(config.name, _arguments(config), own=config.arguments, image_size_px=config.input_size_px)
        return True

    remembered("builds", config.model_dump_json(), bool, check)


def _mark(name: str, value: JsonValue) -> str:
    """`drop_rate0.1`, `global_pool_max`, `depths2-2-6-2`: fit for names of runs and folders."""
    if isinstance(value, str):
        return f"{name}_{re.sub(r'[^A-Za-z0-9.]+', '-', value)}"
    if isinstance(value, bool):
        return name if value else f"no_{name}"
    return f"{name}{re.sub(r'[^A-Za-z0-9.]+', '-', json.dumps(value)).strip('-')}"


def _load(model: "nn.Module", config: TimmConfig, weights: "dict[str, torch.Tensor]") -> None:
    """Copy weights into a fresh model, except a head for another number of classes.

    timm itself loads them, into a second model of the checkpoint's own number of classes: so its conversions (names
    of old releases, tables and embeddings for another image size) apply, and a name that is missing or left over is
    an error. With the model's own number of classes it would only be a line in the log.

    Of a file without a head, all that a head's module holds may be missing: its norm too, fresh then as the head is.

    Raises:
        ConfigError: they don't fit.
    """
    import torch

    heads = timm_facts(config.name).heads
    # Swin's own releases call "head" what timm calls "head.fc".
    found = [weights[f"{head}.weight"].shape[0] for head in (*heads, "head") if f"{head}.weight" in weights]
    num_classes = found[0] if found else 0
    own = model.state_dict()
    classifiers = tuple(f"{head}." for head in heads)
    # `head.linear` lies in `head`, with the norms and layers before it.
    head_modules = tuple(f"{head.partition('.')[0]}." for head in heads)
    assert config.weights is not None
    refusal = f"the weights in {config.weights.path} are not those of {config.name}"
    try:
        loaded = _loaded_by_timm(config, weights, num_classes)
    except _MISFITS as error:
        fresh = {
            name: value
            for name, value in own.items()
            if name.startswith(head_modules) and not name.startswith(classifiers)
        }
        if found or not fresh or any(name.startswith(head_modules) for name in weights):
            raise ConfigError(f"{refusal}: {mismatch_of(error)}") from error
        try:
            loaded = _loaded_by_timm(config, {**weights, **fresh}, num_classes)
        except _MISFITS:
            raise ConfigError(f"{refusal}: {mismatch_of(error)}") from error
    missing = [name for name in own if name not in loaded and not (name.startswith(head_modules) and not found)]
    if missing:
        raise ConfigError(f"{refusal}: {mismatch(missing, [])}")
    is_own_head = num_classes == model.num_classes
    with torch.no_grad():
        for name, value in own.items():
            if name in loaded and (is_own_head or not name.startswith(classifiers)):
                value.copy_(loaded[name])


_MISFITS = (RuntimeError, KeyError, ValueError, AttributeError, TypeError, IndexError)
"""What timm raises for weights of another model."""


def _loaded_by_timm(
    config: TimmConfig, weights: "dict[str, torch.Tensor]", num_classes: int
) -> "dict[str, torch.Tensor]":
    """The weights as timm reads them, strictly, for a model with so many classes (0: without a head)."""
    import timm
    import torch

    # The first model has drawn its weights by now; these draws must move nothing that comes after.
    with torch.random.fork_rng(devices=[]):
        model = timm.create_model(
            config.name,
            pretrained=True,
            pretrained_cfg_overlay={"state_dict": dict(weights), "num_classes": num_classes},
            num_classes=num_classes,
            **_arguments(config),
        )
    state: dict[str, torch.Tensor] = model.state_dict()
    return state


@lru_cache(maxsize=256)
def _forward_flops(config: TimmConfig) -> float:
    # The head's size is noise here: 10 classes stand for any number.
    def count() -> float:
        return count_forward_flops(_create(config, 10, "meta"), config.input_size_px)

    return remembered("flops", config.model_dump_json(), float, count)


@lru_cache(maxsize=256)
def _takes_any_size(config: TimmConfig) -> bool:
    def ask() -> bool:
        from trainers.models.feature_maps import FeatureMaps

        return FeatureMaps(_create(config.for_maps(), 0, "meta")).take_any_size()

    return remembered("any_size", config.model_dump_json(), bool, ask)


@lru_cache(maxsize=1024)
def _no_bias(config: TimmConfig) -> str | None:
    def ask() -> str:
        return why_without_bias(_create(config, 10, "meta")) or ""

    return remembered("no_bias", config.model_dump_json(), str, ask) or None


@lru_cache(maxsize=256)
def _grids(config: TimmConfig) -> ModelGrids:
    def find() -> ModelGrids:
        return grids_of(_create(config, 10, "meta"), config.input_size_px)

    return remembered("grids", config.model_dump_json(), ModelGrids, find)
