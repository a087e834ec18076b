"""A two-dimensional Gaussian laid through a map: where, how wide, and how well it fits.

    g(x, y) = floor + height * exp(-(x - cx)^2 / (2 sx^2) - (y - cy)^2 / (2 sy^2))

The axes are those of the map, as in the paper (arXiv 2305.04722, section 3). Lengths are in cells of the map.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from trainers.errors import AnalysisError
from trainers.packages import needed_for
from trainers.strict import StrictModel

Array = npt.NDArray[np.float64]

GOOD_R_SQUARED = 0.8
"""From here on a map is called Gaussian: a flat square reaches 0.78, a cross or two separate peaks stay below 0.5."""

_SMALLEST_SIGMA = 0.05
"""In cells: a narrower peak lies between the samples, and its width can't be told."""

_NARROW_SIGMA = 0.4
"""In cells: below it the neighbours of the centre hold less than 5 % of its height."""


_MAX_STEPS, _QUICK_STEPS = 200, 40


class GaussianFit(StrictModel):
    """The best Gaussian in the sense of least squares."""

    center_x: float
    """Column of the centre, in cells from the middle of the first column."""
    center_y: float
    """Row of the centre, in cells from the middle of the first row."""
    sigma_x: float
    """Width along a row, in cells."""
    sigma_y: float
    """Width along a column, in cells."""
    height: float
    """What the Gaussian adds at its centre; negative for a hollow."""
    floor: float
    """What is there far away from the centre (0 where the fit has no floor)."""
    r_squared: float
    """Share of the map's variance that the Gaussian explains, 1 - SSE / SST; may be negative without a floor."""
    explained_variance: float | None = None
    """1 - var(residual) / var(map), which the paper's tool calls R^2 (`None`: fitted by an earlier version). A residual
    with a mean, as without a floor, counts less there: it is never below `r_squared`."""
    is_wider_than_map: bool
    """Whether the width is extrapolated: the map ends before the Gaussian has fallen off, or the fit met its bounds."""

    @property
    def sigma(self) -> float:
        """Geometric mean of both widths, in cells."""
        return math.sqrt(self.sigma_x * self.sigma_y)

    @property
    def is_gaussian(self) -> bool:
        """Whether the Gaussian explains the map well enough for its width to mean something."""
        return self.r_squared >= GOOD_R_SQUARED

    @property
    def verdict(self) -> Literal["gaussian", "no_gaussian", "narrow", "wide"]:
        """Whether this is a Gaussian, and one whose width can be told."""
        if not self.is_gaussian:
            return "no_gaussian"
        if min(self.sigma_x, self.sigma_y) < _NARROW_SIGMA:
            return "narrow"
        return "wide" if self.is_wider_than_map else "gaussian"

    @property
    def remark(self) -> str:
        """What a reader must know before using the widths; empty if nothing."""
        return {
            "gaussian": "",
            "no_gaussian": f"not a Gaussian (R^2 {self.r_squared:.2f}): the widths describe little",
            "narrow": "narrower than a cell: the width is a guess",
            "wide": "wider than the map: the width is extrapolated",
        }[self.verdict]


def fit_gaussian(values: npt.ArrayLike, *, with_floor: bool, is_quick: bool = False) -> GaussianFit:
    """Fit by trust-region least squares with analytic derivatives, from several starts; the best one counts.

    Args:
        values: [H, W] map, at least 3 x 3.
        with_floor: whether a constant is fitted too. A receptive field has none (the paper's choice); a bias on
            attention logits needs one, for softmax ignores constants.
        is_quick: start only from the map's moments and stop early: several times faster where there is no Gaussian
            to be found, and the same where there is a clear one.

    Raises:
        AnalysisError: the map is not a matrix, too small, constant, or holds NaN or infinity.
    """
    matrix = _checked(values)
    scale = float(np.abs(matrix).max())
    problem = _Problem(matrix / scale, with_floor)
    starts = [start for group in problem.starts() for start in (group[:1] if is_quick else group)]
    solutions = [_solve(problem, start, _QUICK_STEPS if is_quick else _MAX_STEPS) for start in starts]
    best = min(solutions, key=problem.squared_error)
    height, floor = problem.linear_parts(best)
    spread = matrix / scale - float((matrix / scale).mean())
    squared_deviations = float(np.square(spread).sum())
    residuals = problem.residuals(np.array(best))
    return GaussianFit(
        center_x=best.center_x,
        center_y=best.center_y,
        sigma_x=best.sigma_x,
        sigma_y=best.sigma_y,
        height=height * scale,
        floor=floor * scale,
        r_squared=1.0 - problem.squared_error(best) / squared_deviations,
        explained_variance=1.0 - float(residuals.var()) * residuals.size / squared_deviations,
        is_wider_than_map=best.sigma_x > matrix.shape[1] / 2 or best.sigma_y > matrix.shape[0] / 2,
    )


def _checked(values: npt.ArrayLike) -> Array:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or min(matrix.shape) < 3:
        raise AnalysisError(f"a Gaussian is fitted to a map of at least 3 x 3 cells, not to shape {matrix.shape}")
    broken = int((~np.isfinite(matrix)).sum())
    if broken:
        raise AnalysisError(f"{broken} of {matrix.size} cells of the map are NaN or infinite: nothing can be fitted")
    if float(np.ptp(matrix)) <= 1e-12 * float(np.abs(matrix).max()):
        where = "zero" if not matrix.any() else f"{matrix.flat[0]:.6g}"
        raise AnalysisError(f"the map is {where} everywhere: there is no Gaussian in it")
    return matrix


