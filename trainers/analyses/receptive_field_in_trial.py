"""The receptive field as a trial's analysis: `receptive_field_observer` looks when it is due."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from trainers.analyses.analysis import Analysis
from trainers.analyses.map_metrics import METRICS
from trainers.analyses.questions import ReceptiveFieldConfig, check_target
from trainers.data.splitting import SplitSizes
from trainers.errors import AnalysisError
from trainers.metrics import Metric
from trainers.models.model import Model

if TYPE_CHECKING:
    from torch import Tensor

    from trainers.analyses.receptive_field_observer import ReceptiveFieldObserver
    from trainers.data.splits import ImageSplit
    from trainers.ranks import World

_PASSES_PER_LOOK = 3
"""A forward pass, and a backward pass of twice its size."""


class ReceptiveFieldAnalysis(Analysis, ReceptiveFieldConfig):
    """The effective receptive field before training, after it (with the weights that are scored), and in between."""

    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    looks_at_images: ClassVar[bool] = True

    kind: Literal["receptive_field"] = "receptive_field"
    num_images: int = Field(default=64, ge=1, le=100_000)
    """Validation images that it is taken over, the same in every arm."""
    images: Literal["spread", "by_seed"] = "spread"
    """Which of them: in every trial the same, spread evenly over the split (which may be in the order of its classes),
    or some that each seed draws for both trials of its pair. Intervals over seeds cover the choice of images only
    where it is drawn."""
    every_epochs: int | None = Field(default=None, ge=1)
    """Look again after every so many epochs (`null`: before and after training only)."""

    @property
    def draws_images(self) -> bool:
        """Whether each seed draws its own."""
        return self.images == "by_seed"

    def complaint(self, model: Model) -> str | None:
        """It has no such layer or token."""
        try:
            check_target(self, model.grids().features, model.label)
        except AnalysisError as error:
            return str(error)
        return None

    def grid_of(self, model: Model) -> tuple[int, int]:
        """Of the layer that is looked at."""
        layer = self.point.layer
        return model.grids().features[-1 if layer is None else layer]

    def caveats_of_fresh(self, models: Iterable[Model]) -> tuple[str, ...]:
        """Fields that show no attention; a trial says so too, but only in its log."""
        caveats = []
        if self.point.norm == "after":
            caveats.append(
                'the receptive field is asked for after the final norm ("norm": "after"): before training its weights '
                "are all equal, and the gradient of their channel mean is rounding noise; read nothing into those maps"
            )
        post_norm = [model.label for model in models if model.ends_blocks_in_norms]
        if post_norm:
            caveats.append(
                f"before training, the blocks of {', '.join(post_norm)} end in norms with equal weights: a token's "
                "receptive field is its own patch or rounding noise there, whatever the attention does"
            )
        return tuple(caveats)

    def forward_passes(self, sizes: SplitSizes, *, epochs: int) -> int:
        """One look at the end, one before training, one after every so many epochs."""
        looks = 1 + (1 if epochs else 0) + (epochs // self.every_epochs if self.every_epochs else 0)
        return looks * _PASSES_PER_LOOK * min(self.num_images, sizes.val)

    def observer(
        self,
        split: "ImageSplit",
        normalize: "Callable[[Tensor], Tensor]",
        *,
        seed: int,
        world: "World",
    ) -> "ReceptiveFieldObserver":
        """What looks when it is due."""
        from trainers.analyses.receptive_field_observer import ReceptiveFieldObserver

        return ReceptiveFieldObserver(self, split, normalize, seed=seed, world=world)


def receptive_field_in(analyses: Sequence[Analysis]) -> ReceptiveFieldAnalysis | None:
    """The one of its kind, if it is asked for."""
    return next((each for each in analyses if isinstance(each, ReceptiveFieldAnalysis)), None)
