"""The Gaussian over token distance: its configs. The module that they describe is in `gaussian_attention`."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainers.models.grid import TokenGrid
from trainers.strict import StrictModel

if TYPE_CHECKING:
    import torch

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
    lr_multiplier: float = Field(default=20.0, gt=0, le=10_000)
    """Learning rate of sigma and A, as a multiple of the model's. At the model's own rate (1, the paper's) a short
    training leaves both where they start; at 50 to 100 times sigma may collapse. 20 moved them without that in
    all that was tried: two tasks, AdamW and SGD (docs/evidence.md)."""
    parameterization: Parameterization = "square"
    """How sigma and A stay positive: enter squared (the paper), or as exp or softplus of a free parameter."""

    def squared_distances(self, grid: TokenGrid) -> "torch.Tensor":
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

    def squared_distances(self, grid: TokenGrid) -> "torch.Tensor":
        """Squared distances after the tokens have changed places: every token keeps distance 0 to itself."""
        import torch

        generator = torch.Generator().manual_seed(self.permutation_seed)
        places = torch.randperm(grid.num_patch_tokens, generator=generator, device="cpu")
        return grid.squared_distances()[places][:, places]
