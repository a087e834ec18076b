"""What a plan will take: from measured seconds where there are some, else from floating-point operations."""

from collections.abc import Callable, Iterable, Mapping

from orchestrator.spec import Resources
from orchestrator.statistics.comparison import Cell
from trainers.analyses.configs import receptive_field_in
from trainers.config import TrialConfig
from trainers.counted import counted
from trainers.data import DatasetConfig
from trainers.data.splitting import SplitSizes
from trainers.strict import StrictModel

CPU_FLOPS_PER_SECOND = 3e10
"""Assumed for one CPU core in fp32, all overhead included (digits example: about 36e9)."""
GPU_FLOPS_PER_SECOND = 2e13
"""Assumed for one GPU, all overhead included."""
FORWARD_PASSES_PER_STEP = 3
"""A training step costs a forward pass and a backward pass of twice its size."""


class Cost(StrictModel):
    """What the plan will take, and how that was guessed."""

    num_trials: int
    """Trainings that remain to be done."""
    cpu_hours: float
    """CPU core hours."""
    gpu_hours: float
    """GPU hours."""
    basis: str
    """Where the seconds per trial come from, in words."""


class CostModel:
    """Guesses how long trials take and says on what ground."""

    def __init__(
        self,
        resources: Resources,
        measured_seconds: Mapping[str, float],
        sizes_of: Callable[[DatasetConfig], SplitSizes],
    ) -> None:
        """Take the ground for guesses.

        Args:
            resources: what each trial takes.
            measured_seconds: cell key -> median wall seconds of finished trials.
            sizes_of: how many images a data set has.
        """
        self._sizes_of = sizes_of
        self._resources = resources
        self._measured = measured_seconds
        self._num_measured = self._num_assumed = 0

    def cost(self, trials: Iterable[tuple[Cell, TrialConfig, int]]) -> Cost:
        """Cost of trials, given as (cell, config, how many such)."""
        resources = self._resources
        seconds, num_trials = 0.0, 0
        for cell, config, count in trials:
            num_trials += count
            seconds += self._seconds(cell, config, count) * count
        cpu_hours = seconds * resources.num_workers * resources.cpus_per_worker / 3600
        gpu_hours = seconds * resources.num_workers * resources.gpus_per_worker / 3600
        return Cost(
            num_trials=num_trials,
            cpu_hours=cpu_hours,
            gpu_hours=gpu_hours,
            basis=self._basis(),
        )

    def _seconds(self, cell: Cell, config: TrialConfig, count: int) -> float:
        measured = self._measured.get(cell.key)
        if measured is not None:
            self._num_measured += count
            return measured
        self._num_assumed += count
        return trial_flops(config, self._sizes_of(config.dataset)) / self._flops_per_second()

    def _flops_per_second(self) -> float:
        """All workers of a trial together."""
        resources = self._resources
        if resources.gpus_per_worker > 0:
            return GPU_FLOPS_PER_SECOND * resources.gpus_per_worker * resources.num_workers
        return CPU_FLOPS_PER_SECOND * resources.cpus_per_worker * resources.num_workers

    def _basis(self) -> str:
        unit, rate = "CPU core", CPU_FLOPS_PER_SECOND
        if self._resources.gpus_per_worker > 0:
            unit, rate = "GPU", GPU_FLOPS_PER_SECOND
        parts = [
            f"{counted(self._num_measured, 'trial')} by the median of finished trials of their cell"
            if self._num_measured
            else "",
            f"{counted(self._num_assumed, 'trial')} by floating-point operations at an assumed {rate:.0e} per second "
            f"and {unit} (right within a factor of a few)"
            if self._num_assumed
            else "",
        ]
        return "; ".join(part for part in parts if part) or "nothing remains to be done"


def trial_flops(config: TrialConfig, sizes: SplitSizes) -> float:
    """Floating-point operations of one whole trial on a data set of these sizes: training, scoring, analyses."""
    epochs = config.optimization.epochs
    passes = epochs * (FORWARD_PASSES_PER_STEP * sizes.train + sizes.val) + sizes.val
    if config.score_test:
        passes += sizes.test
    analysis = receptive_field_in(config.analyses)
    if analysis is not None:
        looks = 1 + (1 if epochs else 0) + (epochs // analysis.every_epochs if analysis.every_epochs else 0)
        passes += looks * FORWARD_PASSES_PER_STEP * min(analysis.num_images, sizes.val)
    return config.model.forward_flops_per_image() * passes
