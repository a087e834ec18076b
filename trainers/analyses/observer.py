"""A trial's receptive field: before, during and after training, without moving a single random number of it."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from trainers.analyses.configs import ReceptiveFieldAnalysis
from trainers.analyses.images import image_batches, spread_positions
from trainers.analyses.map_metrics import measure
from trainers.analyses.receptive_field import receptive_fields, warnings_for
from trainers.analyses.study import GRADIENT_SUM, GRID, MAPS
from trainers.atomic_file import replaced_file
from trainers.data.splits import ImageSplit
from trainers.errors import AnalysisError
from trainers.result import FieldRemark, Moment
from trainers.seeding import Stream, derive_seed
from trainers.world import ALONE, World

logger = logging.getLogger(__name__)


class TrialObserver:
    """Life: `before` with the initial weights, `during` after each epoch, `after` with the scored weights, `save`.

    Where nothing is trained there is no `before`: the scored weights are the initial ones. A resumed trial builds its
    initial weights from the seed again, so `before` gives the same numbers again.
    """

    def __init__(
        self,
        analysis: ReceptiveFieldAnalysis | None,
        split: ImageSplit,
        normalize: Callable[[Tensor], Tensor],
        *,
        seed: int,
        world: World = ALONE,
    ) -> None:
        """Nothing is looked at yet.

        Args:
            analysis: what is asked (`None`: nothing).
            split: whose images are used.
            normalize: makes the model's input of the split's images.
            seed: the trial's, for images that are drawn.
            world: ranks that share the images; each of them looks whenever one does, and finds the same.
        """
        self._world = world
        self._analysis, self._split, self._normalize, self._seed = analysis, split, normalize, seed
        self._maps: dict[str, npt.NDArray[np.float32 | np.float64 | np.int64]] = {}
        self._initial: dict[str, float] = {}
        self._remarks: list[FieldRemark] = []

    def before(self, model: nn.Module) -> None:
        """Look at the initial weights."""
        if self._analysis is not None:
            self._initial = self._look(model, self._analysis, "receptive_field_initial", moment="initial")

    def during(self, model: nn.Module, epoch: int) -> dict[str, float]:
        """Metrics after an epoch (from 0), where one is due: `receptive_field_epoch/...`."""
        analysis = self._analysis
        if analysis is None or not analysis.every_epochs or (epoch + 1) % analysis.every_epochs:
            return {}
        return self._look(model, analysis, "receptive_field_epoch", moment=None)

    def after(self, model: nn.Module) -> dict[str, float]:
        """Metrics of the scored weights, `receptive_field/...`, and of the initial, `receptive_field_initial/...`."""
        if self._analysis is None:
            return {}
        return self._initial | self._look(model, self._analysis, "receptive_field", moment="final")

    @property
    def remarks(self) -> tuple[FieldRemark, ...]:
        """What a reader must know of the maps before and after training."""
        return tuple(self._remarks)

    def save(self, folder: Path) -> None:
        """Write the maps, if any: `initial/<row>_<column>` and `final/<row>_<column>`, each [S, S] with sum 1.

        Beside them `gradient_sum/<map>`, what each was divided by, and the `grid` of tokens, [2].
        """
        if self._maps:
            with replaced_file(folder / MAPS) as file:
                np.savez_compressed(file, **self._maps)  # type: ignore[arg-type]

    def _look(
        self, model: nn.Module, analysis: ReceptiveFieldAnalysis, prefix: str, *, moment: Moment | None
    ) -> dict[str, float]:
        """Mean over targets of every metric; nothing where the map can't be measured: no trial fails for that."""
        try:
            mine = self._positions(analysis)[self._world.rank :: self._world.size]
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
                self._maps[f"{moment}/{row}_{column}"] = field.map.astype(np.float32)
                self._maps[f"{GRADIENT_SUM}/{moment}/{row}_{column}"] = np.array(field.gradient_sum)
                self._maps[GRID] = np.array(field.grid, dtype=np.int64)
        return {f"{prefix}/{name}": float(np.mean([each[name] for each in scalars])) for name in scalars[0]}

    def _positions(self, analysis: ReceptiveFieldAnalysis) -> list[int]:
        """Of the images, in the split: whatever is drawn here moves no random number of the training."""
        num_images = min(analysis.num_images, len(self._split))
        if analysis.images == "spread":
            return spread_positions(num_images, len(self._split))
        random = np.random.default_rng(derive_seed(self._seed, Stream.ANALYSIS))
        return sorted(random.choice(len(self._split), num_images, replace=False).tolist())
