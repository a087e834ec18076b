"""What an experiment will do, before anything runs: cells x arms x seeds."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from orchestrator.arm_labels import arm_labels
from orchestrator.planning.cost import Cost, CostModel
from orchestrator.planning.expansion import Expansion
from orchestrator.planning.plan_warnings import resolution_warnings, token_warnings, warnings_of
from orchestrator.planning.planned import PlannedSearch, PlannedTrial
from orchestrator.search.space import Params
from orchestrator.spec import ExperimentSpec
from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.forecast import PowerForecast, forecast_power
from orchestrator.statistics.look_plan import LooksForecast
from orchestrator.statistics.metric import metric_named
from trainers.config import TrialConfig
from trainers.strict import StrictModel

__all__ = ["Cost", "Params", "Plan", "PlannedSearch", "PlannedTrial", "PowerForecast", "make_plan", "plan_of"]


class Plan(StrictModel):
    """Deterministic: the same spec, code and data give the same plan."""

    digest: str
    """Digest of the canonical spec, code version and data fingerprints: names the result."""
    spec_name: str
    """The experiment's name."""
    control: str
    """Name of the control arm."""
    treatments: tuple[str, ...]
    """Names of the other arms, in the order of the spec."""
    arm_labels: dict[str, str]
    """Name -> what people read in its place, of the arms that have a label."""
    cells: tuple[Cell, ...]
    """Models x data sets."""
    seeds: tuple[int, ...]
    """Seeds of the confirm phase."""
    data_found: dict[str, str]
    """Data set -> what was found where it lies, in one line (`<cell>/<arm>`: what an arm gets instead)."""
    searches: tuple[PlannedSearch, ...]
    """What has to be chosen first."""
    trials: tuple[PlannedTrial, ...]
    """Confirm trials whose params are known, in pair order; a searched arm's follow after its search."""
    num_confirm_trials: int
    """All confirm trials, those of searched arms included."""
    num_search_trials: int
    """All search trials (at most, with early stopping)."""
    reusable: tuple[str, ...]
    """Identities of planned trials that already succeeded."""
    cost: Cost
    """What it will take."""
    unit: str
    """Unit of sds, intervals and effects (`pp`: percentage points; empty: a pure number)."""
    power: tuple[PowerForecast, ...]
    """What it can show, for a small, a middle and a large sd."""
    looks: LooksForecast | None = None
    """What planned looks ask for, and how many pairs they take (`None`: none are planned)."""
    expected_effects: tuple[float, ...] = ()
    """Effects that the spec's author hopes to find."""
    warnings: tuple[str, ...]
    """What a careful reader should know before it runs (unequal search budgets, too few seeds, ...)."""


ASSUMED_SDS = {
    "pp": (0.1, 0.3, 1.0, 3.0),
    "nats": (0.01, 0.03, 0.1),
    "tokens": (0.03, 0.1, 0.3),
    "": (0.01, 0.03, 0.1),
}
"""A small, a middle and a large sd of the paired difference, by the metric's unit."""


def make_plan(
    spec: ExperimentSpec,
    *,
    data_root: Path | None,
    finished: Collection[str] = frozenset(),
    seconds_per_trial: Mapping[str, float] | None = None,
) -> Plan:
    """Expand a spec and say what it will do, take and show. Nothing is started or written.

    Args:
        spec: the spec.
        data_root: where relative paths of data sets start.
        finished: identities of trials that have succeeded already.
        seconds_per_trial: cell key -> measured median seconds of a trial.

    Raises:
        SpecError: with all problems (see `Expansion`).
    """
    expansion = Expansion(spec, data_root=data_root, is_preview=True)
    return plan_of(expansion, finished=finished, seconds_per_trial=seconds_per_trial)


def plan_of(
    expansion: Expansion,
    *,
    finished: Collection[str] = frozenset(),
    seconds_per_trial: Mapping[str, float] | None = None,
) -> Plan:
    """The plan of a spec that is expanded already; see `make_plan`."""
    spec = expansion.spec
    trials = expansion.confirm_trials({})
    done = frozenset(finished) if spec.reuse == "identical" else frozenset()
    reusable = tuple(trial.identity for trial in trials if trial.identity in done)
    unit = metric_named(spec.primary_metric).unit
    num_comparisons = spec.num_cells * len(spec.treatments)
    power = forecast_power(
        len(spec.seeds),
        num_comparisons=num_comparisons,
        assumed_sds=ASSUMED_SDS[unit],
        expected_effects=spec.expected_effects,
        confidence=spec.confidence,
    )
    looks = None
    if spec.planned_looks is not None:
        # Boundaries take scipy's optimizer: a second that no other plan should pay.
        from orchestrator.statistics.looks_forecast import at_looks, forecast_looks  # noqa: PLC0415

        looks = forecast_looks(
            spec.planned_looks,
            num_pairs=len(spec.seeds),
            num_comparisons=num_comparisons,
            confidence=spec.confidence,
        )
        power = at_looks(power, looks)
    cost = CostModel(spec.resources, seconds_per_trial or {}, expansion.sizes_of)
    return Plan(
        digest=expansion.digest,
        spec_name=spec.name,
        control=spec.control.name,
        treatments=tuple(arm.name for arm in spec.treatments),
        arm_labels=arm_labels(spec.arms),
        cells=expansion.cells,
        seeds=spec.seeds,
        data_found=expansion.data_found,
        searches=expansion.searches,
        trials=trials,
        num_confirm_trials=spec.num_confirm_trials,
        num_search_trials=spec.num_search_trials,
        reusable=reusable,
        cost=cost.cost(_remaining(expansion, trials, done)),
        unit=unit,
        power=power,
        looks=looks,
        expected_effects=spec.expected_effects,
        warnings=(
            *_absence(expansion.absent_data),
            *warnings_of(spec),
            *resolution_warnings(expansion),
            *token_warnings(expansion),
        ),
    )


def _absence(labels: tuple[str, ...]) -> Iterator[str]:
    if labels:
        yield (
            f"not here: {', '.join(labels)}; images are counted as published, and the digests will be others. "
            "`sigmalab data prepare <set> --root <its folder> --protocol <protocol>` writes a manifest"
        )


def _remaining(
    expansion: Expansion, trials: tuple[PlannedTrial, ...], done: frozenset[str]
) -> Iterator[tuple[Cell, TrialConfig, int]]:
    """What has to be trained: (cell, config, how many such)."""
    counts: dict[tuple[str, str], int] = {}
    for trial in trials:
        key = (trial.cell.key, trial.arm)
        counts[key] = counts.get(key, 0) + (trial.identity not in done)
    for cell in expansion.cells:
        for arm in expansion.spec.arms:
            searched = len(expansion.spec.seeds) + arm.search.num_trials if arm.search else 0
            count = searched or counts[cell.key, arm.name]
            if count:
                yield cell, expansion.config_of(cell, arm.name), count
