"""A trial's receptive field: before, during and after training, without moving a single random number of it."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from trainers.analyses.field_maps import MappedField, write_field_maps
from trainers.analyses.images import image_batches, spread_positions
from trainers.analyses.map_metrics import measure
from trainers.analyses.observer import Observer
from trainers.analyses.receptive_field import receptive_fields, warnings_for
from trainers.analyses.receptive_field_in_trial import ReceptiveFieldAnalysis
from trainers.data.splits import ImageSplit
from trainers.errors import AnalysisError
from trainers.ranks import ALONE, World
from trainers.result import FieldRemark, Moment
from trainers.seeding import Stream, derive_seed

logger = logging.getLogger(__name__)


class ReceptiveFieldObserver(Observer):
    """Looks over a few images of the validation split."""

    def __init__(
        self,
        analysis: ReceptiveFieldAnalysis,
        split: ImageSplit,
        normalize: Callable[[Tensor], Tensor],
        *,
        seed: int,
        world: World = ALONE,
    ) -> None:
        """Nothing is looked at yet.

        Args:
            analysis: what is asked.
            split: whose images are used.
            normalize: makes the model's input of the split's images.
            seed: the trial's, for images that are drawn.
            world: ranks that share the images; each of them looks whenever one does, and finds the same.
        """
        self._world = world
        self._analysis, self._split, self._normalize, self._seed = analysis, split, normalize, seed
        self._fields: list[MappedField] = []
        self._initial: dict[str, float] = {}
        self._remarks: list[FieldRemark] = []

    def before(self, model: nn.Module) -> None:
        """Look at the initial weights."""
        self._initial = self._look(model, "receptive_field_initial", moment="initial")

    def during(self, model: nn.Module, epoch: int) -> dict[str, float]:
        """Metrics after an epoch (from 0), where one is due: `receptive_field_epoch/...`."""
        every_epochs = self._analysis.every_epochs
        if not every_epochs or (epoch + 1) % every_epochs:
            return {}
        return self._look(model, "receptive_field_epoch", moment=None)

    def after(self, model: nn.Module) -> dict[str, float]:
        """Metrics of the scored weights, `receptive_field/...`, and of the initial, `receptive_field_initial/...`."""
        return self._initial | self._look(model, "receptive_field", moment="final")

    @property
    def remarks(self) -> tuple[FieldRemark, ...]:
        """What a reader must know of the maps before and after training."""
        return tuple(self._remarks)

    def save(self, folder: Path) -> None:
        """Write the maps before and after training, if there are any."""
        if self._fields:
            write_field_maps(folder, self._fields)

    def _look(self, model: nn.Module, prefix: str, *, moment: Moment | None) -> dict[str, float]:
        """Mean over targets of every metric; nothing where the map can't be measured: no trial fails for that."""
        analysis = self._analysis
        try:
            mine = self._positions()[self._world.rank :: self._world.size]
            batches = image_batches(self._split, mine, self._normalize)
            fields = receptive_fields(model, batches, analysis, world=self._world)
            scalars = [measure(field).scalars() for field in fields]
        except AnalysisError as error:
            logger.warning("%s is left out: %s", prefix, error)
            if moment:
                self._remarks.append(FieldRemark(moment=moment, text=f"not measured: {error}"))
            return {}
        if moment:
            warnings = warnings_for(model, analysis.point)
            self._remarks += [FieldRemark(moment=moment, text=warning) for warning in warnings]
            for field in fields:
                row, column = field.place
                name = f"{moment}/{row}_{column}"
                self._fields.append(MappedField(name, field.map, field.gradient_sum, field.grid))
        return {f"{prefix}/{name}": float(np.mean([each[name] for each in scalars])) for name in scalars[0]}

    def _positions(self) -> list[int]:
        """Of the images, in the split: whatever is drawn here moves no random number of the training."""
        analysis = self._analysis
        num_images = min(analysis.num_images, len(self._split))
        if analysis.images == "spread":
            return spread_positions(num_images, len(self._split))
        random = np.random.default_rng(derive_seed(self._seed, Stream.ANALYSIS))
        return sorted(random.choice(len(self._split), num_images, replace=False).tolist())
