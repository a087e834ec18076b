"""The model that is looked at: its weights, and what is done to it first."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from trainers.analyses.intervention import Intervention
from trainers.data.normalization import NormalizationName
from trainers.errors import AnalysisError
from trainers.initial_model import give_bias, initial_model, position_seed
from trainers.kinds import AttentionBiasConfig, ModelConfig
from trainers.models.attached_bias import AttachedBias
from trainers.models.bias import NoBias, attached_biases
from trainers.models.feature_maps import FeatureMaps
from trainers.models.position import PositionEmbedding, find_position, set_position_embedding
from trainers.models.published import read_state_dict
from trainers.models.state_names import mismatch, mismatch_of
from trainers.seeding import Stream, derive_seed, seed_weights
from trainers.strict import StrictModel

_IN_ANOTHER_NETWORK = "features.backbone."
"""How the weights of a backbone are called in a network of a task that is not classification."""
_POSITION: dict[Intervention, PositionEmbedding] = {
    "reinitialise-position": "reinitialise",
    "zero-position": "zero",
}


class SubjectConfig(StrictModel):
    """A model with its weights, as far as an analysis must know it (any trial's config has these fields too)."""

    model: Annotated[ModelConfig, Field(discriminator="kind")]
    """The network."""
    attention_bias: Annotated[AttentionBiasConfig, Field(discriminator="kind")] = NoBias()
    """Its attention bias."""
    normalization: NormalizationName = "model"
    """Mean and standard deviation that images are normalised with."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Of weights that are drawn."""


def build_subject(
    config: SubjectConfig,
    *,
    checkpoint: Path | None,
    intervention: Intervention,
    gaussian: AttentionBiasConfig,
    layers: Iterable[int] | None,
    num_classes: int,
    data_root: Path | None = None,
) -> nn.Module:
    """The model, loaded and changed.

    Args:
        config: the network and its own bias.
        checkpoint: weights (`None`: those of the config, published or fresh); of the network of a segmentation or
            detection the backbone is looked at, as it is there.
        intervention: what is done to it.
        gaussian: what the intervention `gaussian` adds.
        layers: blocks of a ViT, stages of a Swin that the intervention concerns (`None`: all).
        num_classes: of the head, which no analysis looks at.
        data_root: where relative paths of weights start.

    Raises:
        CheckpointError: the checkpoint can't be read.
        AnalysisError: it is another model's, or there is nothing to intervene in.
        ConfigError: the model can't be built so.
    """
    weights = None if checkpoint is None else read_state_dict(checkpoint)
    own = {} if weights is None else _of_backbone(weights)
    model = _initial_backbone(config, data_root) if own else initial_model(config, num_classes, data_root)
    if checkpoint is not None and weights is not None:
        _load(model, own or weights, checkpoint)
    chosen = None if layers is None else set(layers)
    if intervention == "gaussian":
        if attached_biases(model):
            raise AnalysisError("the model has a Gaussian already; the interventions none and no-gaussian compare it")
        gaussian.attach(model)
        if chosen is not None:
            _require_layers(chosen, _biases(model), "Gaussian")
            _switch_off(model, lambda layer: layer not in chosen)
    elif intervention == "no-gaussian":
        if not attached_biases(model):
            raise AnalysisError("the model has no Gaussian that could be left out")
        if chosen is not None:
            _require_layers(chosen, _biases(model), "Gaussian")
        _switch_off(model, lambda layer: chosen is None or layer in chosen)
    elif intervention != "none":
        _change_position(model, config, _POSITION[intervention], chosen, num_classes)
    return model


def _biases(model: nn.Module) -> dict[str, AttachedBias]:
    return {name: module for name, module in model.named_modules() if isinstance(module, AttachedBias)}


def _require_layers(asked: set[int], names: Iterable[str], what: str) -> None:
    """A layer that has nothing to change would leave the model as it was, under the intervention's name.

    Raises:
        AnalysisError: there is such a layer.
    """
    known = sorted({layer for name in names if (layer := _layer_of(name)) is not None})
    if not known:
        raise AnalysisError(
            f"the {what} belongs to the whole model, not to single layers such as {min(asked)}: leave the layers out"
        )
    if unknown := sorted(asked.difference(known)):
        raise AnalysisError(
            f"no {what} belongs to the layers {unknown}; the layers that have one: {', '.join(map(str, known))}"
        )


def _switch_off(model: nn.Module, concerns: Callable[[int | None], bool]) -> None:
    """Let the Gaussian of some layers add nothing."""
    for name, bias in _biases(model).items():
        if concerns(_layer_of(name)):
            bias.silence()


def _change_position(
    model: nn.Module, config: SubjectConfig, choice: PositionEmbedding, layers: set[int] | None, num_classes: int
) -> None:
    def concerns(name: str) -> bool:
        return layers is None or _layer_of(name) in layers

    if layers is not None:
        _require_layers(layers, find_position(model).all, "position embedding")
    set_position_embedding(
        model,
        choice,
        build_fresh=lambda: config.model.build_fresh(num_classes),
        # Stream 1 of the position embedding: stream 0 is a trial's own re-initialised one.
        seed=derive_seed(config.seed, Stream.POSITION_EMBEDDING, 1),
        concerns=concerns,
    )


def _layer_of(name: str) -> int | None:
    """`blocks.3.attn...` -> 3; of Swin's `layers.2.blocks.1...`, the stage 2."""
    return next((int(part) for part in name.split(".") if part.isdigit()), None)


def _initial_backbone(config: SubjectConfig, data_root: Path | None) -> nn.Module:
    """The model as networks that say something of every place of an image have it: without its head."""
    seed_weights(config.seed)
    model = config.model.for_maps().build(0, position_seed=position_seed(config), data_root=data_root)
    backbone = FeatureMaps(model).backbone
    give_bias(backbone, config, data_root)
    return backbone


def _of_backbone(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of the backbone in the network of a segmentation or detection; empty where it is no such network."""
    return {
        name.removeprefix(_IN_ANOTHER_NETWORK): value
        for name, value in weights.items()
        if name.startswith(_IN_ANOTHER_NETWORK)
    }


def _load(model: nn.Module, weights: Mapping[str, Tensor], file: Path) -> None:
    own = model.state_dict()
    head = {name for name in own if name.startswith(("head.", "head_dist.", "fc.", "classifier."))}
    fitting = {name: value for name, value in weights.items() if name not in head or own[name].shape == value.shape}
    try:
        missing, unexpected = model.load_state_dict(fitting, strict=False)
    except RuntimeError as error:
        raise AnalysisError(f"{file} holds another model's weights: {mismatch_of(error)}") from error
    missing = [name for name in missing if name not in head]
    if missing or unexpected:
        hint = "; the config of its trial names its attention bias" if any("gaussian" in n for n in unexpected) else ""
        raise AnalysisError(f"{file} holds another model's weights: {mismatch(missing, unexpected)}{hint}")
