"""The attention bias of a model: what every kind of it answers, and the kind that adds nothing."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from trainers.models.grid import TokenGrid
from trainers.models.weights_file import WeightsFile
from trainers.strict import StrictModel

if TYPE_CHECKING:
    import torch
    from torch import nn

    from trainers.models.attached_bias import AttachedBias


class AttentionBias(StrictModel, ABC):
    """What is added to the attention logits of every layer, as a config names it.

    A kind is one file here and one line in `trainers.kinds`.
    `trainers.contracts.AttentionBiasContract` asks what holds for every kind.
    """

    words: ClassVar[str]
    """What reports call it."""
    is_none: ClassVar[bool] = False
    """Whether it adds nothing."""
    is_placebo: ClassVar[bool] = False
    """Whether it keeps the numbers of another kind and drops what that is about: the Gaussian's lies over permuted
    tokens."""
    needs_attention: ClassVar[bool] = True
    """Whether it is added to attention logits only, and a model without them can't take it."""
    starts_from_weights: ClassVar[bool] = False
    """Whether it starts at what the model's file of weights holds."""

    @property
    def lr_factor(self) -> float:
        """Learning rate of what it learns, as a multiple of the model's."""
        return 1.0

    def description(self, *, is_trained: bool) -> str:
        """What it is, where it starts and what of it is learned, for readers.

        Args:
            is_trained: whether the trial takes any step.
        """
        return self.words

    def learns(self, scalar: str) -> bool:
        """Whether what is watched under this name (`AttachedBias.scalars`) is trained."""
        return True

    def starts_at(self, scalar: str) -> float | None:
        """Where what is watched under this name starts (`None`: the config does not say)."""
        return None

    @abstractmethod
    def of_layer(self, grid: TokenGrid, num_heads: int, device: "torch.device") -> "AttachedBias":
        """The bias of one layer; draws no random number from torch's global generator.

        Args:
            grid: the tokens that it lies over.
            num_heads: of the layer.
            device: where its parameters go.
        """

    def attach(self, model: "nn.Module") -> None:
        """Add the bias to the attention logits of every layer, in place; draws no random number.

        Args:
            model: a model that is, or contains, one of a family in `trainers.models.families`.

        Raises:
            ConfigError: the model can't take the bias (nothing has been changed then).
        """
        from trainers.models.attachment import find_sites

        for site in find_sites(model):
            site.attach(self.of_layer(site.grid, site.num_heads, site.device))

    def start_from(self, model: "nn.Module", weights: WeightsFile | None, data_root: Path | None) -> None:
        """Set what is learned to what the model's file of weights holds, if this kind starts there; no random numbers.

        Args:
            model: after `attach`.
            weights: the model's file of weights (`None`: it has none).
            data_root: where a relative path starts.

        Raises:
            ConfigError: there is no file, or it does not hold what is needed.
            CheckpointError: the file is missing, is another one, or can't be read.
        """

    def trouble_with(self, theirs: "AttentionBias", path: str) -> str | None:
        """Why weights that were trained with another bias can't start this one (`None`: they can, or need not).

        Args:
            theirs: what the weights were trained with.
            path: how messages call their file.
        """
        return None


class NoBias(AttentionBias):
    """The model as it is."""

    words: ClassVar[str] = "no bias"
    is_none: ClassVar[bool] = True

    kind: Literal["none"] = "none"

    def of_layer(self, grid: TokenGrid, num_heads: int, device: "torch.device") -> "AttachedBias":
        """Never asked: no layer gets one."""
        raise NotImplementedError

    def attach(self, model: "nn.Module") -> None:
        """Leave the model as it is."""


def attached_biases(model: "nn.Module") -> "list[AttachedBias]":
    """The biases of a model (wrapped by DDP or `torch.compile` or not), in layer order."""
    from trainers.models.attached_bias import AttachedBias

    return [module for module in model.modules() if isinstance(module, AttachedBias)]


def token_sides_px(model: "nn.Module") -> tuple[int | None, ...]:
    """Side of a token in pixels, of each layer with a bias (`None`: the model's parts do not tell its layer's).

    Args:
        model: a backbone.
    """
    from trainers.models.attached_bias import AttachedBias

    # Models of timm have it, nn.Module has not.
    feature_info: Any = model.feature_info if hasattr(model, "feature_info") else ()
    sides = {f"{part['module']}.": int(part["reduction"]) for part in feature_info}
    paths = [path for path, module in model.named_modules() if isinstance(module, AttachedBias)]
    return tuple(next((side for part, side in sides.items() if path.startswith(part)), None) for path in paths)


def bias_parameters(model: "nn.Module") -> "list[nn.Parameter]":
    """What the biases of all layers learn, frozen parameters too: no weight decay, and a learning rate of its own."""
    return [parameter for bias in attached_biases(model) for parameter in bias.parameters()]


def bias_metrics(model: "nn.Module") -> dict[str, float]:
    """What is watched of every layer's bias, a Gaussian's `sigma/00`, `amplitude/00`; per head `sigma/00_head0`."""
    import torch

    biases = attached_biases(model)
    if not biases:
        return {}
    with torch.no_grad():
        layers = [bias.scalars() for bias in biases]
        names = list(dict.fromkeys(name for scalars in layers for name in scalars))
        named = {
            f"{name}/{layer:02d}{head}": value
            for name in names
            for layer, scalars in enumerate(layers)
            if name in scalars
            for head, value in zip(_head_marks(biases[layer], len(scalars[name])), scalars[name], strict=True)
        }
        # One transfer from the device for all layers.
        values = torch.stack(list(named.values())).tolist()
    return dict(zip(named, values, strict=True))


def _head_marks(bias: "AttachedBias", num_heads: int) -> list[str]:
    if not bias.per_head:
        return [""]
    digits = len(str(num_heads - 1))
    return [f"_head{head:0{digits}d}" for head in range(num_heads)]
