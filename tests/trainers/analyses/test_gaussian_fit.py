"""Planted Gaussians come back; what is not a Gaussian says so; what holds nothing is refused."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime, curve_fit

from trainers.analyses.gaussian_fit import _Problem, fit_gaussian
from trainers.errors import AnalysisError


def planted(shape, *, x, y, sigma_x, sigma_y, height=1.0, floor=0.0):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return floor + height * np.exp(-((columns - x) ** 2) / 2 / sigma_x**2 - (rows - y) ** 2 / 2 / sigma_y**2)


@pytest.mark.parametrize(
    ("shape", "known"),
    [
        ((27, 27), {"x": 13, "y": 13, "sigma_x": 3, "sigma_y": 3}),
        ((14, 31), {"x": 20.3, "y": 4.6, "sigma_x": 6, "sigma_y": 2}),
        ((14, 14), {"x": -2, "y": 6, "sigma_x": 3, "sigma_y": 3}),
        ((14, 14), {"x": 6, "y": 6, "sigma_x": 9, "sigma_y": 11}),
        ((64, 64), {"x": 31, "y": 31, "sigma_x": 8, "sigma_y": 10, "height": 3e-7}),
        ((27, 27), {"x": 5, "y": 20, "sigma_x": 2, "sigma_y": 6, "height": 0.01, "floor": 0.5}),
        ((27, 27), {"x": 13, "y": 11, "sigma_x": 4, "sigma_y": 3, "height": -2, "floor": 1}),
    ],
    ids=["centred", "off centre", "centre outside", "truncated", "tiny values", "high floor", "hollow"],
)
def test_a_planted_gaussian_comes_back(shape, known):
    fit = fit_gaussian(planted(shape, **known), with_floor="floor" in known)
    expected = {"height": 1.0, "floor": 0.0} | known
    found = (fit.center_x, fit.center_y, fit.sigma_x, fit.sigma_y, fit.height, fit.floor)
    wanted = tuple(expected[name] for name in ("x", "y", "sigma_x", "sigma_y", "height", "floor"))
    assert found == pytest.approx(wanted, rel=1e-5, abs=1e-9)
    assert fit.r_squared == pytest.approx(1, abs=1e-9)
    assert fit.is_gaussian
    assert fit.is_wider_than_map == (shape[1] / 2 < known["sigma_x"])
    assert fit.sigma == pytest.approx((known["sigma_x"] * known["sigma_y"]) ** 0.5, rel=1e-5)


def test_a_noisy_map_gives_the_least_squares_of_another_optimiser():
    noise = np.random.RandomState(0).normal(scale=0.1, size=(20, 24))
    noisy = planted((20, 24), x=9, y=12, sigma_x=3, sigma_y=5, floor=0.2) + noise

    def model(grid, x, y, sigma_x, sigma_y, height, floor):
        rows, columns = grid
        return floor + height * np.exp(-((columns - x) ** 2) / 2 / sigma_x**2 - (rows - y) ** 2 / 2 / sigma_y**2)

    grid = np.stack([axis.ravel() for axis in np.mgrid[:20, :24]])
    known, _ = curve_fit(model, grid, noisy.ravel(), p0=(9, 12, 3, 5, 1, 0))
    fit = fit_gaussian(noisy, with_floor=True)
    found = (fit.center_x, fit.center_y, fit.sigma_x, fit.sigma_y, fit.height, fit.floor)
    assert found == pytest.approx(tuple(known), rel=1e-4)
    residual = noisy.ravel() - model(grid, *known)
    assert fit.r_squared == pytest.approx(1 - residual.var() / noisy.var(), rel=1e-9)


@pytest.mark.parametrize("with_floor", [False, True])
def test_the_gradient_is_the_one_of_finite_differences(with_floor):
    # Kaufman's Jacobian differs from the full one only along what height and floor take up: the gradient is exact.
    problem = _Problem(np.random.RandomState(1).uniform(size=(9, 11)), with_floor)
    place = np.array([4.2, 3.1, 2.0, 3.0])
    gradient = problem.jacobian(place).T @ problem.residuals(place)
    numeric = approx_fprime(place, lambda vector: 0.5 * float(np.square(problem.residuals(vector)).sum()), 1e-6)
    assert gradient == pytest.approx(numeric, abs=1e-5)


def two_peaks():
    return planted((27, 27), x=5, y=5, sigma_x=2, sigma_y=2) + planted((27, 27), x=21, y=21, sigma_x=2, sigma_y=2)


@pytest.mark.parametrize(
    "values",
    [np.random.RandomState(0).uniform(size=(27, 27)), two_peaks(), np.pad(np.ones((9, 9)), 9)],
    ids=["noise", "two peaks", "square"],
)
def test_what_is_no_gaussian_says_so(values):
    fit = fit_gaussian(values, with_floor=True)
    assert not fit.is_gaussian
    assert fit.remark.startswith("not a Gaussian (R^2 ")


def test_widths_that_the_map_cannot_tell_are_marked():
    assert "extrapolated" in fit_gaussian(np.mgrid[:27, :27][0], with_floor=True).remark
    assert "narrower than a cell" in fit_gaussian(np.eye(1, 81, 40).reshape(9, 9), with_floor=False).remark


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((9, 9)), "the map is zero everywhere"),
        (np.full((9, 9), 0.25), "the map is 0.25 everywhere"),
        (np.where(np.eye(9) > 0, np.nan, 1.0), "9 of 81 cells of the map are NaN or infinite"),
        (np.ones((2, 9)), r"at least 3 x 3 cells, not to shape \(2, 9\)"),
        (np.ones(9), r"not to shape \(9,\)"),
    ],
)
def test_a_map_with_nothing_in_it_is_refused(values, message):
    with pytest.raises(AnalysisError, match=message):
        fit_gaussian(values, with_floor=True)


def test_the_paper_tools_share_of_variance_stands_beside_ours():
    """Without a floor a residual has a mean, which 1 - var(residual) / var(map) forgives: on what it is, by hand."""
    values = planted((21, 21), x=10, y=9, sigma_x=3, sigma_y=4) + 0.2
    fit = fit_gaussian(values, with_floor=False)
    residual = values - planted(
        values.shape, x=fit.center_x, y=fit.center_y, sigma_x=fit.sigma_x, sigma_y=fit.sigma_y, height=fit.height
    )
    assert fit.explained_variance == pytest.approx(1 - residual.var() / values.var())
    assert fit.r_squared == pytest.approx(1 - (residual**2).sum() / ((values - values.mean()) ** 2).sum())
    assert fit.explained_variance > fit.r_squared + 0.005
    with_floor = fit_gaussian(values, with_floor=True)
    assert with_floor.explained_variance == pytest.approx(with_floor.r_squared)
