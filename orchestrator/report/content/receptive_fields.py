"""Receptive fields in a report, as data: mean maps, levels, comparisons, curves.

Arrays are part of the data but not of its JSON (which stays small): the report's folder has them as one `.npz`, and
HTTP gives each by itself.
"""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from orchestrator.statistics.comparison import Cell, Comparison
from trainers.analyses.map_metrics import ReceptiveFieldMetrics
from trainers.analyses.questions import NormSide
from trainers.result import Moment
from trainers.strict import StrictModel

Array = npt.NDArray[np.float64]

PREFIXES: Mapping[Moment, str] = {"initial": "receptive_field_initial", "final": "receptive_field"}
"""How the trials' metrics of a moment begin."""

EPOCH_PREFIX = "receptive_field_epoch"
"""How those of an epoch's weights begin."""

MOMENT_WORDS: Mapping[Moment, str] = {"initial": "before training", "final": "after training"}
"""What tables and pictures call them."""

UNTRAINED_WORDS = "weights as given"
"""What they call the final moment of an experiment that trains nothing."""

IN_TOKENS = ("rms_radius_tokens", "sigma_tokens", "mass_within_2.5")
"""Those of the following that mean different lengths where the tokens differ."""

COMPARED = ("rms_radius_tokens", "sigma_tokens", "r_squared", "area_50_fraction", "mass_within_2.5")
"""What is compared between arms; every trial's other numbers are in the table of trials."""


class MeanField(StrictModel):
    """The mean over seeds of one arm's receptive field."""

    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    moment: Moment
    """Before training, or with the weights that are scored."""
    target: tuple[int, int]
    """Row and column of the token that is looked at, from 0."""
    beside: tuple[int, int]
    """Token of the control that it is shown beside: the same, unless their grids differ."""
    grid: tuple[int, int]
    """Height and width of the token grid."""
    shape_px: tuple[int, int]
    """Height and width of the map."""
    seeds: tuple[int, ...]
    """Seeds whose maps it is the mean of."""
    is_trained: bool
    """Whether the trials trained at all; else `final` is what they started from."""
    metrics: ReceptiveFieldMetrics | None
    """What the mean map measures (`None`: nothing could be fitted, or only the array was asked for)."""
    remark: str
    """What a reader must know before using the numbers; empty if nothing."""
    pixels: Annotated[SkipJsonSchema[bytes], Field(exclude=True, repr=False)] = b""
    """The map as float64, row by row; not in JSON."""

    @property
    def map(self) -> Array:
        """[H, W], not negative, sum 1."""
        return np.frombuffer(self.pixels, dtype=np.float64).reshape(self.shape_px)

    @property
    def moment_words(self) -> str:
        """`before training`, `after training`, or what it is if nothing was trained."""
        return MOMENT_WORDS[self.moment] if self.is_trained else UNTRAINED_WORDS

    @property
    def key(self) -> str:
        """`<model>/<data set>/<arm>/<moment>/<row>_<column>`: its name in the `.npz`, and its path over HTTP."""
        row, column = self.target
        return f"{self.cell.key}/{self.arm}/{self.moment}/{row}_{column}"


class FieldDifference(StrictModel):
    """How much more of a pixel a treatment sees than the control: mean over pairs of the same seed.

    Only where both grids are alike: else a token of one is not a token of the other.
    """

    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the treatment."""
    moment: Moment
    """Before training, or with the weights that are scored."""
    target: tuple[int, int]
    """Row and column of the token that is looked at, from 0."""
    shape_px: tuple[int, int]
    """Height and width of the map."""
    seeds: tuple[int, ...]
    """Seeds of the pairs."""
    pixels: Annotated[SkipJsonSchema[bytes], Field(exclude=True, repr=False)] = b""
    """The map as float64, row by row; not in JSON."""

    @property
    def map(self) -> Array:
        """[H, W], sum 0."""
        return np.frombuffer(self.pixels, dtype=np.float64).reshape(self.shape_px)


class FieldLevel(StrictModel):
    """One metric of one arm over seeds, before and after training; in the metric's unit (percent for shares)."""

    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    metric: str
    """Name of the metric, such as `rms_radius_tokens`."""
    num_seeds: int
    """Trials behind the final mean."""
    initial_mean: float | None
    """Mean before training (`None`: nothing was trained)."""
    initial_sd: float | None
    """Standard deviation (n - 1) over seeds."""
    final_mean: float | None
    """Mean with the weights that are scored."""
    final_sd: float | None
    """Standard deviation (n - 1) over seeds."""


class FieldSeedCurve(StrictModel):
    """One seed's values."""

    seed: int
    """The replicate."""
    values: tuple[float, ...]
    """One value for each of the curve's epochs."""


class FieldCurve(StrictModel):
    """One metric of one arm over epochs (where the spec asks for `every_epochs`)."""

    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    metric: str
    """Name of the metric."""
    epochs: tuple[int, ...]
    """Epochs trained (0: before training)."""
    mean: tuple[float, ...]
    """Mean over seeds at each of them."""
    seeds: tuple[FieldSeedCurve, ...]
    """Every seed's own curve."""


class FieldWarning(StrictModel):
    """What makes receptive fields of an arm misleading, or why trials have none."""

    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    moment: Moment
    """Before training, or with the weights that are scored."""
    seeds: tuple[int, ...]
    """Replicates that it holds for."""
    text: str
    """A sentence without its full stop."""


class Unreadable(StrictModel):
    """A trial whose maps are in no mean."""

    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    seed: int
    """The replicate."""
    reason: str
    """Why they can't be read."""


class FieldMaps(StrictModel):
    """The maps of an experiment by themselves: what is drawn, and what a mean map is asked for."""

    means: tuple[MeanField, ...]
    """See `ReceptiveFields`."""
    differences: tuple[FieldDifference, ...]
    """See `ReceptiveFields`."""
    unreadable: tuple[Unreadable, ...]
    """See `ReceptiveFields`."""


class ReceptiveFields(StrictModel):
    """All that an experiment says about receptive fields. Describes: it is outside Holm's family."""

    norm: NormSide = "before"
    """Whether the token was looked at before or after the final norm, which are two quantities."""
    means: tuple[MeanField, ...]
    """One per cell, token, arm (the control first) and moment, as far as the maps can be read."""
    differences: tuple[FieldDifference, ...]
    """One per cell, token, treatment and moment that have pairs."""
    levels: tuple[FieldLevel, ...]
    """One per cell, arm and compared metric."""
    comparisons: tuple[Comparison, ...]
    """One per cell, treatment, metric and moment; `p_value` is not adjusted for their number. Without the primary
    metric, which has its own, and without lengths in tokens where the tokens differ."""
    not_compared: tuple[str, ...]
    """What is missing there, and why."""
    curves: tuple[FieldCurve, ...]
    """Width (rms radius) and R^2 over epochs."""
    warnings: tuple[FieldWarning, ...]
    """What the trials said of their own fields."""
    unreadable: tuple[Unreadable, ...]
    """Trials that have metrics but whose maps are out of reach."""

    @property
    def maps(self) -> FieldMaps:
        """Its maps."""
        return FieldMaps(means=self.means, differences=self.differences, unreadable=self.unreadable)

    def grid(self, cell: Cell, arm: str) -> tuple[int, int] | None:
        """Height and width of an arm's token grid (`None`: none of its maps can be read)."""
        return next((mean.grid for mean in self.means if (mean.cell, mean.arm) == (cell, arm)), None)

    @property
    def is_trained(self) -> bool:
        """Whether anything was looked at before training."""
        return any(level.initial_mean is not None for level in self.levels)
