"""The Gaussian over token distance: its configs. The module that they describe is in `gaussian_attention`."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from trainers.models.bias import AttentionBias
from trainers.models.grid import TokenGrid
from trainers.models.weights_file import WeightsFile
from trainers.strict import StrictModel

if TYPE_CHECKING:
    import torch
    from torch import nn

    from trainers.models.gaussian_attention import GaussianAttentionBias

HOLDS_NONE = 'it holds none; {"kind": "gaussian", "sigma": 5.0} says in the config itself where they start'
"""What to say of weights without sigma and A."""

Parameterization = Literal["square", "log", "softplus"]


class AnyGaussian(AttentionBias):
    """What every kind of Gaussian has; a kind is one class below."""

    words: ClassVar[str] = "Gaussian"

    learn_sigma: bool = True
    """Whether sigma is trained."""
    learn_amplitude: bool = True
    """Whether A is trained."""
    per_head: bool = False
    """One sigma and one A for each head instead of one for each layer."""
    lr_multiplier: float = Field(default=20.0, gt=0, le=10_000)
    """Learning rate of sigma and A, as a multiple of the model's. At the model's own rate (1, the paper's) a short
    training leaves both where they start; at 50 to 100 times sigma may collapse. 20 moved them without that in
    all that was tried: two tasks, AdamW and SGD (docs/evidence.md)."""
    parameterization: Parameterization = "square"
    """How sigma and A stay positive: enter squared (the paper), or as exp or softplus of a free parameter."""

    @property
    def lr_factor(self) -> float:
        """Learning rate of sigma and A, as a multiple of the model's."""
        return self.lr_multiplier

    @property
    def start(self) -> tuple[float, float] | None:
        """Where sigma (in tokens) and A start (`None`: the config does not say, see `starts_from_weights`)."""
        return None

    @property
    def start_words(self) -> str:
        """The same for readers."""
        return "sigma and A as in the file of weights"

    def description(self, *, is_trained: bool) -> str:
        """`Gaussian, sigma 2, A 1, both learned`."""
        words = f"{self.words}, {self.start_words}"
        if self.per_head:
            words += ", per head"
        if not is_trained:
            return f"{words}, not trained"
        if self.learn_sigma == self.learn_amplitude:
            return f"{words}, both {'learned' if self.learn_sigma else 'fixed'}"
        return f"{words}, only {'sigma' if self.learn_sigma else 'A'} learned"

    def learns(self, scalar: str) -> bool:
        """Of `sigma` and `amplitude`."""
        return self.learn_sigma if scalar == "sigma" else self.learn_amplitude

    def starts_at(self, scalar: str) -> float | None:
        """Of `sigma` and `amplitude`."""
        if self.start is None:
            return None
        sigma, amplitude = self.start
        return sigma if scalar == "sigma" else amplitude

    def squared_distances(self, grid: TokenGrid) -> "torch.Tensor":
        """Squared distances that the Gaussian is taken of, in tokens^2: [H*W, H*W]."""
        return grid.squared_distances()

    def of_layer(self, grid: TokenGrid, num_heads: int, device: "torch.device") -> "GaussianAttentionBias":
        """The Gaussian of one layer."""
        from trainers.models.gaussian_attention import GaussianAttentionBias

        return GaussianAttentionBias(self, grid, num_heads, device)


class _Start(StrictModel):
    sigma: float = Field(default=5.0, gt=0.01, le=1000)
    """Initial width of the Gaussian, in tokens (the paper: 5; inside the windows of a Swin, 1 to 3)."""
    amplitude: float = Field(default=1.0, gt=0, le=100)
    """Initial A; the Gaussian's height on the logits is A squared (the paper: 1)."""


class _StartedGaussian(AnyGaussian, _Start):
    @property
    def start(self) -> tuple[float, float]:
        """Where sigma (in tokens) and A start."""
        return self.sigma, self.amplitude

    @property
    def start_words(self) -> str:
        """The same for readers."""
        return f"sigma {self.sigma:.3g}, A {self.amplitude:.3g}"


class GaussianBias(_StartedGaussian):
    """A_l^2 exp(-d^2 / (2 sigma_l^2)) for tokens at distance d (BMVC 2023, arXiv 2305.04722)."""

    kind: Literal["gaussian"] = "gaussian"


class PermutedGaussianBias(_StartedGaussian):
    """The placebo: the same numbers over randomly permuted tokens, so that locality is gone."""

    words: ClassVar[str] = "Gaussian over permuted tokens"
    is_placebo: ClassVar[bool] = True

    kind: Literal["permuted_gaussian"] = "permuted_gaussian"
    permutation_seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the permutation (the same in every layer; its own generator)."""

    def squared_distances(self, grid: TokenGrid) -> "torch.Tensor":
        """Squared distances after the tokens have changed places: every token keeps distance 0 to itself."""
        import torch

        generator = torch.Generator().manual_seed(self.permutation_seed)
        places = torch.randperm(grid.num_patch_tokens, generator=generator, device="cpu")
        return grid.squared_distances()[places][:, places]


class StoredGaussianBias(AnyGaussian):
    """The Gaussian with the sigma and A that the model's `weights` hold: what a training has learned goes on.

    The file has to hold them for every layer, with as many heads as `per_head` says and in this `parameterization`.
    """

    starts_from_weights: ClassVar[bool] = True

    kind: Literal["from_weights"] = "from_weights"

    def start_from(self, model: "nn.Module", weights: WeightsFile | None, data_root: Path | None) -> None:
        """Set sigma and A to what the file holds."""
        from trainers.models.bias_from_weights import start_bias

        start_bias(model, self, weights, data_root)

    def trouble_with(self, theirs: AttentionBias, path: str) -> str | None:
        """Weights of another kind of Gaussian, or of none, hold no sigma and A for this one."""
        if not isinstance(theirs, AnyGaussian):
            return f"sigma and A can't be read from {path}: {HOLDS_NONE}"
        if theirs.per_head != self.per_head:
            there, here = (str(each.per_head).lower() for each in (theirs, self))
            return (
                f"sigma and A in {path} are of `per_head` {there}, and `attention_bias` says {here}: set it to theirs"
            )
        if theirs.is_placebo:
            return f"sigma and A in {path} are those of a placebo: its Gaussian lay over permuted tokens"
        if theirs.parameterization != self.parameterization:
            return (
                f"sigma and A in {path} are of parameterization `{theirs.parameterization}`, and `attention_bias` says "
                f"`{self.parameterization}`: set it to theirs"
            )
        return None
