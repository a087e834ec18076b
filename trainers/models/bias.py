"""The attention bias: a Gaussian over token distance, added to the attention logits of every layer."""

from typing import Literal

from pydantic import Field

from trainers.strict import StrictModel


class NoBias(StrictModel):
    """The model as it is."""

    kind: Literal["none"] = "none"


class _Gaussian(StrictModel):
    sigma: float = Field(default=5.0, gt=0.01, le=1000)
    """Initial width of the Gaussian, in tokens (the paper: 5)."""
    amplitude: float = Field(default=1.0, gt=0, le=100)
    """Initial A; the Gaussian's height on the logits is A squared (the paper: 1)."""
    learn_sigma: bool = True
    """Whether sigma is trained."""
    learn_amplitude: bool = True
    """Whether A is trained."""
    per_head: bool = False
    """One sigma and one A for each head instead of one for each layer."""
    lr_multiplier: float = Field(default=1.0, gt=0, le=10_000)
    """Learning rate of sigma and A, as a multiple of the model's."""
    parameterization: Literal["square", "log", "softplus"] = "square"
    """How sigma and A stay positive: enter squared (the paper), or as exp or softplus of a free parameter."""


class GaussianBias(_Gaussian):
    """A_l^2 exp(-d^2 / (2 sigma_l^2)) for tokens at distance d (BMVC 2023, arXiv 2305.04722)."""

    kind: Literal["gaussian"] = "gaussian"


class PermutedGaussianBias(_Gaussian):
    """The placebo: the same numbers over randomly permuted tokens, so that locality is gone."""

    kind: Literal["permuted_gaussian"] = "permuted_gaussian"
    permutation_seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the permutation (the same in every layer; its own generator)."""


AttentionBiasConfig = NoBias | GaussianBias | PermutedGaussianBias