class _Shape(NamedTuple):
    center_x: float
    center_y: float
    sigma_x: float
    sigma_y: float


class _Problem:
    """Least squares over centre and widths; height and floor are linear, so they follow (variable projection)."""

    def __init__(self, matrix: Array, with_floor: bool) -> None:
        self.matrix, self.with_floor = matrix, with_floor
        self._rows, self._columns = np.arange(matrix.shape[0], dtype=float), np.arange(matrix.shape[1], dtype=float)

    def starts(self) -> list[list[_Shape]]:
        """Moments of what rises above (and hangs below) the map's median, and two widths at its strongest cell."""
        height, width = self.matrix.shape
        starts = []
        for sign in (1.0, -1.0) if self.with_floor else (1.0,):
            raised = np.clip(sign * (self.matrix - (np.median(self.matrix) if self.with_floor else 0.0)), 0, None)
            if not raised.any():
                continue
            weights = raised / raised.sum()
            x, y = float(weights.sum(0) @ self._columns), float(weights.sum(1) @ self._rows)
            spread_x = math.sqrt(float(weights.sum(0) @ (self._columns - x) ** 2))
            spread_y = math.sqrt(float(weights.sum(1) @ (self._rows - y) ** 2))
            moments = _Shape(x, y, max(spread_x, 0.5), max(spread_y, 0.5))
            peak_y, peak_x = np.unravel_index(int(raised.argmax()), raised.shape)
            peaks = [_Shape(float(peak_x), float(peak_y), width / d, height / d) for d in (12.0, 4.0)]
            starts.append([moments, *peaks])
        return starts

    @property
    def bounds(self) -> tuple[list[float], list[float]]:
        """A centre outside by up to half the map is allowed: a truncated Gaussian may have it there."""
        height, width = self.matrix.shape
        low = [-width / 2, -height / 2, _SMALLEST_SIGMA, _SMALLEST_SIGMA]
        return low, [1.5 * width, 1.5 * height, 10.0 * width, 10.0 * height]

    def linear_parts(self, shape: _Shape) -> tuple[float, float]:
        """Height and floor that fit best with this centre and these widths."""
        unit = self._unit(shape)
        if not self.with_floor:
            return float((unit * self.matrix).sum() / np.square(unit).sum()), 0.0
        centred = unit - unit.mean()
        height = float((centred * self.matrix).sum() / max(float(np.square(centred).sum()), 1e-300))
        return height, float(self.matrix.mean() - height * unit.mean())

    def squared_error(self, shape: _Shape) -> float:
        height, floor = self.linear_parts(shape)
        return float(np.square(floor + height * self._unit(shape) - self.matrix).sum())

    def residuals(self, vector: Array) -> Array:
        shape = _Shape(*vector)
        height, floor = self.linear_parts(shape)
        return (floor + height * self._unit(shape) - self.matrix).ravel()

    def jacobian(self, vector: Array) -> Array:
        """[H*W, 4], Kaufman's form: the derivative at fixed height, minus what a new height and floor take up."""
        shape = _Shape(*vector)
        height, _ = self.linear_parts(shape)
        unit = self._unit(shape)
        dx = (self._columns - shape.center_x)[None, :]
        dy = (self._rows - shape.center_y)[:, None]
        derivatives = np.stack(
            [
                (height * unit * dx / shape.sigma_x**2).ravel(),
                (height * unit * dy / shape.sigma_y**2).ravel(),
                (height * unit * dx**2 / shape.sigma_x**3).ravel(),
                (height * unit * dy**2 / shape.sigma_y**3).ravel(),
            ],
            axis=1,
        )
        basis = unit.reshape(-1, 1)
        if self.with_floor:
            basis = np.concatenate([basis, np.ones_like(basis)], axis=1)
        orthonormal, _ = np.linalg.qr(basis)
        projected: Array = derivatives - orthonormal @ (orthonormal.T @ derivatives)
        return projected

    def _unit(self, shape: _Shape) -> Array:
        across = np.exp(-((self._columns - shape.center_x) ** 2) / (2 * shape.sigma_x**2))
        down = np.exp(-((self._rows - shape.center_y) ** 2) / (2 * shape.sigma_y**2))
        # Far from a narrow peak both underflow to 0; a tiny pedestal keeps the linear solve defined.
        return np.outer(down, across) + 1e-300


def _solve(problem: _Problem, start: _Shape, max_steps: int) -> _Shape:
    low, high = problem.bounds
    inside = np.clip(np.array(start), np.array(low) + 1e-6, np.array(high) - 1e-6)
    with needed_for("scipy", "to fit a Gaussian"):
        from scipy.optimize import least_squares

    solution = least_squares(
        problem.residuals,
        inside,
        jac=problem.jacobian,
        bounds=(low, high),
        x_scale="jac",
        xtol=1e-10,
        max_nfev=max_steps,
    )
    return _Shape(*(float(value) for value in solution.x))
