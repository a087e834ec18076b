"""The Gaussian over token distance: its configs, and the module that they describe.

Shapes: h = heads (1 if all heads share one Gaussian), H x W = grid of patch tokens, P = prefix tokens,
N = P + H*W.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from trainers.models.grid import TokenGrid
from trainers.strict import StrictModel

MIN_VARIANCE = 1e-4
"""Floor of sigma^2 in the forward pass: sigma = 0 would give 0/0, and below this all off-diagonal terms are 0."""

Parameterization = Literal["square", "log", "softplus"]


class _Gaussian(StrictModel):
    sigma: float = Field(default=5.0, gt=0.01, le=1000)
    """Initial width of the Gaussian, in tokens (the paper: 5; inside the windows of a Swin, 1 to 3)."""
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
    parameterization: Parameterization = "square"
    """How sigma and A stay positive: enter squared (the paper), or as exp or softplus of a free parameter."""

    def squared_distances(self, grid: TokenGrid) -> torch.Tensor:
        """Squared distances that the Gaussian is taken of, in tokens^2: [H*W, H*W]."""
        return grid.squared_distances()


class GaussianBias(_Gaussian):
    """A_l^2 exp(-d^2 / (2 sigma_l^2)) for tokens at distance d (BMVC 2023, arXiv 2305.04722)."""

    kind: Literal["gaussian"] = "gaussian"


class PermutedGaussianBias(_Gaussian):
    """The placebo: the same numbers over randomly permuted tokens, so that locality is gone."""

    kind: Literal["permuted_gaussian"] = "permuted_gaussian"
    permutation_seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the permutation (the same in every layer; its own generator)."""

    def squared_distances(self, grid: TokenGrid) -> torch.Tensor:
        """Squared distances after the tokens have changed places: every token keeps distance 0 to itself."""
        generator = torch.Generator().manual_seed(self.permutation_seed)
        places = torch.randperm(grid.num_patch_tokens, generator=generator, device="cpu")
        return grid.squared_distances()[places][:, places]


class GaussianAttentionBias(nn.Module):
    """B[i, j] = A^2 exp(-|p_i - p_j|^2 / (2 sigma^2)), to be added to attention logits (paper, section 4).

    Built by `trainers.models.bias.attach_bias`, one for each layer (one for the whole model where layers share
    their position bias). Draws no random number from torch's global generator. Sigma and A are 1-D fp32
    parameters; the distances are no part of the state dict, so a grid of another size loads the same checkpoint.
    """

    squared_distance: torch.Tensor

    def __init__(
        self, config: GaussianBias | PermutedGaussianBias, grid: TokenGrid, num_heads: int, device: torch.device
    ) -> None:
        super().__init__()
        self.config = config
        # A plain attribute beside the config: torch.compile traces `forward`, and can't trace into pydantic.
        self.parameterization = config.parameterization
        num_gaussians = num_heads if config.per_head else 1
        self.sigma_param = _parameter(config.sigma, num_gaussians, config.parameterization, device)
        self.amplitude_param = _parameter(config.amplitude, num_gaussians, config.parameterization, device)
        self.sigma_param.requires_grad_(config.learn_sigma)
        self.amplitude_param.requires_grad_(config.learn_amplitude)
        self.register_buffer("squared_distance", torch.empty(0, device=device), persistent=False)
        self.set_grid(grid)

    def set_grid(self, grid: TokenGrid) -> None:
        """Lay the Gaussian over another grid; sigma keeps its value in tokens."""
        self.grid = grid
        self.num_prefix_tokens, self.num_tokens = grid.num_prefix_tokens, grid.num_tokens
        self.squared_distance = self.config.squared_distances(grid).to(self.squared_distance.device)

    def sigma(self) -> torch.Tensor:
        """Width in tokens, positive: [h]."""
        return _positive(self.sigma_param, self.parameterization)

    def amplitude(self) -> torch.Tensor:
        """A, not negative: [h]; the Gaussian's height is A^2."""
        return _positive(self.amplitude_param, self.parameterization)

    def forward(self) -> torch.Tensor:
        """The bias in fp32: [h, N, N], zero for every pair with a prefix token."""
        variance_h11 = self.sigma().square().clamp(min=MIN_VARIANCE)[:, None, None]
        height_h11 = self.amplitude().square()[:, None, None]
        bias_hTT = height_h11 * torch.exp(self.squared_distance.float() * (-0.5 / variance_h11))
        if self.num_prefix_tokens:
            return F.pad(bias_hTT, (self.num_prefix_tokens, 0, self.num_prefix_tokens, 0))
        return bias_hTT

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        return f"{self.config.kind}, num_tokens={self.num_tokens}, num_gaussians={len(self.sigma_param)}"


def _parameter(value: float, num: int, parameterization: Parameterization, device: torch.device) -> nn.Parameter:
    raw = {
        "square": value,
        "log": math.log(value),
        # The inverse of softplus, log(exp(value) - 1), without overflow for a large value.
        "softplus": value + math.log(-math.expm1(-value)),
    }[parameterization]
    return nn.Parameter(torch.full((num,), raw, dtype=torch.float32, device=device))


def _positive(parameter: torch.Tensor, parameterization: Parameterization) -> torch.Tensor:
    # `square` enters the Gaussian squared only: its sign means nothing, and |.| is what is reported.
    parameter = parameter.float()
    if parameterization == "square":
        return parameter.abs()
    return parameter.exp() if parameterization == "log" else F.softplus(parameter)
