"""Position biases in a report, as data: the embeddings' own fits, and mean maps as a query token sees them.

Arrays are part of the data but not of its JSON (which stays small): the report's folder has them as one `.npz`, and
HTTP gives each by itself.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from orchestrator.report.content.receptive_fields import Unreadable
from orchestrator.statistics.comparison import Cell
from trainers.result import BiasPart
from trainers.strict import StrictModel

ViewPart = Literal["own", "gaussian", "sum", "absolute"]
"""The layer's own position embedding, the Gaussian alone, both together, or the similarity of an absolute embedding."""

TrialViews = Mapping[str, npt.NDArray[np.float32]]
"""What one trial has stored: `own/00/<row>_<column>` -> [h, H, W], `absolute/<row>_<column>` -> [H, W]."""

ALL_LAYERS = "all"
"""Stands in a key for the layer of an absolute embedding, which belongs to the whole model."""


class ViewFit(StrictModel):
    """The Gaussian in one map, over seeds."""

    head: int | None
    """Head, from 0 (`None`: mean over heads)."""
    num_seeds: int
    """Trials behind it."""
    num_gaussian: int
    """Those in which the map is a Gaussian around the query."""
    num_not_fitted: int
    """Those in which there was nothing to fit."""
    sigma_x: float | None
    """Mean width along a row in tokens (`None`: nothing could be fitted)."""
    sigma_y: float | None
    """Mean width along a column in tokens."""
    r_squared: float | None
    """Mean share of the map's variance that the Gaussian explains (`None`: nothing was fitted, or it is the Gaussian
    itself)."""

    @property
    def is_gaussian(self) -> bool:
        """Whether the map is a Gaussian in every trial."""
        return self.num_gaussian == self.num_seeds


class BiasView(StrictModel):
    """The mean over seeds of what one query token sees of one part of one layer's position bias."""

    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    part: ViewPart
    """What is seen."""
    layer: int | None
    """Layer, from 0 (`None`: the embedding is the whole model's)."""
    query: tuple[int, int]
    """Row and column of the token that looks, from 0."""
    shape: tuple[int, int, int]
    """Heads (1: all alike), height and width of the grid of tokens."""
    seeds: tuple[int, ...]
    """Seeds whose maps it is the mean of."""
    fits: tuple[ViewFit, ...]
    """Of the mean over heads, then of each head if the spec asks for that. Taken over displacements, not from this
    query only; of an absolute embedding, from the middle token, and empty for others."""
    values: Annotated[SkipJsonSchema[bytes], Field(exclude=True, repr=False)] = b""
    """The map as float64, head by head, row by row; not in JSON."""

    @property
    def map(self) -> npt.NDArray[np.float64]:
        """[h, H, W], in logits (of an absolute embedding: cosines)."""
        return np.frombuffer(self.values, dtype=np.float64).reshape(self.shape)

    @property
    def is_central(self) -> bool:
        """Whether the query is the middle token; of an even grid the upper left of the four."""
        return self.query == ((self.shape[1] - 1) // 2, (self.shape[2] - 1) // 2)

    @property
    def key(self) -> str:
        """`<model>/<data set>/<arm>/<part>/<layer>/<row>_<column>`: its name in the `.npz`, its path over HTTP."""
        layer = ALL_LAYERS if self.layer is None else f"{self.layer:02d}"
        return f"{self.cell.key}/{self.arm}/{self.part}/{layer}/{self.query[0]}_{self.query[1]}"

    def fit(self, head: int | None = None) -> ViewFit | None:
        """The fit of one head, or of the mean over heads."""
        return next((fit for fit in self.fits if fit.head == head), None)


class BiasViews(StrictModel):
    """What an experiment's models learned about position, as images."""

    means: tuple[BiasView, ...]
    """One per cell, arm (the control first), part, layer and query, as far as the maps can be read."""
    unreadable: tuple[Unreadable, ...]
    """Trials whose maps are out of reach."""


class PositionFit(StrictModel):
    """The Gaussian fitted to what one layer learned about position, over seeds."""

    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    part: BiasPart
    """`own`: the layer's relative position embedding; `sum`: with our Gaussian added; `absolute`: similarity map."""
    layer: int | None
    """Layer, from 0 (`None`: the embedding is the whole model's)."""
    num_seeds: int
    """Trials that were looked at."""
    num_gaussian: int
    """Those in which it is a Gaussian: R^2 of 0.8 or more, a hill around displacement 0 that fits into the map."""
    num_not_fitted: int
    """Those in which there was nothing to fit: the same at every displacement, or broken."""
    sigma_mean: float | None
    """Mean width of the fits in tokens (`None`: none); only where all are Gaussian does it mean much."""
    sigma_sd: float | None
    """Standard deviation (n - 1) over seeds."""
    height_mean: float | None
    """Mean height of the fits, in logits (cosine for `absolute`); negative: a hollow."""
    r_squared_mean: float | None
    """Mean share of the map's variance that the Gaussian explains."""
    r_squared_sd: float | None
    """Standard deviation (n - 1) over seeds."""
