"""The Gaussian's numbers, against a construction written another way."""

import math

import numpy as np
import pytest
import torch

from trainers.models.gaussian import GaussianBias, PermutedGaussianBias
from trainers.models.gaussian_attention import GaussianAttentionBias
from trainers.models.grid import TokenGrid

GRIDS = [(1, 1), (4, 4), (3, 5), (6, 2), (1, 7)]


def make(config, grid, *, prefix=0, num_heads=3) -> GaussianAttentionBias:
    return GaussianAttentionBias(config, TokenGrid(*grid, prefix), num_heads, torch.device("cpu"))


def stack_slices(grid: tuple[int, int], sigma: float, amplitude: float) -> np.ndarray:
    """The paper's way: N windows of H x W, cut out of one Gaussian of (2H-1) x (2W-1) and stacked."""
    height, width = grid
    big = np.zeros((2 * height - 1, 2 * width - 1))
    for y in range(2 * height - 1):
        for x in range(2 * width - 1):
            square = (y - (height - 1)) ** 2 + (x - (width - 1)) ** 2
            big[y, x] = amplitude**2 * math.exp(-square / (2 * sigma**2))
    windows = [
        big[height - 1 - r : 2 * height - 1 - r, width - 1 - c : 2 * width - 1 - c].reshape(-1)
        for r in range(height)
        for c in range(width)
    ]
    return np.stack(windows)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("sigma", [0.02, 0.5, 2.0, 5.0, 40.0])
@pytest.mark.parametrize("amplitude", [0.3, 1.0])
def test_equals_stacked_slices(grid, sigma, amplitude):
    bias = make(GaussianBias(sigma=sigma, amplitude=amplitude), grid)()
    assert bias.shape == (1, grid[0] * grid[1], grid[0] * grid[1])
    assert bias.dtype == torch.float32
    np.testing.assert_allclose(bias[0].detach().numpy(), stack_slices(grid, sigma, amplitude), rtol=0, atol=1e-6)


@pytest.mark.parametrize("prefix", [1, 2, 5])
def test_prefix_tokens_are_padded_with_zeros(prefix):
    bias = make(GaussianBias(sigma=1.5), (3, 5), prefix=prefix)().detach()[0]
    assert bias.shape == (15 + prefix, 15 + prefix)
    assert torch.count_nonzero(bias[:prefix]) == 0
    assert torch.count_nonzero(bias[:, :prefix]) == 0
    np.testing.assert_allclose(bias[prefix:, prefix:].numpy(), stack_slices((3, 5), 1.5, 1.0), rtol=0, atol=1e-6)


def test_each_head_has_its_own_gaussian():
    gaussian = make(GaussianBias(per_head=True), (3, 5), num_heads=3, prefix=1)
    sigmas, amplitudes = [0.7, 2.0, 6.0], [0.5, 1.0, 0.8]
    with torch.no_grad():
        gaussian.sigma_param.copy_(torch.tensor(sigmas))
        gaussian.amplitude_param.copy_(torch.tensor(amplitudes))
    bias = gaussian().detach().numpy()
    assert bias.shape == (3, 16, 16)
    for head, (sigma, amplitude) in enumerate(zip(sigmas, amplitudes, strict=True)):
        np.testing.assert_allclose(bias[head, 1:, 1:], stack_slices((3, 5), sigma, amplitude), rtol=0, atol=1e-6)


def test_square_parameters_have_no_sign():
    gaussian = make(GaussianBias(sigma=2.0, amplitude=1.5), (3, 5))
    before = gaussian().detach()
    with torch.no_grad():
        gaussian.sigma_param.neg_()
        gaussian.amplitude_param.neg_()
    assert torch.equal(gaussian().detach(), before)
    assert gaussian.sigma().item() == 2.0
    assert gaussian.amplitude().item() == 1.5


@pytest.mark.parametrize("parameterization", ["square", "log", "softplus"])
@pytest.mark.parametrize(("sigma", "amplitude"), [(0.02, 0.05), (2.0, 1.0), (900.0, 3.0)])
def test_parameterizations_start_at_the_same_bias(parameterization, sigma, amplitude):
    gaussian = make(GaussianBias(sigma=sigma, amplitude=amplitude, parameterization=parameterization), (4, 4))
    assert gaussian.sigma().item() == pytest.approx(sigma, rel=1e-5)
    assert gaussian.amplitude().item() == pytest.approx(amplitude, rel=1e-5)
    np.testing.assert_allclose(gaussian()[0].detach(), stack_slices((4, 4), sigma, amplitude), rtol=1e-4, atol=1e-6)


def test_the_raw_parameters_are_what_the_parameterization_says():
    raw = {
        kind: make(GaussianBias(sigma=2.0, parameterization=kind), (2, 2)).sigma_param.item()
        for kind in ("square", "log", "softplus")
    }
    assert raw["square"] == 2.0
    assert raw["log"] == pytest.approx(math.log(2.0))
    assert math.log1p(math.exp(raw["softplus"])) == pytest.approx(2.0)


