"""A receptive field in numbers: how wide, how round, how Gaussian. Lengths are in tokens of the layer looked at."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainers.analyses.gaussian_fit import GaussianFit, fit_gaussian
from trainers.metrics import Metric, share
from trainers.strict import StrictModel

RADII_TOKENS = (1.0, 2.5, 5.0)
"""Radii within which the mass is told."""
_SDS_TOKENS = (0.03, 0.1, 0.3)
METRICS = (
    Metric("rms_radius_tokens", "tokens", 1.0, higher_is_better=None, assumed_sds=_SDS_TOKENS),
    Metric("sigma_tokens", "tokens", 1.0, higher_is_better=None, assumed_sds=_SDS_TOKENS),
    Metric("r_squared", "", 1.0, higher_is_better=None),
    Metric("anisotropy", "", 1.0, higher_is_better=None),
    share("area_50_fraction", higher_is_better=None),
    share("area_90_fraction", higher_is_better=None),
    *(share(f"mass_within_{radius:g}", higher_is_better=None) for radius in RADII_TOKENS),
)
"""What `ReceptiveFieldMetrics.scalars` gives."""


@dataclass(frozen=True)
class ReceptiveField:
    """The receptive field of one token, over some images."""

    map: npt.NDArray[np.float64]
    """[S, S], not negative, sum 1; in pixels of the input."""
    place: tuple[int, int]
    """Row and column of the token."""
    grid: tuple[int, int]
    """Height and width of the token grid."""
    num_images: int
    """Images behind the map."""
    gradient_sum: float = 1.0
    """What the map was divided by, per image; 1 where it was not."""

    @property
    def gradient(self) -> npt.NDArray[np.float64]:
        """[S, S], not normalised: mean over images of the positive part of d(channel mean) / d(pixel)."""
        return self.map * self.gradient_sum

    @property
    def token_px(self) -> tuple[float, float]:
        """Height and width of a token in pixels."""
        return self.map.shape[0] / self.grid[0], self.map.shape[1] / self.grid[1]

    @property
    def center_px(self) -> tuple[float, float]:
        """The token's centre: row and column, in pixels from the middle of the first pixel."""
        height, width = self.token_px
        return (self.place[0] + 0.5) * height - 0.5, (self.place[1] + 0.5) * width - 0.5


class ReceptiveFieldMetrics(StrictModel):
    """What one receptive field measures."""

    fit_px: GaussianFit
    """The Gaussian through the map, without a floor, in pixels."""
    sigma_x_tokens: float
    """Width of the Gaussian along a row."""
    sigma_y_tokens: float
    """Width of the Gaussian along a column."""
    anisotropy: float
    """Larger width over smaller width: 1 is round."""
    rms_radius_tokens: float
    """Root of the mean squared distance of the mass from the target's centre."""
    mass_within_tokens: dict[str, float]
    """Share of the mass within a radius of the target's centre, by the radius."""
    area_50_fraction: float
    """Smallest share of the image's pixels that hold half of the mass."""
    area_90_fraction: float
    """Smallest share of the image's pixels that hold 90 % of the mass."""

    def scalars(self) -> dict[str, float]:
        """The numbers that are compared between arms, as `<name>`: value."""
        return {
            "sigma_tokens": (self.sigma_x_tokens * self.sigma_y_tokens) ** 0.5,
            "r_squared": self.fit_px.r_squared,
            "rms_radius_tokens": self.rms_radius_tokens,
            "anisotropy": self.anisotropy,
            "area_50_fraction": self.area_50_fraction,
            "area_90_fraction": self.area_90_fraction,
            **{f"mass_within_{radius}": mass for radius, mass in self.mass_within_tokens.items()},
        }


def measure(field: ReceptiveField) -> ReceptiveFieldMetrics:
    """Measure a receptive field.

    Raises:
        AnalysisError: the map holds nothing to fit.
    """
    fit = fit_gaussian(field.map, with_floor=False)
    token_height, token_width = field.token_px
    sigma_x, sigma_y = fit.sigma_x / token_width, fit.sigma_y / token_height
    distance = _distances_tokens(field)
    return ReceptiveFieldMetrics(
        fit_px=fit,
        sigma_x_tokens=sigma_x,
        sigma_y_tokens=sigma_y,
        anisotropy=max(sigma_x, sigma_y) / min(sigma_x, sigma_y),
        rms_radius_tokens=float(np.sqrt((field.map * distance**2).sum())),
        mass_within_tokens={f"{radius:g}": float(field.map[distance <= radius].sum()) for radius in RADII_TOKENS},
        area_50_fraction=_area_fraction(field.map, 0.5),
        area_90_fraction=_area_fraction(field.map, 0.9),
    )


def _distances_tokens(field: ReceptiveField) -> npt.NDArray[np.float64]:
    """[S, S] distance of each pixel's middle from the target's centre, in tokens."""
    (row, column), (token_height, token_width) = field.center_px, field.token_px
    down = (np.arange(field.map.shape[0]) - row) / token_height
    across = (np.arange(field.map.shape[1]) - column) / token_width
    distances: npt.NDArray[np.float64] = np.hypot(down[:, None], across[None, :])
    return distances


def _area_fraction(mass: npt.NDArray[np.float64], share: float) -> float:
    descending = np.sort(mass, axis=None)[::-1]
    return float((np.searchsorted(np.cumsum(descending), share * descending.sum()) + 1) / mass.size)
