"""What a plan will take: from measured seconds where there are some, else from floating-point operations."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from orchestrator.planning.gpu_rates import GpuRate, gpu_rate
from orchestrator.spec.experiment import Resources
from orchestrator.statistics.comparison import Cell
from trainers.config import TrialConfig
from trainers.counted import counted
from trainers.data.splitting import SplitSizes
from trainers.kinds import DatasetConfig
from trainers.strict import StrictModel

CPU_FLOPS_PER_SECOND = 3e10
"""Assumed for one CPU core in fp32, all overhead included (digits example: about 36e9)."""
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
        self._num_measured = 0
        self._num_assumed = Counter[str]()

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
        if config.task.runs_itself:
            self._num_assumed["by the time limit of a command (`resources.max_trial_minutes`), the most it takes"] += (
                count
            )
            return self._resources.limit_minutes * 60
        rate = self._rate(config)
        self._num_assumed[
            f"by floating-point operations at an assumed {rate.flops_per_second:.0e} per second and {rate.unit} "
            f"({rate.ground})"
        ] += count
        units = self._resources.gpus_per_worker or self._resources.cpus_per_worker
        flops_per_second = rate.flops_per_second * units * self._resources.num_workers
        sizes = self._sizes_of(config.dataset)
        seconds = trial_flops(config, sizes) / flops_per_second
        if self._resources.gpus_per_worker:
            return seconds
        # On a GPU all but the products is done meanwhile, by loaders.
        return seconds + num_images(config, sizes) * config.task.core_seconds_per_image / (
            units * self._resources.num_workers
        )

    def _rate(self, config: TrialConfig) -> GpuRate:
        if self._resources.gpus_per_worker > 0:
            return gpu_rate(self._resources.accelerator_type, config.optimization.precision)
        return GpuRate(CPU_FLOPS_PER_SECOND, "CPU core", "right within a factor of a few")

    def _basis(self) -> str:
        parts = [f"{counted(count, 'trial')} {how}" for how, count in self._num_assumed.items()]
        if self._num_measured:
            parts.insert(0, f"{counted(self._num_measured, 'trial')} by the median of finished trials of their cell")
        return "; ".join(parts) or "nothing remains to be done"


def num_images(config: TrialConfig, sizes: SplitSizes) -> int:
    """How often a whole trial sees an image of a data set of these sizes, in training or scoring."""
    epochs = config.optimization.epochs
    return epochs * (sizes.train + sizes.val) + sizes.val + (sizes.test if config.score_test else 0)


def trial_flops(config: TrialConfig, sizes: SplitSizes) -> float:
    """Floating-point operations of one whole trial on a data set of these sizes: training, scoring, analyses."""
    epochs = config.optimization.epochs
    passes = epochs * (FORWARD_PASSES_PER_STEP * sizes.train + sizes.val) + sizes.val
    if config.score_test:
        passes += sizes.test
    passes += sum(analysis.forward_passes(sizes, epochs=epochs) for analysis in config.analyses)
    return config.task.forward_flops_per_image(config.model) * passes