def test_gradients_are_the_formulas_derivatives():
    gaussian = make(GaussianBias(sigma=1.7, amplitude=1.3), (3, 5))
    weights = torch.randn(15, 15, generator=torch.Generator().manual_seed(0))
    (gaussian()[0] * weights).sum().backward()
    step = 1e-5
    for name, parameter in gaussian.named_parameters():
        values = {"sigma_param": 1.7, "amplitude_param": 1.3}
        ends = []
        for sign in (1, -1):
            moved = values | {name: values[name] + sign * step}
            slices = stack_slices((3, 5), moved["sigma_param"], moved["amplitude_param"])
            ends.append(float((slices * weights.numpy().astype(np.float64)).sum()))
        assert parameter.grad.item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4), name


@pytest.mark.parametrize("sigma", [0.0, 1e-30, 1e-4, 0.005, -0.0])
def test_a_sigma_near_zero_stays_finite(sigma):
    gaussian = make(GaussianBias(), (3, 5))
    with torch.no_grad():
        gaussian.sigma_param.fill_(sigma)
    bias = gaussian()
    bias.sum().backward()
    assert torch.equal(bias[0].detach(), torch.eye(15))
    assert all(torch.isfinite(parameter.grad).all() for parameter in gaussian.parameters())


@pytest.mark.parametrize("learn_sigma", [True, False])
@pytest.mark.parametrize("learn_amplitude", [True, False])
def test_what_is_not_learned_is_frozen(learn_sigma, learn_amplitude):
    gaussian = make(GaussianBias(learn_sigma=learn_sigma, learn_amplitude=learn_amplitude), (3, 5))
    assert gaussian.sigma_param.requires_grad is learn_sigma
    assert gaussian.amplitude_param.requires_grad is learn_amplitude
    # A bias that requires no gradient leaves the fused attention kernels open.
    assert gaussian().requires_grad is (learn_sigma or learn_amplitude)


def test_autocast_does_not_touch_it():
    gaussian = make(GaussianBias(sigma=3.0), (3, 5), prefix=1)
    plain = gaussian().detach()
    with torch.autocast("cpu", torch.bfloat16):
        inside = gaussian()
    inside.sum().backward()
    assert inside.dtype == torch.float32
    assert torch.equal(inside.detach(), plain)
    assert gaussian.sigma_param.grad.dtype == torch.float32


def test_a_bf16_model_still_computes_in_fp32():
    # bf16 holds 3 and the distances of this grid, but not 0.5 / 3^2.
    gaussian = make(GaussianBias(sigma=3.0), (4, 4)).to(torch.bfloat16)
    assert gaussian().dtype == torch.float32
    np.testing.assert_allclose(gaussian()[0].detach(), stack_slices((4, 4), 3.0, 1.0), rtol=0, atol=1e-6)


def test_the_state_dict_holds_only_sigma_and_a():
    assert set(make(GaussianBias(), (3, 5)).state_dict()) == {"sigma_param", "amplitude_param"}


def test_a_new_grid_keeps_sigma_in_tokens():
    gaussian = make(GaussianBias(sigma=2.0), (3, 5))
    gaussian.set_grid(TokenGrid(4, 6, 1))
    assert gaussian.num_tokens == 25
    np.testing.assert_allclose(gaussian()[0, 1:, 1:].detach(), stack_slices((4, 6), 2.0, 1.0), rtol=0, atol=1e-6)


class TestPlacebo:
    GRID = (8, 8)

    def test_has_the_same_rows_in_another_order(self):
        plain = make(GaussianBias(sigma=2.0), self.GRID)()[0].detach().numpy()
        placebo = make(PermutedGaussianBias(sigma=2.0), self.GRID)()[0].detach().numpy()

        def rows(bias):
            ordered = np.sort(bias, axis=1)
            return ordered[np.lexsort(ordered.T)]

        assert not np.array_equal(plain, placebo)
        np.testing.assert_array_equal(rows(plain), rows(placebo))
        np.testing.assert_array_equal(placebo, placebo.T)
        np.testing.assert_array_equal(np.diag(placebo), 1.0)

    def test_is_not_local(self):
        def nearness(config):
            bias = make(config, self.GRID)()[0].detach()
            distance = TokenGrid(*self.GRID).squared_distances()
            return (bias[distance == 1].mean() / bias[distance > 0].mean()).item()

        assert nearness(GaussianBias(sigma=2.0)) > 3
        # No locality is a ratio of 1; over 20 placebos its mean must not show any.
        ratios = [nearness(PermutedGaussianBias(sigma=2.0, permutation_seed=seed)) for seed in range(20)]
        assert max(ratios) < 1.5
        assert np.mean(ratios) == pytest.approx(1, abs=0.1)

    def test_depends_on_its_own_seed_only(self):
        torch.manual_seed(1)
        state = torch.random.get_rng_state()
        first = make(PermutedGaussianBias(permutation_seed=3), self.GRID)().detach()
        assert torch.equal(torch.random.get_rng_state(), state)
        torch.manual_seed(2)
        assert torch.equal(make(PermutedGaussianBias(permutation_seed=3), self.GRID)().detach(), first)
        assert not torch.equal(make(PermutedGaussianBias(permutation_seed=4), self.GRID)().detach(), first)
