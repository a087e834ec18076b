"""The Gaussian over token distance, as a module of a network.

Shapes: h = heads (1 if all heads share one Gaussian), H x W = grid of patch tokens, P = prefix tokens,
N = P + H*W.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from trainers.models.attached_bias import AttachedBias
from trainers.models.gaussian import AnyGaussian, Parameterization
from trainers.models.grid import TokenGrid
from trainers.strict import kind_of

MIN_VARIANCE = 1e-4
"""Floor of sigma^2 in the forward pass: sigma = 0 would give 0/0, and below this all off-diagonal terms are 0."""


class GaussianAttentionBias(AttachedBias):
    """B[i, j] = A^2 exp(-|p_i - p_j|^2 / (2 sigma^2)), to be added to attention logits (paper, section 4).

    Sigma and A are 1-D fp32 parameters; the distances are no part of the state dict, so a grid of another size loads
    the same checkpoint.
    """

    squared_distance: torch.Tensor

    def __init__(self, config: AnyGaussian, grid: TokenGrid, num_heads: int, device: torch.device) -> None:
        super().__init__()
        self.config = config
        # A plain attribute beside the config: torch.compile traces `forward`, and can't trace into pydantic.
        self.parameterization, self.per_head = config.parameterization, config.per_head
        num_gaussians = num_heads if config.per_head else 1
        # What a file brings takes the place of 1 (`trainers.models.bias_from_weights`).
        sigma, amplitude = config.start or (1.0, 1.0)
        self.sigma_param = _parameter(sigma, num_gaussians, config.parameterization, device)
        self.amplitude_param = _parameter(amplitude, num_gaussians, config.parameterization, device)
        self.sigma_param.requires_grad_(config.learn_sigma)
        self.amplitude_param.requires_grad_(config.learn_amplitude)
        self.register_buffer("squared_distance", torch.empty(0, device=device), persistent=False)
        self.set_grid(grid)

    @property
    def kind(self) -> str:
        """Of the config that it was built from."""
        return kind_of(type(self.config))

    def set_grid(self, grid: TokenGrid) -> None:
        """Lay the Gaussian over another grid; sigma keeps its value in tokens."""
        super().set_grid(grid)
        self.squared_distance = self.config.squared_distances(grid).to(self.squared_distance.device)

    def sigma(self) -> torch.Tensor:
        """Width in tokens, positive: [h]."""
        return _positive(self.sigma_param, self.parameterization)

    def amplitude(self) -> torch.Tensor:
        """A, not negative: [h]; the Gaussian's height is A^2."""
        return _positive(self.amplitude_param, self.parameterization)

    def scalars(self) -> dict[str, torch.Tensor]:
        """Sigma (in tokens) and A."""
        return {"sigma": self.sigma(), "amplitude": self.amplitude()}

    @torch.no_grad()
    def silence(self) -> None:
        """Give it the height 0."""
        self.amplitude_param.fill_(0.0 if self.parameterization == "square" else float("-inf"))

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
        return f"{self.kind}, num_tokens={self.num_tokens}, num_gaussians={len(self.sigma_param)}"


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
